/**
 * Graphs of codes of bits in native memory.
 *
 * @module
 */

import { binaryCodeSize } from "../../codec/binary_codes.ts";
import type { Metric } from "../../metric.ts";
import type { BinaryGraph } from "../binary.ts";
import { RowsBinaryGraph } from "../binary_graph.ts";
import { CpuHNSWStore } from "./hnsw.ts";

/** `MF_HAMMING`, which only the native library knows. */
const HAMMING = 101 as Metric;
/** Bytes of a code that a float holds: with all four some would be NaN, which stores refuse. */
const BYTES_A_FLOAT = 3;

/** A graph whose rows are the bits themselves. */
export function createBinaryGraph(d: number, m: number): BinaryGraph {
  const codeSize = binaryCodeSize(d);
  const floats = Math.ceil(codeSize / BYTES_A_FLOAT);
  const store = new CpuHNSWStore({ d: floats, m, metric: HAMMING, metricArg: 0 });
  return new RowsBinaryGraph(store, {
    metric: HAMMING,
    scale: 1,
    toRows: (codes) => {
      const words = new Uint32Array(codes.length / codeSize * floats);
      for (let from = 0, at = 0; from < codes.length; from += codeSize) {
        for (let i = 0; i < codeSize; i += BYTES_A_FLOAT) {
          let word = codes[from + i]!;
          if (i + 1 < codeSize) word |= codes[from + i + 1]! << 8;
          if (i + 2 < codeSize) word |= codes[from + i + 2]! << 16;
          words[at++] = word;
        }
      }
      return new Float32Array(words.buffer);
    },
    toCodes: (rows) => {
      const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length);
      const codes = new Uint8Array(rows.length / floats * codeSize);
      for (let to = 0, at = 0; to < codes.length; to += codeSize) {
        for (let i = 0; i < codeSize; i += BYTES_A_FLOAT) {
          const word = words[at++]!;
          codes[to + i] = word;
          if (i + 1 < codeSize) codes[to + i + 1] = word >> 8;
          if (i + 2 < codeSize) codes[to + i + 2] = word >> 16;
        }
      }
      return codes;
    },
  });
}
