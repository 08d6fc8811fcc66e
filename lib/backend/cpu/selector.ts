/**
 * Selectors as the postfix program of `mf_selector_create`.
 *
 * @module
 */

import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import {
  type IDSelector,
  IDSelectorAll,
  IDSelectorAnd,
  IDSelectorArray,
  IDSelectorBitmap,
  IDSelectorNot,
  IDSelectorOr,
  IDSelectorRange,
  IDSelectorXOr,
} from "../../selector.ts";

const Op = { all: 0, range: 1, set: 2, bitmap: 3, not: 4, and: 5, or: 6, xor: 7 } as const;

const STEP_BYTES = 24;

interface Step {
  op: number;
  a: bigint;
  b: bigint;
  payload: Uint8Array | undefined;
}

/** A native selector. */
export function createSelector(selector: IDSelector): NativeHandle {
  const program = compileSelector(selector);
  return new NativeHandle("selector", (out, call) => {
    return library().symbols.mf_selector_create(program.length, program, out, call);
  });
}

/** A native selector for a search, or undefined where every row takes part. */
export function createFilter(selector: IDSelector | undefined): NativeHandle | undefined {
  if (selector === undefined || selector instanceof IDSelectorAll) return undefined;
  return createSelector(selector);
}

/** The program of a selector. */
export function compileSelector(selector: IDSelector): Uint8Array {
  const steps: Step[] = [];
  collect(selector, steps);
  let length = 0;
  for (const { payload } of steps) length += STEP_BYTES + padded(payload?.length ?? 0);
  const program = new Uint8Array(length);
  const view = new DataView(program.buffer);
  let at = 0;
  for (const { op, a, b, payload } of steps) {
    view.setUint32(at, op, true);
    view.setBigInt64(at + 8, a, true);
    view.setBigInt64(at + 16, b, true);
    at += STEP_BYTES;
    if (payload) {
      program.set(payload, at);
      at += padded(payload.length);
    }
  }
  return program;
}

function collect(selector: IDSelector, steps: Step[]): void {
  const push = (op: number, a = 0n, b = 0n, payload?: Uint8Array) => {
    steps.push({ op, a, b, payload });
  };
  const pair = (op: number, { a, b }: { a: IDSelector; b: IDSelector }) => {
    collect(a, steps);
    collect(b, steps);
    push(op);
  };
  if (selector instanceof IDSelectorAll) push(Op.all);
  else if (selector instanceof IDSelectorRange) push(Op.range, selector.min, selector.max);
  else if (selector instanceof IDSelectorArray) {
    const { buffer, byteOffset, byteLength, length } = selector.ids;
    push(Op.set, BigInt(length), 0n, new Uint8Array(buffer, byteOffset, byteLength));
  } else if (selector instanceof IDSelectorBitmap) {
    push(Op.bitmap, BigInt(selector.bytes.length), 0n, selector.bytes);
  } else if (selector instanceof IDSelectorNot) {
    collect(selector.selector, steps);
    push(Op.not);
  } else if (selector instanceof IDSelectorAnd) pair(Op.and, selector);
  else if (selector instanceof IDSelectorOr) pair(Op.or, selector);
  else if (selector instanceof IDSelectorXOr) pair(Op.xor, selector);
  else {
    throw new TypeError(
      `Cannot run ${selector.constructor.name} natively: resolve it against the ids first`,
    );
  }
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}
