import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { Task } from "./task.ts";

/** `FlatStatus` of `flat_select.h`: the low bits of a query's status; the others count exact pairs. */
export const Status = { FOUND: 0, LOST: 1, UNPROVEN: 2, CROWDED: 3 } as const;
const STATUS_BITS = 8;

/** Statuses that flat_select left. */
export function readStatuses(task: Task, buffer: GpuBuffer, nq: number): Uint32Array {
  const statuses = buffer.readSync(new Uint32Array(nq));
  for (const status of statuses) task.recomputed += status >>> STATUS_BITS;
  return statuses;
}

/** A query's `FlatStatus`. */
export function statusOf(status: number): number {
  return status & ((1 << STATUS_BITS) - 1);
}

/** Whether a query's answer is proven. */
export function isFound(status: number): boolean {
  return statusOf(status) === Status.FOUND;
}
