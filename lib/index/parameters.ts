/**
 * Parameters of indexes by FAISS's names.
 *
 * @module
 */

import { UnsupportedError } from "../errors.ts";
import type { HNSWParameters } from "./hnsw.ts";
import { IndexIDMap } from "./id_map.ts";
import type { Index } from "./index.ts";
import { IndexIVF } from "./ivf.ts";
import { IndexPreTransform } from "./pre_transform.ts";
import { IndexIVFPQ, IndexPQ } from "./product_quantizer.ts";
import { IndexRefine } from "./refine.ts";
import { IndexReplicas } from "./replicas.ts";
import { IndexShards } from "./shards.ts";

/** A parameter and the values to try, from the quickest up. */
export interface ParameterRange {
  /** Its name. */
  readonly name: string;
  /** Its values. */
  values: number[];
}

/** Powers of two: from one exponent to another. */
function powers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => 2 ** (from + i));
}

/** Parameters of the graph of an index that has one. */
function graphOf(index: Index): HNSWParameters | undefined {
  return "hnsw" in index ? index.hnsw as HNSWParameters : undefined;
}

/** The parameters that an index has, with sensible values. */
export function rangesOf(index: Index): ParameterRange[] {
  if (index instanceof IndexPreTransform || index instanceof IndexIDMap) {
    return rangesOf(index.index);
  }
  if (index instanceof IndexRefine) {
    return [{ name: "k_factor_rf", values: powers(0, 6) }, ...rangesOf(index.baseIndex)];
  }
  if (index instanceof IndexShards || index instanceof IndexReplicas) {
    const first = partsOf(index)[0];
    return first === undefined ? [] : rangesOf(first);
  }
  if (index instanceof IndexIVF) {
    const probes = powers(0, 12).filter((nprobe) => nprobe < index.nlist || nprobe === 1);
    const inner = rangesOf(index.quantizer).map(({ name, values }) => {
      return { name: `quantizer_${name}`, values };
    });
    return [{ name: "nprobe", values: probes }, ...inner];
  }
  return graphOf(index) === undefined ? [] : [{ name: "efSearch", values: powers(2, 9) }];
}

function partsOf(index: IndexShards | IndexReplicas): readonly Index[] {
  return index instanceof IndexShards ? index.shards : index.replicas;
}

/** An integer that a parameter can be. */
function whole(name: string, value: number, least: number): number {
  const rounded = Math.trunc(value);
  if (rounded >= least && rounded < 2 ** 31) return rounded;
  throw new RangeError(`Cannot set ${name}: ${value} is no number from ${least} to 2^31`);
}

/** Sets a parameter, as FAISS does, of the first index from the outside in that has it. */
export function setParameter(index: Index, name: string, value: number): void {
  if (index instanceof IndexPreTransform || index instanceof IndexIDMap) {
    setParameter(index.index, name, value);
  } else if (index instanceof IndexShards || index instanceof IndexReplicas) {
    for (const part of partsOf(index)) setParameter(part, name, value);
  } else if (index instanceof IndexRefine) {
    if (name !== "k_factor_rf") setParameter(index.baseIndex, name, value);
    else index.kFactor = whole(name, value, 1);
  } else if (!setOwn(index, name, value)) {
    throw new RangeError(`Cannot set ${name}: a ${index.constructor.name} has no such parameter`);
  }
}

function setOwn(index: Index, name: string, value: number): boolean {
  const graph = graphOf(index);
  if (graph !== undefined && (name === "efSearch" || name === "efConstruction")) {
    graph[name] = whole(name, value, 1);
    return true;
  }
  if (name === "ht" && (index instanceof IndexPQ || index instanceof IndexIVFPQ)) {
    if (value >= index.pq.codeSize * 8) return true;
    throw new UnsupportedError(
      `Cannot set ht: ${value} asks for a filter by Hamming distances, which is not available`,
    );
  }
  if (!(index instanceof IndexIVF)) return false;
  if (name === "nprobe") {
    index.nprobe = Math.min(index.nlist, whole(name, value, 1));
  } else if (name === "max_codes") {
    index.maxCodes = Number.isFinite(value) ? whole(name, value, 0) : 0;
  } else if (name.startsWith("quantizer_")) {
    setParameter(index.quantizer, name.slice("quantizer_".length), value);
  } else if (graphOf(index.quantizer) !== undefined) {
    return setOwn(index.quantizer, name, value);
  } else {
    return false;
  }
  return true;
}
