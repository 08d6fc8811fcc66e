import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { FormatError } from "../lib/errors.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { graphKinds } from "./graph_kinds.ts";

// Cut off, flipped and lengthened they are read in hostile_file_test.ts.
const backend = createReferenceBackend();
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const [kind, index] of await graphKinds(backend)) {
  files.set(kind, await serializeIndex(index));
  index.dispose();
}

// Where things are in the files of test/graph_kinds.ts: of an index, of an NSG, of an NNDescent.
const [D, NTOTAL, IS_TRAINED, METRIC] = [4, 8, 32, 33];
const NSG = { GK: 37, build: 41, S: 42, iter: 54, n: 58, R: 62, L: 66, C: 70, list: 74 };
const [ENTRY, BUILT, LISTS] = [78, 82, 83];
const [NODES, DIMENSION, K, SEARCH_L, NN_BUILT, COUNT, LINKS] = [37, 41, 45, 65, 73, 74, 82];

type Patch = (view: DataView) => void;
const i32 = (at: number, value: number): Patch => (view) => view.setInt32(at, value, true);
const u64 = (at: number, value: bigint): Patch => (view) => view.setBigUint64(at, value, true);
const u8 = (at: number, value: number): Patch => (view) => view.setUint8(at, value);

/** A copy of a file with some values replaced. */
function forge(kind: string, ...patches: Patch[]): Uint8Array {
  const bytes = files.get(kind)!.slice();
  for (const patch of patches) patch(new DataView(bytes.buffer));
  return bytes;
}

/** Where a text is. */
function find(kind: string, text: string): number {
  const bytes = files.get(kind)!;
  const wanted = new TextEncoder().encode(text);
  const at = bytes.findIndex((_, i) => i > 0 && wanted.every((byte, j) => bytes[i + j] === byte));
  assert(at > 0, `${kind} has a ${text}`);
  return at;
}

async function assertRefused(what: string, bytes: Uint8Array, message: RegExp): Promise<void> {
  await assert.rejects(deserializeIndex(bytes, { backend }), (error) => {
    assert(error instanceof FormatError, `${what}: ${error}`);
    assert.match(error.message, message, what);
    return true;
  });
}

