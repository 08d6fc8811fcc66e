/** IndexFlat: exact search, plain and filtered. @module */

import { IDSelectorBitmap, IndexFlat, Metric } from "../mod.ts";
import { compare, type Contender, gaussian, repeat } from "../lib/profile/mod.ts";
import { faissWays, type PeerSearch, plural, type Way } from "./peers.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import { type Context, short } from "./suite.ts";
import { check, exactNeighbors, type Sample } from "./truth.ts";

/** Queries whose results are checked against double precision. */
const CHECKED = 8;

interface Case {
  name: string;
  metric: "L2" | "IP";
  nq: number;
  k: number;
  /** Share of the rows that a bitmap selects. */
  selected?: number;
}

/** Every case of one base. */
function casesOf(n: number, d: number, context: Context): Case[] {
  const cases: Case[] = [];
  const shape = `${short(n)}x${d}`;
  for (const metric of ["L2", "IP"] as const) {
    for (const nq of context.quick ? [1, 16, 256] : [1, 16, 256, 4096]) {
      for (const k of context.quick ? [10] : [10, 100]) {
        cases.push({ name: `${metric} ${shape} nq${nq} k${k}`, metric, nq, k });
      }
    }
    if (d !== 128) continue;
    for (const selected of [0.5, 0.01]) {
      const name = `${metric} ${shape} nq256 k10 bitmap${selected * 100}%`;
      cases.push({ name, metric, nq: 256, k: 10, selected });
    }
  }
  return cases.filter(({ name }) => context.filter.test(name));
}

/** Runs the suite. */
export async function* flatSuite(context: Context): AsyncGenerator<Row> {
  const shapes = context.quick
    ? [[10_000, 64], [20_000, 128]] as const
    : [[100_000, 64], [100_000, 128], [100_000, 768], [1_000_000, 128]] as const;
  for (const [n, d] of shapes) {
    const cases = casesOf(n, d, context);
    if (cases.length === 0) continue;
    const base = gaussian(n, d, 1);
    // Single queries go through 256 different ones, as users' do.
    const queries = gaussian(Math.max(256, ...cases.map((c) => c.nq)), d, 2);
    await context.peers?.share("base", base, d);
    await context.peers?.share("queries", queries, d);
    for (const metric of ["L2", "IP"] as const) {
      const chosen = cases.filter((c) => c.metric === metric);
      if (chosen.length === 0) continue;
      using index = new IndexFlat(d, metric === "L2" ? Metric.L2 : Metric.InnerProduct);
      await index.add(base);
      await context.peers?.ask("flat", { name: "flat", base: "base", metric });
      // hnswlib copies the base one row at a time.
      const small = context.hnswlib && n * d <= 2e7;
      if (small) {
        await context.peers?.ask("brute_force", { name: "hnswlib", base: "base", metric });
      }
      for (const one of chosen) yield await measureCase(context, index, one, base, queries, small);
    }
    await context.peers?.ask("free");
  }
}

async function measureCase(
  context: Context,
  index: IndexFlat,
  { name, metric, nq, k, selected }: Case,
  base: Float32Array,
  queries: Float32Array,
  small: boolean,
): Promise<Row> {
  const { d, ntotal: n } = index;
  const { peers, threads } = context;
  const bits = selected === undefined ? undefined : bitmap(n, selected);
  const how = bits ? { filter: new IDSelectorBitmap(bits) } : {};
  if (bits) await peers?.share("bitmap", bits);
  const contenders: Contender[] = [ours(index, queries, nq, k, how)];
  const searches: PeerSearch[] = [];
  if (peers) {
    const plain = bits === undefined;
    const ways = faissWays(threads, nq, d, plain);
    if (plain && nq <= 16) ways.push(...others(threads, small));
    for (const way of ways) {
      searches.push({
        way,
        index: way.engine === "hnswlib" ? "hnswlib" : "flat",
        base: "base",
        metric,
        queries: "queries",
        nq,
        k,
        ...(bits ? { bitmap: "bitmap" } : {}),
      });
    }
    contenders.push(...searches.map((search) => peers.contender(search)));
  }
  const timings = await compare(contenders, context.measure);

  const count = Math.min(CHECKED, nq);
  const sample: Sample = {
    base,
    queries: queries.subarray(0, count * d),
    d,
    metric: metric === "L2" ? Metric.L2 : Metric.InnerProduct,
  };
  const accept = bits && ((row: number) => (bits[row >> 3]! >> (row & 7) & 1) === 1);
  const truth = exactNeighbors(sample, k, accept);
  const found = await index.search(queries.subarray(0, nq * d), k, how);
  const theirs = peers && await peers.ask<{ distances: number[]; labels: number[] }>("result", {
    ...searches[Math.min(1, searches.length - 1)],
    count,
  });
  const pairs = (bits ? selected! : 1) * n * nq;
  return toRow({
    suite: "flat",
    case: name,
    run: found.run,
    n,
    d,
    nq,
    k,
    params: { metric, ...(selected === undefined ? {} : { selected }) },
    ...check(sample, truth, found, k, accept),
    ...(theirs ? { peerRecall: check(sample, truth, theirs, k, accept).recall } : {}),
    timings,
    flops: 2 * d * pairs,
    bytes: (bits ? selected! : 1) * n * d * 4,
  }, context.limits);
}

/** FAISS is synchronous as well, so one query is compared with our synchronous search. */
function ours(
  index: IndexFlat,
  queries: Float32Array,
  nq: number,
  k: number,
  how: { filter?: IDSelectorBitmap },
): Contender {
  const { d } = index;
  const batches = Math.floor(queries.length / d / nq);
  let turn = 0;
  const next = () => {
    const at = turn++ % batches * nq * d;
    return queries.subarray(at, at + nq * d);
  };
  const search = nq === 1
    ? () => index.searchSync(next(), k, how)
    : () => index.search(next(), k, how);
  return { name: OURS, run: repeat(search) };
}

/** Exact searches of other libraries: shown, but not the rival. */
function others(threads: number, small: boolean): Way[] {
  const ways: Way[] = [
    { name: `usearch exact, ${plural(threads)}`, engine: "usearch", threads },
    { name: `hnswlib brute force, ${plural(threads)}`, engine: "hnswlib", threads },
  ];
  return small ? ways : ways.slice(0, 1);
}

/** A bitmap of `n` bits of which a share is set, spread evenly at random. */
function bitmap(n: number, share: number): Uint8Array {
  const bits = new Uint8Array(Math.ceil(n / 8));
  let state = 12_345;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    if (state < share * 2 ** 32) bits[i >> 3]! |= 1 << (i & 7);
  }
  return bits;
}
