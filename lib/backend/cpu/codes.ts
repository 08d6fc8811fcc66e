/**
 * Stores of codes in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import type { CodecSpec } from "../../codec/codec.ts";
import type { CodeStore, FileMap } from "../backend.ts";
import { createCodec, scanCost, specCodeSize } from "./codec.ts";
import { CpuFileMap } from "./map.ts";
import { CpuRows } from "./rows.ts";
import { countRows, isShortCopy } from "./work.ts";

/** {@linkcode CodeStore} of the cpu backend. */
export class CpuCodeStore extends CpuRows implements CodeStore {
  readonly codeSize: number;
  readonly #cost: { code: number; list: number };

  constructor(spec: CodecSpec) {
    using codec = createCodec(spec);
    const { object } = codec;
    const handle = new NativeHandle("store of codes", (out, call) => {
      return library().symbols.mf_codes_create(object, out, call);
    });
    super(spec.d, "mf_codes", handle);
    this.codeSize = specCodeSize(spec);
    this.#cost = scanCost(spec);
  }

  protected override searchWork(queries: Float32Array): number {
    return this.rangeWork(queries);
  }

  protected override rangeWork(queries: Float32Array): number {
    return queries.length / this.d * (this.held * this.#cost.code + this.#cost.list);
  }

  async add(codes: Uint8Array): Promise<void> {
    const n = countRows(codes, this.codeSize, "codes");
    const { symbols } = library();
    const { object } = this.handle;
    if (isShortCopy(codes.length)) invoke((call) => symbols.mf_codes_add(object, n, codes, call));
    else await invokeAsync((call) => symbols.mf_codes_add_async(object, n, codes, call));
    this.held += n;
    this.mapped = false;
  }

  map(file: FileMap, offset: number, n: number): void {
    const { object } = this.handle;
    const map = CpuFileMap.objectOf(file);
    invoke((call) => library().symbols.mf_codes_map(object, map, offset, n, call));
    this.held = n;
    this.mapped = n > 0;
  }

  async append(other: CodeStore): Promise<void> {
    if (!(other instanceof CpuCodeStore)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const added = other.count;
    const { object } = this.handle;
    const source = other.handle.object;
    await invokeAsync((call) => library().symbols.mf_codes_append_async(object, source, call));
    this.held += added;
    this.mapped = false;
  }

  codes(start: number, n: number): Uint8Array {
    if (!Number.isInteger(start) || !Number.isInteger(n) || start < 0 || n < 0) {
      throw new RangeError(`Cannot get ${n} codes from ${start}: these are no counts`);
    }
    if (start + n > this.held) {
      throw new RangeError(`Cannot get codes ${start} to ${start + n}: there are ${this.held}`);
    }
    const codes = new Uint8Array(n * this.codeSize);
    const { object } = this.handle;
    invoke((call) => library().symbols.mf_codes_get(object, start, n, codes, call));
    return codes;
  }
}
