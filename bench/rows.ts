/** The rows that every suite yields, and the table they print as. @module */

import type { RunInfo } from "../lib/backend/backend.ts";
import { roofFraction, type Roofline, type Timing } from "../lib/profile/mod.ts";

/** One measurement. A field that does not apply is null. */
export interface Row {
  suite: string;
  /** What is measured, in one line. */
  case: string;
  /** Kernel variants that ran, joined by `+`. */
  variant: string;
  backend: string;
  engine: string;
  isa: string;
  threads: number;
  n: number;
  d: number;
  nq: number;
  k: number;
  params: Record<string, number | string>;
  /** Share of the true neighbours that were found, in a sample of queries. */
  recall: number | null;
  peerRecall: number | null;
  /** Largest relative error of a returned distance against float64; of k-means, its objective's. */
  error: number | null;
  medianMs: number;
  p10Ms: number;
  p90Ms: number;
  qps: number;
  gflops: number | null;
  gbps: number | null;
  /** Fraction of the measured limit that binds. */
  roofline: number | null;
  /** That limit. */
  roof: "fma" | "read" | null;
  /** The rival: the fastest way FAISS or PyTorch was run. */
  peer: string | null;
  peerMedianMs: number | null;
  /** Peer's median by ours: above 1 we are faster. */
  ratio: number | null;
  /** Medians of everything else that ran interleaved, by name. */
  peers: Record<string, number>;
}

/** What a suite knows of a row before the arithmetic. */
export interface Measured {
  suite: string;
  case: string;
  run: RunInfo;
  n: number;
  d: number;
  nq: number;
  k: number;
  params: Record<string, number | string>;
  recall?: number;
  peerRecall?: number;
  error?: number;
  /** Timing by name; ours is `"metalfaiss"`. */
  timings: Map<string, Timing>;
  /** Name of the rival; by default the fastest of another library's ways. */
  rival?: string;
  /** Floating-point operations of one call. */
  flops?: number;
  /** Bytes that one call has to read from memory at least. */
  bytes?: number;
}

/** The name of our own contender. */
export const OURS = "metalfaiss";

/** Fastest of the rival's ways by median. */
export function rival(timings: Map<string, Timing>): [name: string, timing: Timing] | undefined {
  return [...timings].filter(([name]) => /^(faiss|torch|numpy)/.test(name))
    .sort((a, b) => a[1].median - b[1].median)[0];
}

/** Makes a row. */
export function toRow(measured: Measured, limits: Roofline | undefined): Row {
  const { run, timings, flops, bytes, recall, peerRecall, error, rival: named, ...rest } = measured;
  const ours = timings.get(OURS)!;
  const best = named === undefined ? rival(timings) : [named, timings.get(named)!] as const;
  const gflops = flops === undefined ? null : flops / ours.median / 1e6;
  const gbps = bytes === undefined ? null : bytes / ours.median / 1e6;
  const roof = limits === undefined || gflops === null || gbps === null
    ? null
    : roofFraction({ gflops, gbps }, limits);
  const peers = [...timings].filter(([name]) => name !== OURS).map(([n, t]) => [n, t.median]);
  return {
    suite: rest.suite,
    case: rest.case,
    variant: run.variants.join("+"),
    backend: run.backend,
    engine: run.engine,
    isa: run.isa,
    threads: run.threads,
    n: rest.n,
    d: rest.d,
    nq: rest.nq,
    k: rest.k,
    params: rest.params,
    recall: recall ?? null,
    peerRecall: peerRecall ?? null,
    error: error ?? null,
    medianMs: ours.median,
    p10Ms: ours.p10,
    p90Ms: ours.p90,
    qps: rest.nq / ours.median * 1000,
    gflops,
    gbps,
    roofline: roof?.fraction ?? null,
    roof: roof?.roof ?? null,
    peer: best?.[0] ?? null,
    peerMedianMs: best?.[1].median ?? null,
    ratio: best ? best[1].median / ours.median : null,
    peers: Object.fromEntries(peers),
  };
}

const COLUMNS: [title: string, width: number, cell: (row: Row) => string][] = [
  ["case", -42, (r) => r.case],
  ["ms", 9, (r) => significant(r.medianMs)],
  ["p10–p90", 17, (r) => `${significant(r.p10Ms)}–${significant(r.p90Ms)}`],
  ["QPS", 10, (r) => significant(r.qps)],
  ["GFLOP/s", 8, (r) => significant(r.gflops)],
  ["GB/s", 6, (r) => significant(r.gbps)],
  ["roof", 9, (r) => r.roofline === null ? "" : `${r.roof} ${(r.roofline * 100).toFixed(0)}%`],
  ["recall", 7, (r) => r.recall?.toFixed(3) ?? ""],
  ["theirs", 7, (r) => r.peerRecall?.toFixed(3) ?? ""],
  ["error", 8, (r) => r.error?.toExponential(0) ?? ""],
  ["rival ms", 9, (r) => significant(r.peerMedianMs)],
  ["ratio", 6, (r) => r.ratio?.toFixed(2) ?? ""],
];

/** The table's heading. */
export function heading(): string {
  return line((i) => COLUMNS[i]![0]);
}

/** A row of the table, and below it how each peer did. */
export function format(row: Row): string {
  const peers = Object.entries(row.peers).map(([name, ms]) => `${name} ${significant(ms)}`);
  const below = peers.length === 0 ? "" : `\n    ${peers.join(" · ")}`;
  return line((i) => COLUMNS[i]![2](row)) + below;
}

function line(cell: (column: number) => string): string {
  return COLUMNS.map(([, width], i) => width < 0 ? cell(i).padEnd(-width) : cell(i).padStart(width))
    .join(" ").trimEnd();
}

/** Three significant digits, without an exponent. */
export function significant(value: number | null): string {
  if (value === null) return "";
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 6));
}
