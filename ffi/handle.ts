/**
 * Objects that live in the native library.
 *
 * @module
 */

import { DisposedError } from "../lib/errors.ts";
import { invoke } from "./call.ts";
import { library } from "./library.ts";

/** Frees what was dropped without {@linkcode NativeHandle.dispose}: a safety net only. */
const dropped = new FinalizationRegistry<number>(free);

function free(object: number): void {
  invoke((call) => library().symbols.mf_library_free(object, call));
}

/** Owner of one native object. */
export class NativeHandle implements Disposable {
  readonly #what: string;
  #object: number;

  /**
   * @param what Its name in errors, e.g. `"flat store"`.
   * @param create Calls the C function that makes it and writes its handle to `out`.
   */
  constructor(what: string, create: (out: Uint32Array, call: Uint8Array) => number) {
    const out = new Uint32Array(1);
    invoke((call) => create(out, call));
    this.#what = what;
    this.#object = out[0]!;
    dropped.register(this, this.#object, this);
  }

  /** The handle, to pass to C. */
  get object(): number {
    if (this.#object === 0) {
      throw new DisposedError(`Cannot use the ${this.#what}: it has been disposed`);
    }
    return this.#object;
  }

  /** Frees the object; calls in flight keep it until they end. A second time does nothing. */
  dispose(): void {
    if (this.#object === 0) return;
    dropped.unregister(this);
    const object = this.#object;
    this.#object = 0;
    free(object);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
