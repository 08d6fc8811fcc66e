import assert from "node:assert/strict";
import type { Execution } from "../lib/backend/linalg.ts";
import { DeviceError } from "../lib/errors.ts";
import type { GpuBuffer, Stream } from "../lib/kernel/mod.ts";
import {
  assign,
  captureGpu,
  compare,
  environment,
  fanOut,
  measure,
  rank,
  roofline,
  Timeline,
  traceOf,
  watchMemory,
} from "../lib/profile/mod.ts";
import { overlapOf } from "../lib/profile/trace.ts";
import { device, onGpu } from "./gpu.ts";
import { runCode } from "./run_code.ts";

const where = await environment();
const short = { budget: 5, minSamples: 3, environment: where };

const execution: Execution = {
  ...{ backend: "gpu", engine: "emulator", isa: "x", variants: ["good_f32"], threads: 32 },
};

Deno.test("compare() keeps the GPU's times beside the host's", async () => {
  const samples = [{ cpuSeconds: 0.002, gpuSeconds: 0.001 }];
  const times = await compare([
    { name: "gpu", run: (count) => Array(count).fill(samples[0]) },
    { name: "host", run: (count) => Array(count).fill(3) },
  ], { budget: 10 });
  const { median, gpu, samples: taken } = times.get("gpu")!;
  assert.deepEqual([median, gpu!.median, gpu!.samples.length], [2, 1, taken.length]);
  assert.equal("gpu" in times.get("host")!, false);
});

Deno.test("compare() refuses a GPU time of 0, or one that is missing", async () => {
  const run = (...gpu: number[]) => {
    let call = 0;
    return (count: number) =>
      Array.from({ length: count }, () => {
        const gpuSeconds = gpu[call++ % gpu.length]!;
        return gpuSeconds < 0 ? 1 : { cpuSeconds: 0.001, gpuSeconds };
      });
  };
  for (const zero of [0, NaN, Infinity]) {
    await assert.rejects(
      compare([{ name: "x", run: run(zero) }], { budget: 5 }),
      new RangeError(`Cannot time x: the GPU says that it took ${zero} s`),
    );
  }
  const mixed = compare([{ name: "x", run: run(1e-3, 1e-3, 1e-3, -1) }], { budget: 5 });
  await assert.rejects(mixed, TypeError);
});

Deno.test("rank() times and ranks valid subjects only", async () => {
  let timed = 0;
  const work = (value: number, gpuSeconds: number, variant = "good_f32") => () => {
    timed++;
    return { value, run: { ...execution, variants: [variant], gpuSeconds } };
  };
  const error = ({ value }: { value: number }) => Math.abs(value - 1);
  const common = { error, expects: /^good/, bytes: 1e6, flops: 4e6 };
  const released: number[] = [];
  const found = await rank([
    { name: "slow", work: work(1, 0.002), ...common, release: ({ value }) => released.push(value) },
    { name: "wrong", work: work(1.1, 1e-9), ...common },
    { name: "quick", work: work(1 + 1e-6, 0.001), ...common },
    { name: "NaN", work: work(NaN, 1e-9), ...common },
    { name: "other", work: work(1, 1e-9, "library_gemm"), ...common },
    {
      name: "broken",
      work: () => {
        throw new DeviceError("Cannot do it");
      },
      ...common,
    },
  ], { ...short, limits: { gflops: 8, gbps: 10 } });
  assert.deepEqual(found.map(({ name, rank }) => [name, rank]), [
    ["quick", 1],
    ["slow", 2],
    ...["wrong", "NaN", "other", "broken"].map((name) => [name, null]),
  ]);
  const [quick, slow, wrong, nan, other, broken] = found;
  assert.deepEqual([quick!.clock, quick!.median, quick!.gbps, quick!.gflops], ["gpu", 1, 1, 4]);
  assert.deepEqual(quick!.roof, { fraction: 0.5, roof: "fma" });
  assert.deepEqual(quick!.execution!.variants, ["good_f32"]);
  assert.equal(slow!.timing!.gpu!.samples.length, slow!.timing!.samples.length);
  assert.equal(released.length > slow!.timing!.samples.length, true);
  assert.match(wrong!.reason, /^its error is 0\.1\d*, at most 0\.00001 is valid$/);
  assert.match(nan!.reason, /^its error is NaN/);
  assert.equal(other!.reason, "it ran library_gemm, not ^good");
  assert.equal(broken!.reason, "DeviceError: Cannot do it");
  for (const { timing, median, gbps, roof } of [wrong!, nan!, other!, broken!]) {
    assert.deepEqual([timing, median, gbps, roof], Array(4).fill(null));
  }
  assert.ok(timed > 0 && found.every(({ environment }) => environment === where));
});

