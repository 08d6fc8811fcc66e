import { invoke } from "../../../ffi/call.ts";
import { library } from "../../../ffi/library.ts";
import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { IDSelector } from "../../selector.ts";
import { createFilter, createSelector } from "../cpu/selector.ts";
import type { Task } from "./task.ts";
import { words } from "./words.ts";

/** Bits that a threadgroup of filter_count looks at. */
const FILTER_BLOCK = 8192;

/** Rows that a selector takes. */
export interface SelectedRows {
  /** Bit `i % 8` of byte `i >> 3` is set for row `i`. */
  bitmap: Uint8Array<ArrayBuffer>;
  /** How many are set. */
  count: number;
}

/** The rows that a search looks at; undefined for all. */
export function filteredRows(
  selector: IDSelector | undefined,
  ids: BigInt64Array | number,
): SelectedRows | undefined {
  using filter = createFilter(selector);
  return filter && selectRows(filter.object, ids);
}

/** The rows that stay when the selected ones go. */
export function keptRows(selector: IDSelector, ids: BigInt64Array | number): SelectedRows {
  using selected = createSelector(selector);
  const { bitmap, count } = selectRows(selected.object, ids);
  const n = typeof ids === "number" ? ids : ids.length;
  const words = new Uint32Array(bitmap.buffer);
  for (let i = 0; i < words.length; i++) words[i] = ~words[i]!;
  // Bits past the last row.
  for (let i = n; i < bitmap.length * 8; i++) bitmap[i >> 3]! &= ~(1 << (i & 7));
  return { bitmap, count: n - count };
}

function selectRows(selector: number, ids: BigInt64Array | number): SelectedRows {
  const n = typeof ids === "number" ? ids : ids.length;
  const bitmap = new Uint8Array(Math.ceil(n / 64) * 8);
  const given = typeof ids === "number" ? null : ids;
  const { scanned } = invoke((call) =>
    library().symbols.mf_selector_bitmap(
      selector,
      n,
      given as BigInt64Array<ArrayBuffer> | null,
      bitmap,
      call,
    )
  );
  return { bitmap, count: scanned };
}

/** The numbers of the selected rows, ascending, on the device. */
export function listRows(task: Task, { bitmap, count }: SelectedRows, n: number): GpuBuffer {
  const bits = task.input(bitmap, "selected rows");
  const blocks = Math.ceil(n / FILTER_BLOCK);
  const counts = task.scratch(blocks * 4, "selected rows a block");
  const total = task.scratch(4, "number of selected rows");
  const list = task.scratch(count * 4, "list of selected rows");
  const params = words(n);
  const blockwise = { threadgroups: blocks, threadgroup: 256 };
  task.dispatch(["filter.metal", "filter_count"], [bits, counts, params], blockwise);
  task.dispatch(["filter.metal", "filter_offsets"], [counts, total, params], {
    threadgroups: 1,
    threadgroup: 1024,
  });
  task.dispatch(["filter.metal", "filter_rows"], [bits, counts, list, params], blockwise);
  return list;
}
