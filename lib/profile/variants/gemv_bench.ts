/**
 * Matrix-vector products under measurement.
 *
 * @module
 */

import { recordGemv, recordGemvEpilogue } from "../../backend/gpu/linalg/gemv.ts";
import type { GemvVariant } from "../../backend/gpu/linalg/gemv_variants.ts";
import { argument, elementBytes, type Place } from "../../backend/gpu/linalg/operands.ts";
import { floatBits, words } from "../../backend/gpu/words.ts";
import type { Dense, Element, HostNumbers } from "../../backend/linalg.ts";
import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { CommandBuffer } from "../../kernel/command_buffer.ts";
import { decodeNumbers, zeroNumbers } from "../../linalg/numbers.ts";
import {
  type Bench,
  type BenchOptions,
  type Check,
  compareWith,
  type Encoded,
  FACTORS,
  setsOf,
} from "./bench.ts";
import type { Variant } from "./manifest.ts";
import { Pattern } from "./pattern.ts";
import type { FullProblem } from "./select.ts";

/** Vectors of a set begin at multiples of so many bytes. */
const STEP = 256;

/** Factors of one product. */
interface Factors {
  alpha: number;
  beta: number;
  bias: boolean;
}

/** Operands of y = alpha · W x + beta · c + bias. */
export class GemvBench implements Bench {
  readonly problem: FullProblem;
  readonly bytes: number;
  readonly flops: number;
  readonly sets: number;
  readonly #options: BenchOptions;
  readonly #w: Pattern;
  readonly #x: Pattern;
  readonly #c: Pattern;
  readonly #bias: Pattern;
  #device: DeviceSets | undefined;
  #host: Dense[] | undefined;
  #sums: { sum: Float64Array; size: Float64Array } | undefined;

  /**
   * @param problem What is computed.
   * @param options Where.
   */
  constructor(problem: FullProblem, options: BenchOptions) {
    const { n, k, batch, dtype, io, beta, bias } = problem;
    this.problem = problem;
    this.#options = options;
    const weights = n * k * batch;
    const vectors = batch * (k + n + (beta === 0 ? 0 : n)) + (bias ? n : 0);
    this.bytes = weights * elementBytes(dtype) + vectors * elementBytes(io);
    this.flops = 2 * weights;
    this.sets = setsOf(options.footprint, weights * elementBytes(dtype));
    this.#w = new Pattern(dtype, 1, weights);
    this.#x = new Pattern(io, 2, batch * k);
    this.#c = new Pattern(io, 3, batch * n);
    this.#bias = new Pattern(io, 4, n);
  }

  async check(variant: Variant): Promise<Check> {
    const { n, k, batch, io } = this.problem;
    const { accumulate = false, bias = false } = variant.supports;
    const factors = { alpha: FACTORS.alpha, beta: accumulate ? FACTORS.beta : 0, bias };
    let got: HostNumbers;
    let check: Pick<Check, "threads" | "why">;
    if (variant.kind === "cpu") {
      const { value, run } = await this.#compute(variant, 0, factors);
      got = value.data as HostNumbers;
      check = { threads: run.threads };
    } else {
      const device = await this.#onDevice();
      const commands = device.y.device.stream.commands(`check ${variant.name}`);
      const bytes = batch * n * elementBytes(io);
      commands.fill(device.y, 0, bytes, 0xff);
      // The vendor adds to what is there.
      if (variant.kind === "vendor" && accumulate) commands.copy(device.c, 0, device.y, 0, bytes);
      const expected = this.#encode(commands, variant, 0, factors);
      const { threads, gpuSeconds } = await commands.commit().completed;
      if (gpuSeconds <= 0) throw new Error(`Cannot measure ${variant.name}: its GPU time is 0`);
      got = await device.y.read(zeroNumbers(batch * n, io));
      check = threads === expected.threads
        ? { threads }
        : { threads, why: `${threads} threads ran, ${expected.threads} should` };
    }
    const { sum, size } = this.#reference();
    const { alpha, beta } = factors;
    const addend = (i: number) => beta * this.#c.at(i) + (bias ? this.#bias.at(i % n) : 0);
    const { error, why = check.why } = compareWith(
      decodeNumbers(got, io),
      (i) => alpha * sum[i]! + addend(i),
      (i) => Math.abs(alpha) * size[i]! + Math.abs(beta) + 1,
      { k, io, roundings: variant.epilogue === "separate" ? 2 : 1 },
    );
    return { valid: why === undefined, error, ...check, ...(why === undefined ? {} : { why }) };
  }