Deno.test("measure() of one subject uses the host's clock where there is no other", async () => {
  const one = await measure({ name: "one", work: () => new Float32Array(999).fill(1) }, short);
  assert.deepEqual([one.rank, one.clock, one.error, one.tolerance], [1, "cpu", null, null]);
  assert.deepEqual([one.gbps, one.gflops, one.execution, one.roof], Array(4).fill(null));
});

Deno.test("measure() of a GPU that says 0 is an error", async () => {
  const work = () => ({ run: { ...execution, gpuSeconds: 0 } });
  await assert.rejects(measure({ name: "idle", work }, short), /Cannot time idle: the GPU says/);
});

Deno.test("environment() names the device and its libraries", onGpu, async () => {
  const found = await environment(device());
  assert.deepEqual([found.gpu!.name, found.gpu!.engine], [device().name, device().engine]);
  assert.ok(found.isa && found.threads! >= 1 && found.cores >= 1 && found.memory > 0);
  assert.ok(JSON.stringify(found).length < 4000);
  if (device().engine === "cuda") {
    assert.match(found.gpu!.driver!, /^\d+\.\d+/);
    assert.match(found.gpu!.libraries.libnvrtc!, /^\d+\.\d+$/);
  }
});

Deno.test("environment() under no permission leaves out what it may not see", async () => {
  const url = new URL("../lib/profile/environment.ts", import.meta.url);
  const code = `import { environment } from "${url}";
    const { governor, mhz, isa, deno, load } = await environment();
    console.log(JSON.stringify({ governor, mhz, isa, deno, load }));`;
  const { stdout, stderr } = await runCode(code, []);
  assert.equal(stderr, "");
  const expected = { governor: null, mhz: null, isa: null, deno: Deno.version.deno, load: 0 };
  assert.deepEqual(JSON.parse(stdout), expected);
});

Deno.test("roofline() of a GPU copies and multiplies as much as it says", onGpu, async () => {
  const { gflops, gbps, halfGflops } = await roofline(device(), 1);
  for (const rate of [gflops, gbps, halfGflops!]) assert.ok(rate > 1e-3 && rate < 1e7, `${rate}`);
  // The same kernels, by hand.
  const n = 2048;
  const kernels = device().shader("roofline.metal");
  using from = device().createBuffer(n * 16);
  using to = device().createBuffer(n * 16);
  from.writeSync(Uint32Array.from({ length: n * 4 }, (_, i) => i * 7));
  to.writeSync(new Uint8Array(n * 16).fill(0xff));
  const commands = device().stream.commands();
  commands.dispatch(kernels.pipeline("copy_b128"), [from, to, Uint32Array.of(n)], {
    threadgroups: 2,
    threadgroup: 256,
  });
  await commands.commit().completed;
  const copied = to.readSync(new Uint32Array(n * 4));
  assert.deepEqual(copied, Uint32Array.from({ length: n * 4 }, (_, i) => i * 7));
  for (const [type, chains, lanes] of [["f32", 16, 1], ["f16x4", 8, 4]] as const) {
    const more = device().stream.commands();
    const args = [to, Uint32Array.of(1), Float32Array.of(0.5, 1)];
    more.dispatch(kernels.pipeline(`multiply_add_${type}`), args, { threads: 3, threadgroup: 32 });
    await more.commit().completed;
    const out = type === "f32"
      ? [...to.readSync(new Float32Array(4))]
      : [...to.readSync(new Float16Array(4 * lanes))];
    // Sixteen halvings of the way to 2.
    let expected = 0;
    for (let c = 0; c < chains; c++) expected += 2 + (c - 2) / 2 ** 16;
    for (const value of out.slice(0, 3 * lanes)) {
      assert.ok(Math.abs(value - expected) < 1e-2, `${type}: ${value}, not ${expected}`);
    }
  }
});

Deno.test("assign() deals pieces out in turns or in runs", () => {
  for (const [pieces, streams] of [[1, 4], [7, 3], [8, 8], [9, 4], [5, 1]] as const) {
    for (const how of ["round-robin", "block"] as const) {
      const to = Array.from({ length: pieces }, (_, i) => assign(i, pieces, streams, how));
      assert.ok(to.every((stream) => stream >= 0 && stream < streams), `${to}`);
      const used = new Set(to).size;
      assert.ok(used >= Math.min(Math.ceil(pieces / Math.ceil(pieces / streams)), streams));
      if (how === "block") assert.deepEqual(to, [...to].sort((a, b) => a - b));
    }
  }
  assert.throws(() => assign(3, 3, 2, "block"), RangeError);
  assert.throws(() => assign(0, 3, 2, "both" as "block"), /must be round-robin or block/);
});

