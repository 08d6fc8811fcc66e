import assert from "node:assert/strict";
import { DeviceError, DisposedError } from "../lib/errors.ts";
import { bufferOf, device, floats, onGpu, poisoned } from "./gpu.ts";

const library = () =>
  device().library(
    `#include <metal_stdlib>
    kernel void step(device float* x [[buffer(0)]], constant float& by [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) {
      x[i] = x[i] * 2.0f + by;
    }
    struct Table { float values[8]; };
    kernel void pick(constant Table& table [[buffer(0)]], device float* x [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) {
      x[i] += table.values[i];
    }
    kernel void reverse(device float* x [[buffer(0)]], threadgroup float* room [[threadgroup(0)]],
                        uint i [[thread_index_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
      room[i] = x[i];
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
      x[i] = room[n - 1 - i];
    }
    kernel void beyond(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
      x[i + 1000] = 1.0f;
    }`,
    { name: "replay.metal" },
  );

const four = { threads: 4, threadgroup: 4 };

Deno.test("replay() runs what was recorded on what the buffers hold then", onGpu, async () => {
  const { stream } = device();
  using x = bufferOf(new Float32Array(4), "private");
  using y = poisoned(16, "private");
  using square = bufferOf(new Float32Array([2, 0, 0, 2]), "private");
  using z = poisoned(16, "private");
  const table = Float32Array.from({ length: 8 }, (_, i) => i);
  using recording = stream.commands("all kinds")
    .dispatch(library().pipeline("step"), [x, new Float32Array([1])], four)
    .dispatch(library().pipeline("pick"), [table, x], four)
    .copy(x, 0, y, 0, 16)
    .dispatch(library().pipeline("reverse"), [y], { ...four, threadgroupMemory: 16 })
    .multiply({ a: y, b: square, c: z, m: 2, n: 2, k: 2 })
    .fill(y, 0, 8, 0)
    .record();
  for (let run = 0; run < 6; run++) {
    const start = Float32Array.from({ length: 4 }, (_, i) => i + run * 10);
    x.writeSync(start);
    const { gpuSeconds, threads, dispatches } = await stream.replay(recording).completed;
    assert.ok(gpuSeconds > 0);
    assert.equal(threads, 16);
    assert.equal(dispatches, 4);
    const after = [...start].map((value, i) => value * 2 + 1 + i);
    assert.deepEqual(floats(x), after);
    assert.deepEqual(floats(y), [0, 0, after[1], after[0]]);
    assert.deepEqual(floats(z), after.toReversed().map((value) => value * 2));
  }
});

Deno.test("replay() can go on without waiting, in order with other work", onGpu, async () => {
  const { stream } = device();
  using x = bufferOf(new Float32Array([0, 0, 0, 0]));
  const step = library().pipeline("step");
  using recording = stream.commands().dispatch(step, [x, new Float32Array([1])], four).record(
    "step",
  );
  let expected = 0;
  for (let i = 0; i < 20; i++) {
    stream.replay(recording);
    expected = expected * 2 + 1;
    if (i % 5 === 0) {
      stream.commands().dispatch(step, [x, new Float32Array([-3])], four).commit();
      expected = expected * 2 - 3;
    }
  }
  await stream.finished();
  assert.deepEqual(floats(x), Array(4).fill(Math.fround(expected)));
});

Deno.test("a recording runs on every stream of its device", onGpu, async () => {
  using x = bufferOf(new Float32Array([1, 1, 1, 1]));
  using recording = device().stream.commands()
    .dispatch(library().pipeline("step"), [x, new Float32Array([0])], four).record();
  for (let i = 0; i < 3; i++) {
    using stream = device().createStream();
    for (let run = 0; run < 3; run++) await stream.replay(recording).completed;
  }
  assert.deepEqual(floats(x), [512, 512, 512, 512]);
});

