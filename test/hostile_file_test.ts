import assert from "node:assert/strict";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { FormatError } from "../lib/errors.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { everyKind, numbers } from "./indexes.ts";

// The one that strangers' files meet.
const backend = selectedBackend();
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const [kind, index] of await everyKind(backend)) {
  files.set(kind, await serializeIndex(index));
  index.dispose();
}

// Where things are in the files of test/indexes.ts.
const D = 4;
const NTOTAL = 8;
const IS_TRAINED = 32;
const METRIC = 33;
const FLAT_COUNT = 37;
const NLIST = 37;
const NPROBE = 45;
const QUANTIZER = 53;
const QUANTIZER_ROWS = 12;
const DIRECT_MAP = QUANTIZER + 45 + 4 * QUANTIZER_ROWS;
const LISTS = DIRECT_MAP + 9;
const SIZES = LISTS + 32;
// Of a graph of 12 nodes with M = 2: 29 levels are likely enough.
const GRAPH_SIZES = 37 + 8 + 8 * 29;
const GRAPH_LEVELS = GRAPH_SIZES + 8 + 4 * 30;
const GRAPH_OFFSETS = GRAPH_LEVELS + 8 + 4 * 12;
const GRAPH_LINKS = GRAPH_OFFSETS + 8 + 8 * 13;
// Of the sparse one, whose quantizer has 5 rows.
const SPARSE = QUANTIZER + 45 + 4 * 15 + 9 + 32;

// Of product quantizers: d, M, nbits and the number of centroids of a flat index, and its codes.
const PRODUCT = 37;
const CODES = PRODUCT + 32 + 4 * 8 * 3;
// Of flat scalar-quantized ones.
const QTYPE = 37;
const RANGE = 41;
const SQ_D = 49;
const CODE_SIZE = 57;
const TRAINED = 65;
// Of the one with lists, after ranges of 3 dimensions: its second code size, and by_residual.
const SQ_LISTS = DIRECT_MAP + 9 + 36 + 24;

type Patch = (view: DataView) => void;

/** A copy of a file with some values replaced. */
function forge(kind: string, ...patches: Patch[]): Uint8Array {
  const bytes = files.get(kind)!.slice();
  for (const patch of patches) patch(new DataView(bytes.buffer));
  return bytes;
}
const i32 = (at: number, value: number): Patch => (view) => view.setInt32(at, value, true);
const u64 = (at: number, value: bigint): Patch => (view) => view.setBigUint64(at, value, true);
const u8 = (at: number, value: number): Patch => (view) => view.setUint8(at, value);

/** Reads the bytes: refused with a FormatError, or an index that can be used. */
async function readOrRefuse(bytes: Uint8Array, what: string): Promise<boolean> {
  try {
    using index = await deserializeIndex(bytes, { backend });
    if (index.isTrained) {
      const { labels } = await index.search(numbers(index.d), 3);
      assert.equal(labels.length, 3, what);
    }
    return true;
  } catch (error) {
    // Numbers of a matrix may be anything: what they make of a query may be too large.
    if (error instanceof RangeError && /out of the range of float32$/.test(error.message)) {
      return true;
    }
    assert(error instanceof FormatError, `${what}: ${error}`);
    assert.match(error.message, /^Cannot read the bytes: at byte \d+: .*[^.]$/, what);
    return false;
  }
}

Deno.test("deserializeIndex() refuses every kind of file cut off at any byte", async () => {
  for (const [kind, bytes] of files) {
    for (let size = 0; size < bytes.length; size++) {
      const what = `${kind} cut to ${size} bytes`;
      assert(!await readOrRefuse(bytes.subarray(0, size), what), what);
    }
  }
});

Deno.test("deserializeIndex() refuses bytes after the end", async () => {
  for (const [kind, bytes] of files) {
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    assert(!await readOrRefuse(longer, kind), kind);
  }
});

Deno.test("deserializeIndex() refuses or survives any flipped bit", async () => {
  for (const [kind, bytes] of files) {
    let read = 0;
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      if (await readOrRefuse(flipped, `${kind} with bit ${bit} flipped`)) read++;
    }
    // Vectors and ids differ by a bit without harm; most of a header does not.
    assert(read < 8 * bytes.length - 100, `${kind}: ${read} read`);
  }
});

