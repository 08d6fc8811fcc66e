import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { FormatError } from "../lib/errors.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexPreTransform } from "../lib/index/pre_transform.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { HadamardRotation } from "../lib/transform/hadamard.ts";
import { compositeKinds } from "./composite_kinds.ts";

const backend = createReferenceBackend();
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const [kind, index] of await compositeKinds(backend)) {
  files.set(kind, await serializeIndex(index));
  index.dispose();
}

// Of an index around others: where its header's fields are, and what follows it.
const D = 4;
const NTOTAL = 8;
const IS_TRAINED = 32;
const METRIC = 33;
const COUNT = 37;

type Patch = (view: DataView, at: (code: string) => number) => void;

/** A copy of a file with some values replaced; places are counted from four characters. */
function forge(kind: string, ...patches: Patch[]): Uint8Array {
  const bytes = files.get(kind)!.slice();
  const text = new TextDecoder("latin1").decode(bytes);
  const at = (code: string) => {
    const found = text.indexOf(code);
    assert(found >= 0, `${kind} has no ${code}`);
    return found;
  };
  for (const patch of patches) patch(new DataView(bytes.buffer), at);
  return bytes;
}
const i32 = (code: string, offset: number, value: number): Patch => (view, at) =>
  view.setInt32(at(code) + offset, value, true);
const f32 = (code: string, offset: number, value: number): Patch => (view, at) =>
  view.setFloat32(at(code) + offset, value, true);
const u64 = (code: string, offset: number, value: bigint): Patch => (view, at) =>
  view.setBigUint64(at(code) + offset, value, true);
const u8 = (code: string, offset: number, value: number): Patch => (view, at) =>
  view.setUint8(at(code) + offset, value);

async function assertRefused(what: string, bytes: Uint8Array, message: RegExp): Promise<void> {
  await assert.rejects(deserializeIndex(bytes, { backend }), (error) => {
    assert(error instanceof FormatError, `${what}: ${error}`);
    assert.match(error.message, message, what);
    return true;
  });
}

Deno.test("deserializeIndex() refuses transforms whose fields contradict each other", async () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["chain", forge("PCA", i32("IxPT", COUNT, -1)), /there are -1 transforms/],
    ["long chain", forge("PCA", i32("IxPT", COUNT, 65)), /there are 65 transforms, not 0 to 64/],
    ["outer d", forge("PCA", i32("IxPT", D, 4)), /transform 0 takes 3 numbers where 4 come/],
    ["fewer", forge("lengths", i32("IxPT", COUNT, 1)), /"VNrm" is no kind of index/],
    ["ntotal", forge("PCA", u64("IxPT", NTOTAL, 11n)), /header's ntotal is 11, and the parts' 12/],
    ["trained", forge("PCA", u8("IxPT", IS_TRAINED, 0)), /header's isTrained is false/],
    ["metric", forge("PCA", i32("IxPT", METRIC, 0)), /header's metric is 0, and the parts' 1/],
    ["kind", forge("PCA", u8("Pcam", 0, 0x51)), /"Qcam" is no kind of transform/],
    ["bool", forge("PCA", u8("Pcam", 12, 2)), /random_rotation is 2, not 0 or 1/],
    ["bins", forge("PCA", i32("Pcam", 13, 3)), /dOut 2 is no multiple of balancedBins 3/],
    ["bins", forge("PCA", i32("Pcam", 13, -1)), /balancedBins -1/],
    ["both", forge("PCA", i32("Pcam", 13, 2), u8("Pcam", 12, 1)), /rotation would undo/],
    ["power", forge("PCA", f32("Pcam", 4, NaN)), /eigenPower NaN/],
    ["mean", forge("PCA", f32("Pcam", 29, Infinity)), /number 1 of the mean holds Infinity/],
    ["matrix", forge("PCA", f32("Pcam", 114, NaN)), /number 1 of the matrix holds NaN/],
    ["d in", forge("PCA", i32("Pcam", 150, 2)), /the matrix of a transform has 6 numbers, not 4/],
    ["d out", forge("PCA", i32("Pcam", 154, 4)), /has 6 numbers, not 12/],
    ["no bias", forge("PCA", u8("Pcam", 101, 0)), /the bias of a transform has 2 numbers, not 0/],
    ["untrained", forge("PCA", u8("Pcam", 158, 0)), /has 6 numbers, not 0/],
    ["no d", forge("PCA", i32("Pcam", 150, 0)), /a transform has dimension 0/],
    ["huge d", forge("PCA", i32("Pcam", 150, 2 ** 20 + 1)), /has dimension 1048577/],
    ["map", forge("remapped", i32("RmDT", 16, 3)), /entry 1 is 3, no integer from -1 to 2/],
    ["map", forge("remapped", i32("RmDT", 16, -2)), /entry 1 is -2/],
    [
      "map's d",
      forge("remapped", i32("RmDT", 32, 5)),
      /the map of a transform has 4 numbers, not 5/,
    ],
    ["norm", forge("lengths", f32("VNrm", 4, 1)), /norm 1 is not 2/],
    ["norm's d", forge("lengths", i32("VNrm", 12, 4)), /makes 4 of 3 numbers/],
    ["no norm", forge("lengths", u8("VNrm", 16, 0)), /without training is not trained/],
    ["mean's d", forge("lengths", i32("VCnt", 24, 2), i32("VCnt", 28, 2)), /has 3 numbers, not 2/],
    ["Hadamard", forge("rotations", i32("HRot", 12, 4)), /Hadamard rotation makes 4 of 2/],
    ["order", forge("rotations", i32("HRot", 8, 1), i32("HRot", 12, 1)), /takes 1 numbers where 2/],
    ["ITQ's parts", forge("ITQ", u8("Viqm", 0, 0x57)), /"Wiqm" is no kind of transform/],
    ["ITQ's steps", forge("ITQ", i32("Viqm", 4, -1)), /maxIter -1/],
    ["ITQ's mean", forge("ITQ", u64("Viqt", 4, 2n)), /no kind of transform|is \d+, not 0 or 1/],
  ];
  for (const [what, bytes, message] of cases) await assertRefused(what, bytes, message);
});

