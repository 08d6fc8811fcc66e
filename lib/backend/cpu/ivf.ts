/**
 * Inverted lists in native memory.
 *
 * @module
 */

import { invoke } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import type { IVFStore } from "../backend.ts";
import { CpuLists } from "./lists.ts";
import { checkLength, countRows, isShortCopy } from "./work.ts";

/** {@linkcode IVFStore} of the cpu backend. */
export class CpuIVFStore extends CpuLists implements IVFStore {
  constructor(d: number, nlist: number) {
    const handle = new NativeHandle("inverted lists", (out, call) => {
      return library().symbols.mf_ivf_create(d, nlist, out, call);
    });
    super(d, nlist, "mf_ivf", handle, { row: d, list: 0 });
  }

  async add(x: Float32Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void> {
    const n = countRows(x, this.d, "x");
    checkLength(lists, n, "lists");
    checkLength(ids, n, "ids");
    const { object } = this.handle;
    const { symbols } = library();
    if (isShortCopy(x.byteLength)) {
      invoke((call) => symbols.mf_ivf_add(object, n, x, lists, ids, call));
      this.recount();
    } else {
      await this.change((call) => symbols.mf_ivf_add_async(object, n, x, lists, ids, call));
    }
  }

  async update(ids: BigInt64Array, x: Float32Array, lists: BigInt64Array): Promise<void> {
    const n = countRows(x, this.d, "x");
    checkLength(lists, n, "lists");
    checkLength(ids, n, "ids");
    const { object } = this.handle;
    const { symbols } = library();
    if (isShortCopy(x.byteLength)) {
      invoke((call) => symbols.mf_ivf_update(object, n, ids, x, lists, call));
      this.recount();
    } else {
      await this.change((call) => symbols.mf_ivf_update_async(object, n, ids, x, lists, call));
    }
  }

  async append(other: IVFStore, addId: number): Promise<void> {
    if (!(other instanceof CpuIVFStore)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const { object } = this.handle;
    const source = other.handle.object;
    await this.change((call) => {
      return library().symbols.mf_ivf_append_async(object, source, addId, call);
    });
    other.recount();
  }

  list(list: number): { x: Float32Array; ids: BigInt64Array } {
    const size = this.size(list);
    const x = new Float32Array(size * this.d);
    const ids = new BigInt64Array(size);
    invoke((call) => library().symbols.mf_ivf_get(this.handle.object, list, size, x, ids, call));
    return { x, ids };
  }
}