Deno.test("deserializeIndex() refuses claims of size without taking memory for them", async () => {
  const huge = [2n ** 60n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];
  const cases: [string, Uint8Array][] = [];
  for (const n of huge) {
    cases.push([`${n} vectors`, forge("flat L2", u64(NTOTAL, n))]);
    cases.push([`${n} numbers`, forge("flat L2", u64(FLAT_COUNT, n))]);
    cases.push([`${n} of both`, forge("flat L2", u64(NTOTAL, n), u64(FLAT_COUNT, n * 3n))]);
    cases.push([`${n} vectors in lists`, forge("IVF full", u64(NTOTAL, n))]);
    cases.push([`${n} lists`, forge("IVF full", u64(NLIST, n))]);
    cases.push([`${n} lists untrained`, forge("IVF untrained", u64(NLIST, n))]);
    cases.push([`a list of ${n}`, forge("IVF full", u64(SIZES, n))]);
    cases.push([`${n} list sizes`, forge("IVF full", u64(SIZES - 8, n))]);
    cases.push([`a code of ${n} bytes`, forge("IVF full", u64(LISTS + 12, n))]);
    cases.push([`${n} codes`, forge("SQ6", u64(NTOTAL, n))]);
    cases.push([`${n} bytes of codes`, forge("SQ6", u64(TRAINED + 8 + 24, n))]);
    cases.push([`${n} ranges`, forge("SQ6", u64(TRAINED, n))]);
    cases.push([`a code of ${n} bytes in a quantizer`, forge("SQ6", u64(CODE_SIZE, n))]);
    cases.push([`a quantizer of ${n}`, forge("SQ6", u64(SQ_D, n))]);
    cases.push([`codes of ${n} bytes in lists`, forge("IVF SQ8", u64(SQ_LISTS, n))]);
    cases.push([`${n} direct map entries`, forge("IVF full", u64(DIRECT_MAP + 1, n))]);
    cases.push([`${n} nodes`, forge("graph", u64(NTOTAL, n))]);
    cases.push([`${n} probabilities`, forge("graph", u64(37, n))]);
    cases.push([`${n} levels`, forge("graph", u64(GRAPH_LEVELS, n))]);
    cases.push([`${n} nodes with levels`, forge("graph", u64(NTOTAL, n), u64(GRAPH_LEVELS, n))]);
    cases.push([`${n} offsets`, forge("graph", u64(GRAPH_OFFSETS, n))]);
    cases.push([`${n} links`, forge("graph", u64(GRAPH_LINKS, n))]);
  }
  for (const d of [0, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 20 + 1]) {
    for (const kind of files.keys()) cases.push([`${kind} with d ${d}`, forge(kind, i32(D, d))]);
  }
  cases.push(
    ["2^20 × 2^42", forge("flat empty", i32(D, 2 ** 20), u64(NTOTAL, 2n ** 42n))],
    ["2^18 + 1 lists", forge("IVF untrained", u64(NLIST, 2n ** 18n + 1n))],
    ["sizes that wrap", forge("IVF full", u64(SIZES, 2n ** 64n - 1n), u64(SIZES + 8, 13n))],
  );
  const header = files.get("map")!.subarray(0, 37);
  const nested = new Uint8Array(100_000 * header.length);
  for (let at = 0; at < nested.length; at += header.length) nested.set(header, at);
  cases.push(["100,000 nested maps", nested]);

  const before = Deno.memoryUsage().rss;
  for (const [what, bytes] of cases) assert(!await readOrRefuse(bytes, what), what);
  const growth = Deno.memoryUsage().rss - before;
  assert(growth < 64 * 2 ** 20, `memory grew by ${growth} bytes`);
});

