import assert from "node:assert/strict";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { FormatError } from "../lib/errors.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { numbers } from "./indexes.ts";
import { signKinds } from "./sign_kinds.ts";

const backend = selectedBackend();
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const [kind, index] of await signKinds(backend)) {
  files.set(kind, await serializeIndex(index));
  index.dispose();
}

// After the header: of flat ones the quantizer, the codes, the center, and the bits of a query.
const QUANTIZER = 37;
// Of lists: a flat quantizer of 4 rows of 3 numbers, and no direct map.
const LISTED = 53 + 45 + 4 * 12 + 9;

type Patch = (view: DataView) => void;
const u64 = (at: number, value: bigint): Patch => (view) => view.setBigUint64(at, value, true);
const i32 = (at: number, value: number): Patch => (view) => view.setInt32(at, value, true);
const u8 = (at: number, value: number): Patch => (view) => view.setUint8(at, value);
const f32 = (at: number, value: number): Patch => (view) => view.setFloat32(at, value, true);

/** The file of a kind with something else in it. */
function forge(kind: string, ...patches: Patch[]): Uint8Array {
  const bytes = files.get(kind)!.slice();
  for (const patch of patches) patch(new DataView(bytes.buffer));
  return bytes;
}

const codes1 = QUANTIZER + 20;
const center1 = codes1 + 8 + 12 * 9;
const codes4 = QUANTIZER + 28;

const forged: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ["another dimension", forge("RaBitQ1", u64(QUANTIZER, 4n)), /dimension 4 and the index 3/],
  ["a vast dimension", forge("RaBitQ4", u64(QUANTIZER, 2n ** 63n)), /and the index 3/],
  ["another code size", forge("RaBitQ1", u64(QUANTIZER + 8, 10n)), /10 bytes and 9 are needed/],
  ["another metric", forge("RaBitQ1", i32(QUANTIZER + 16, 0)), /metric 0, not 1/],
  ["a metric without codes", forge("RaBitQ1", i32(33, 2)), /byte \d+: /],
  ["no bits", forge("RaBitQ4", u64(QUANTIZER + 20, 0n)), /0 bits, not 1 to 9/],
  ["ten bits", forge("RaBitQ4", u64(QUANTIZER + 20, 10n)), /10 bits, not 1 to 9/],
  ["other bits", forge("RaBitQ4", u64(QUANTIZER + 20, 8n)), /bytes and \d+ are needed/],
  ["fewer codes", forge("RaBitQ1", u64(8, 11n)), /108 bytes where 11 codes of 9 are needed/],
  ["more codes than bytes", forge("RaBitQ1", u64(codes1, 2n ** 60n)), /bytes remain/],
  ["codes past the center", forge("RaBitQ4", u64(codes4, 2n ** 61n)), /bytes remain/],
  ["a short center", forge("RaBitQ1", u64(center1, 2n)), /a center of 2 numbers/],
  ["a center of infinity", forge("RaBitQ1", f32(center1 + 8, Infinity)), /the center holds Inf/],
  ["nine bits of queries", forge("RaBitQ1", u8(center1 + 8 + 12, 9)), /9 bits, not 0 to 8/],
  ["lists of another code size", forge("IVF RaBitQ1", u64(LISTED + 20, 12n)), /12 bytes and 9/],
  ["codes about nothing", forge("IVF RaBitQ1", u8(LISTED + 28, 0)), /about no centroids/],
  ["lists and nine bits", forge("IVF RaBitQ1", u8(LISTED + 29, 9)), /9 bits, not 0 to 8/],
  ["codes without a center", forge("RaBitQ2 untrained", u8(32, 1)), /a center of 0 numbers/],
];

Deno.test("forged files of signs are refused, naming what is wrong", async () => {
  for (const [what, bytes, message] of forged) {
    await assert.rejects(deserializeIndex(bytes, { backend }), (error: Error) => {
      assert(error instanceof FormatError, `${what}: ${error}`);
      assert.match(error.message, message, what);
      return true;
    }, what);
  }
});

Deno.test("any numbers in the factors of codes are searched", async () => {
  for (const kind of ["RaBitQ1", "RaBitQ4", "IVF RaBitQ1", "IVF RaBitQ4"]) {
    const bytes = files.get(kind)!.slice();
    const start = kind.startsWith("IVF") ? LISTED + 60 : codes1 + 8;
    const end = kind.startsWith("IVF") ? bytes.length - 12 * 8 : bytes.length - 32;
    for (const byte of [0x7f, 0xff, 0x80]) {
      const forged = bytes.slice();
      // Not the sizes of lists: codes are at the end of the file, in front of ids.
      for (let i = Math.max(start, end - 20); i < end; i++) forged[i] = byte;
      let index;
      try {
        index = await deserializeIndex(forged, { backend });
      } catch (error) {
        assert(error instanceof FormatError, `${error}`);
        continue;
      }
      const found = await index.search(numbers(6), 20);
      assert(found.distances.every((distance) => !Number.isNaN(distance)), kind);
      index.dispose();
    }
  }
});
