/**
 * Matrix products under measurement: C = alpha · op(A) op(B) + beta · C, C in float32.
 *
 * @module
 */

import { elementBytes } from "../../backend/gpu/linalg/operands.ts";
import { floatBits, words } from "../../backend/gpu/words.ts";
import type { Dense } from "../../backend/linalg.ts";
import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { CommandBuffer } from "../../kernel/command_buffer.ts";
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

/** Results that are compared with float64, of many. */
const CHECKED = 4096;

/** Operands of one product. */
interface Operands {
  a: GpuBuffer;
  b: GpuBuffer;
  c: GpuBuffer;
}

/** Operands of a matrix product. */
export class GemmBench implements Bench {
  readonly problem: FullProblem;
  readonly bytes: number;
  readonly flops: number;
  readonly sets: number;
  readonly #options: BenchOptions;
  readonly #a: Pattern;
  readonly #b: Pattern;
  readonly #c: Pattern;
  readonly #device: Operands[] = [];
  #host: { a: Dense; b: Dense; c: Dense } | undefined;

  /**
   * @param problem What is computed.
   * @param options Where.
   */
  constructor(problem: FullProblem, options: BenchOptions) {
    const { m, n, k, dtype, beta } = problem;
    this.problem = problem;
    this.#options = options;
    const inputs = (m * k + k * n) * elementBytes(dtype);
    this.bytes = inputs + m * n * 4 * (beta === 0 ? 1 : 2);
    this.flops = 2 * m * n * k;
    this.sets = setsOf(options.footprint, inputs);
    this.#a = new Pattern(dtype, 1, m * k);
    this.#b = new Pattern(dtype, 2, k * n);
    this.#c = new Pattern("float32", 3, m * n);
  }

  async check(variant: Variant): Promise<Check> {
    const { m, n, k, layout } = this.problem;
    const [alpha, beta] = [FACTORS.alpha, variant.supports.accumulate ? FACTORS.beta : 0];
    let got: Float32Array;
    let check: Pick<Check, "threads" | "why">;
    if (variant.kind === "cpu") {
      const { value, run } = await this.#compute(alpha, beta);
      got = value.data as Float32Array;
      check = { threads: run.threads };
    } else {
      await this.#prepare();
      const { c } = this.#device[0]!;
      if (beta !== 0) await c.write(this.#c.fill(m * n));
      const commands = c.device.stream.commands(`check ${variant.name}`);
      if (beta === 0) commands.fill(c, 0, m * n * 4, 0xff);
      const expected = this.#encode(commands, variant, 0, alpha, beta);
      const { threads, gpuSeconds } = await commands.commit().completed;
      if (gpuSeconds <= 0) throw new Error(`Cannot measure ${variant.name}: its GPU time is 0`);
      got = await c.read(new Float32Array(m * n));
      // Finite again for timing.
      await c.write(this.#c.fill(m * n));
      check = threads === expected.threads
        ? { threads }
        : { threads, why: `${threads} threads ran, ${expected.threads} should` };
    }
    // A spread of them, coprime to rows, so that every row and column comes by.
    const count = Math.min(CHECKED, m * n);
    const place = (i: number) => count === m * n ? i : Math.floor(i * (m * n - 1) / (count - 1));
    const sums = new Float64Array(count);
    const sizes = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const [row, column] = [Math.floor(place(i) / n), place(i) % n];
      for (let l = 0; l < k; l++) {
        const product = this.#a.at(layout[0] === "n" ? row * k + l : l * m + row) *
          this.#b.at(layout[1] === "n" ? l * n + column : column * k + l);
        sums[i]! += product;
        sizes[i]! += Math.abs(product);
      }
    }
    const { error, why = check.why } = compareWith(
      Float32Array.from({ length: count }, (_, i) => got[place(i)]!),
      (i) => alpha * sums[i]! + (beta === 0 ? 0 : beta * this.#c.at(place(i))),
      (i) => Math.abs(alpha) * sizes[i]! + Math.abs(beta),
      { k, io: "float32", roundings: 2 },
    );
    return { valid: why === undefined, error, ...check, ...(why === undefined ? {} : { why }) };
  }

  encode(commands: CommandBuffer, variant: Variant, set: number): Encoded {
    const { alpha, beta } = this.problem;
    return this.#encode(commands, variant, set, alpha, beta);
  }

  async compute(): Promise<void> {
    await this.#compute(this.problem.alpha, this.problem.beta);
  }

  #encode(
    commands: CommandBuffer,
    variant: Variant,
    set: number,
    alpha: number,
    beta: number,
  ): Encoded {
    const { m, n, k, layout, dtype } = this.problem;
    const { a, b, c } = this.#device[set]!;
    const [transposeA, transposeB] = [layout[0] === "t", layout[1] === "t"];
    if (variant.kind === "vendor") {
      const types = { dtype: dtype as "float16" | "float32", dtypeC: "float32" } as const;
      commands.multiply({ a, b, c, m, n, k, transposeA, transposeB, alpha, beta, ...types });
      return { threads: m * n, dispatches: 1 };
    }
    const { bm = 1, bn, tg } = variant.geometry!;
    const [lineA, lineB] = [transposeA ? m : k, transposeB ? k : n];
    const fours = Number(lineA % 4 === 0 && lineB % 4 === 0);
    const params = words(m, n, k, lineA, lineB, n, floatBits(alpha), floatBits(beta), fours);
    const threadgroups = Math.ceil(m / bm) * Math.ceil(n / bn);
    const pipeline = this.#options.context!.kernel(variant.file!, variant.kernel!);
    commands.dispatch(pipeline, [a, b, c, params], { threadgroups, threadgroup: tg });
    return { threads: threadgroups * tg, dispatches: 1 };
  }

  #compute(alpha: number, beta: number) {
    const { m, n, k, layout, dtype } = this.problem;
    const { host } = this.#options;
    if (host === undefined) throw new Error("Cannot multiply: there is no cpu backend");
    const [transposeA, transposeB] = [layout[0] === "t", layout[1] === "t"];
    const dense = (data: Dense["data"], rows: number, columns: number, type = dtype): Dense => ({
      ...{ data, rows, columns, dtype: type },
    });
    this.#host ??= {
      a: dense(this.#a.fill(m * k), transposeA ? k : m, transposeA ? m : k),
      b: dense(this.#b.fill(k * n), transposeB ? n : k, transposeB ? k : n),
      c: dense(this.#c.fill(m * n), m, n, "float32"),
    };
    const { a, b, c } = this.#host;
    const factors = { alpha, beta, ...(beta === 0 ? {} : { c }) };
    return host.gemm(a, b, { transposeA, transposeB, ...factors });
  }

  async #prepare(): Promise<void> {
    if (this.#device.length > 0) return;
    const { m, n, k, dtype } = this.problem;
    const { context } = this.#options;
    const [a, b, c] = [this.#a.fill(m * k), this.#b.fill(k * n), this.#c.fill(m * n)];
    for (let set = 0; set < this.sets; set++) {
      const own = {
        a: context!.allocatePrivate(m * k * elementBytes(dtype), "A"),
        b: context!.allocatePrivate(k * n * elementBytes(dtype), "B"),
        c: context!.allocatePrivate(m * n * 4, "C"),
      };
      this.#device.push(own);
      await own.a.write(a);
      await own.b.write(b);
      await own.c.write(c);
    }
  }

  [Symbol.dispose](): void {
    for (const { a, b, c } of this.#device.splice(0)) {
      for (const buffer of [a, b, c]) buffer.dispose();
    }
    this.#host = undefined;
  }
}