Deno.test("deserializeIndex() refuses fields that contradict each other", async () => {
  const map = files.get("map")!.length;
  const ofIVF = files.get("map2 of IVF")!;
  // The last bytes of the wrapped index are ids, just before the map's length.
  const inner = ofIVF.length - 12 * 8 - 8;
  const graph = new DataView(files.get("graph")!.buffer);
  const graphEnd = GRAPH_LINKS + 8 + 4 * Number(graph.getBigUint64(GRAPH_LINKS, true));
  const levels = Array.from(
    { length: 12 },
    (_, i) => graph.getInt32(GRAPH_LEVELS + 8 + 4 * i, true),
  );
  const ground = levels.indexOf(1);
  assert(ground >= 0 && Math.max(...levels) > 1, "there are levels to confuse");
  const cases: [string, Uint8Array, RegExp][] = [
    ["not canonical", forge("flat L2", u8(IS_TRAINED, 2)), /is_trained is 2, not 0 or 1/],
    ["untrained flat", forge("flat L2", u8(IS_TRAINED, 0)), /marked as not trained/],
    ["unknown metric", forge("flat Lp", i32(METRIC, 5)), /metric 5 is not available/],
    ["Gower", forge("flat Lp", i32(METRIC, 25)), /metric 25 is not available/],
    ["IxF2 of IP", forge("flat L2", i32(METRIC, 0)), /IxF2 has metric 0/],
    ["p = 0", forge("flat Lp", i32(METRIC + 4, 0)), /metric's argument is 0/],
    ["p = NaN", forge("flat Lp", i32(METRIC + 4, 0x7fc00000)), /metric's argument is NaN/],
    ["one vector less", forge("flat L2", u64(NTOTAL, 11n)), /36 numbers where 11 vectors of 3/],
    ["nprobe 0", forge("IVF full", u64(NPROBE, 0n)), /nprobe is 0/],
    ["nlist 0", forge("IVF full", u64(NLIST, 0n)), /nlist is 0/],
    ["nlist 5", forge("IVF full", u64(NLIST, 5n)), /4 centroids and nlist is 5/],
    ["other d", forge("IVF full", i32(D, 4)), /quantizer has dimension 3 and the index 4/],
    ["untrained", forge("IVF full", u8(IS_TRAINED, 0)), /an untrained index has 12 vectors/],
    ["quantizer", forge("IVF full", u8(QUANTIZER + 2, 0x48)), /"IxH2" is no kind of index/],
    ["direct map", forge("IVF full", u8(DIRECT_MAP, 3)), /direct map has type 3/],
    ["lists", forge("IVF full", u64(LISTS + 4, 3n)), /3 inverted lists where nlist is 4/],
    ["codes", forge("IVF full", u64(LISTS + 12, 16n)), /codes have 16 bytes and 12 are needed/],
    ["sizes", forge("IVF full", u64(SIZES, 1n), u64(SIZES + 8, 1n)), /inverted lists hold \d+ vec/],
    ["sparse list", forge("IVF sparse", u64(SPARSE, 5n)), /list 5 where nlist is 5/],
    [
      "sparse size",
      forge("IVF sparse", u64(SPARSE + 8, 2n)),
      /list \d of 2 vectors where all are 1/,
    ],
    ["product's d", forge("PQ3x3", u64(PRODUCT, 4n)), /has dimension 4 and the index 3/],
    ["product's M", forge("PQ3x3", u64(PRODUCT + 8, 2n)), /dimension 3 is not divisible by M 2/],
    ["no parts", forge("PQ3x3", u64(PRODUCT + 8, 0n)), /dimension 3 is not divisible by M 0/],
    ["no bits", forge("PQ3x3", u64(PRODUCT + 16, 0n)), /have 0 bits, not 1 to 16/],
    ["many bits", forge("PQ3x3", u64(PRODUCT + 16, 24n)), /have 24 bits, not 1 to 16/],
    ["other bits", forge("PQ3x3", u64(PRODUCT + 16, 4n)), /24 numbers of centroids where 48/],
    ["centroids", forge("PQ3x3", u64(PRODUCT + 24, 23n)), /23 numbers of centroids where 24/],
    ["NaN in them", forge("PQ3x3", i32(PRODUCT + 36, 0x7fc00000)), /centroid 1 holds NaN/],
    ["few codes", forge("PQ3x3", u64(CODES, 23n)), /23 bytes where 12 codes of 2 are needed/],
    ["untrained codes", forge("PQ3x3", u8(IS_TRAINED, 0)), /an untrained index has 12 vectors/],
    ["a metric of no codes", forge("PQ3x3", i32(METRIC, 2)), /compared by L1/],
    [
      "a search of codes with codes",
      forge("PQ3x3", i32(CODES + 8 + 24, 3)),
      /a search of kind 3 is not available/,
    ],
    [
      "code size",
      forge("IVF PQ1x2", u64(LISTS + 1, 3n)),
      /codes have 3 bytes and 1 are needed/,
    ],
    ["id of a map", forge("map", u64(map - 8, 2n ** 63n)), /row 11 has id -9223372036854775808/],
    ["map length", forge("map", u64(map - 12 * 8 - 8, 11n)), /11 ids for 12 vectors/],
    ["position", forge("map2 of IVF", u64(inner - 8, 12n)), /has id 12/],
    ["type", forge("SQ6", i32(QTYPE, 27)), /no scalar quantizer of type 27/],
    ["later type", forge("SQ6", i32(QTYPE, 20)), /type 20 \(EDEN\) is not available/],
    ["other type", forge("SQ6", i32(QTYPE, 4)), /codes have 3 bytes and 6 are needed/],
    ["range", forge("SQ6", i32(RANGE, 4)), /range is of kind 4/],
    ["range's argument", forge("SQ6", i32(RANGE + 4, 0x7f800000)), /range is Infinity/],
    ["quantizer's d", forge("SQ6", u64(SQ_D, 4n)), /quantizer has dimension 4 and the index 3/],
    ["code size", forge("SQ6", u64(CODE_SIZE, 4n)), /codes have 4 bytes and 3 are needed/],
    ["ranges", forge("SQ6", u64(TRAINED, 4n)), /4 numbers of ranges where 6 are needed/],
    ["NaN in ranges", forge("SQ6", i32(TRAINED + 8, 0x7fc00000)), /range number 0 holds NaN/],
    ["untrained codes", forge("SQ6", u8(IS_TRAINED, 0)), /an untrained index has 12 vectors/],
    ["codes by L1", forge("SQ6", i32(METRIC, 2)), /codes are compared by L1/],
    ["lists' code size", forge("IVF SQ8", u64(SQ_LISTS, 4n)), /codes have 4 bytes, unlike/],
    ["by_residual", forge("IVF SQ8", u8(SQ_LISTS + 8, 2)), /by_residual is 2, not 0 or 1/],
    ["M 1", forge("graph", i32(GRAPH_SIZES + 12, 2)), /M is 1, not 2 to 1024/],
    ["M 3", forge("graph", i32(GRAPH_SIZES + 12, 6)), /levels have \[0,6,6,8.*links, not \[0,6,9/],
    ["no level", forge("graph", i32(GRAPH_LEVELS + 12, 0)), /node 1 is on 0 levels of 29/],
    ["too high", forge("graph", i32(GRAPH_LEVELS + 12, 30)), /node 1 is on 30 levels of 29/],
    ["higher", forge("graph", i32(GRAPH_LEVELS + 8, 29)), /links of node 1 are at \d+, not 60/],
    ["offset", forge("graph", u64(GRAPH_OFFSETS + 8, 4n)), /links of node 0 are at 4, not 0/],
    ["link to 12", forge("graph", i32(GRAPH_LINKS + 8, 12)), /node 0 has a link to 12 on level 0/],
    ["link to -2", forge("graph", i32(GRAPH_LINKS + 8, -2)), /node 0 has a link to -2 on level 0/],
    ["entry", forge("graph", i32(graphEnd, 12)), /the entry point is 12 of 12 nodes/],
    ["entry -1", forge("graph", i32(graphEnd, -1)), /the entry point is -1 of 12 nodes/],
    ["top", forge("graph", i32(graphEnd + 4, 28)), /the highest level is 28, that of all nodes/],
    ["low entry", forge("graph", i32(graphEnd, ground)), /that of the entry 0$/],
    ["efConstruction", forge("graph", i32(graphEnd + 8, 0)), /efConstruction is 0/],
    ["efSearch", forge("graph", i32(graphEnd + 12, -5)), /efSearch is -5/],
    ["storage", forge("graph", u8(graphEnd + 20, 0x4a)), /has its vectors in "JxF2"/],
    [
      "storage's rows",
      forge("graph", u64(graphEnd + 28, 11n), u64(graphEnd + 57, 33n)),
      /a graph of 12 vectors of 3 \(metric 1\) has 11/,
    ],
    ["walked", forge("IVF graph", i32(QUANTIZER + D, 2)), /a graph of 4 vectors of 2/],
    ["map's d", forge("map", i32(D, 4)), /a map of 12 vectors of 4/],
  ];
  for (const [what, bytes, message] of cases) {
    await assert.rejects(deserializeIndex(bytes, { backend }), (error) => {
      assert(error instanceof FormatError, what);
      assert.match(error.message, message, what);
      return true;
    });
  }
});
