/**
 * What the classes of this folder share when they call the native library.
 *
 * @module
 */

import { invoke, invokeAsync, Status } from "../../ffi/call.ts";
import { NativeHandle } from "../../ffi/handle.ts";
import { library, type Symbols } from "../../ffi/library.ts";
import { CompileError } from "../errors.ts";

/** The C functions. */
export function native(): Symbols {
  return library().symbols;
}

const encoder = new TextEncoder();

/** A NUL-terminated string. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("Cannot use a text: it contains a NUL character");
  return encoder.encode(`${text}\0`);
}

/** Fetches a text that C left as {handle, bytes}. */
export function takeText(out: Uint32Array): string {
  const bytes = new Uint8Array(out[1]!);
  invoke((call) => native().mf_text_take(out[0]!, bytes, call));
  return new TextDecoder().decode(bytes);
}

/** Calls a function that leaves a text of JSON. */
export function json<T>(body: (text: Uint32Array<ArrayBuffer>, call: Uint8Array) => number): T {
  const out = new Uint32Array(2);
  invoke((call) => body(out, call));
  return JSON.parse(takeText(out));
}

/** The description of a device, library or pipeline. */
export function describe<T>(object: number): T {
  return json((text, call) => native().mf_gpu_describe(object, text, call));
}

/** Takes over an object that a function has made. */
export function adopt(what: string, object: number): NativeHandle {
  return new NativeHandle(what, (out) => {
    out[0] = object;
    return Status.OK;
  });
}

/** Compiles; the log of a refusal goes into the error. */
export function compile(
  what: string,
  body: (out: Uint32Array<ArrayBuffer>, call: Uint8Array) => number,
): NativeHandle {
  const out = new Uint32Array(2);
  try {
    invoke((call) => body(out, call));
  } catch (error) {
    throw withLog(error, out);
  }
  return adopt(what, out[0]!);
}

/** Compiles on another thread. */
export async function compileAsync(
  what: string,
  body: (out: Uint32Array<ArrayBuffer>, call: Uint8Array) => Promise<number>,
): Promise<NativeHandle> {
  const out = new Uint32Array(2);
  try {
    await invokeAsync((call) => body(out, call));
  } catch (error) {
    throw withLog(error, out);
  }
  return adopt(what, out[0]!);
}

/** An error with the log that C left as a text. */
export function withLog(error: unknown, out: Uint32Array): unknown {
  return error instanceof CompileError ? new CompileError(error.message, takeText(out)) : error;
}
