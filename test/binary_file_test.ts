import assert from "node:assert/strict";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { FormatError } from "../lib/errors.ts";
import { IndexBinaryIVF } from "../lib/index/binary/ivf.ts";
import {
  deserializeIndex,
  deserializeIndexBinary,
  readIndexBinary,
  serializeIndexBinary,
  writeIndexBinary,
} from "../lib/io/mod.ts";
import { bytes as someBytes, everyBinaryKind, testBinary } from "./binary_kinds.ts";

// The one that strangers' files meet.
const backend = selectedBackend();
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const [kind, index] of await everyBinaryKind(backend)) {
  files.set(kind, await serializeIndexBinary(index));
  index.dispose();
}

testBinary(
  "readIndexBinary() returns every kind that writeIndexBinary() wrote",
  async (backend) => {
    const directory = await Deno.makeTempDir();
    const query = someBytes(6, 5);
    for (const [kind, index] of await everyBinaryKind(backend)) {
      const path = `${directory}/${kind}.faiss`;
      await writeIndexBinary(index, path);
      using same = await readIndexBinary(path, { backend });
      for (const name of ["constructor", "d", "codeSize", "ntotal", "isTrained"] as const) {
        assert.equal(same[name], index[name], `${kind}: ${name}`);
      }
      if (index instanceof IndexBinaryIVF) {
        assert.equal((same as IndexBinaryIVF).nprobe, index.nprobe);
      }
      if (index.isTrained) {
        const [found, expected] = [await same.search(query, 5), await index.search(query, 5)];
        // Hashes lay vectors out by bucket, in which order ties are.
        assert.deepEqual(found.distances, expected.distances, kind);
        if (!kind.includes("hash")) assert.deepEqual(found.labels, expected.labels, kind);
      }
      assert.deepEqual(await serializeIndexBinary(same), await Deno.readFile(path), kind);
      index.dispose();
    }
    await Deno.remove(directory, { recursive: true });
  },
);

Deno.test("an index of bits read from a file takes more vectors", async () => {
  for (const [kind, file] of files) {
    using index = await deserializeIndexBinary(file, { backend });
    if (!index.isTrained || kind.startsWith("map")) continue;
    const { ntotal } = index;
    const x = someBytes(3, 77);
    await index.add(x);
    assert.equal(index.ntotal, ntotal + 1, kind);
    const { distances } = await index.search(x, 1, { efSearch: 32 });
    assert.equal(distances[0], 0, kind);
  }
});

type Patch = (view: DataView) => void;

function forge(kind: string, ...patches: Patch[]): Uint8Array {
  const copy = files.get(kind)!.slice();
  for (const patch of patches) patch(new DataView(copy.buffer));
  return copy;
}
const i32 = (at: number, value: number): Patch => (view) => view.setInt32(at, value, true);
const u64 = (at: number, value: bigint): Patch => (view) => view.setBigUint64(at, value, true);
const u8 = (at: number, value: number): Patch => (view) => view.setUint8(at, value);

/** Reads the bytes: refused with a FormatError, or an index that can be used. */
async function readOrRefuse(file: Uint8Array, what: string): Promise<boolean> {
  try {
    using index = await deserializeIndexBinary(file, { backend });
    if (index.isTrained) {
      const { labels } = await index.search(someBytes(index.codeSize), 3);
      assert.equal(labels.length, 3, what);
    }
    return true;
  } catch (error) {
    assert(error instanceof FormatError, `${what}: ${error}`);
    assert.match(error.message, /^Cannot read the bytes: at byte \d+: .*[^.]$/, what);
    return false;
  }
}

Deno.test("deserializeIndexBinary() refuses every kind of file cut off at any byte", async () => {
  for (const [kind, file] of files) {
    for (let size = 0; size < file.length; size++) {
      const what = `${kind} cut to ${size} bytes`;
      assert(!await readOrRefuse(file.subarray(0, size), what), what);
    }
    const longer = new Uint8Array(file.length + 1);
    longer.set(file);
    assert(!await readOrRefuse(longer, kind), kind);
  }
});

