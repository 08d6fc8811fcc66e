/**
 * The graphs of NSG and NNDescent indexes in files.
 *
 * @module
 */

import type { HNSWGraph } from "../backend/backend.ts";
import { MOST_LINKS } from "../index/graph.ts";
import type { IndexNNDescentFlat } from "../index/nn_descent.ts";
import type { IndexNSG, NSGBuild, NSGParameters } from "../index/nsg.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import type { Header } from "./faiss_reader.ts";

/** Words read or written at once. */
const CHUNK = 2 ** 16;
/** Memory that links may take: this many words, or so many times those of the file. */
const [FEW_WORDS, MOST_TIMES] = [2 ** 22, 64];
/** Ends a node's links. */
const END = -1;

/** Reads an integer that has to be within bounds. */
async function readNumber(
  reader: ByteReader,
  what: string,
  least: number,
  most = 2 ** 31 - 1,
): Promise<number> {
  const value = await reader.i32(what);
  if (value < least || value > most) {
    reader.fail(`${what} is ${value}, not ${least} to ${most}`, reader.offset - 4);
  }
  return value;
}

/** Throws where links would take far more memory than the file. */
function checkRoom(reader: ByteReader, n: number, links: number): void {
  reader.need(n * 4, "the links");
  if (n * links > FEW_WORDS && n * links * 4 > MOST_TIMES * reader.remaining) {
    reader.fail(`${n} nodes of ${links} links do not fit what remains of the file`);
  }
}

/** Reads the graph of an NSG index of `n` vectors, and how it is made. */
export async function readSpread(
  reader: ByteReader,
  n: number,
): Promise<{ R: number; nsg: Partial<NSGParameters>; build: NSGBuild; spread: HNSWGraph }> {
  const GK = await readNumber(reader, "GK", 1, MOST_LINKS);
  const buildType = await reader.u8("the kind of build");
  if (buildType > 1) reader.fail(`there is no build of kind ${buildType}`, reader.offset - 1);
  const build: NSGBuild = {
    GK,
    buildType: buildType as 0 | 1,
    S: await readNumber(reader, "nndescent_S", 1),
    R: await readNumber(reader, "nndescent_R", 0),
    L: await readNumber(reader, "nndescent_L", 1),
    iter: await readNumber(reader, "nndescent_iter", 1),
  };
  const at = reader.offset;
  const count = await reader.i32("the number of nodes");
  const R = await readNumber(reader, "R", 1, MOST_LINKS);
  const nsg = {
    L: await readNumber(reader, "L", 1),
    C: await readNumber(reader, "C", 1),
    searchL: await readNumber(reader, "search_L", 1),
  };
  const entryAt = reader.offset;
  const entry = await reader.i32("the entry point");
  const isBuilt = await reader.bool("whether the graph is built");
  if (isBuilt ? count !== n : n > 0) {
    reader.fail(`${n} vectors and a graph of ${isBuilt ? count : 0} nodes`, at);
  }
  if (n > 0 && (entry < 0 || entry >= n)) {
    reader.fail(`the entry point is ${entry} of ${n} nodes`, entryAt);
  }
  const links = n > 0 ? await readLists(reader, n, R) : new Int32Array();
  const spread = { levels: new Uint8Array(n), links, entry: n > 0 ? entry : -1 };
  return { R, nsg, build, spread };
}

/** Reads each node's links, which end with −1. */
async function readLists(reader: ByteReader, n: number, R: number): Promise<Int32Array> {
  checkRoom(reader, n, R);
  const links = new Int32Array(n * R).fill(END);
  let [node, used] = [0, 0];
  while (node < n) {
    const at = reader.offset;
    const words = Math.min(CHUNK, Math.floor(reader.remaining / 4));
    if (words === 0) reader.fail(`the links end with those of node ${node} of ${n}`);
    const chunk = new Int32Array(words);
    await reader.fillAt(at, chunk, "the links");
    let next = 0;
    for (; next < words && node < n; next++) {
      const other = chunk[next]!;
      if (other === END) {
        node++;
        used = 0;
        continue;
      }
      if (used === R) reader.fail(`node ${node} has more than ${R} links`, at + 4 * next);
      if (other < 0 || other >= n) {
        reader.fail(`node ${node} has a link to ${other} of ${n} nodes`, at + 4 * next);
      }
      links[node * R + used++] = other;
    }
    reader.offset = at + 4 * next;
  }
  return links;
}

