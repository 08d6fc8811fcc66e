/**
 * Graphs of codes of bits in plain TypeScript.
 *
 * @module
 */

import { binaryCodec } from "../../codec/binary_codes.ts";
import { Metric } from "../../metric.ts";
import type { BinaryGraph } from "../binary.ts";
import { RowsBinaryGraph } from "../binary_graph.ts";
import { ReferenceHNSWStore } from "./hnsw.ts";

/** A graph whose rows are 1 and −1: a bit that differs is 4 of squared L2. */
export function createBinaryGraph(d: number, m: number): BinaryGraph {
  const codec = binaryCodec(d);
  const store = new ReferenceHNSWStore({ d, m, metric: Metric.L2, metricArg: 0 });
  return new RowsBinaryGraph(store, {
    metric: Metric.L2,
    scale: 4,
    toRows: (codes) => {
      const rows = new Float32Array(codes.length / codec.codeSize * d);
      codec.decode(codes, rows);
      return rows;
    },
    toCodes: (rows) => codec.encode(rows),
  });
}