/** A kernel that adds a number to every element, as often as told. */
function adder() {
  return device().library(`
    #include <metal_stdlib>
    using namespace metal;
    kernel void add(device uint* x, constant uint2& by, uint i [[thread_position_in_grid]]) {
      for (uint n = 0; n < by.y; n++) x[i] += by.x;
    }`).pipeline("add");
}

function words(buffer: GpuBuffer): number[] {
  return [...buffer.readSync(new Uint32Array(buffer.byteLength / 4))];
}

Deno.test("fanOut() runs pieces between what comes before and the join", onGpu, async () => {
  const add = adder();
  const pieces = 5;
  for (const assignment of ["round-robin", "block"] as const) {
    for (const n of [1, 2, 3, 8]) {
      using x = device().createBuffer(pieces * 32 * 4);
      using y = device().createBuffer(pieces * 32 * 4);
      y.writeSync(new Uint8Array(y.byteLength).fill(0xff));
      device().stream.commands().fill(x, 0, x.byteLength, 0).commit();
      using fan = fanOut(device(), n, { assignment });
      assert.equal(fan.streams.length, n);
      for (let round = 1; round <= 2; round++) {
        for (let piece = 0; piece < pieces; piece++) {
          const own = { buffer: x, offset: piece * 128 };
          fan.commands(piece, pieces, `piece ${piece}`)
            .dispatch(add, [own, Uint32Array.of(piece + 1, 1)], { threads: 32, threadgroup: 32 })
            .commit();
        }
        // The next round must wait for what is recorded here.
        await fan.join((commands) => {
          commands.copy(x, 0, y, 0, x.byteLength);
          commands.dispatch(add, [x, Uint32Array.of(10, 1)], { threads: 160, threadgroup: 32 });
        }).completed;
        const seen = words(y).filter((_, i) => i % 32 === 31);
        assert.deepEqual(seen, [1, 2, 3, 4, 5].map((v) => v * round + (round - 1) * 10));
      }
    }
  }
});

Deno.test("fanOut() refuses numbers of streams without sense", onGpu, () => {
  for (const n of [0, -1, 1.5, 65, NaN]) {
    assert.throws(() => fanOut(device(), n), /Cannot fan out: streams must be an integer from 1/);
  }
  assert.throws(
    () => fanOut(device(), 2, { assignment: "random" as "block" }),
    /must be round-robin or block/,
  );
});

Deno.test("onComplete() fires for its own stream only", onGpu, async () => {
  using held = device().createStream({ label: "held" });
  using free = device().createStream({ label: "free" });
  using gate = device().createEvent();
  using x = device().createBuffer(1024);
  const log: string[] = [];
  const called = (stream: Stream) =>
    new Promise<void>((resolve) => {
      stream.onComplete((error) => {
        assert.equal(error, undefined);
        log.push(stream.label);
        resolve();
      });
    });
  // Held up until the host lets it go, which it does once the other stream has called back.
  held.commands().wait(gate, 1).fill(x, 0, 512, 1).commit();
  free.commands().fill(x, 512, 512, 2).commit();
  const first = called(held);
  await called(free);
  assert.deepEqual(log, ["free"]);
  gate.value = 1;
  await first;
  assert.deepEqual(log, ["free", "held"]);
});

