/** Indexes of bits: exact search, lists and graphs; FAISS searches the same file. @module */

import {
  type IndexBinary,
  indexBinaryFactory,
  IndexBinaryIVF,
  Random,
  writeIndexBinary,
} from "../mod.ts";
import { compare, type Contender, manifold, repeat } from "../lib/profile/mod.ts";
import { type PeerSearch, plural } from "./peers.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";

const QUERIES = 1000;
/** Dimension of the vectors whose bits are taken. */
const FLOATS = 32;

interface Shape {
  factory: string;
  /** Bits. */
  d: number;
  n: number;
  /** What is set of the index before a search, by name. */
  params: { nprobe?: number; efSearch?: number };
}

function shapesOf({ quick }: Context): Shape[] {
  const n = quick ? 100_000 : 1_000_000;
  const [nlist, few] = quick ? [128, 20_000] : [512, 100_000];
  return [
    ...[128, 256, 512].map((d) => ({ factory: "BFlat", d, n, params: {} })),
    { factory: `BIVF${nlist}`, d: 256, n: few, params: { nprobe: 16 } },
    { factory: "BHNSW32", d: 256, n: few, params: { efSearch: 64 } },
  ];
}

/** Runs the suite. */
export async function* binarySuite(context: Context): AsyncGenerator<Row> {
  for (const shape of shapesOf(context)) {
    const { factory, d, n } = shape;
    const name = `${factory} ${short(n)}x${d}`;
    const cases = [1, 100, QUERIES].flatMap((nq) => [10, 100].map((k) => ({ nq, k })))
      .map((one) => ({ ...one, name: `${name} nq${one.nq} k${one.k}` }))
      .filter((one) => context.filter.test(one.name));
    if (cases.length === 0) continue;
    const isExact = factory === "BFlat";
    const all = isExact ? randomBits(n + QUERIES, d) : signBits(n + QUERIES, d);
    const [base, queries] = [all.subarray(0, n * d / 8), all.subarray(n * d / 8)];
    using index = indexBinaryFactory(d, factory);
    await index.train(base);
    await index.add(base);
    using flat = indexBinaryFactory(d, "BFlat");
    await flat.add(base);
    const { peers } = context;
    if (peers) {
      await writeIndexBinary(index, peers.path("index.faiss"));
      await peers.ask("binary", { name: "binary", path: peers.path("index.faiss") });
      await Deno.remove(peers.path("index.faiss"));
      await peers.share("queries", queries, d / 8);
    }
    for (const one of cases) yield await measureCase(context, shape, one, { index, flat, queries });
    await peers?.ask("free");
  }
}

async function measureCase(
  context: Context,
  { d, n, params }: Shape,
  { name, nq, k }: { name: string; nq: number; k: number },
  { index, flat, queries }: { index: IndexBinary; flat: IndexBinary; queries: Uint8Array },
): Promise<Row> {
  const { peers, threads } = context;
  const contenders: Contender[] = [ours(index, queries, nq, k, params)];
  const ways = threads > 1 ? [1, threads] : [1];
  const searches = ways.map((threads): PeerSearch => {
    const way = { name: `faiss, ${plural(threads)}`, engine: "faiss", threads } as const;
    return { way, index: "binary", queries: "queries", nq, k, ...params };
  });
  if (peers) contenders.push(...searches.map((search) => peers.contender(search)));
  const timings = await compare(contenders, context.measure);
  const part = queries.subarray(0, nq * d / 8);
  const truth = (await flat.search(part, k)).distances;
  const recall = (distances: ArrayLike<number>) => {
    return truth.filter((distance, i) => distances[i]! <= distance).length / truth.length;
  };
  const found = await index.search(part, k, params);
  const theirs = await peers?.ask<{ distances: number[] }>("result", { ...searches[0], count: nq });
  return toRow({
    suite: "binary",
    case: name,
    run: found.run,
    n,
    d,
    nq,
    k,
    params: { ...params, ...(index instanceof IndexBinaryIVF ? { nlist: index.nlist } : {}) },
    recall: recall(found.distances),
    ...(theirs ? { peerRecall: recall(theirs.distances) } : {}),
    timings,
  }, context.limits);
}

function ours(
  index: IndexBinary,
  queries: Uint8Array,
  nq: number,
  k: number,
  params: Shape["params"],
): Contender {
  let turn = 0;
  const next = () => {
    const at = turn++ % (QUERIES / nq) * nq * index.codeSize;
    return queries.subarray(at, at + nq * index.codeSize);
  };
  // FAISS is synchronous as well.
  const search = nq === 1
    ? () => index.searchSync(next(), k, params)
    : () => index.search(next(), k, params);
  return { name: OURS, run: repeat(search) };
}

/** Bits without structure: exact searches take the same time on any. */
function randomBits(n: number, d: number): Uint8Array {
  const random = new Random(1);
  const words = Uint32Array.from({ length: n * d / 32 }, () => random.uniform() * 2 ** 32);
  return new Uint8Array(words.buffer);
}

/** On which side of `d` random planes vectors of a manifold lie. */
function signBits(n: number, d: number): Uint8Array {
  const x = manifold(n, FLOATS, { intrinsic: 14, noise: 0.05 });
  const random = new Random(2);
  const planes = Float32Array.from({ length: d * FLOATS }, () => random.normal());
  const codes = new Uint8Array(n * d / 8);
  for (let row = 0; row < n; row++) {
    for (let bit = 0; bit < d; bit++) {
      let side = 0;
      for (let j = 0; j < FLOATS; j++) side += x[row * FLOATS + j]! * planes[bit * FLOATS + j]!;
      if (side > 0) codes[(row * d + bit) >> 3]! |= 1 << (bit & 7);
    }
  }
  return codes;
}
