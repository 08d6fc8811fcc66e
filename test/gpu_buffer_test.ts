import assert from "node:assert/strict";
import { DisposedError, OutOfMemoryError } from "../lib/errors.ts";
import { device, onGpu } from "./gpu.ts";

Deno.test("GpuBuffer writes and reads any number of bytes, shared and private", onGpu, async () => {
  for (const storage of ["shared", "private"] as const) {
    for (const bytes of [1, 3, 4, 255, 256, 257, 4096, 65_537]) {
      using buffer = device().createBuffer(bytes, { storage, label: "bytes" });
      const data = Uint8Array.from({ length: bytes }, (_, i) => i * 7);
      await buffer.write(data);
      assert.deepEqual(await buffer.read(new Uint8Array(bytes)), data, `${storage} ${bytes}`);
      buffer.writeSync(data.subarray(0, 1), bytes - 1);
      assert.equal(buffer.readSync(new Uint8Array(1), bytes - 1)[0], data[0]);
    }
  }
});

Deno.test("GpuBuffer moves more than one chunk", onGpu, async () => {
  const words = (150 << 20) / 4 + 5;
  using buffer = device().createBuffer(words * 4, { storage: "private" });
  const data = new Uint32Array(words);
  for (let i = 0; i < words; i++) data[i] = i * 2654435761;
  await buffer.write(data);
  const back = await buffer.read(new Uint32Array(words));
  assert.ok(data.every((value, i) => value === back[i]));
});

Deno.test("GpuBuffer takes every kind of view, and empty ones", onGpu, () => {
  using buffer = device().createBuffer(16);
  buffer.writeSync(new Float64Array([1, 2]));
  assert.deepEqual(buffer.readSync(new Float64Array(2)), new Float64Array([1, 2]));
  buffer.writeSync(new BigInt64Array([-5n]), 8);
  assert.equal(buffer.readSync(new DataView(new ArrayBuffer(8)), 8).getBigInt64(0, true), -5n);
  buffer.writeSync(new Float16Array([1.5]));
  assert.equal(buffer.readSync(new Float16Array(1))[0], 1.5);
  buffer.writeSync(new Uint8Array(0), 16);
  using empty = device().createBuffer(0);
  assert.equal(empty.readSync(new Uint8Array(0)).length, 0);
});

Deno.test("GpuBuffer refuses ranges outside of it", onGpu, async () => {
  using buffer = device().createBuffer(8);
  const four = new Uint8Array(4);
  for (const offset of [5, 8, -1, 0.5, NaN, Infinity, 2 ** 60]) {
    assert.throws(() => buffer.writeSync(four, offset), RangeError, `${offset}`);
    assert.throws(() => buffer.readSync(four, offset), RangeError, `${offset}`);
    await assert.rejects(buffer.read(four, offset), RangeError);
  }
});

Deno.test("createBuffer() refuses sizes and storage that are none", onGpu, () => {
  for (const bytes of [-1, 1.5, NaN, Infinity]) {
    assert.throws(() => device().createBuffer(bytes), RangeError, `${bytes}`);
  }
  assert.throws(() => device().createBuffer(2 ** 52), OutOfMemoryError);
  assert.throws(() => device().createBuffer(4, { storage: "managed" as "shared" }), RangeError);
  assert.throws(() => device().createBuffer(4, { label: "a\0b" }), TypeError);
});

Deno.test("GpuBuffer cannot be used after dispose()", onGpu, async () => {
  const buffer = device().createBuffer(8);
  buffer.dispose();
  buffer.dispose();
  assert.throws(() => buffer.writeSync(new Uint8Array(8)), DisposedError);
  await assert.rejects(buffer.read(new Uint8Array(8)), DisposedError);
  const commands = device().stream.commands().fill(buffer, 0, 8, 0);
  assert.throws(() => commands.commit(), DisposedError);
});

Deno.test("memory() counts what is active, its peak and what is cached", onGpu, () => {
  const on = device();
  on.clearCache();
  on.resetPeak();
  const start = on.memory();
  assert.equal(start.cached, 0);
  assert.equal(start.peak, start.active);
  const bytes = 1 << 20;
  const [a, b] = [on.createBuffer(bytes), on.createBuffer(bytes)];
  assert.equal(on.memory().active, start.active + 2 * bytes);
  a.dispose();
  assert.equal(on.memory().active, start.active + bytes);
  assert.equal(on.memory().cached, bytes);
  assert.equal(on.memory().peak, start.active + 2 * bytes);
  const c = on.createBuffer(bytes);
  assert.equal(on.memory().cached, 0, "the cached buffer is used again");
  b.dispose();
  c.dispose();
  on.clearCache();
  on.resetPeak();
  assert.deepEqual(on.memory(), { active: start.active, peak: start.active, cached: 0 });
});

Deno.test("the cache keeps so many buffers, however small they are", onGpu, () => {
  const on = device();
  on.clearCache();
  for (let i = 1; i <= 5000; i++) on.createBuffer(4 * i).dispose();
  const { cached } = on.memory();
  on.clearCache();
  assert.ok(cached <= 4 * 4096 * 4097 / 2, `${cached}`);
});
