/**
 * What a fused search replaces.
 *
 * @module
 */

import type { Computed } from "../backend/linalg.ts";
import type { GpuBuffer } from "../kernel/buffer.ts";
import type { GpuDevice } from "../kernel/device.ts";

/** Rows that a threadgroup of the kernel of distances looks at. */
const STRIP = 128;
/** Numbers that are written to the device at once. */
const PIECE = 2 ** 24;

/** Distances of one query to rows, all of them written to memory, and then the best of them. */
export class KeysThenSelect implements Disposable {
  readonly #device: GpuDevice;
  readonly #n: number;
  readonly #d: number;
  readonly #owned: GpuBuffer[] = [];
  readonly #x: GpuBuffer;
  readonly #query: GpuBuffer;
  readonly #keys: GpuBuffer;
  readonly #values: GpuBuffer;
  readonly #places: GpuBuffer;

  /**
   * Puts the rows onto the device.
   *
   * @param device The GPU.
   * @param parts Rows of `d` numbers, which become one list.
   * @param query d numbers.
   * @param most Most results that are asked for.
   */
  constructor(
    device: GpuDevice,
    parts: readonly Float32Array[],
    query: Float32Array,
    most: number,
  ) {
    this.#device = device;
    this.#d = query.length;
    this.#n = parts.reduce((n, part) => n + part.length / this.#d, 0);
    this.#x = this.#buffer(this.#n * this.#d);
    let at = 0;
    for (const part of parts) {
      for (let from = 0; from < part.length; from += PIECE) {
        const piece = part.subarray(from, from + PIECE);
        this.#x.writeSync(piece, at);
        at += piece.byteLength;
      }
    }
    this.#query = this.#buffer(this.#d);
    this.#query.writeSync(query);
    this.#keys = this.#buffer(this.#n);
    this.#values = this.#buffer(most);
    this.#places = this.#buffer(most);
  }

  /** One search: places of the nearest rows among all parts, best first. */
  async search(k: number): Promise<Computed<Uint32Array>> {
    const device = this.#device;
    const names = ["flat_direct_keys_l2_f32_1", "topk_rows_f32_u32"];
    const commands = device.stream.commands("keys, then select");
    const x = this.#x;
    commands.dispatch(
      device.shader("flat.metal").pipeline(names[0]!),
      [this.#query, x, x, x, x, this.#keys, Uint32Array.of(1, this.#n, this.#d / 4, STRIP, 0)],
      {
        threadgroups: [1, Math.ceil(this.#n / STRIP)],
        threadgroup: 256,
        threadgroupMemory: this.#d * 4,
      },
    );
    commands.dispatch(
      device.shader("topk.metal").pipeline(names[1]!),
      [
        ...[this.#keys, this.#places, this.#values, this.#places],
        Uint32Array.of(1, this.#n, this.#n, k, 1, 0, 0),
      ],
      { threadgroups: 1, threadgroup: 256 },
    );
    const { gpuSeconds, threads } = await commands.commit().completed;
    const { engine, name } = device;
    const run = {
      backend: "gpu",
      engine,
      isa: name,
      variants: names,
      threads,
      gpuSeconds,
    } as const;
    const value = this.#places.readSync(new Uint32Array(k));
    return { value, run: { ...run, variants: [...names] } };
  }

  /** Frees what lies on the device. */
  [Symbol.dispose](): void {
    for (const buffer of this.#owned.splice(0)) buffer.dispose();
  }

  #buffer(numbers: number): GpuBuffer {
    const buffer = this.#device.createBuffer(numbers * 4, { storage: "private" });
    this.#owned.push(buffer);
    return buffer;
  }
}
