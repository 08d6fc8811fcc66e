/**
 * The graphs of HNSW indexes in files.
 *
 * @module
 */

import type { GraphPlaces, HNSWGraph } from "../backend/backend.ts";
import type { HNSWParameters } from "../index/hnsw.ts";
import { cumulativeLinks, levelProbabilities } from "../index/hnsw_levels.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";

/** The graph of no vectors. */
const EMPTY: HNSWGraph = { levels: new Uint8Array(), links: new Int32Array(), entry: -1 };
/** Links a level, and levels: more than any graph needs. */
const [MOST_LINKS, MOST_LEVELS] = [1024, 64];
/** Items held at once while sizes that follow from others are written or checked. */
const CHUNK = 2 ** 16;

/** Reads the graph of `n` nodes. Every link is checked: it leads to a node that has its level. */
export async function readGraph(
  reader: ByteReader,
  n: number,
): Promise<{ graph: HNSWGraph; hnsw: Partial<HNSWParameters> & { M: number } }> {
  const probabilities = await reader.count("the level probabilities", 8);
  reader.offset += 8 * probabilities;
  const { M, most } = await readSizes(reader);
  const levels = await readLevels(reader, n, most);
  const words = await skipOffsets(reader, levels, M);
  const links = await readLinks(reader, levels, M, words);
  const entryAt = reader.offset;
  const { entry, top, ...parameters } = await readEnd(reader, n);
  const highest = levels.reduce((most, level) => Math.max(most, level), n === 0 ? -1 : 0);
  if (top !== highest || n > 0 && levels[entry] !== top) {
    reader.fail(
      `the highest level is ${top}, that of all nodes ${highest} and that of the entry ` +
        `${levels[entry]}`,
      entryAt,
    );
  }
  return { graph: { levels, links, entry }, hnsw: { M, ...parameters } };
}

/**
 * Passes over the graph of `n` nodes, at least one, which stays in the file: arrays have the lengths
 * that they need, and searches check the links that they take.
 */
export async function skipGraph(
  reader: ByteReader,
  n: number,
): Promise<{ places: Omit<GraphPlaces, "rows">; hnsw: Partial<HNSWParameters> & { M: number } }> {
  const probabilities = await reader.count("the level probabilities", 8);
  reader.offset += 8 * probabilities;
  const { M, most } = await readSizes(reader);
  const levels = await skipArray(reader, "the levels", 4, n);
  const offsets = await skipArray(reader, "the offsets", 8, n + 1);
  const ends = new BigUint64Array(2);
  await reader.fillAt(offsets, ends.subarray(0, 1), "the offsets");
  await reader.fillAt(offsets + 8 * n, ends.subarray(1), "the offsets");
  const words = await reader.count("the links", 4);
  if (ends[0] !== 0n || ends[1] !== BigInt(words)) {
    reader.fail(`${words} links, and offsets of them from ${ends[0]} to ${ends[1]}`, offsets);
  }
  const links = reader.offset;
  reader.offset += 4 * words;
  const entryAt = reader.offset;
  const { entry, top, ...parameters } = await readEnd(reader, n);
  const held = new Int32Array(1);
  await reader.fillAt(levels + 4 * entry, held, "the levels");
  if (top < 0 || top >= most || held[0] !== top + 1) {
    reader.fail(`the highest level is ${top} of ${most}, and the entry is on ${held[0]}`, entryAt);
  }
  return {
    places: { n, levels, offsets, links, words, entry, top },
    hnsw: { M, ...parameters },
  };
}

/** Where an array starts that has to have `n` items. */
async function skipArray(
  reader: ByteReader,
  what: string,
  itemBytes: number,
  n: number,
): Promise<number> {
  const length = await reader.count(what, itemBytes);
  if (length !== n) reader.fail(`${what} are ${length}, not ${n}`, reader.offset - 8);
  const at = reader.offset;
  reader.offset += itemBytes * n;
  return at;
}

/** What follows the links. */
async function readEnd(reader: ByteReader, n: number) {
  const at = reader.offset;
  const entry = await reader.i32("the entry point");
  const top = await reader.i32("the highest level");
  if (n === 0 ? entry !== -1 : entry < 0 || entry >= n) {
    reader.fail(`the entry point is ${entry} of ${n} nodes`, at);
  }
  const efConstruction = await readEf(reader, "efConstruction");
  const efSearch = await readEf(reader, "efSearch");
  await reader.i32("upper_beam");
  return { entry, top, efConstruction, efSearch };
}

async function readEf(reader: ByteReader, what: string): Promise<number> {
  const ef = await reader.i32(what);
  if (ef < 1) reader.fail(`${what} is ${ef}`, reader.offset - 4);
  return ef;
}

