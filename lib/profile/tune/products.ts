/**
 * Tiles of gemmAV and gemmAtB, and from where the vendor's products are faster.
 *
 * @module
 */

import type { GpuContext } from "../../backend/gpu/context.ts";
import {
  partialBytes,
  recordGemmAtB,
  recordGemmAV,
  type TallOptions,
  type TallShape,
} from "../../backend/gpu/linalg/tall.ts";
import type { TileKernel } from "../../backend/gpu/linalg/tile.ts";
import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { TunedGemm } from "../../tuning/mod.ts";
import { gaussian } from "../datasets.ts";
import type { Subject } from "../measurement.ts";
import { choose, contest, crossover, type Round, type Tuner, WORTH } from "./contest.ts";

/** The two halves of a Z-step. */
type Side = "av" | "atb";

/** Shapes of the journal's Z-steps, and small ones. */
const SHAPES: readonly TallShape[] = [
  { m: 256, n: 128, k: 16 },
  { m: 512, n: 256, k: 32 },
  { m: 1024, n: 256, k: 32 },
  { m: 4096, n: 512, k: 64 },
];
const QUICK_SHAPES: readonly TallShape[] = [{ m: 64, n: 48, k: 8 }, { m: 96, n: 32, k: 16 }];

/** Tiles of the sweep that the journal planned and never published. */
const TILES = [[16, 16], [32, 8], [8, 32], [32, 16], [32, 32]] as const;
/** Dispatches a sample: one is over before a GPU's clock ticks often enough. */
const DISPATCHES = 8;
/** Numbers of a result that are compared with float64. */
const CHECKED = 64;

/** Chooses tiles, then what else helps them. */
export async function tuneGemm(tuner: Tuner, context: GpuContext): Promise<TunedGemm> {
  const tiles = tuner.quick ? TILES.slice(0, 3) : TILES;
  const av = await tuneSide(tuner, context, "av", tiles);
  const atb = await tuneSide(tuner, context, "atb", tiles);
  // One switch serves both sides: it is on where it helps them together.
  const both = async (flag: "doubleBuffer" | "vectorLoads") => {
    const [on, off] = [true, false].map((value) => ({ [flag]: value }));
    const [tileA, tileB] = [{ tile: av.tile }, { tile: atb.tile }];
    const first = await meanOf(tuner, context, "av", { ...tileA, ...on }, { ...tileA, ...off });
    const second = await meanOf(tuner, context, "atb", { ...tileB, ...on }, { ...tileB, ...off });
    return first * second < WORTH;
  };
  const doubleBuffer = await both("doubleBuffer");
  const vectorLoads = await both("vectorLoads");
  const plain = { tile: atb.tile, doubleBuffer, vectorLoads };
  const padAtB = await meanOf(tuner, context, "atb", { ...plain, pad: true }, plain) < WORTH;
  const best = { doubleBuffer, vectorLoads };
  const gained = await meanOf(tuner, context, "av", { tile: av.tile, ...best }, "fast") *
    await meanOf(tuner, context, "atb", { tile: atb.tile, ...best, pad: padAtB }, "fast");
  return { av: av.tile, atb: atb.tile, ...best, padAtB, tiled: gained < WORTH };
}

async function tuneSide(
  tuner: Tuner,
  context: GpuContext,
  side: Side,
  tiles: readonly (readonly [number, number])[],
): Promise<TileKernel> {
  const kernels = tiles.map((tile) => ({ tile }));
  const ranked = await contest(tuner, kernels, nameOf, rounds(tuner, context, side));
  return choose(ranked, ({ tile }) => tile[0] === 16 && tile[1] === 16) ?? kernels[0]!;
}

/** Time of one kernel by another's; infinite where the first cannot do all shapes. */
async function meanOf(
  tuner: Tuner,
  context: GpuContext,
  side: Side,
  first: Kernel,
  second: Kernel,
): Promise<number> {
  const ranked = await contest(tuner, [first, second], nameOf, rounds(tuner, context, side));
  const mean = (kernel: Kernel) => {
    return ranked.find(({ candidate }) => candidate === kernel)?.mean ?? Infinity;
  };
  const [own, theirs] = [mean(first), mean(second)];
  return own === Infinity ? Infinity : own / theirs;
}

