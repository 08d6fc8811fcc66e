import type { HNSWGraph } from "../backend.ts";
import type { Steps } from "./steps.ts";

/** Nodes that are linked to the graph at once; they see each other, and the graph before them. */
const BATCH = 256;
/** What overfull links are cut to: room for those that come next. */
const KEPT = 0.8;
/** Candidates of a repair, and dead nodes it passes through, at most. */
const [REPAIR_WIDTH, REPAIR_DEAD] = [128, 512];

/** A node, and how far it is. */
export interface Candidate {
  node: number;
  key: number;
}

/** What nodes are compared with, and how. */
export interface Target {
  key: (node: number) => number;
  order: (a: Candidate, b: Candidate) => number;
}

/**
 * By key; then to a query by node, but to each node in another order, or rows that are equal would all
 * be linked to the first of them.
 */
export function byKey(to?: number): (a: Candidate, b: Candidate) => number {
  const ties = to === undefined ? 0 : Math.imul(to, 0x9e3779b1) >>> 1;
  return (a, b) => a.key === b.key ? (a.node ^ ties) - (b.node ^ ties) : a.key < b.key ? -1 : 1;
}

/** Adds the nearest candidates, covered by others or not, up to a number of links. */
function fill(candidates: Candidate[], kept: number[], wanted: number): number[] {
  const others = candidates.map(({ node }) => node).filter((node) => !kept.includes(node));
  return [...kept, ...others.slice(0, Math.max(0, wanted - kept.length))];
}

/** A hierarchical navigable small world: per node and level a list of nodes, without their rows. */
export class Graph {
  readonly #m: number;
  /** Links on the ground. */
  readonly width: number;
  readonly #keyOfQuery: (x: Float32Array, i: number, node: number) => number;
  readonly #keyOfNodes: (a: number, b: number) => number;
  #links: number[][][] = [];
  #entry = -1;

  /**
   * @param m Links on each level above the ground.
   * @param width Links on the ground.
   * @param keyOfQuery How far row `i` of `x` is from a node: smaller is nearer.
   * @param keyOfNodes How far two nodes are from each other.
   */
  constructor(
    m: number,
    width: number,
    keyOfQuery: (x: Float32Array, i: number, node: number) => number,
    keyOfNodes: (a: number, b: number) => number,
  ) {
    this.#m = m;
    this.width = width;
    this.#keyOfQuery = keyOfQuery;
    this.#keyOfNodes = keyOfNodes;
  }

