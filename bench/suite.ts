/** What every suite is given. @module */

import type { MeasureOptions, Roofline } from "../lib/profile/mod.ts";
import type { Peers } from "./peers.ts";
import type { Row } from "./rows.ts";

/** Where and how a suite runs. */
export interface Context {
  /** Smaller sizes, fewer cases and less time a row. */
  quick: boolean;
  /** Cases to run. */
  filter: RegExp;
  /** Threads of both sides. */
  threads: number;
  /** The machine's limits; undefined without the native library. */
  limits: Roofline | undefined;
  /** FAISS and others, with --peers. */
  peers: Peers | undefined;
  /** A Python that has PyTorch, for the GPU's suite. */
  torch: string | undefined;
  /** File for every variant of the harness, as CSV. */
  csv: string | undefined;
  /** Whether the peers include hnswlib, which has no wheel for every machine. */
  hnswlib: boolean;
  /** Time for each row. */
  measure: MeasureOptions;
}

/** A suite yields its rows as they are measured. */
export type Suite = (context: Context) => AsyncGenerator<Row>;

/** `100000` → `"100k"`, `1000000` → `"1M"`. */
export function short(n: number): string {
  if (n >= 1e6 && n % 1e5 === 0) return `${n / 1e6}M`;
  return n >= 1e4 && n % 100 === 0 ? `${n / 1e3}k` : `${n}`;
}
