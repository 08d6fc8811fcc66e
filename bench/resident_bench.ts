/** Z-steps and layer norms of data that lies on the GPU, many a replay; beside PyTorch with --torch. @module */

import { GpuContext } from "../lib/backend/gpu/context.ts";
import { recordLayerNorm } from "../lib/backend/gpu/linalg/sequence_record.ts";
import { zBytes, zOps, type ZProduct } from "../lib/backend/gpu/linalg/z_step.ts";
import { normalizedRow, productRow, rowsError, sampledRows } from "../lib/journal/operands.ts";
import { type CommandBuffer, gpu, type GpuBuffer, type GpuDevice } from "../lib/kernel/mod.ts";
import { compare, type Contender, gaussian } from "../lib/profile/mod.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import type { Context } from "./suite.ts";
import { startTorch, type TorchPeer } from "./torch.ts";

/** Bytes that copies of the input take together: more than caches hold. */
const ROTATED = 2 ** 28;
/** Most copies. */
const MOST_COPIES = 400;

/** One piece of work. */
interface Work {
  suite: string;
  name: string;
  sizes: { n: number; d: number; k: number };
  flops: number;
  bytes: number;
  /** Bytes of the array that is rotated. */
  rotated: number;
  /** Variants that record the work on copy `i` of the data. */
  variants: { name: string; record: (commands: CommandBuffer, i: number) => readonly string[] }[];
  /** Relative error of what copy 0 gave. */
  error: () => number;
  /** PyTorch's ways, and the arrays that they take. */
  torch: string[];
  args: string[];
}

/** Runs the suite. */
export async function* residentSuite(context: Context): AsyncGenerator<Row> {
  const device = gpu();
  await using torch = context.torch === undefined ? undefined : await startTorch(context.torch);
  if (torch) console.log(`Peer: torch ${JSON.stringify(await torch.describe())}`);
  yield* zSteps(device, context, torch);
  yield* layerNorms(device, context, torch);
}

/** Copies of an array on the device. */
class Copies implements Disposable {
  readonly buffers: GpuBuffer[];

  constructor(device: GpuDevice, data: Float32Array, count: number) {
    this.buffers = Array.from({ length: count }, () => {
      const buffer = device.createBuffer(data.byteLength, { storage: "private" });
      buffer.writeSync(data);
      return buffer;
    });
  }

  [Symbol.dispose](): void {
    for (const buffer of this.buffers) buffer.dispose();
  }
}

function copiesOf(device: GpuDevice, bytes: number): number {
  return device.engine === "emulator" ? 2 : Math.min(MOST_COPIES, Math.ceil(ROTATED / bytes));
}

async function* measureWork(
  device: GpuDevice,
  context: Context,
  torch: TorchPeer | undefined,
  work: Work,
): AsyncGenerator<Row> {
  if (!context.filter.test(work.name)) return;
  const copies = copiesOf(device, work.rotated);
  for (const { name, record } of work.variants) {
    const commands = device.stream.commands(work.name);
    const variants = new Set<string>();
    for (let i = 0; i < copies; i++) for (const kernel of record(commands, i)) variants.add(kernel);
    using recording = commands.record();
    const { threads } = await device.stream.replay(recording).completed;
    const error = work.error();
    const contenders: Contender[] = [{
      name: OURS,
      run: async (count) => {
        const times: number[] = [];
        for (let i = 0; i < count; i++) {
          const { gpuSeconds } = await device.stream.replay(recording).completed;
          times.push(gpuSeconds * 1e3 / copies);
        }
        return times;
      },
    }];
    if (torch) {
      for (const way of work.torch) {
        contenders.push({
          name: way === work.torch[0] ? "torch" : `torch, ${way}`,
          run: (count) =>
            torch.ask("worked", { work: way, args: work.args, calls: 50, copies: 8, count }),
        });
      }
    }
    const timings = await compare(contenders, context.measure);
    const { engine, name: isa } = device;
    const run = { backend: "gpu" as const, engine, isa, variants: [...variants], threads };
    yield toRow({
      suite: work.suite,
      case: `${work.name}, ${name}`,
      run: { ...run, scanned: 0, recomputed: 0 },
      ...work.sizes,
      nq: 1,
      params: { copies },
      timings,
      error,
      ...(torch ? { rival: "torch" } : {}),
      flops: work.flops,
      bytes: work.bytes,
    }, context.limits);
  }
}

