import assert from "node:assert/strict";
import { invoke } from "../ffi/call.ts";
import { native } from "../lib/kernel/native.ts";
import { adopt } from "../lib/kernel/native.ts";
import { Command, ProgramWriter } from "../lib/kernel/program_writer.ts";
import { Submission } from "../lib/kernel/submission.ts";
import { bufferOf, device, onGpu } from "./gpu.ts";

const source = `
kernel void touch(device float* x [[buffer(0)]], constant float& by [[buffer(1)]],
                  threadgroup float* room [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i == 0) { room[0] = by; x[0] = room[0]; }
}`;

function commit(bytes: Uint8Array): Submission {
  const out = new Uint32Array(1);
  invoke((call) => native().mf_gpu_commit(device().stream.object, bytes, bytes.length, out, call));
  return new Submission(adopt("command buffer", out[0]!));
}

/** A program with every command but those of events, which could hang where they are wrong. */
function program(buffers: number[]): Uint8Array<ArrayBuffer> {
  const pipeline = device().library(source).pipeline("touch");
  const writer = new ProgramWriter();
  writer.dispatch(
    Command.DISPATCH_THREADS,
    0,
    2,
    1,
    new Uint32Array([4, 1, 1]),
    new Uint32Array([4, 1, 1]),
  );
  writer.buffer(0, 0);
  writer.value(new Float32Array([2]));
  writer.memory(16);
  writer.end();
  writer.copy(0, 0, 1, 16, 16);
  writer.fill(1, 0, 4, 7);
  return writer.finish({ buffers, pipelines: [pipeline.object], events: [] }, "touch").slice();
}

/** Whether it ran or was refused with an error of ours; anything else fails. */
function survives(bytes: Uint8Array): boolean {
  try {
    commit(bytes).waitSync();
    return true;
  } catch (error) {
    const names = ["TypeError", "RangeError", "DisposedError", "DeviceError", "OutOfMemoryError"];
    assert.ok(names.includes((error as Error).name), `${error}`);
    assert.match((error as Error).message, /^Cannot /);
    return false;
  }
}

Deno.test("commit() runs what a ProgramWriter wrote", onGpu, () => {
  using x = bufferOf(new Float32Array(8));
  using y = bufferOf(new Float32Array(8));
  assert.equal(survives(program([x.object, y.object])), true);
  assert.equal(x.readSync(new Float32Array(1))[0], 2);
  assert.equal(y.readSync(new Float32Array(1), 16)[0], 2);
  assert.deepEqual([...y.readSync(new Uint8Array(4))], [7, 7, 7, 7]);
});

Deno.test("commit() refuses every program that is cut short", onGpu, () => {
  using x = bufferOf(new Float32Array(8));
  const bytes = program([x.object, x.object]);
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(survives(bytes.subarray(0, length)), false, `${length} bytes`);
  }
});

Deno.test("commit() survives any change of any word", onGpu, () => {
  using x = bufferOf(new Float32Array(8));
  using y = bufferOf(new Float32Array(8));
  const bytes = program([x.object, y.object]);
  const words = bytes.length >> 2;
  // The sizes of the dispatch only make it slow.
  const sizes = new Set(Array.from({ length: 6 }, (_, i) => 8 + 6 + i));
  let refused = 0;
  for (let word = 0; word < words; word++) {
    if (sizes.has(word)) continue;
    for (const value of [0, 1, 3, 31, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7ff8_0000]) {
      const changed = bytes.slice();
      new DataView(changed.buffer).setUint32(word * 4, value, true);
      if (!survives(changed)) refused++;
    }
  }
  assert.ok(refused > words, `${refused}`);
});

Deno.test("commit() refuses sizes that the kernel cannot have", onGpu, () => {
  using x = bufferOf(new Float32Array(8));
  const bytes = program([x.object, x.object]);
  for (
    const [word, value] of [[14, 0], [15, 0], [17, 0], [17, 1025], [18, 0xffff_ffff], [
      19,
      0x8000_0000,
    ]]
  ) {
    const changed = bytes.slice();
    new DataView(changed.buffer).setUint32(word! * 4, value!, true);
    assert.throws(() => commit(changed), RangeError, `word ${word}`);
  }
});

Deno.test("commit() refuses bytes at NULL", onGpu, () => {
  const out = new Uint32Array(1);
  assert.throws(
    () => invoke((call) => native().mf_gpu_commit(device().stream.object, null, 64, out, call)),
    RangeError,
  );
  using x = bufferOf(new Float32Array(8));
  assert.throws(
    () => invoke((call) => native().mf_gpu_write(x.object, 0, null, 4, call)),
    RangeError,
  );
});

Deno.test("mf_gpu_wait() takes any number as a time", onGpu, () => {
  using x = bufferOf(new Float32Array(8));
  using y = bufferOf(new Float32Array(8));
  const out = new Uint32Array(1);
  const bytes = program([x.object, y.object]);
  invoke((call) => native().mf_gpu_commit(device().stream.object, bytes, bytes.length, out, call));
  const times = new Float64Array(7);
  for (const seconds of [NaN, -1, -Infinity, 0, 1e-300, Infinity]) {
    invoke((call) => native().mf_gpu_wait(out[0]!, seconds, times, call));
  }
  assert.equal(times[0], 1);
  new Submission(adopt("command buffer", out[0]!)).waitSync();
});

Deno.test("commit() refuses handles of another kind", onGpu, () => {
  using x = bufferOf(new Float32Array(8));
  assert.throws(() => commit(program([x.object, device().object])), { name: "DisposedError" });
  assert.throws(() => commit(program([x.object, 0])), { name: "DisposedError" });
});