Deno.test("a recording keeps its buffers, and replays under way keep it", onGpu, async () => {
  const { stream } = device();
  using out = poisoned(16);
  const x = bufferOf(new Float32Array([1, 2, 3, 4]), "private");
  const recording = stream.commands()
    .dispatch(library().pipeline("step"), [x, new Float32Array([1])], four)
    .copy(x, 0, out, 0, 16)
    .record();
  x.dispose();
  // What is freed is given out again: these would take its place.
  const others = Array.from({ length: 8 }, () => poisoned(16, "private"));
  await stream.replay(recording).completed;
  assert.deepEqual(floats(out), [3, 5, 7, 9]);
  const runs = Array.from({ length: 5 }, () => stream.replay(recording).completed);
  recording.dispose();
  assert.throws(() => stream.replay(recording), DisposedError);
  await Promise.all(runs);
  assert.deepEqual(floats(out), [3, 5, 7, 9].map((value) => (value + 1) * 32 - 1));
  for (const other of others) {
    assert.deepEqual([...other.readSync(new Uint8Array(16))], Array(16).fill(255));
    other.dispose();
  }
});

Deno.test("an event in a recording counts with the value it was recorded with", onGpu, async () => {
  const [first, second] = [device().createStream(), device().createStream()];
  using event = device().createEvent();
  using x = bufferOf(new Float32Array(4), "private");
  using y = poisoned(16);
  const step = library().pipeline("step");
  using before = first.commands().dispatch(step, [x, new Float32Array([1])], four)
    .signal(event, 1).fill(x, 0, 0, 0).record();
  using after = second.commands().wait(event, 1).copy(x, 0, y, 0, 16).record();
  for (let run = 1; run <= 4; run++) {
    const last = second.replay(after);
    await first.replay(before).completed;
    await last.completed;
    assert.equal(event.value, 1);
  }
  await second.replay(after).completed;
  assert.deepEqual(floats(y), [15, 15, 15, 15]);
  first.dispose();
  second.dispose();
});

Deno.test("record() refuses what commit() would, once", onGpu, () => {
  const { stream } = device();
  using x = bufferOf(new Float32Array(4));
  assert.throws(() => stream.commands().copy(x, 8, x, 0, 16).record(), RangeError);
  assert.throws(
    () =>
      stream.commands().dispatch(library().pipeline("step"), [x, new Uint8Array(1)], four).record(),
    TypeError,
  );
  const gone = bufferOf(new Float32Array(4));
  gone.dispose();
  assert.throws(() => stream.commands().fill(gone, 0, 4, 0).record(), DisposedError);
  const commands = stream.commands().fill(x, 0, 4, 0);
  using recording = commands.record();
  assert.throws(() => commands.commit(), /committed or recorded/);
  assert.throws(() => commands.record(), TypeError);
  assert.equal(recording.device, device());
});

Deno.test("an empty recording runs", onGpu, async () => {
  using recording = device().stream.commands().record("nothing");
  assert.equal(recording.label, "nothing");
  for (let i = 0; i < 3; i++) {
    assert.equal((await device().stream.replay(recording).completed).dispatches, 0);
  }
});

Deno.test("a replay that fails leaves the recording and the stream usable", {
  ignore: onGpu.ignore || device().engine !== "emulator",
}, async () => {
  const { stream } = device();
  using x = bufferOf(new Float32Array(4));
  using recording = stream.commands("faulty").dispatch(library().pipeline("beyond"), [x], four)
    .record();
  for (let i = 0; i < 3; i++) {
    await assert.rejects(stream.replay(recording).completed, DeviceError);
  }
  stream.commands().fill(x, 0, 16, 0).commit();
  await stream.finished();
});