Deno.test("a timeline has spans of host and GPU, and marks of each stream", onGpu, async () => {
  const add = adder();
  using first = device().createStream({ label: "twin" });
  using second = device().createStream({ label: "twin" });
  using x = device().createBuffer(256 * 4);
  using y = device().createBuffer(256 * 4);
  const timeline = new Timeline();
  for (const [i, [stream, buffer]] of ([[first, x], [second, y]] as const).entries()) {
    const commands = stream.commands(`job ${i}`)
      .dispatch(add, [buffer, Uint32Array.of(1, 300)], { threads: 256, threadgroup: 64 });
    timeline.commit(commands, undefined, { band: i });
    timeline.markCompletion(stream, `done ${i}`);
  }
  await timeline.span("wait", () => new Promise((resolve) => setTimeout(resolve, 2)));
  const spans = await timeline.finish();
  assert.deepEqual(spans.map(({ kind }) => kind).sort(), ["gpu", "gpu", "host", "queue", "queue"]);
  const gpu = spans.filter(({ kind }) => kind === "gpu");
  assert.deepEqual(gpu.map(({ track }) => track).sort(), ["twin", "twin (2)"]);
  for (const { name, start, end, args } of gpu) {
    const queue = spans.find((span) => span.kind === "queue" && span.name === name)!;
    assert.ok(start >= queue.start - 1 && end <= queue.end + 1e-6 && end > start, name);
    assert.deepEqual([args.threads, args.dispatches], [256, 1]);
  }
  assert.deepEqual(timeline.marks.map(({ name }) => name).sort(), ["done 0", "done 1"]);
  for (const { name, at } of timeline.marks) {
    const queue = spans.find((span) =>
      span.kind === "queue" && span.name === `job ${name.at(-1)}`
    )!;
    assert.ok(at >= queue.end - 0.5, `${name} at ${at}, before ${queue.end}`);
  }
  const overlap = timeline.overlap();
  assert.ok(overlap >= 0 && overlap <= 1);

  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await timeline.save(path);
    const { traceEvents, displayTimeUnit } = JSON.parse(await Deno.readTextFile(path));
    assert.equal(displayTimeUnit, "ms");
    for (const event of traceEvents) {
      assert.ok(["X", "i", "M"].includes(event.ph));
      assert.ok(Number.isInteger(event.pid) && Number.isInteger(event.tid), event.name);
      assert.ok(event.ph !== "X" || event.dur >= 0 && event.ts >= 0);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a timeline passes on what failed", onGpu, async () => {
  const faulty = device().library(`
    #include <metal_stdlib>
    kernel void far(device uint* x, uint i [[thread_position_in_grid]]) { x[i] = i; }`)
    .pipeline("far");
  if (device().engine !== "emulator") return;
  using x = device().createBuffer(16);
  const timeline = new Timeline();
  const far = device().stream.commands("far");
  timeline.commit(far.dispatch(faulty, [x], { threads: 64, threadgroup: 32 }));
  await assert.rejects(timeline.finish(), DeviceError);
});

Deno.test("traceOf() gives each kind a process and each track a thread", () => {
  const span = (track: string, start: number, end: number, kind: "gpu" | "host" = "gpu") => ({
    ...{ name: "n", kind, track, start, end, args: { a: 1 } },
  });
  const spans = [span("s0", 0, 4), span("s1", 2, 6), span("host", 5, 8, "host")];
  const { traceEvents } = traceOf(spans, [{ name: "m", track: "s1", at: 6 }]);
  const complete = traceEvents.filter(({ ph }) => ph === "X");
  assert.deepEqual(complete.map(({ ts, dur }) => [ts, dur]), [[0, 4000], [2000, 4000], [
    5000,
    3000,
  ]]);
  assert.equal(new Set(complete.map(({ pid, tid }) => `${pid} ${tid}`)).size, 3);
  const names = traceEvents.filter(({ name }) => name === "thread_name").map(({ args }) =>
    args.name
  );
  assert.deepEqual([...new Set(names)].sort(), ["host", "s0", "s1"]);
  // 0–4, 2–6 and 5–8: busy for 8, together for 3.
  assert.equal(overlapOf(spans), 3 / 8);
  // Spans of one track do not overlap with themselves.
  assert.equal(overlapOf([span("s0", 0, 4), span("s0", 2, 6)]), 0);
  assert.equal(overlapOf([]), 0);
});

Deno.test("watchMemory() sees the peak of buffers, and frees of the host", onGpu, async () => {
  const megabyte = 1 << 20;
  const { value, memory } = await watchMemory(async () => {
    using _large = device().createBuffer(8 * megabyte);
    await new Promise((resolve) => setTimeout(resolve, 12));
    return "done";
  }, { device: device(), every: 1 });
  assert.equal(value, "done");
  const { host, gpu, samples } = memory;
  assert.ok(gpu!.peak >= gpu!.before + 8 * megabyte && gpu!.after <= gpu!.peak - 8 * megabyte);
  assert.ok(samples.length > 3 && samples.some((sample) => sample.gpu! > gpu!.before));
  assert.ok(host.peak >= Math.max(host.before, host.after));
  const alone = await watchMemory(() => 1);
  assert.equal(alone.memory.gpu, null);
  await assert.rejects(watchMemory(() => Promise.reject(new Error("no"))), /^Error: no$/);
});

Deno.test(
  "captureGpu() where there is none is a DeviceError, and does no work",
  onGpu,
  async () => {
    if (device().engine === "metal") return;
    let worked = false;
    await assert.rejects(
      captureGpu(device(), "/tmp/none.gputrace", () => worked = true),
      DeviceError,
    );
    assert.equal(worked, false);
  },
);
