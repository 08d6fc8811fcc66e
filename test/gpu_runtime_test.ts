import assert from "node:assert/strict";
import { CompileError, DeviceError } from "../lib/errors.ts";
import { gpu, gpuDevices } from "../lib/kernel/mod.ts";
import { bufferOf, device, floats, hasCompiler, onGpu, poisoned } from "./gpu.ts";

const kernels = `#include <metal_stdlib>
using namespace metal;

kernel void add_one(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] += 1.0f;
}

kernel void scale(
    device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
    constant float& by [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  y[i] = x[i] * by;
}

kernel void where(device uint4* out [[buffer(0)]], uint3 at [[thread_position_in_grid]],
                  uint3 grid [[threads_per_grid]], uint3 group [[threadgroup_position_in_grid]]) {
  uint i = (at.z * grid.y + at.y) * grid.x + at.x;
  out[i] = uint4(at, group.x + 10 * group.y + 100 * group.z);
}

kernel void reverse(device float* x [[buffer(0)]], threadgroup float* room [[threadgroup(0)]],
                    uint i [[thread_index_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
  room[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  x[i] = room[n - 1 - i];
}

struct Table { float values[1024]; };
kernel void lookup(constant Table& table [[buffer(0)]], device float* out [[buffer(1)]],
                   uint i [[thread_position_in_grid]]) {
  out[i] = table.values[i];
}
`;

const library = () => device().library(kernels, { name: "kernels.metal" });
const pipeline = (name: string) => library().pipeline(name);