/** Multiply-adds from which the vendor is faster than our fastest kernels, both halves together. */
export async function tuneVendor(tuner: Tuner, context: GpuContext): Promise<number | null> {
  const shapes = tuner.quick ? QUICK_SHAPES : [
    { m: 64, n: 32, k: 8 },
    ...SHAPES,
    { m: 8192, n: 1024, k: 64 },
    { m: 16_384, n: 2048, k: 64 },
  ];
  const points = [];
  for (const shape of shapes) {
    const times: Record<string, number> = { fast: 0, vendor: 0 };
    for (const side of ["av", "atb"] as const) {
      const kernels: Kernel[] = ["fast", "vendor"];
      const ranked = await contest(tuner, kernels, nameOf, [round(context, side, shape)]);
      for (const kernel of kernels) {
        const found = ranked.find(({ candidate }) => candidate === kernel);
        times[nameOf(kernel)]! += found?.mean ?? Infinity;
      }
    }
    const size = shape.m * shape.n * shape.k;
    points.push({ size, first: times.fast!, second: times.vendor! });
  }
  return crossover(points);
}

type Kernel = NonNullable<TallOptions["kernel"]>;

function nameOf(kernel: Kernel): string {
  if (typeof kernel === "string") return kernel;
  const { tile, doubleBuffer, vectorLoads, pad } = kernel;
  return tile.join("x") + (doubleBuffer ? " db" : "") + (vectorLoads ? " v4" : "") +
    (pad ? " pad" : "");
}

function* rounds(tuner: Tuner, context: GpuContext, side: Side): Generator<Round<Kernel>> {
  for (const shape of tuner.quick ? QUICK_SHAPES : SHAPES) yield round(context, side, shape);
}

/** One shape: operands are drawn once. */
function round(context: GpuContext, side: Side, shape: TallShape): Round<Kernel> {
  const { m, n, k } = shape;
  const a = gaussian(m, n, 1);
  const b = gaussian(side === "av" ? n : m, k, 2);
  const memory = new DisposableStack();
  return {
    name: `gemm ${side} ${m}x${n} k${k}`,
    subject: (kernel) => product(context, memory, side, shape, kernel, a, b),
    end: () => memory.dispose(),
  };
}

/** One product on the device, in memory of its own. */
function product(
  context: GpuContext,
  memory: DisposableStack,
  side: Side,
  shape: TallShape,
  kernel: Kernel,
  a: Float32Array,
  b: Float32Array,
): Subject {
  const { m, n, k } = shape;
  const rows = side === "av" ? m : n;
  const upload = (data: ArrayBufferView): GpuBuffer => {
    const buffer = memory.use(context.device.createBuffer(Math.max(16, data.byteLength)));
    buffer.writeSync(data);
    return buffer;
  };
  const [bufferA, bufferB] = [upload(a), upload(b)];
  const c = upload(new Uint8Array(rows * k * 4).fill(0xff));
  const bytes = side === "atb" ? partialBytes(context, "atb", shape, { kernel }) : 0;
  const partial = bytes > 0 ? memory.use(context.device.createBuffer(bytes)) : undefined;
  const buffers = {
    a: { buffer: bufferA, line: n },
    b: { buffer: bufferB, line: k },
    c: { buffer: c, line: k },
    partial,
  };
  const record = side === "av" ? recordGemmAV : recordGemmAtB;
  return {
    name: "",
    bytes: (m * n + (side === "av" ? n : m) * k + rows * k) * 4 * DISPATCHES,
    flops: 2 * m * n * k * DISPATCHES,
    work: () => {
      const commands = context.device.stream.commands("tune");
      for (let i = 0; i < DISPATCHES; i++) record(context, commands, buffers, shape, { kernel });
      return commands.commit().completed;
    },
    error: () => {
      const found = c.readSync(new Float32Array(rows * k));
      return productError(side, shape, a, b, found);
    },
  };
}

/** Largest error of some numbers of a product, by the size of its terms. */
function productError(
  side: Side,
  { m, n, k }: TallShape,
  a: Float32Array,
  b: Float32Array,
  found: Float32Array,
): number {
  const inner = side === "av" ? n : m;
  let worst = 0;
  for (let i = 0; i < CHECKED; i++) {
    // A step that shares no factor with sizes: all parts of the result get their turn.
    const at = (i * 7919) % found.length;
    const [row, column] = [Math.floor(at / k), at % k];
    let [sum, size] = [0, 0];
    for (let j = 0; j < inner; j++) {
      const left = side === "av" ? a[row * n + j]! : a[j * n + row]!;
      sum += left * b[j * k + column]!;
      size += Math.abs(left * b[j * k + column]!);
    }
    const error = Math.abs(found[at]! - sum) / size;
    if (!(error <= worst)) worst = error;
  }
  return worst;
}
