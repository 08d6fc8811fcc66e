import { MersenneTwister } from "../../transform/faiss_random.ts";
import type { GraphPlan, HNSWOptions } from "../backend.ts";
import { byKey, type Candidate, type Graph } from "./hnsw_graph.ts";
import type { Rows } from "./rows.ts";
import type { Steps } from "./steps.ts";

/** Links back that a node gets at once. */
const BATCH = 256;
/** The seed of FAISS's NSG searches. */
const SEED = 0x1234;

/** Where FAISS's searches of the same graph start; undefined for those from the entry down. */
export function startsOf(
  graph: Graph,
  ef: number,
  { start = "entry", seed = 0 }: Pick<HNSWOptions, "start" | "seed">,
): number[] | undefined {
  const { count } = graph;
  if (start === "entry" || graph.entry < 0 || ef >= count) return undefined;
  if (start === "links") {
    const starts = new Set(graph.ground(graph.entry).slice(0, ef));
    const random = new MersenneTwister(SEED);
    while (starts.size < ef) starts.add(random.next() % count);
    return [...starts];
  }
  const random = new MersenneTwister(seed);
  const starts = Array.from({ length: ef }, () => random.next() % (count - ef))
    .sort((a, b) => a - b);
  for (let i = 1; i < ef; i++) {
    if (starts[i]! <= starts[i - 1]!) starts[i] = starts[i - 1]! + 1;
  }
  const offset = random.next() % count;
  return starts.map((node) => (node + offset) % count);
}

/** Makes a graph of rows on the ground: of their neighbors, which are found by comparing all. */
export function* buildGround(
  graph: Graph,
  rows: Rows,
  plan: GraphPlan,
): Steps<void> {
  const nodes = Array.from({ length: rows.count }, (_, node) => node);
  const neighbors: number[][] = [];
  for (const node of nodes) {
    const { key, order } = graph.targetOf(node);
    const others = nodes.filter((other) => other !== node)
      .map((other) => ({ node: other, key: key(other) }));
    neighbors.push(others.sort(order).slice(0, plan.neighbors).map(({ node }) => node));
    yield;
  }
  if (plan.kind === "neighbors" || nodes.length === 0) {
    graph.renew(neighbors, nodes.length === 0 ? -1 : 0);
    return;
  }
  const entry = middle(graph, rows);
  graph.renew(neighbors, entry);
  const ef = Math.min(plan.list, Math.max(1, nodes.length - 1));
  const starts = startsOf(graph, ef, { start: "links", seed: 0 }) ?? [entry];
  const links: number[][] = [];
  for (const node of nodes) {
    const target = graph.targetOf(node);
    const met: Candidate[] = [];
    graph.walk(target, starts, 0, ef, Infinity, met);
    const seen = new Set([...starts, ...met.map(({ node }) => node)]);
    for (const other of neighbors[node]!) {
      if (!seen.has(other)) met.push({ node: other, key: target.key(other) });
    }
    const near = met.sort(target.order).slice(0, plan.candidates + 1)
      .filter((candidate) => candidate.node !== node).slice(0, plan.candidates);
    links.push(graph.choose(near, [], graph.width));
    yield;
  }
  graph.renew(links.map((row) => [...row]), entry);
  const back = nodes.map((): number[] => []);
  links.forEach((row, node) => row.forEach((other) => back[other]!.push(node)));
  back.forEach((others, node) => {
    for (let from = 0; from < others.length; from += BATCH) {
      graph.join(node, 0, others.slice(from, from + BATCH));
    }
  });
  connect(graph, rows, plan.list);
}

/** The node nearest to the mean of all rows. */
function middle(graph: Graph, rows: Rows): number {
  const d = rows.row(0).length;
  const mean = new Float32Array(d);
  for (let j = 0; j < d; j++) {
    let sum = 0;
    for (let row = 0; row < rows.count; row++) sum += rows.row(row)[j]!;
    mean[j] = sum / rows.count;
  }
  const key = graph.keyOf(mean);
  return Array.from({ length: rows.count }, (_, node) => ({ node, key: key(node) }))
    .sort(byKey())[0]!.node;
}

/** Links to nodes that cannot be reached from the entry, from near ones that can. */
function connect(graph: Graph, rows: Rows, list: number): void {
  const { width } = graph;
  const reached = new Set([graph.entry]);
  const reach = (from: number) => {
    const waiting = [from];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      for (const other of graph.ground(node)) {
        if (reached.has(other)) continue;
        reached.add(other);
        waiting.push(other);
      }
    }
  };
  reach(graph.entry);
  for (let node = 0; node < graph.count; node++) {
    if (reached.has(node)) continue;
    const near = graph.search(rows.row(node), 0, Math.min(list, graph.count))
      .filter((other) => reached.has(other));
    const hasRoom = (other: number) => graph.ground(other).length < width;
    const others = Array.from({ length: graph.count }, (_, other) => other);
    const parent = near.find(hasRoom) ??
      others.find((other) => reached.has(other) && hasRoom(other)) ?? near[0] ?? graph.entry;
    const row = graph.ground(parent);
    if (row.length < width) row.push(node);
    else row[width - 1] = node;
    reached.add(node);
    reach(node);
  }
}