Deno.test("times of command buffers on two streams are on one clock", onGpu, async () => {
  const [first, second] = [device().createStream(), device().createStream()];
  using event = device().createEvent();
  using x = bufferOf(new Float32Array(4096), "private");
  const step = library().pipeline("step");
  const all = { threads: 4096, threadgroup: 256 };
  for (let run = 1; run <= 3; run++) {
    const one = first.commands().dispatch(step, [x, new Float32Array([1])], all).signal(event, run);
    const two = second.commands().wait(event, run).dispatch(step, [x, new Float32Array([1])], all);
    const [late, early] = [two.commit(), one.commit()];
    const [a, b] = [await early.completed, await late.completed];
    assert.ok(a.gpuStart > 0 && a.gpuEnd > a.gpuStart);
    assert.ok(Math.abs(a.gpuEnd - a.gpuStart - a.gpuSeconds) < 1e-6);
    // The emulator's command buffer begins with its wait.
    if (device().engine !== "emulator") {
      assert.ok(b.gpuStart > a.gpuStart, `${b.gpuStart} ${a.gpuStart}`);
    }
    assert.ok(b.gpuEnd > a.gpuStart);
  }
  first.dispose();
  second.dispose();
});

Deno.test("onComplete() fires once, when its own stream is done", onGpu, async () => {
  const [held, free] = [device().createStream(), device().createStream()];
  using event = device().createEvent();
  using x = bufferOf(new Float32Array(4));
  const calls: string[] = [];
  held.commands().wait(event, 1).fill(x, 0, 4, 0).commit();
  held.onComplete((error) => calls.push(`held ${error}`));
  free.commands().fill(x, 4, 4, 0).commit();
  await new Promise<void>((resolve) =>
    free.onComplete((error) => {
      calls.push(`free ${error}`);
      resolve();
    })
  );
  await free.finished();
  assert.deepEqual(calls, ["free undefined"]);
  // What comes later does not count.
  const before = held.finished();
  held.commands().wait(event, 2).fill(x, 0, 4, 0).commit();
  event.value = 1;
  await before;
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(calls, ["free undefined", "held undefined"]);
  event.value = 2;
  await held.finished();
  assert.equal(calls.length, 2);
  held.dispose();
  free.dispose();
});

Deno.test("onComplete() on an idle stream fires soon, and not at once", onGpu, async () => {
  const stream = device().createStream();
  let isCalled = false;
  const called = new Promise<void>((resolve) =>
    stream.onComplete(() => {
      isCalled = true;
      resolve();
    })
  );
  assert.equal(isCalled, false);
  await called;
  stream.dispose();
});

Deno.test("onComplete() gets the first failure of what was under way", {
  ignore: onGpu.ignore || device().engine !== "emulator",
}, async () => {
  const [stream, other] = [device().createStream(), device().createStream()];
  using event = device().createEvent();
  using x = bufferOf(new Float32Array(4));
  const beyond = library().pipeline("beyond");
  stream.commands().wait(event, 1).fill(x, 0, 4, 0).commit();
  stream.commands("wrong").dispatch(beyond, [x], four).commit();
  stream.commands().fill(x, 0, 4, 0).commit();
  const failed = new Promise<Error | undefined>((resolve) => stream.onComplete(resolve));
  const untouched = new Promise<Error | undefined>((resolve) => other.onComplete(resolve));
  event.value = 1;
  const error = await failed;
  assert.ok(error instanceof DeviceError, `${error}`);
  assert.match(error.message, /beyond/);
  assert.equal(await untouched, undefined);
  // It is over: it does not count again.
  await stream.finished();
  stream.dispose();
  other.dispose();
});

Deno.test("GpuInfo has an engine's own facts, or none", onGpu, () => {
  const { engine, driver, cores, l2Bytes, clockMHz, versions } = device();
  if (engine === "cuda") {
    assert.ok(cores! > 0 && l2Bytes! > 0 && clockMHz! > 0);
    assert.ok(driver === undefined || /^\d+\.\d+/.test(driver), driver);
    assert.match(versions.cuda!, /^\d+\.\d+$/);
    assert.match(versions.nvrtc!, /^\d+\.\d+$/);
  } else {
    assert.deepEqual([driver, cores, l2Bytes, clockMHz], Array(4).fill(undefined));
    assert.deepEqual(versions, {});
  }
});
