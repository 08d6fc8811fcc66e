import assert from "node:assert/strict";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { FormatError } from "../lib/errors.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { fastScanKinds } from "./fast_scan_kinds.ts";

// The one that strangers' files meet.
const backend = selectedBackend();
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const [kind, index] of await fastScanKinds(backend)) {
  files.set(kind, await serializeIndex(index));
  index.dispose();
}

const IS_TRAINED = 32;
const METRIC = 33;
// Of the flat one: its quantizer, and after 48 centroids what is special to it.
const NBITS = 37 + 16;
const FIELDS = 37 + 32 + 4 * 48;
const [BBS, QBS, HELD, PARTS, CODES] = [4, 8, 12, 20, 28].map((at) => FIELDS + at) as [
  number,
  number,
  number,
  number,
  number,
];
// Of the one with lists, after a quantizer of 4 rows of 3, and no direct map.
const RESIDUAL = 53 + 45 + 48 + 9;
const SIZE = RESIDUAL + 1;
const LIST_FIELDS = SIZE + 8;
const LISTS = LIST_FIELDS + 4 + 8 + 4 + 8 + 32 + 4 * 48;
const FIRST = LISTS + 36;

type Patch = (view: DataView) => void;

function forge(kind: string, ...patches: Patch[]): Uint8Array {
  const bytes = files.get(kind)!.slice();
  for (const patch of patches) patch(new DataView(bytes.buffer));
  return bytes;
}
const i32 = (at: number, value: number): Patch => (view) => view.setInt32(at, value, true);
const u64 = (at: number, value: bigint): Patch => (view) => view.setBigUint64(at, value, true);
const u8 = (at: number, value: number): Patch => (view) => view.setUint8(at, value);

const FLAT = "PQ3x4fs";
const IVF = "IVF PQ1x4fsr_64";
const huge = 2n ** 60n;

const cases: [string, Uint8Array, RegExp][] = [
  [
    "bits",
    forge(FLAT, u64(NBITS, 3n), u64(NBITS + 8, 24n)),
    /have 3 bits, and a fast scan is of 4/,
  ],
  ["no codes in a block", forge(FLAT, i32(BBS, 0)), /blocks have 0 codes/],
  ["33 codes in a block", forge(FLAT, i32(BBS, 33)), /blocks have 33 codes/],
  ["many codes in a block", forge(FLAT, i32(BBS, 2 ** 30)), /blocks have 1073741824 codes/],
  ["other blocks", forge(FLAT, i32(BBS, 64)), /blocks hold 32 codes, and 64 are needed/],
  ["groups", forge(FLAT, i32(QBS, -1)), /groups of queries are -1/],
  ["codes held", forge(FLAT, u64(HELD, 64n)), /blocks hold 64 codes, and 32 are needed/],
  ["parts", forge(FLAT, u64(PARTS, 3n)), /codes in blocks have 3 parts, not 4/],
  ["few bytes", forge(FLAT, u64(CODES, 63n)), /63 bytes where blocks of 12 codes have 64/],
  ["many bytes", forge(FLAT, u64(CODES, huge)), /has 1152921504606846976 items/],
  ["untrained", forge(FLAT, u8(IS_TRAINED, 0)), /an untrained index has 12 vectors/],
  ["a metric of no codes", forge(FLAT, i32(METRIC, 2)), /compared by L1/],
  ["many vectors", forge(FLAT, u64(8, 2n ** 50n)), /blocks hold 32 codes, and 1125899906842624/],
  ["by_residual", forge(IVF, u8(RESIDUAL, 2)), /by_residual is 2, not 0 or 1/],
  ["code size", forge(IVF, u64(SIZE, 2n)), /codes have 2 bytes and 1 are needed/],
  ["blocks", forge(IVF, i32(LIST_FIELDS, 31)), /blocks have 31 codes/],
  ["parts of lists", forge(IVF, u64(LIST_FIELDS + 4, 1n)), /have 1 parts, not 2/],
  ["groups of lists", forge(IVF, u64(LIST_FIELDS + 16, huge)), /groups of queries are 11529/],
  [
    "kind of lists",
    forge(IVF, i32(LISTS, 0x72616c69)),
    /"ilar" is no kind of lists of codes in bl/,
  ],
  ["no lists", forge(IVF, i32(LISTS, 0x30306c69)), /there are no lists and the header says 12/],
  [
    "nlist",
    forge(IVF, u64(LISTS + 4, huge)),
    /1152921504606846976 inverted lists where nlist is 4/,
  ],
  ["size in lists", forge(IVF, u64(LISTS + 12, 3n)), /codes have 3 bytes and 1 are needed/],
  ["other bbs", forge(IVF, u64(LISTS + 20, 32n)), /lists have 32 codes and those of the index 64/],
  ["block bytes", forge(IVF, u64(LISTS + 28, huge)), /11529\d+ bytes and 64 are needed/],
  ["ids of a list", forge(IVF, u64(FIRST, huge)), /ids of list 0 has 1152921504606846976 items/],
  [
    "fewer ids",
    forge(IVF, u64(FIRST, 0n)),
    /ids of list 1 has 64 items of 8 bytes/,
  ],
  ["an id", forge(IVF, u64(FIRST + 8, 2n ** 63n)), /row 0 of list 0 has id -9223372036854775808/],
];

for (const [what, bytes, message] of cases) {
  Deno.test(`deserializeIndex() refuses a fast scan's file with other ${what}`, async () => {
    await assert.rejects(deserializeIndex(bytes, { backend }), (error) => {
      assert(error instanceof FormatError, `${error}`);
      assert.match(error.message, /^Cannot read the bytes: at byte \d+: /);
      assert.match(error.message, message);
      return true;
    });
  });
}