  #most(level: number): number {
    return level === 0 ? this.width : this.#m;
  }

  #levelOf(node: number): number {
    return this.#links[node]!.length - 1;
  }

  /** Links that its nodes have room for. */
  get room(): number {
    return this.#links.reduce((sum, { length }) => sum + this.width + this.#m * (length - 1), 0);
  }

  /** New nodes `first …`, linked up to their levels. */
  *add(first: number, levels: Uint8Array, ef: number): Steps<void> {
    levels.forEach((level) => this.#links.push(Array.from({ length: level + 1 }, () => [])));
    yield* this.insert(Array.from(levels, (_, i) => first + i), ef);
  }

  /** Links nodes that have no links, nor are linked to. */
  *insert(nodes: number[], ef: number): Steps<void> {
    for (let from = 0; from < nodes.length; from += BATCH) {
      const mates = nodes.slice(from, from + BATCH);
      const plans: number[][][] = [];
      for (const node of mates) {
        plans.push(this.#plan(node, mates, ef));
        yield;
      }
      mates.forEach((node, i) => this.#links[node] = plans[i]!);
      // Links back: level, node, and who linked to it.
      const back = mates.flatMap((node, i) =>
        plans[i]!.flatMap((links, level) => links.map((other) => ({ level, other, node })))
      );
      const groups = Map.groupBy(back, ({ level, other }) => `${level} ${other}`);
      for (const group of groups.values()) {
        const { level, other } = group[0]!;
        this.join(other, level, group.map(({ node }) => node).sort((a, b) => a - b));
      }
      for (const node of mates) {
        if (this.#entry < 0 || this.#levelOf(node) > this.#levelOf(this.#entry)) this.#entry = node;
      }
    }
  }

  /**
   * The nodes of a level that a walk keeps: at most `ef`, sorted.
   *
   * @param steps Nodes whose links it follows, at most.
   * @param met What it compares, in order; whatever is there already was seen.
   */
  walk(
    { key, order }: Target,
    starts: readonly number[],
    level: number,
    ef: number,
    steps = Infinity,
    met: Candidate[] = [],
  ): Candidate[] {
    const seen = new Set(starts);
    const expanded = new Set<number>();
    let near = starts.map((node) => ({ node, key: key(node) })).sort(order).slice(0, ef);
    met.push(...near);
    for (;;) {
      const next = near.find(({ node }) => !expanded.has(node));
      if (next === undefined || expanded.size >= steps) return near;
      expanded.add(next.node);
      for (const node of this.#links[next.node]![level]!) {
        if (seen.has(node)) continue;
        seen.add(node);
        const candidate = { node, key: key(node) };
        near.push(candidate);
        met.push(candidate);
      }
      near = near.sort(order).slice(0, ef);
    }
  }

  /** The nearest node that greedy walks find above a level. */
  #descend(target: Target, level: number): number {
    let nearest = this.#entry;
    for (let above = this.#levelOf(nearest); above > level; above--) {
      nearest = this.walk(target, [nearest], above, 1)[0]!.node;
    }
    return nearest;
  }

  /** The nodes on the ground that a walk keeps, nearest first; from the entry unless starts are given. */
  search(x: Float32Array, i: number, ef: number, steps?: number, starts?: number[]): number[] {
    if (this.#entry < 0) return [];
    const target = { key: (node: number) => this.#keyOfQuery(x, i, node), order: byKey() };
    const from = starts ?? [this.#descend(target, 0)];
    return this.walk(target, from, 0, ef, steps).map(({ node }) => node);
  }

  /** A node as what others are compared with. */
  targetOf(node: number): Target {
    return { key: (other) => this.#keyOfNodes(node, other), order: byKey(node) };
  }

  /** How far nodes are from a row. */
  keyOf(x: Float32Array): (node: number) => number {
    return (node) => this.#keyOfQuery(x, 0, node);
  }

  /** Where walks start; −1 in an empty graph. */
  get entry(): number {
    return this.#entry;
  }

  /** Number of nodes. */
  get count(): number {
    return this.#links.length;
  }

  /** A node's links on the ground. */
  ground(node: number): number[] {
    return this.#links[node]![0]!;
  }

  /** Takes over links on the ground, and no others. */
  renew(links: number[][], entry: number): void {
    this.#links = links.map((row) => [row]);
    this.#entry = entry;
  }

  /** Links for a node that is not in the graph, by level. */
  #plan(node: number, mates: number[], ef: number): number[][] {
    const target = this.targetOf(node);
    const { key } = target;
    const level = this.#levelOf(node);
    const top = this.#entry < 0 ? -1 : this.#levelOf(this.#entry);
    let nearest = this.#entry < 0 ? -1 : this.#descend(target, level);
    const plan: number[][] = this.#links[node]!.map(() => []);
    for (let at = level; at >= 0; at--) {
      const found = at <= top ? this.walk(target, [nearest], at, ef) : [];
      nearest = found[0]?.node ?? nearest;
      for (const mate of mates) {
        if (mate === node || this.#levelOf(mate) < at) continue;
        found.push({ node: mate, key: key(mate) });
      }
      const candidates = found.sort(target.order).slice(0, ef);
      const chosen = this.choose(candidates, [], this.#m);
      plan[at] = at > 0 ? chosen : fill(candidates, chosen, Math.floor(this.#m / 2));
    }
    return plan;
  }

  /** Adds to `kept` those of sorted candidates that are not nearer to a kept one. */
  choose(candidates: Candidate[], kept: number[], most: number): number[] {
    for (const { node, key } of candidates) {
      if (kept.length >= most) break;
      if (kept.every((other) => !(this.#keyOfNodes(node, other) < key))) kept.push(node);
    }
    return kept;
  }

  /** Adds links from a node to others. */
  join(node: number, level: number, others: number[]): void {
    const links = this.#links[node]![level]!;
    const all = [...links, ...others.filter((other) => !links.includes(other))];
    const most = this.#most(level);
    if (all.length > most) {
      const sorted = all.map((other) => ({ node: other, key: this.#keyOfNodes(node, other) }));
      const kept = Math.max(1, Math.floor(most * KEPT));
      this.#links[node]![level] = this.choose(sorted.sort(byKey(node)), [], kept);
    } else {
      this.#links[node]![level] = all;
    }
  }

  /** Leaves nodes without links, and those that were linked to them with links past them. */
  unlink(dead: Set<number>): void {
    const repaired = this.#links.map((levels, node) =>
      levels.map((links, level) =>
        !dead.has(node) && links.some((other) => dead.has(other))
          ? this.#repair(node, level, dead)
          : links
      )
    );
    this.#links = repaired.map((levels, node) => dead.has(node) ? levels.map(() => []) : levels);
    if (!dead.has(this.#entry)) return;
    this.#entry = -1;
    this.#links.forEach((levels, node) => {
      if (dead.has(node)) return;
      if (this.#entry < 0 || levels.length - 1 > this.#levelOf(this.#entry)) this.#entry = node;
    });
  }

  #repair(node: number, level: number, dead: Set<number>): number[] {
    const links = this.#links[node]![level]!;
    const seen = new Set([node, ...links]);
    const kept = [...new Set(links)].filter((other) => !dead.has(other));
    const lost = [...new Set(links)].filter((other) => dead.has(other)).slice(0, REPAIR_DEAD);
    let found: Candidate[] = [];
    for (const other of lost) {
      // Where the dead led only to the dead, further on.
      const farther = found.length === 0;
      for (const next of this.#links[other]![level]!) {
        if (seen.has(next)) continue;
        seen.add(next);
        if (!dead.has(next)) found.push({ node: next, key: this.#keyOfNodes(node, next) });
        else if (farther && lost.length < REPAIR_DEAD) lost.push(next);
      }
      found = found.sort(byKey(node)).slice(0, REPAIR_WIDTH);
    }
    // As many links as before, or the graph thins out; first those that no other covers.
    const wanted = Math.max(links.length, this.#m);
    return fill(found, this.choose(found, kept, wanted), wanted);
  }

  /** Drops nodes that {@linkcode unlink} left without links; later ones move down. */
  forget(dead: Set<number>): void {
    let next = 0;
    const names = this.#links.map((_, node) => dead.has(node) ? -1 : next++);
    this.#links = this.#links.filter((_, node) => !dead.has(node))
      .map((levels) => levels.map((links) => links.map((other) => names[other]!)));
    this.#entry = names[this.#entry] ?? -1;
  }

  /** The graph as arrays. */
  toFlat(): HNSWGraph {
    const links = this.#links.flatMap((levels) =>
      levels.flatMap((row, level) => [
        ...row,
        ...new Array<number>(this.#most(level) - row.length).fill(-1),
      ])
    );
    const levels = Uint8Array.from(this.#links, (rows) => rows.length - 1);
    return { levels, links: Int32Array.from(links), entry: this.#entry };
  }

  /** Takes over a graph of arrays. */
  restore({ levels, links, entry }: HNSWGraph): void {
    let at = 0;
    this.#links = Array.from(levels, (level) =>
      Array.from({ length: level + 1 }, (_, on) => {
        const row = links.subarray(at, at += this.#most(on));
        const end = row.indexOf(-1);
        return Array.from(end < 0 ? row : row.subarray(0, end));
      }));
    this.#entry = entry;
  }
}