Deno.test("deserializeIndex() refuses graphs whose fields contradict each other", async () => {
  const codes = find("graph SQ6", "IxSQ");
  const product = find("graph PQ3x3", "IxPq");
  const vectors = find("graph NSG", "IxF2");
  const cases: [string, Uint8Array, RegExp][] = [
    ["GK 0", forge("graph NSG", i32(NSG.GK, 0)), /GK is 0, not 1 to 1024/],
    ["build", forge("graph NSG", u8(NSG.build, 2)), /no build of kind 2/],
    ["S", forge("graph NSG", i32(NSG.S, -1)), /nndescent_S is -1/],
    ["iter", forge("graph NSG", i32(NSG.iter, 0)), /nndescent_iter is 0/],
    ["nodes", forge("graph NSG", i32(NSG.n, 11)), /12 vectors and a graph of 11 nodes/],
    ["R 0", forge("graph NSG", i32(NSG.R, 0)), /R is 0, not 1 to 1024/],
    ["R 1025", forge("graph NSG", i32(NSG.R, 1025)), /R is 1025, not 1 to 1024/],
    ["R 1", forge("graph NSG", i32(NSG.R, 1)), /node \d+ has more than 1 links/],
    ["L", forge("graph NSG", i32(NSG.L, 0)), /L is 0/],
    ["C", forge("graph NSG", i32(NSG.C, -5)), /C is -5/],
    ["search_L", forge("graph NSG", i32(NSG.list, 0)), /search_L is 0/],
    ["entry = ntotal", forge("graph NSG", i32(ENTRY, 12)), /entry point is 12 of 12 nodes/],
    ["entry -1", forge("graph NSG", i32(ENTRY, -1)), /entry point is -1 of 12 nodes/],
    ["not built", forge("graph NSG", u8(BUILT, 0)), /12 vectors and a graph of 0 nodes/],
    ["built 2", forge("graph NSG", u8(BUILT, 2)), /whether the graph is built is 2/],
    ["link = ntotal", forge("graph NSG", i32(LISTS, 12)), /node 0 has a link to 12 of 12/],
    ["link -2", forge("graph NSG", i32(LISTS, -2)), /node 0 has a link to -2 of 12/],
    ["no end", forge("graph NSG").subarray(0, LISTS + 8), /needs 48 bytes and 8 remain/],
    ["untrained", forge("graph NSG", u8(IS_TRAINED, 0)), /12 vectors is marked as not trained/],
    ["vectors", forge("graph NSG", u8(vectors + 2, 0x48)), /INSf has its vectors in "IxH2"/],
    ["codes", forge("graph SQ6", u8(codes + 3, 0x52)), /IHNs has its vectors in "IxSR"/],
    ["metric of codes", forge("graph SQ6", i32(METRIC, 0)), /has 12 vectors of 3 \(metric 1\)/],
    ["d of codes", forge("graph SQ6", i32(D, 4)), /a graph of 12 vectors of 4 .* of 3 \(metric/],
    ["codes' rows", forge("graph SQ6", u64(codes + 8, 11n)), /36 bytes where 11 codes of 3/],
    ["trained", forge("graph PQ3x3", u8(product + 32, 0)), /an untrained index has 12 vectors/],
    ["untrained rows", forge("graph PQ3x3", u8(IS_TRAINED, 0)), /marked as not trained/],
    ["half trained", forge("graph PQ untrained", u8(IS_TRAINED, 1)), /has 0 vectors of 3/],
    ["nodes", forge("graph NNDescent", i32(NODES, 11)), /12 vectors and a graph of 11 nodes/],
    ["d", forge("graph NNDescent", i32(DIMENSION, 4)), /graph has dimension 4, the index 3/],
    ["K 0", forge("graph NNDescent", i32(K, 0)), /K is 0, not 1 to 1024/],
    ["K 5", forge("graph NNDescent", i32(K, 5)), /48 links where 60 are needed/],
    ["search_L", forge("graph NNDescent", i32(SEARCH_L, -1)), /search_L is -1/],
    ["not built", forge("graph NNDescent", u8(NN_BUILT, 0)), /12 vectors and a graph of 0/],
    ["links", forge("graph NNDescent", u64(COUNT, 47n)), /47 links where 48 are needed/],
    ["link = ntotal", forge("graph NNDescent", i32(LINKS, 12)), /node 0 has a link to 12/],
    ["link -2", forge("graph NNDescent", i32(LINKS + 20, -2)), /node 1 has a link to -2/],
    ["empty", forge("graph NSG empty", u8(BUILT + 4, 1), i32(NSG.n + 4, 3)), /0 vectors and a/],
  ];
  for (const [what, bytes, message] of cases) await assertRefused(what, bytes, message);
});

Deno.test("deserializeIndex() takes no memory for what graphs claim to hold", async () => {
  const before = Deno.memoryUsage().rss;
  for (const n of [2n ** 31n - 1n, 2n ** 31n, 2n ** 52n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n]) {
    for (const kind of files.keys()) {
      await assertRefused(`${kind} of ${n}`, forge(kind, u64(NTOTAL, n)), /./);
    }
    await assertRefused(`${n} links`, forge("graph NNDescent", u64(COUNT, n)), /the links has/);
    const nodes = Number(n % 2n ** 31n);
    const both = forge("graph NSG", u64(NTOTAL, BigInt(nodes)), i32(NSG.n, nodes));
    await assertRefused(`${nodes} nodes`, both, /./);
  }
  // Many nodes without links, each of which would have room for the most.
  const nodes = 2 ** 20;
  const head = forge("graph NSG", u64(NTOTAL, BigInt(nodes)), i32(NSG.n, nodes), i32(NSG.R, 1024));
  const bytes = new Uint8Array(LISTS + 4 * nodes).fill(0xff);
  bytes.set(head.subarray(0, LISTS));
  await assertRefused("room", bytes, /1048576 nodes of 1024 links do not fit/);
  assert(Deno.memoryUsage().rss - before < 128 * 2 ** 20);
});