/** Runs `body` with variables set as given. */
function withEnv(variables: Record<string, string | undefined>, body: () => void): void {
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  const set = (name: string, value: string | undefined) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  try {
    for (const [name, value] of Object.entries(variables)) set(name, value);
    body();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

Deno.test("gpuDevices() lists the emulator last, and gpu() describes it", onGpu, () => {
  const devices = gpuDevices();
  const emulator = gpu("emulator");
  assert.equal(devices.at(-1)!.engine, "emulator");
  assert.equal(devices.at(-1)!.name, emulator.name);
  assert.equal(emulator.maxThreadsPerThreadgroup, 1024);
  assert.equal(emulator.maxThreadgroupMemory, 32768);
  assert.ok(emulator.maxBufferBytes > 0 && emulator.workingSetBytes > 0);
  assert.equal(gpu("emulator"), emulator);
});

Deno.test("gpu() takes the device of METALFAISS_GPU", onGpu, () => {
  withEnv({ METALFAISS_GPU: "emulator" }, () => assert.equal(gpu(), gpu("emulator")));
  withEnv({ METALFAISS_GPU: "opengl" }, () => assert.throws(() => gpu(), RangeError));
});

Deno.test("gpu() says what to do about a device that is missing", onGpu, () => {
  assert.throws(() => gpu("cuda:99"), DeviceError);
  assert.throws(() => gpu("opengl"), RangeError);
  if (Deno.build.os === "linux") {
    assert.throws(() => gpu("metal"), (error: Error) => {
      assert.ok(error instanceof DeviceError);
      assert.match(error.message, /libnvrtc.*METALFAISS_GPU=emulator/s);
      return true;
    });
  }
});

Deno.test("library() compiles a text once, and names its kernels", onGpu, () => {
  assert.equal(library(), library());
  assert.deepEqual([...library().functionNames].sort(), [
    "add_one",
    "lookup",
    "reverse",
    "scale",
    "where",
  ]);
  const scale = pipeline("scale");
  assert.equal(scale, pipeline("scale"));
  assert.deepEqual(scale.arguments, ["x", "y", "by"]);
  assert.ok(scale.maxThreads >= 32 && scale.maxThreads <= 1024);
  assert.equal(scale.simdWidth, 32);
});

Deno.test("library() throws the compiler's log, with lines of the source", onGpu, () => {
  const source = `#include <metal_stdlib>
using namespace metal;
kernel void broken(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = undeclared_name;
}`;
  assert.throws(
    () => device().library(source, { name: "broken.metal" }).pipeline("broken"),
    (error) => {
      assert.ok(error instanceof CompileError, `${error}`);
      assert.match(error.log, /broken\.metal:4:\d+: error: .*undeclared_name/);
      assert.match(error.message, /^Cannot .*broken\.metal:4/);
      return true;
    },
  );
  const long = Array.from({ length: 60 }, (_, i) => `float f${i}() { return missing_${i}; }`).join(
    "\n",
  );
  assert.throws(() => device().library(`${long}\n${kernels}`), (error) => {
    assert.ok(error instanceof CompileError);
    assert.ok(error.log.length > 1000, "the log outgrows a call's message");
    return true;
  });
});

Deno.test("pipeline() names the kernels that there are", onGpu, async () => {
  const expected = /no kernel "nope".*"add_one".*"scale"/;
  assert.throws(() => pipeline("nope"), (error: Error) => {
    assert.ok(error instanceof RangeError);
    assert.match(error.message, expected);
    return true;
  });
  await assert.rejects(library().pipelineAsync("nope"), expected);
  assert.equal(await library().pipelineAsync("scale"), pipeline("scale"));
});

Deno.test("library() defines macros, and refuses options that are none", onGpu, async () => {
  const source =
    `kernel void put(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = ON ? VALUE : 0;
}`;
  const put = device().library(source, { macros: { VALUE: 2.5, ON: true } }).pipeline("put");
  using out = poisoned(8);
  await device().stream.commands().dispatch(put, [out], { threads: 2, threadgroup: 2 }).commit()
    .completed;
  assert.deepEqual(floats(out), [2.5, 2.5]);
  assert.throws(() => device().library(source, { macros: { "A B": 1 } }), RangeError);
  assert.throws(() => device().library(source, { mathMode: "wild" as "fast" }), RangeError);
  assert.throws(() => device().library(source, { name: 'a"b' }), RangeError);
});

const constants = `#include <metal_stdlib>
using namespace metal;
constant bool flag [[function_constant(0)]];
constant int start [[function_constant(1)]];
constant uint many [[function_constant(2)]];
constant float ratio [[function_constant(3)]];
kernel void all(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = flag ? float(start) + float(many) * ratio : -1.0f;
}`;

Deno.test("pipeline() sets function constants by name and by index", onGpu, async () => {
  const library = device().library(constants);
  const run = async (values: Record<string, number | boolean>) => {
    using out = poisoned(4);
    const all = library.pipeline("all", values);
    await device().stream.commands().dispatch(all, [out], { threads: 1, threadgroup: 1 }).commit()
      .completed;
    return floats(out)[0];
  };
  assert.equal(await run({ flag: true, start: -3, many: 4, ratio: 0.5 }), -1);
  assert.equal(await run({ 0: true, 1: 10, 2: 3, 3: 1.5 }), 14.5);
  assert.equal(await run({ flag: false, start: 1, many: 1, ratio: 1 }), -1);
  const some = { flag: true, start: 1, many: 1, ratio: 1 };
  assert.equal(library.pipeline("all", some), library.pipeline("all", { ...some }));
});

Deno.test("pipeline() refuses constants that are missing, unknown or do not fit", onGpu, () => {
  const library = device().library(constants);
  const all = { flag: true, start: 1, many: 1, ratio: 1 };
  const bad: [Record<string, number | boolean>, RegExp][] = [
    [{ flag: true, start: 1, many: 1 }, /needs.*ratio \(3\)/],
    [{ ...all, other: 1 }, /no function constant "other".*flag \(0\)/],
    [{ ...all, 9: 1 }, /no function constant 9/],
    [{ ...all, start: 1.5 }, /start cannot be 1.5/],
    [{ ...all, many: -1 }, /many cannot be -1/],
    [{ ...all, flag: 2 }, /flag cannot be 2/],
    [{ ...all, start: 2 ** 40 }, /start cannot be/],
  ];
  for (const [values, message] of bad) {
    assert.throws(() => library.pipeline("all", values), (error: Error) => {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(() => library.pipeline("all", { flag: "yes" as unknown as boolean }), TypeError);
});

Deno.test("dispatch() covers exactly the threads asked for", onGpu, async () => {
  const where = pipeline("where");
  const sizes: [[number, number, number], [number, number, number]][] = [
    [[1, 1, 1], [1, 1, 1]],
    [[5, 3, 2], [4, 2, 1]],
    [[33, 1, 1], [32, 1, 1]],
    [[7, 9, 3], [8, 4, 4]],
  ];
  for (const [grid, group] of sizes) {
    const size = grid[0] * grid[1] * grid[2];
    using out = poisoned(size * 16);
    const { threads, dispatches } = await device().stream.commands()
      .dispatch(where, [out], { threads: grid, threadgroup: group }).commit().completed;
    assert.equal(threads, size);
    assert.equal(dispatches, 1);
    const found = out.readSync(new Uint32Array(size * 4));
    for (let i = 0; i < size; i++) {
      const at = [
        i % grid[0],
        Math.floor(i / grid[0]) % grid[1],
        Math.floor(i / grid[0] / grid[1]),
      ];
      const [x, y, z] = at.map((value, axis) => Math.floor(value / group[axis]!));
      assert.deepEqual([...found.subarray(i * 4, i * 4 + 4)], [...at, x! + 10 * y! + 100 * z!]);
    }
  }
});

Deno.test("dispatch() counts threadgroups where they are given", onGpu, async () => {
  using out = poisoned(6 * 8 * 16);
  const { threads } = await device().stream.commands()
    .dispatch(pipeline("where"), [out], { threadgroups: [3, 2], threadgroup: [4, 2] })
    .commit().completed;
  assert.equal(threads, 48);
  assert.ok(!out.readSync(new Uint32Array(48 * 4)).includes(0xffff_ffff));
});

Deno.test(
  "dispatch() passes places in buffers, and up to 4,096 bytes by value",
  onGpu,
  async () => {
    using x = bufferOf(new Float32Array([1, 2, 3, 4]), "private");
    using y = poisoned(16);
    await device().stream.commands()
      .dispatch(pipeline("scale"), [
        { buffer: x, offset: 8 },
        { buffer: y, offset: 4 },
        new Float32Array([10]),
      ], {
        threads: 2,
        threadgroup: 2,
      }).commit().completed;
    assert.deepEqual(floats(y), [NaN, 30, 40, NaN]);

    using out = poisoned(4096);
    const table = Float32Array.from({ length: 1024 }, (_, i) => i / 2);
    await device().stream.commands()
      .dispatch(pipeline("lookup"), [table, out], { threads: 1024, threadgroup: 256 })
      .commit().completed;
    assert.deepEqual(floats(out), [...table]);
  },
);

Deno.test("dispatch() gives threadgroup memory", onGpu, async () => {
  using x = bufferOf(Float32Array.from({ length: 64 }, (_, i) => i));
  await device().stream.commands()
    .dispatch(pipeline("reverse"), [x], { threads: 64, threadgroup: 64, threadgroupMemory: 256 })
    .commit().completed;
  assert.deepEqual(floats(x), Array.from({ length: 64 }, (_, i) => 63 - i));
});

Deno.test("dispatch() refuses sizes and arguments that cannot be", onGpu, () => {
  using x = device().createBuffer(4096);
  const one = new Float32Array(1);
  const scale = pipeline("scale");
  const fine = { threads: 1, threadgroup: 1 };
  const commands = device().stream.commands();
  const refused = (kind: ErrorConstructor, message: RegExp, body: () => unknown) =>
    assert.throws(body, (error: Error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  for (const threads of [0, -1, 1.5, NaN, 2 ** 32, [4, 0] as const]) {
    refused(
      RangeError,
      /threads must be/,
      () => commands.dispatch(scale, [x, x, one], { ...fine, threads }),
    );
  }
  refused(
    RangeError,
    /threadgroup must be/,
    () => commands.dispatch(scale, [x, x, one], { threads: 1, threadgroup: 0 }),
  );
  refused(
    RangeError,
    /1025 threads, its most are/,
    () => commands.dispatch(scale, [x, x, one], { threads: 1, threadgroup: 1025 }),
  );
  refused(
    TypeError,
    /either threads or threadgroups/,
    () => commands.dispatch(scale, [x, x, one], { threadgroup: 1 }),
  );
  refused(
    TypeError,
    /either threads or threadgroups/,
    () => commands.dispatch(scale, [x, x, one], { ...fine, threadgroups: 1 }),
  );
  refused(
    TypeError,
    /takes 3 arguments \(x, y, by\), got 2/,
    () => commands.dispatch(scale, [x, x], fine),
  );
  refused(
    TypeError,
    /takes 3 arguments.*got 4/,
    () => commands.dispatch(scale, [x, x, one, one], fine),
  );
  refused(
    TypeError,
    /argument 1 is no buffer/,
    () => commands.dispatch(scale, [x, 3 as unknown as Float32Array, one], fine),
  );
  refused(
    RangeError,
    /4100 bytes/,
    () => commands.dispatch(scale, [x, x, new Float32Array(1025)], fine),
  );
  refused(RangeError, /0 bytes/, () => commands.dispatch(scale, [x, x, new Float32Array(0)], fine));
  refused(
    RangeError,
    /multiple of 16/,
    () => commands.dispatch(pipeline("reverse"), [x], { ...fine, threadgroupMemory: 8 }),
  );
  refused(RangeError, /fill.*byte/, () => commands.fill(x, 0, 4, 256));
});

Deno.test("commit() refuses buffers that are too small, and ranges outside of them", onGpu, () => {
  using x = device().createBuffer(16);
  const lookup = pipeline("lookup");
  const fine = { threads: 1, threadgroup: 1 };
  const refused = (
    kind: ErrorConstructor,
    message: RegExp,
    record: (commands: ReturnType<typeof commandsOf>) => void,
  ) => {
    const commands = commandsOf();
    record(commands);
    assert.throws(() => commands.commit(), (error: Error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  };
  const commandsOf = () => device().stream.commands();
  refused(
    TypeError,
    /argument 0, "table", of kernel "lookup" needs 4096 bytes, got 16/,
    (c) => c.dispatch(lookup, [x, x], fine),
  );
  refused(
    TypeError,
    /"table".*needs 4096 bytes, got 4/,
    (c) => c.dispatch(lookup, [new Float32Array(1), x], fine),
  );
  refused(
    RangeError,
    /not all in a buffer of 16/,
    (c) => c.dispatch(pipeline("add_one"), [{ buffer: x, offset: 20 }], fine),
  );
  refused(
    RangeError,
    /not all in a buffer of 16/,
    (c) => c.dispatch(pipeline("add_one"), [{ buffer: x, offset: -4 }], fine),
  );
  refused(
    RangeError,
    /threadgroup memory/,
    (c) => c.dispatch(pipeline("reverse"), [x], { ...fine, threadgroupMemory: 1 << 20 }),
  );
  refused(RangeError, /not all in a buffer of 16/, (c) => c.copy(x, 8, x, 0, 12));
  refused(RangeError, /overlaps itself/, (c) => c.copy(x, 0, x, 4, 8));
  refused(RangeError, /not all in a buffer of 16/, (c) => c.fill(x, 0, 17, 0));
});

Deno.test("a command buffer runs once", onGpu, async () => {
  using x = device().createBuffer(4);
  const commands = device().stream.commands().fill(x, 0, 4, 0);
  await commands.commit().completed;
  assert.throws(() => commands.commit(), /has been committed/);
  assert.throws(() => commands.fill(x, 0, 4, 0), /has been committed/);
  const { dispatches, threads } = await device().stream.commands("empty").commit().completed;
  assert.deepEqual([dispatches, threads], [0, 0]);
});

Deno.test("100 dispatches run in order in one command buffer", onGpu, async () => {
  const n = 1000;
  using x = bufferOf(new Float32Array(n), "private");
  using y = poisoned(n * 4);
  const commands = device().stream.commands("hundred");
  const addOne = pipeline("add_one");
  for (let i = 0; i < 50; i++) commands.dispatch(addOne, [x], { threads: n, threadgroup: 128 });
  commands.dispatch(pipeline("scale"), [x, y, new Float32Array([2])], {
    threads: n,
    threadgroup: 64,
  });
  commands.copy(y, 0, x, 0, n * 4);
  for (let i = 0; i < 49; i++) commands.dispatch(addOne, [x], { threads: n, threadgroup: 256 });
  commands.copy(x, 0, y, 0, n * 2).fill(y, n * 2, n * 2, 0);
  const { gpuSeconds, cpuSeconds, threads, dispatches } = await commands.commit().completed;
  assert.equal(dispatches, 100);
  assert.equal(threads, 100 * n);
  assert.ok(gpuSeconds > 0 && cpuSeconds >= gpuSeconds * 0.5, `${gpuSeconds} ${cpuSeconds}`);
  assert.deepEqual(floats(y), Array.from({ length: n }, (_, i) => i < n / 2 ? 149 : 0));
});

Deno.test("completed can be awaited again, and waitSync() blocks", onGpu, async () => {
  using x = bufferOf(new Float32Array(4));
  const submission = device().stream.commands()
    .dispatch(pipeline("add_one"), [x], { threads: 4, threadgroup: 4 }).commit();
  const times = submission.waitSync();
  assert.equal(times.threads, 4);
  assert.equal(submission.isCompleted, true);
  assert.equal(await submission.completed, times);
  assert.equal(await submission.completed, times);
});

Deno.test("waiting for what is done already lets timers run", onGpu, async () => {
  const buffer = bufferOf(new Float32Array(4));
  let fired = false;
  const timer = setTimeout(() => fired = true, 1);
  for (let i = 0; i < 100_000 && !fired; i++) {
    const commands = device().stream.commands();
    commands.fill(buffer, 0, 16, 0);
    const submission = commands.commit();
    submission.waitSync();
    await submission.completed;
  }
  clearTimeout(timer);
  assert.ok(fired);
  buffer.dispose();
});

Deno.test("objects may be disposed of while they are in flight", onGpu, async () => {
  const gate = device().createEvent();
  const n = 100_000;
  const x = bufferOf(new Float32Array(n).fill(1), "private");
  using y = poisoned(n * 4);
  const stream = device().createStream({ label: "held" });
  const submission = stream.commands().wait(gate, 1)
    .dispatch(pipeline("scale"), [x, y, new Float32Array([3])], { threads: n, threadgroup: 256 })
    .commit();
  x.dispose();
  stream.dispose();
  const others = Array.from({ length: 4 }, () => poisoned(n * 4, "private"));
  assert.equal(submission.isCompleted, false);
  gate.value = 1;
  await submission.completed;
  assert.ok(floats(y).every((value) => value === 3));
  for (const other of others) other.dispose();
  gate.dispose();
});

Deno.test("events order streams, and the host", onGpu, async () => {
  using one = device().createStream({ label: "one" });
  using two = device().createStream({ label: "two" });
  using event = device().createEvent();
  using x = bufferOf(new Float32Array([1, 2, 3, 4]));
  using y = poisoned(16);
  assert.equal(event.value, 0);
  const later = two.commands().wait(event, 2)
    .dispatch(pipeline("scale"), [x, y, new Float32Array([10])], { threads: 4, threadgroup: 4 })
    .signal(event, 3).commit();
  const first = one.commands().wait(event, 1)
    .dispatch(pipeline("add_one"), [x], { threads: 4, threadgroup: 4 })
    .signal(event, 2).commit();
  assert.equal(first.isCompleted, false);
  event.value = 1;
  await Promise.all([first.completed, later.completed]);
  assert.deepEqual(floats(y), [20, 30, 40, 50]);
  assert.equal(event.value, 3);
  assert.throws(() => {
    event.value = -1;
  }, RangeError);
});

Deno.test("many command buffers may be under way", onGpu, async () => {
  using x = bufferOf(new Float32Array(32));
  const submissions = Array.from(
    { length: 200 },
    () =>
      device().stream.commands().dispatch(pipeline("add_one"), [x], {
        threads: 32,
        threadgroup: 32,
      })
        .commit(),
  );
  await Promise.all(submissions.slice(-20).map(({ completed }) => completed));
  assert.deepEqual(floats(x), new Array(32).fill(200));
});

Deno.test("a fault fails its command buffer, and no other", onGpu, async () => {
  const emulator = gpu("emulator");
  if (!hasCompiler()) return;
  using x = bufferOf(new Float32Array(4), "shared", emulator);
  const addOne = emulator.library(kernels, { name: "kernels.metal" }).pipeline("add_one");
  const submission = emulator.stream.commands("too far")
    .dispatch(addOne, [x], { threads: 5, threadgroup: 5 }).commit();
  await assert.rejects(submission.completed, (error: Error) => {
    assert.ok(error instanceof DeviceError, `${error}`);
    assert.match(error.message, /add_one/);
    assert.match(error.message, /"?x"?/);
    return true;
  });
  assert.throws(() => submission.waitSync(), DeviceError);
  x.writeSync(new Float32Array(4));
  await emulator.stream.commands().dispatch(addOne, [x], { threads: 4, threadgroup: 4 }).commit()
    .completed;
  assert.deepEqual(floats(x), [1, 1, 1, 1]);
});

Deno.test("startCapture() is refused where there is none", onGpu, () => {
  if (Deno.build.os === "darwin") return;
  assert.throws(() => device().startCapture("/tmp/x.gputrace"), DeviceError);
  assert.throws(() => device().stopCapture(), DeviceError);
  assert.throws(() => device().startCapture(""), RangeError);
});

Deno.test("libraryAsync() compiles elsewhere, and a text once", onGpu, async () => {
  const source = `#include <metal_stdlib>
    kernel void apart(device float* x [[buffer(0)]]) { x[0] = ${performance.now()}f; }`;
  const [one, two] = await Promise.all([
    device().libraryAsync(source, { name: "apart.metal" }),
    device().libraryAsync(source, { name: "apart.metal" }),
  ]);
  assert.equal(one, two);
  assert.equal(device().library(source, { name: "apart.metal" }), one);
  assert.deepEqual(one.functionNames, ["apart"]);
  await assert.rejects(device().libraryAsync("kernel void"), CompileError);
  await assert.rejects(
    device().libraryAsync(source, { mathMode: "wrong" as "safe" }),
    RangeError,
  );
});

Deno.test("dispatch() refuses places that a kernel's elements cannot have", onGpu, async () => {
  const wide = device().library(
    `#include <metal_stdlib>
    struct Pair { float2 both; };
    kernel void wide(device float4* x [[buffer(0)]], constant Pair& by [[buffer(1)]],
                     device const uchar* bytes [[buffer(2)]], uint i [[thread_position_in_grid]]) {
      x[i] += by.both.x + bytes[i];
    }`,
  ).pipeline("wide");
  using x = bufferOf(new Float32Array(16));
  const run = { threads: 1, threadgroup: 1 };
  const at = (a: number, b: number, c: number) =>
    device().stream.commands().dispatch(wide, [
      { buffer: x, offset: a },
      { buffer: x, offset: b },
      { buffer: x, offset: c },
    ], run);
  await at(16, 40, 3).commit().completed;
  for (const [a, b] of [[4, 40], [8, 40], [16, 36], [1, 40]]) {
    assert.throws(() => at(a!, b!, 0).commit(), /must begin at a multiple of (8|16) bytes/);
  }
  assert.throws(() => at(8, 40, 0).record(), RangeError);
});