/** The number of links up to each level: 0, 2M, 3M … */
async function readSizes(reader: ByteReader): Promise<{ M: number; most: number }> {
  const at = reader.offset;
  const length = await reader.count("the links a level", 4);
  if (length < 2 || length > MOST_LEVELS) reader.fail(`${length} numbers of links`, at);
  const sizes = new Int32Array(length);
  await reader.fill(sizes, "the links a level");
  const M = Math.floor(sizes[1]! / 2);
  if (M < 2 || M > MOST_LINKS) reader.fail(`M is ${M}, not 2 to ${MOST_LINKS}`, at + 12);
  const expected = cumulativeLinks(M, length - 1);
  if (sizes.some((size, i) => size !== expected[i])) {
    reader.fail(`levels have [${sizes}] links, not [${expected}]`, at + 8);
  }
  return { M, most: length - 1 };
}

async function readLevels(reader: ByteReader, n: number, most: number): Promise<Uint8Array> {
  const length = await reader.count("the levels", 4);
  if (length !== n) reader.fail(`${length} levels of ${n} nodes`, reader.offset - 8);
  const at = reader.offset;
  const levels = new Uint8Array(n);
  const chunk = new Int32Array(Math.min(CHUNK, n));
  for (let from = 0; from < n; from += CHUNK) {
    const part = chunk.subarray(0, Math.min(CHUNK, n - from));
    await reader.fill(part, "the levels");
    part.forEach((count, i) => {
      if (count < 1 || count > most) {
        reader.fail(`node ${from + i} is on ${count} levels of ${most}`, at + 4 * (from + i));
      }
      levels[from + i] = count - 1;
    });
  }
  return levels;
}

/** Reads where each node's links start, which follows from the levels. Returns how many there are. */
async function skipOffsets(reader: ByteReader, levels: Uint8Array, M: number): Promise<number> {
  const n = levels.length;
  const length = await reader.count("the offsets", 8);
  if (length !== n + 1) reader.fail(`${length} offsets of ${n} nodes`, reader.offset - 8);
  const at = reader.offset;
  const chunk = new BigUint64Array(Math.min(CHUNK, n + 1));
  let expected = 0;
  for (let from = 0; from <= n; from += CHUNK) {
    const part = chunk.subarray(0, Math.min(CHUNK, n + 1 - from));
    await reader.fill(part, "the offsets");
    part.forEach((offset, i) => {
      if (offset !== BigInt(expected)) {
        reader.fail(
          `links of node ${from + i} are at ${offset}, not ${expected}`,
          at + 8 * (from + i),
        );
      }
      if (from + i < n) expected += M * (levels[from + i]! + 2);
    });
  }
  return expected;
}

async function readLinks(
  reader: ByteReader,
  levels: Uint8Array,
  M: number,
  words: number,
): Promise<Int32Array> {
  const length = await reader.count("the links", 4);
  if (length !== words) reader.fail(`${length} links where ${words} are needed`, reader.offset - 8);
  const at = reader.offset;
  const links = new Int32Array(words);
  await reader.fill(links, "the links");
  let next = 0;
  levels.forEach((top, node) => {
    for (let level = 0; level <= top; level++) {
      const end = next + (level === 0 ? 2 * M : M);
      for (; next < end; next++) {
        const other = links[next]!;
        if (other === -1) continue;
        if (other < 0 || other >= levels.length || levels[other]! < level) {
          reader.fail(`node ${node} has a link to ${other} on level ${level}`, at + 4 * next);
        }
      }
    }
  });
  return links;
}

/** Writes the graph of an index as FAISS does. */
export async function writeGraph(
  writer: ByteWriter,
  index: {
    ntotal: number;
    hnsw: Pick<HNSWParameters, "M" | "efConstruction" | "efSearch">;
    store: { graph(): HNSWGraph };
  },
): Promise<void> {
  const { M, efConstruction, efSearch } = index.hnsw;
  const { levels, links, entry } = index.ntotal > 0 ? index.store.graph() : EMPTY;
  const probabilities = Float64Array.from(levelProbabilities(M));
  await writer.u64(probabilities.length);
  await writer.bytes(probabilities);
  // A graph that came from elsewhere may be higher.
  const highest = levels.reduce((most, level) => Math.max(most, level), -1);
  const sizes = Int32Array.from(cumulativeLinks(M, Math.max(probabilities.length, highest + 1)));
  await writer.u64(sizes.length);
  await writer.bytes(sizes);
  await writer.u64(levels.length);
  await writer.bytes(Int32Array.from(levels, (level) => level + 1));
  const offsets = new BigUint64Array(levels.length + 1);
  levels.forEach((level, i) => offsets[i + 1] = offsets[i]! + BigInt(M * (level + 2)));
  await writer.u64(offsets.length);
  await writer.bytes(offsets);
  await writer.u64(links.length);
  await writer.bytes(links);
  await writer.i32(entry);
  await writer.i32(highest);
  await writer.i32(efConstruction);
  await writer.i32(efSearch);
  await writer.i32(1);
}