  encode(commands: CommandBuffer, variant: Variant, set: number): Encoded {
    const { alpha, beta, bias } = this.problem;
    return this.#encode(commands, variant, set, { alpha, beta, bias });
  }

  async compute(variant: Variant, set: number): Promise<void> {
    const { alpha, beta, bias } = this.problem;
    await this.#compute(variant, set, { alpha, beta, bias });
  }

  #encode(commands: CommandBuffer, variant: Variant, set: number, factors: Factors): Encoded {
    const { n, k, batch, layout, dtype, io } = this.problem;
    const { context } = this.#options;
    const device = this.#device!;
    const { alpha, beta, bias } = factors;
    const vector = (buffer: GpuBuffer, length: number): Place => ({
      buffer,
      offset: set * stepOf(length, io),
      line: length / batch,
    });
    const w = { buffer: device.w[set]!, line: layout === "nt" ? k : n };
    const [x, y] = [vector(device.x, batch * k), vector(device.y, batch * n)];
    const c = { buffer: device.c, line: n };
    const added = bias ? { buffer: device.bias, line: n, rows: 1 } : undefined;
    const isSeparate = variant.epilogue === "separate";
    if (variant.kind === "vendor") {
      commands.multiply({
        a: x.buffer,
        b: w.buffer,
        c: y.buffer,
        m: 1,
        n,
        k,
        transposeB: layout === "nt",
        alpha: isSeparate ? 1 : alpha,
        beta: isSeparate ? 0 : beta,
        dtype: dtype as "float16" | "float32",
        dtypeC: io as "float16" | "float32",
        offsetA: x.offset!,
        offsetC: y.offset!,
      });
      if (!isSeparate) return { threads: n, dispatches: 1 };
      const args = [argument(added ?? y), argument(c), argument(y)];
      const params = words(n, 0, 0, 0, Number(bias), floatBits(alpha), floatBits(beta));
      recordGemvEpilogue(context!, commands, args, { params, threads: [n, 1] });
      return { threads: 2 * n, dispatches: 2 };
    }
    recordGemv(
      context!,
      commands,
      { w, x, y, c, bias: added },
      { layout: layout as "nt" | "nn", n, k, batch, dtype, io, alpha, beta },
      variant as GemvVariant,
    );
    const { bn, tg } = variant.geometry!;
    const threads = Math.ceil(n / bn) * tg * batch;
    return isSeparate
      ? { threads: threads + n * batch, dispatches: 2 }
      : { threads, dispatches: 1 };
  }

  #compute(variant: Variant, set: number, { alpha, beta, bias }: Factors) {
    const { n, k, batch, layout, dtype, io } = this.problem;
    const { host } = this.#options;
    if (host === undefined) throw new Error(`Cannot run ${variant.name}: there is no cpu backend`);
    this.#host ??= Array.from({ length: this.sets }, () => ({
      data: this.#w.fill(n * k * batch),
      rows: batch * (layout === "nt" ? n : k),
      columns: layout === "nt" ? k : n,
      dtype,
    }));
    const dense = (pattern: Pattern, rows: number, columns: number): Dense => ({
      ...{ data: pattern.fill(rows * columns), rows, columns, dtype: io },
    });
    return host.gemv(this.#host[set]!, dense(this.#x, batch, k), {
      layout: layout as "nt" | "nn",
      batch,
      alpha,
      beta,
      ...(beta === 0 ? {} : { y: dense(this.#c, batch, n) }),
      ...(bias ? { bias: dense(this.#bias, 1, n) } : {}),
    });
  }

  /** Σ w x and Σ |w x| of every result, in float64. */
  #reference(): { sum: Float64Array; size: Float64Array } {
    if (this.#sums) return this.#sums;
    const { n, k, batch, layout } = this.problem;
    const sum = new Float64Array(batch * n);
    const size = new Float64Array(batch * n);
    const [w, x] = [this.#w, this.#x];
    for (let b = 0; b < batch; b++) {
      for (let j = 0; j < n; j++) {
        let [own, absolute] = [0, 0];
        const first = layout === "nt" ? (b * n + j) * k : b * k * n + j;
        const step = layout === "nt" ? 1 : n % w.period;
        let at = first % w.period;
        for (let l = 0; l < k; l++) {
          const product = w.values[at]! * x.at(b * k + l);
          own += product;
          absolute += Math.abs(product);
          at += step;
          if (at >= w.period) at -= w.period;
        }
        sum[b * n + j] = own;
        size[b * n + j] = absolute;
      }
    }
    return this.#sums = { sum, size };
  }

  async #onDevice(): Promise<DeviceSets> {
    return this.#device ??= await DeviceSets.create(this.#options, this.problem, this.sets, {
      w: this.#w,
      x: this.#x,
      c: this.#c,
      bias: this.#bias,
    });
  }

  [Symbol.dispose](): void {
    this.#device?.[Symbol.dispose]();
    this.#device = this.#host = undefined;
  }
}

/** Bytes from a set's vector to the next set's. */
function stepOf(length: number, io: Element): number {
  return Math.ceil(length * elementBytes(io) / STEP) * STEP;
}

/** Operands on the GPU: a matrix each set, its vectors at places in one buffer. */
class DeviceSets implements Disposable {
  readonly w: GpuBuffer[] = [];
  readonly x: GpuBuffer;
  readonly y: GpuBuffer;
  readonly c: GpuBuffer;
  readonly bias: GpuBuffer;

  private constructor(options: BenchOptions, { n, k, batch, io }: FullProblem, sets: number) {
    const make = (bytes: number, label: string) => options.context!.allocatePrivate(bytes, label);
    this.x = make(sets * stepOf(batch * k, io), "x");
    this.y = make(sets * stepOf(batch * n, io), "y");
    this.c = make(batch * n * elementBytes(io), "c");
    this.bias = make(n * elementBytes(io), "bias");
  }

  static async create(
    options: BenchOptions,
    problem: FullProblem,
    sets: number,
    from: Record<"w" | "x" | "c" | "bias", Pattern>,
  ): Promise<DeviceSets> {
    const { n, k, batch, dtype, io } = problem;
    const made = new DeviceSets(options, problem, sets);
    try {
      const bytes = n * k * batch * elementBytes(dtype);
      const weights = from.w.fill(n * k * batch);
      const commands = made.x.device.stream.commands("operands");
      for (let set = 0; set < sets; set++) {
        made.w.push(options.context!.allocatePrivate(bytes, "W"));
        if (set === 0) await made.w[0]!.write(weights);
        else commands.copy(made.w[0]!, 0, made.w[set]!, 0, bytes);
        await made.x.write(from.x.fill(batch * k), set * stepOf(batch * k, io));
      }
      await made.c.write(from.c.fill(batch * n));
      await made.bias.write(from.bias.fill(n));
      // A product's own y is added to where it accumulates: no NaN may be there.
      commands.fill(made.y, 0, made.y.byteLength, 0);
      await commands.commit().completed;
      return made;
    } catch (error) {
      made[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const buffer of [...this.w, this.x, this.y, this.c, this.bias]) buffer.dispose();
  }
}
