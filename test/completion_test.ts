import assert from "node:assert/strict";
import { DeviceError } from "../lib/errors.ts";
import {
  afterEval,
  metalKernel,
  onStreamComplete,
  packParamsF32,
  packParamsUint32,
  type Pending,
  requireGpu,
  type Stream,
  Tensor,
} from "../lib/kernel/mod.ts";
import { device, onGpu } from "./gpu.ts";

/** The error that a callback got, once it was called. */
function evaluated(arrays: readonly Pending[]): Promise<Error | undefined> {
  return new Promise((resolve) => afterEval(arrays, resolve));
}

function completed(stream: Stream): Promise<Error | undefined> {
  return new Promise((resolve) => onStreamComplete(stream, resolve));
}

Deno.test({
  name: "afterEval calls back when arrays have their values, and not before it returns",
  ...onGpu,
  async fn() {
    using x = Tensor.zeros([4096], "uint8", device());
    device().stream.commands().fill(x.buffer, 0, 4096, 7).commit();
    let returned = false;
    const wait = new Promise<void>((resolve, reject) => {
      afterEval([x], (error) => error || !returned ? reject(error) : resolve());
    });
    returned = true;
    await wait;
    assert.ok(x.dataSync<Uint8Array>().every((value) => value === 7));
    assert.equal(await evaluated([]), undefined);
  },
});

Deno.test({
  name: "afterEval waits for command buffers of other streams and for kernels",
  ...onGpu,
  async fn() {
    using stream = device().createStream();
    using event = device().createEvent();
    using x = Tensor.zeros([16], "uint8", device());
    const held = stream.commands().wait(event, 1).fill(x.buffer, 0, 16, 9).commit();
    let done = false;
    const wait = evaluated([held, x]).then((error) => {
      done = true;
      return error;
    });
    // Everything else is done by now, and this one is not.
    assert.equal(await completed(device().stream), undefined);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(done, false);
    event.value = 1;
    assert.equal(await wait, undefined);
    assert.deepEqual([...x.dataSync<Uint8Array>()], new Array(16).fill(9));

    const broken = metalKernel({
      name: "broken",
      inputNames: ["x"],
      outputNames: ["out"],
      source: "out[0] = nothing;",
    });
    const call = broken({
      inputs: [x],
      grid: [1, 1, 1],
      threadgroup: [1, 1, 1],
      outputShapes: [[1]],
      outputDtypes: ["uint8"],
    });
    assert.match(String(await evaluated([call, x])), /nothing/);
  },
});

Deno.test({
  name: "onStreamComplete is of its own stream only",
  ...onGpu,
  async fn() {
    using busy = device().createStream();
    using free = device().createStream();
    using event = device().createEvent();
    using buffer = device().createBuffer(16);
    busy.commands().wait(event, 1).fill(buffer, 0, 16, 1).commit();
    let done = false;
    const wait = completed(busy).then(() => done = true);
    await completed(free);
    assert.equal(done, false);
    event.value = 1;
    await wait;
  },
});

Deno.test("parameters are packed, or refused by their place", () => {
  assert.deepEqual(packParamsUint32(1, true, 2 ** 32 - 1), Uint32Array.of(1, 1, 2 ** 32 - 1));
  for (const bad of [-1, 2 ** 32, 1.5, NaN]) {
    assert.throws(() => packParamsUint32(3, bad), (error: Error) => {
      assert.ok(error instanceof RangeError);
      assert.match(error.message, /number 1, /);
      return true;
    });
  }
  assert.deepEqual(packParamsF32(0.1, NaN, -Infinity), Float32Array.of(0.1, NaN, -Infinity));
  assert.throws(() => packParamsF32(1, 2, 1e39), /number 2, 1e\+39, is no float32/);
});

Deno.test({
  name: "requireGpu gives the device, or says what needs one",
  ...onGpu,
  fn() {
    assert.equal(requireGpu("test", device().engine), device());
    assert.throws(() => requireGpu("train the model", "cuda:99"), (error: Error) => {
      assert.ok(error instanceof DeviceError, `${error}`);
      assert.match(error.message, /^Cannot train the model: it needs a GPU\. /);
      return true;
    });
  },
});
