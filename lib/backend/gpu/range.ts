import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { RangeNeighbors, RunInfo } from "../backend.ts";
import { nextPowerOfTwo } from "./plan.ts";
import type { Steps } from "./steps.ts";
import type { Task } from "./task.ts";

/** Pairs that a query has room for at first. */
const FIRST_CAPACITY = 256;
/** Most bytes of pairs that are read back at once. */
const MOST_BYTES = 2 ** 26;

/** Records a kernel that appends pairs of queries `from … from + nq`. */
export type RecordWithin = (
  from: number,
  nq: number,
  capacity: number,
  counts: GpuBuffer,
  found: GpuBuffer,
) => void;

/** Pairs of one query as `row << 32 | bits of the distance`, in order of row. */
export type QueryPairs = BigUint64Array;

/**
 * Runs a range search: what finds no room is searched again with as much as it asked for.
 *
 * @param task The call.
 * @param nq Queries.
 * @param most Pairs that a query can have.
 * @param work Multiply-adds a query.
 * @param record Records the search of some queries.
 */
export function* findWithin(
  task: Task,
  nq: number,
  most: number,
  work: number,
  record: RecordWithin,
): Steps<QueryPairs[]> {
  const pairs: QueryPairs[] = [];
  let capacity = Math.min(most, FIRST_CAPACITY);
  for (let from = 0; from < nq;) {
    // Pairs are read back: so many bytes at once, whatever the budget.
    const bytes = capacity * 8 * Math.max(1, task.context.budget / MOST_BYTES);
    const n = Math.min(nq - from, task.context.batchSize(nq, bytes, work));
    const counts = task.output(n * 4, "pairs a query");
    const found = task.scratch(n * capacity * 8, "pairs within");
    task.commands.fill(counts, 0, n * 4, 0);
    record(from, n, capacity, counts, found);
    yield* task.finish();
    const arrived = counts.readSync(new Uint32Array(n));
    const largest = arrived.reduce((a, b) => Math.max(a, b), 0);
    if (largest <= capacity) {
      const all = found.readSync(new BigUint64Array(n * capacity));
      arrived.forEach((count, q) => {
        pairs.push(all.slice(q * capacity, q * capacity + count).sort());
      });
      from += n;
    } else {
      capacity = Math.min(most, nextPowerOfTwo(largest));
    }
    task.release(counts, found);
  }
  return pairs;
}

/** The arrays of a range search; `label` gives the id of a row. */
export function toRange(
  pairs: QueryPairs[],
  label: ((row: number) => bigint) | undefined,
  run: RunInfo,
): RangeNeighbors {
  const lims = new BigUint64Array(pairs.length + 1);
  let total = 0;
  pairs.forEach((own, q) => lims[q + 1] = BigInt(total += own.length));
  const distances = new Float32Array(total);
  const labels = new BigInt64Array(total);
  let at = 0;
  for (const own of pairs) {
    const words = new Uint32Array(own.buffer, own.byteOffset, own.length * 2);
    const values = new Float32Array(words.buffer, words.byteOffset, words.length);
    const order = Uint32Array.from({ length: own.length }, (_, i) => i);
    const ids = BigInt64Array.from(order, (i) => {
      return label ? label(words[i * 2 + 1]!) : BigInt(words[i * 2 + 1]!);
    });
    // Rows ascend; ids of lists need not.
    if (label) order.sort((a, b) => ids[a]! < ids[b]! ? -1 : ids[a]! > ids[b]! ? 1 : a - b);
    for (const i of order) {
      distances[at] = values[i * 2]!;
      labels[at++] = ids[i]!;
    }
  }
  return { lims, distances, labels, run };
}