Deno.test("deserializeIndex() refuses refinements whose parts do not fit", async () => {
  const length = files.get("refined")!.length;
  const cases: [string, Uint8Array, RegExp][] = [
    ["factor", forge("refined", f32("IxRF", length - 4, 0.5)), /k_factor is 0.5, not 1 to 1000/],
    ["factor", forge("refined", f32("IxRF", length - 4, NaN)), /k_factor is NaN/],
    ["factor", forge("refined", f32("IxRF", length - 4, 1001)), /k_factor is 1001/],
    ["d", forge("refined", i32("IxRF", D, 4)), /header's d is 4, and the parts' 3/],
    ["positions", forge("refined", u64("IxRF", NTOTAL, 11n)), /has id 11/],
    ["metric", forge("refined", i32("IxRF", METRIC, 0)), /header's metric is 0/],
    [
      "sizes",
      // The base has 12 vectors; in place of the second a file with none.
      joined(
        files.get("refined")!.subarray(0, length - 4 - 45 - 12 * 3 * 4),
        files.get("untrained chain")!.subarray(-45),
        files.get("refined")!.subarray(-4),
      ),
      /candidates are of 12 vectors of 3 \(metric 1\), and compared are 0 of 2/,
    ],
  ];
  for (const [what, bytes, message] of cases) await assertRefused(what, bytes, message);
});

function joined(...parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

Deno.test("deserializeIndex() refuses 1,000 nested indexes, and reads some", async () => {
  const flat = new IndexFlatL2(4, { backend });
  using empty = new IndexPreTransform([], flat);
  const bytes = await serializeIndex(empty);
  const header = bytes.subarray(0, 41);
  const refine = joined(new TextEncoder().encode("IxRF"), header.subarray(4, 37));
  for (const part of [header, refine]) {
    for (const depth of [1000, 100_000]) {
      const nested = joined(...Array.from({ length: depth }, () => part), bytes);
      await assertRefused(`${depth}`, nested, /more than 32 indexes lie inside one another/);
    }
  }
  const some = joined(...Array.from({ length: 30 }, () => header), bytes);
  (await deserializeIndex(some, { backend })).dispose();
  await assertRefused("33", joined(header, some), /more than 32 indexes/);
  flat.dispose();
});

Deno.test("deserializeIndex() takes no memory for what transforms claim to hold", async () => {
  const cases: [string, Uint8Array][] = [];
  for (const n of [2n ** 31n, 2n ** 61n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n]) {
    cases.push(
      [`a mean of ${n}`, forge("PCA", u64("Pcam", 17, n))],
      [`components of ${n}`, forge("PCA", u64("Pcam", 57, n))],
      [`a matrix of ${n}`, forge("PCA", u64("Pcam", 102, n))],
      [`a map of ${n}`, forge("remapped", u64("RmDT", 4, n))],
      [`a mean of ${n}`, forge("ITQ", u64("Viqt", 4, n))],
    );
  }
  // Rotations of 2^20 numbers, each in 17 bytes: no signs are made while reading.
  const d = 2 ** 20;
  const flat = new IndexFlatL2(d, { backend });
  const chain = Array.from({ length: 64 }, () => new HadamardRotation(d));
  using index = new IndexPreTransform(chain, flat);
  const bytes = await serializeIndex(index);
  const before = Deno.memoryUsage().rss;
  for (const [what, bytes] of cases) await assertRefused(what, bytes, /items of 4 bytes/);
  (await deserializeIndex(bytes, { backend })).dispose();
  const growth = Deno.memoryUsage().rss - before;
  assert(growth < 64 * 2 ** 20, `memory grew by ${growth} bytes`);
  flat.dispose();
});
