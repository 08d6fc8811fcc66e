/**
 * Inverted lists of codes in native memory.
 *
 * @module
 */

import { invoke } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import type { CodecSpec } from "../../codec/codec.ts";
import type { CodeLists, ResidualLists } from "../backend.ts";
import { createCodec, scanCost, specCodeSize } from "./codec.ts";
import { CpuLists } from "./lists.ts";
import { checkLength, countRows, isShortCopy } from "./work.ts";

/** {@linkcode CodeLists} of the cpu backend. */
export class CpuCodeLists extends CpuLists implements CodeLists {
  readonly codeSize: number;

  constructor(spec: CodecSpec, nlist: number, residual?: ResidualLists) {
    const centroids = residual?.centroids ?? null;
    if (centroids !== null) checkLength(centroids, nlist * spec.d, "centroids");
    using codec = createCodec(spec);
    const { object } = codec;
    const handle = new NativeHandle("lists of codes", (out, call) => {
      return library().symbols.mf_lists_create(object, nlist, centroids, out, call);
    });
    const { code, list } = scanCost(spec);
    super(spec.d, nlist, "mf_lists", handle, { row: code, list });
    this.codeSize = specCodeSize(spec);
  }

  async add(codes: Uint8Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void> {
    const n = countRows(codes, this.codeSize, "codes");
    checkLength(lists, n, "lists");
    checkLength(ids, n, "ids");
    const { object } = this.handle;
    const { symbols } = library();
    if (isShortCopy(codes.length)) {
      invoke((call) => symbols.mf_lists_add(object, n, codes, lists, ids, call));
      this.recount();
    } else {
      await this.change((call) => symbols.mf_lists_add_async(object, n, codes, lists, ids, call));
    }
  }

  async update(ids: BigInt64Array, codes: Uint8Array, lists: BigInt64Array): Promise<void> {
    const n = countRows(codes, this.codeSize, "codes");
    checkLength(lists, n, "lists");
    checkLength(ids, n, "ids");
    const { object } = this.handle;
    const { symbols } = library();
    if (isShortCopy(codes.byteLength)) {
      invoke((call) => symbols.mf_lists_update(object, n, ids, codes, lists, call));
      this.recount();
    } else {
      await this.change((call) =>
        symbols.mf_lists_update_async(object, n, ids, codes, lists, call)
      );
    }
  }

  async append(other: CodeLists, addId: number): Promise<void> {
    if (!(other instanceof CpuCodeLists)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const { object } = this.handle;
    const source = other.handle.object;
    await this.change((call) => {
      return library().symbols.mf_lists_append_async(object, source, addId, call);
    });
    other.recount();
  }

  list(list: number): { codes: Uint8Array; ids: BigInt64Array } {
    const size = this.size(list);
    const codes = new Uint8Array(size * this.codeSize);
    const ids = new BigInt64Array(size);
    invoke((call) =>
      library().symbols.mf_lists_get(this.handle.object, list, size, codes, ids, call)
    );
    return { codes, ids };
  }
}