/** Writes the graph of an NSG index as FAISS does. */
export async function writeSpread(writer: ByteWriter, index: IndexNSG): Promise<void> {
  const { ntotal, build, nsg } = index;
  const { R } = nsg;
  await writer.i32(build.GK);
  await writer.u8(build.buildType);
  for (const value of [build.S, build.R, build.L, build.iter]) await writer.i32(value);
  const graph = ntotal > 0 ? index.store.graph() : undefined;
  const fields = [ntotal, R, nsg.L, nsg.C, nsg.searchL, graph?.entry ?? END];
  for (const value of fields) await writer.i32(value);
  await writer.bool(graph !== undefined);
  if (graph === undefined) return;
  const nodes = Math.max(1, Math.floor(CHUNK / (R + 1)));
  const chunk = new Int32Array(nodes * (R + 1));
  for (let from = 0; from < ntotal; from += nodes) {
    let used = 0;
    for (let node = from; node < Math.min(from + nodes, ntotal); node++) {
      const row = graph.links.subarray(node * R, (node + 1) * R);
      for (let i = 0; i < R && row[i] !== END; i++) chunk[used++] = row[i]!;
      chunk[used++] = END;
    }
    await writer.bytes(chunk.subarray(0, used));
  }
}

/** Reads the graph of an NNDescent index, and how it is made. */
export async function readNeighbors(
  reader: ByteReader,
  { d, ntotal }: Header,
): Promise<
  { K: number; nndescent: Partial<IndexNNDescentFlat["nndescent"]>; neighbors: HNSWGraph }
> {
  const at = reader.offset;
  const count = await reader.i32("the number of nodes");
  const dimension = await reader.i32("the graph's dimension");
  if (dimension !== d) reader.fail(`the graph has dimension ${dimension}, the index ${d}`, at + 4);
  const K = await readNumber(reader, "K", 1, MOST_LINKS);
  const nndescent = {
    S: await readNumber(reader, "S", 1),
    R: await readNumber(reader, "R", 0),
    L: await readNumber(reader, "L", 1),
    iter: await readNumber(reader, "iter", 1),
    searchL: await readNumber(reader, "search_L", 0),
    randomSeed: await reader.i32("the seed"),
  };
  const isBuilt = await reader.bool("whether the graph is built");
  if (isBuilt ? count !== ntotal : ntotal > 0) {
    reader.fail(`${ntotal} vectors and a graph of ${isBuilt ? count : 0} nodes`, at);
  }
  const length = await reader.count("the links", 4);
  if (length !== ntotal * K) {
    reader.fail(`${length} links where ${ntotal * K} are needed`, reader.offset - 8);
  }
  const links = new Int32Array(length);
  const linksAt = reader.offset;
  await reader.fill(links, "the links");
  links.forEach((other, i) => {
    if (other < END || other >= ntotal) {
      reader.fail(`node ${Math.floor(i / K)} has a link to ${other}`, linksAt + 4 * i);
    }
  });
  const entry = ntotal > 0 ? 0 : -1;
  return { K, nndescent, neighbors: { levels: new Uint8Array(ntotal), links, entry } };
}

/** Writes the graph of an NNDescent index as FAISS does. */
export async function writeNeighbors(writer: ByteWriter, index: IndexNNDescentFlat): Promise<void> {
  const { d, K, ntotal, nndescent: { S, R, L, iter, searchL, randomSeed } } = index;
  const fields = [ntotal, d, K, S, R, L, iter, searchL, randomSeed];
  for (const value of fields) await writer.i32(value);
  await writer.bool(ntotal > 0);
  const links = ntotal > 0 ? index.store.graph().links : new Int32Array();
  // FAISS follows every link: where there are too few, the first is there again.
  for (let at = 0; at < links.length; at += K) {
    const first = links[at] === END ? at / K : links[at]!;
    for (let i = at; i < at + K; i++) if (links[i] === END) links[i] = first;
  }
  await writer.u64(links.length);
  await writer.bytes(links);
}