Deno.test("deserializeIndexBinary() refuses or takes every file with any byte changed", async () => {
  let refused = 0;
  for (const [kind, file] of files) {
    for (let at = 0; at < file.length; at++) {
      for (const change of [0x01, 0x80, 0xff]) {
        const copy = file.slice();
        copy[at]! ^= change;
        if (!await readOrRefuse(copy, `${kind} with byte ${at} changed by ${change}`)) refused++;
      }
    }
  }
  assert(refused > 1000);
});

Deno.test("deserializeIndexBinary() refuses or takes every file with any 8 bytes of another size", async () => {
  let refused = 0;
  for (const [kind, file] of files) {
    for (let at = 0; at + 8 <= file.length; at++) {
      for (const value of [2n ** 62n, 2n ** 32n - 1n, 2n ** 31n, 10n ** 9n, 0n]) {
        const forged = forge(kind, u64(at, value));
        if (!await readOrRefuse(forged, `${kind} with ${value} at byte ${at}`)) refused++;
      }
    }
  }
  assert(refused > 3000);
});

Deno.test("deserializeIndexBinary() refuses or takes parts of files put together", async () => {
  const all = [...files.values()];
  for (const [i, one] of all.entries()) {
    for (const [j, other] of all.entries()) {
      const cut = (i * 31 + j * 17) % one.length;
      const rest = other.subarray((i * 13 + j * 29) % other.length);
      const spliced = new Uint8Array(cut + rest.length);
      spliced.set(one.subarray(0, cut));
      spliced.set(rest, cut);
      await readOrRefuse(spliced, `file ${i} to byte ${cut}, then ${j}`);
    }
  }
});

// Where things are in the files: of 24 bits, and mostly 12 vectors.
const [D, CODE_SIZE, NTOTAL, IS_TRAINED, METRIC, AFTER] = [4, 8, 12, 20, 21, 25];
const FLAT = AFTER + 8 + 36;

