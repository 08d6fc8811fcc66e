/**
 * Calling a C function: its record, its errors, and how it is stopped.
 *
 * @module
 */

import {
  CompileError,
  DeviceError,
  DisposedError,
  FormatError,
  OutOfMemoryError,
} from "../lib/errors.ts";
import { CallRecord, type Report } from "./record.ts";

/** `mf_status`. */
export const Status = {
  OK: 0,
  VALUE: 1,
  SHAPE: 2,
  HANDLE: 3,
  MEMORY: 4,
  CANCELLED: 5,
  DEVICE: 6,
  COMPILE: 7,
  FILE: 8,
} as const;

/** Records between synchronous calls; more than one only where calls nest. */
const idle: CallRecord[] = [];

/** Runs a C function on this thread. */
export function invoke(body: (call: Uint8Array) => number): Report {
  const record = idle.pop()?.reset() ?? new CallRecord();
  try {
    check(body(record.bytes), record);
    return record.report();
  } finally {
    idle.push(record);
  }
}

/** Runs a C function on another thread; `signal` stops it. */
export async function invokeAsync(
  body: (call: Uint8Array) => Promise<number>,
  signal?: AbortSignal,
): Promise<Report> {
  signal?.throwIfAborted();
  const record = new CallRecord();
  const stop = () => record.cancel();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    check(await body(record.bytes), record, signal);
    return record.report();
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Throws the error that a status stands for. */
export function check(status: number, record: CallRecord, signal?: AbortSignal): void {
  switch (status) {
    case Status.OK:
      return;
    case Status.VALUE:
      throw new RangeError(record.message());
    case Status.SHAPE:
      throw new TypeError(record.message());
    case Status.HANDLE:
      throw new DisposedError(record.message());
    case Status.MEMORY:
      throw new OutOfMemoryError(record.message());
    case Status.CANCELLED:
      throw signal?.reason ?? new DOMException("The operation was stopped", "AbortError");
    case Status.DEVICE:
      throw new DeviceError(record.message());
    case Status.COMPILE:
      throw new CompileError(record.message());
    case Status.FILE:
      throw new FormatError(record.message());
    default:
      throw new Error(`Cannot go on: the native library returned status ${status}`);
  }
}