/** Z = Aᵀ(AV) at the journal's shapes. */
async function* zSteps(device: GpuDevice, context: Context, torch: TorchPeer | undefined) {
  const gpuContext = new GpuContext(device);
  const shapes = context.quick ? [[64, 48, 16]] : [[256, 128, 16], [512, 256, 32], [4096, 512, 64]];
  for (const [m, n, k] of shapes as [number, number, number][]) {
    const [numbers, start] = [gaussian(m, n, 1), gaussian(n, k, 2)];
    await torch?.share("a", numbers, n);
    await torch?.share("v", start, k);
    using a = new Copies(device, numbers, copiesOf(device, numbers.byteLength));
    using v = new Copies(device, start, 1);
    using z = new Copies(device, new Float32Array(n * k).fill(NaN), 1);
    const shape = { m, n, k };
    const ways: ZProduct["product"][] = ["tiled", "fused", "vendor"];
    const bytes = ways.map((product) => zBytes(gpuContext, shape, { product }));
    const most = (part: "b" | "partial") => Math.max(16, ...bytes.map((own) => own[part]));
    using b = device.createBuffer(most("b"), { storage: "private" });
    using partial = device.createBuffer(most("partial"), { storage: "private" });
    const exact = (i: number) => {
      const row = new Float64Array(k);
      // Row i of Aᵀ times AV.
      for (let r = 0; r < m; r++) {
        const factor = numbers[r * n + i]!;
        const product = (products[r] ??= productRow(numbers, start, r, [m, n, k]));
        for (let j = 0; j < k; j++) row[j]! += factor * product[j]!;
      }
      return row;
    };
    const products: Float64Array[] = [];
    yield* measureWork(device, context, torch, {
      suite: "resident",
      name: `Z-step ${m}x${n} k${k}`,
      sizes: { n: m, d: n, k },
      flops: 4 * m * n * k,
      bytes: 4 * m * n,
      rotated: numbers.byteLength,
      variants: ways.map((product) => ({
        name: product,
        record: (commands, i) => {
          const places = {
            a: { buffer: a.buffers[i]!, line: n },
            v: { buffer: v.buffers[0]!, line: k },
            z: { buffer: z.buffers[0]!, line: k },
          };
          const ops = zOps(gpuContext, places, { b, partial }, shape, { product });
          return ops.flatMap((op) => op(commands));
        },
      })),
      error: () => {
        const found = z.buffers[0]!.readSync(new Float32Array(n * k));
        z.buffers[0]!.writeSync(new Float32Array(n * k).fill(NaN));
        return rowsError(found, k, sampledRows(n, 8), exact);
      },
      torch: ["z_step"],
      args: ["a", "v"],
    });
    await torch?.ask("free");
  }
}

/** LayerNorm of 64 × 8 heads. */
async function* layerNorms(device: GpuDevice, context: Context, torch: TorchPeer | undefined) {
  const gpuContext = new GpuContext(device);
  const rows = 64 * 8;
  for (const d of context.quick ? [64] : [64, 96, 128, 192]) {
    const numbers = gaussian(rows, d, 3);
    await torch?.share("x", numbers, d);
    using x = new Copies(device, numbers, copiesOf(device, numbers.byteLength));
    using out = new Copies(device, new Float32Array(rows * d).fill(NaN), 1);
    yield* measureWork(device, context, torch, {
      suite: "resident",
      name: `layerNorm 64x8 rows of ${d}`,
      sizes: { n: rows, d, k: 1 },
      flops: 8 * rows * d,
      bytes: 8 * rows * d,
      rotated: numbers.byteLength,
      variants: [{
        name: "one simdgroup a row",
        record: (commands, i) => {
          const [from, to] = [x.buffers[i]!, out.buffers[0]!];
          const how = { rows, columns: d, eps: 1e-6, dtype: "float32" as const };
          return [recordLayerNorm(gpuContext, commands, { x: from, out: to, ...how })];
        },
      }],
      error: () => {
        const found = out.buffers[0]!.readSync(new Float32Array(rows * d));
        return rowsError(found, d, sampledRows(rows), (i) => normalizedRow(numbers, i, d, 1e-6));
      },
      torch: ["layer_norm", "fused_layer_norm"],
      args: ["x"],
    });
    await torch?.ask("free");
  }
}