Deno.test("deserializeIndexBinary() names the byte and what is wrong with it", async () => {
  const huge = 2n ** 62n;
  const quantizer = AFTER + 16;
  const lists = quantizer + AFTER + 8 + 12 + 9;
  const multi = AFTER + FLAT;
  const cases: [what: string, file: Uint8Array, message: RegExp][] = [
    ["kind", forge("flat", u8(3, 0x5a)), /at byte 0: "IBxZ" is no kind of index of bits/],
    ["CAGRA", forge("graph", u8(3, 0x63)), /IBHc \(IndexBinaryHNSWCagra\) is not available yet/],
    ["d", forge("flat", i32(D, 20)), /at byte 4: the dimension is 20, not a multiple of 8/],
    ["d 0", forge("flat", i32(D, 0)), /the dimension is 0/],
    ["d huge", forge("flat", i32(D, 2 ** 30)), /the dimension is 1073741824/],
    ["code size", forge("flat", i32(CODE_SIZE, 4)), /codes of 24 bits have 4 bytes/],
    ["ntotal", forge("flat", u64(NTOTAL, 13n)), /36 bytes where 13 vectors of 3 are needed/],
    ["ntotal < 0", forge("flat", u64(NTOTAL, 2n ** 63n)), /the number of vectors is -/],
    ["ntotal huge", forge("flat", u64(NTOTAL, huge)), /the number of vectors is 4611/],
    ["trained", forge("flat", u8(IS_TRAINED, 0)), /without training is marked as not trained/],
    ["bool", forge("flat", u8(IS_TRAINED, 2)), /is_trained is 2, not 0 or 1/],
    ["metric", forge("flat", i32(METRIC, 0)), /an index of bits has metric 0/],
    ["length", forge("flat", u64(AFTER, huge)), /the vectors has 46\d+ items of 1 bytes/],
    ["nlist", forge("IVF", u64(AFTER, 0n)), /nlist is 0/],
    ["nlist more", forge("IVF", u64(AFTER, 5n)), /the quantizer has 4 centroids and nlist is 5/],
    ["nprobe", forge("IVF", u64(AFTER + 8, 0n)), /nprobe is 0/],
    ["quantizer", forge("IVF", u8(quantizer + 2, 0x77)), /a quantizer of kind "IBwF"/],
    ["lists", forge("IVF", u64(lists + 12, 4n)), /codes have 4 bytes and 3 are needed/],
    ["untrained", forge("IVF", u8(IS_TRAINED, 0)), /an untrained index has 12 vectors/],
    [
      "untrained lists",
      forge("IVF untrained", u64(AFTER, 2n ** 20n)),
      /0 vectors in 1048576 lists/,
    ],
    [
      "storage",
      forge("graph", u8(files.get("graph")!.length - FLAT + 2, 0x77)),
      /"IBwF", not in a/,
    ],
    ["stored", forge("graph", u64(files.get("graph")!.length - FLAT + 12, 11n)), /holds 11 of 24/],
    ["b", forge("hash", i32(AFTER, 0)), /the bits of a hash is 0, not 1 to 24/],
    ["b more", forge("hash", i32(AFTER, 25)), /the bits of a hash is 25, not 1 to 24/],
    ["nflip", forge("hash", i32(AFTER + 4, 6)), /nflip is 6, not 0 to 5/],
    ["nflip < 0", forge("hash", i32(AFTER + 4, -1)), /nflip is -1/],
    ["buckets", forge("hash", u64(AFTER + 8, 13n)), /12 vectors are in 13 buckets/],
    ["buckets huge", forge("hash", u64(AFTER + 8, huge)), /12 vectors are in 4611/],
    ["size bits", forge("hash", i32(AFTER + 16, 0)), /the bits of a size is 0, not 1 to 53/],
    ["bits", forge("hash", u64(AFTER + 20, 1n)), /takes 1 bytes where \d+ bits are needed/],
    ["hash ntotal", forge("hash", u64(NTOTAL, 10n ** 15n)), /the buckets needs \d+ bytes/],
    ["hash fewer", forge("hash", u64(NTOTAL, 11n)), /the buckets hold 12 vectors and the header/],
    ["multi b", forge("multihash", i32(multi, 65)), /the bits of a hash is 65, not 1 to 24/],
    ["nhash", forge("multihash", i32(multi + 4, 7)), /the number of hashes is 7, not 1 to 6/],
    ["nhash 0", forge("multihash", i32(multi + 4, 0)), /the number of hashes is 0/],
    ["id bits", forge("multihash", i32(multi + 12, 54)), /the bits of an id is 54/],
    ["multi buckets", forge("multihash", u64(multi + 16, 13n)), /12 vectors are in 13 buckets/],
    ["multi bits", forge("multihash", u64(multi + 24, 3n)), /take 3 bytes where \d+ bits/],
    ["map", forge("map", u64(NTOTAL, 11n)), /a map of 11 vectors of 24 bits holds an index of 12/],
    ["ids", forge("map", u64(AFTER + FLAT, 11n)), /11 ids for 12 vectors/],
    ["id", forge("map", u64(AFTER + FLAT + 16, 2n ** 63n)), /row 1 has id -/],
    [
      "floats",
      forge("floats", u64(NTOTAL, 11n)),
      /an index of 11 vectors of 24 bits holds one of 12/,
    ],
  ];
  for (const [what, file, message] of cases) {
    await assert.rejects(deserializeIndexBinary(file, { backend }), (error) => {
      assert(error instanceof FormatError, `${what}: ${error}`);
      assert.match(error.message, message, what);
      return true;
    });
  }
});

Deno.test("files of bits and of floats are told apart", async () => {
  await assert.rejects(
    deserializeIndex(files.get("flat")!, { backend }),
    /IBxF is an index of bits: readIndexBinary reads it/,
  );
  await assert.rejects(
    deserializeIndexBinary(new TextEncoder().encode("IxF2"), { backend }),
    /"IxF2" is no kind of index of bits/,
  );
});

Deno.test("deserializeIndexBinary() refuses a chain of 1,000 maps", async () => {
  // A map in a map has no place; one around floats around … has no end but a file's.
  const head = files.get("map")!.subarray(0, AFTER);
  const chain = new Uint8Array(1000 * head.length);
  for (let i = 0; i < 1000; i++) chain.set(head, i * head.length);
  assert(!await readOrRefuse(chain, "chain"));
});

Deno.test("files are the same on every backend", async () => {
  for (const [kind, index] of await everyBinaryKind(createReferenceBackend())) {
    if (!kind.includes("graph")) {
      assert.deepEqual(await serializeIndexBinary(index), files.get(kind), kind);
    }
    index.dispose();
  }
});
