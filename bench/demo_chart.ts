/** The demo's picture: what recall costs. @module */

import type { ChartSpec } from "../lib/notebook/chart.ts";
import type { DemoRow } from "./demo.ts";

const COLORS = { ivf: "#0b6bcb", flat: "#d1495b" };

/** Two panels over recall: queries a second in a batch, and the time of one query alone. */
export function demoChart(rows: DemoRow[], title: string, subtitle: string): ChartSpec {
  const least = Math.min(...rows.map((row) => row.recall));
  const low = Math.max(0, Math.floor((least - 0.02) * 10) / 10);
  const values = rows.map((row) => ({
    ...row,
    kind: row.nprobe === null ? "flat" : "ivf",
    label: row.nprobe === null ? "Flat" : row.nprobe === 1 ? "nprobe 1" : `${row.nprobe}`,
  }));
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: { text: title, subtitle },
    data: { values },
    spacing: 48,
    hconcat: [
      panel(rows, "qps", "Queries per second, in one batch (log scale)", "~s", low),
      panel(rows, "latencyMs", "Latency of one query alone, ms (log scale)", "~g", low),
    ],
  } as ChartSpec;
}

function panel(
  rows: DemoRow[],
  field: "qps" | "latencyMs",
  title: string,
  format: string,
  low: number,
): object {
  const sizes = rows.map((row) => row[field]);
  const domain = [Math.min(...sizes) / 1.4, Math.max(...sizes) * 1.4];
  const x = {
    field: "recall",
    type: "quantitative",
    title: "Recall@10",
    scale: { domain: [low, 1], nice: false },
    axis: { format: ".2~f", tickCount: 6, grid: true },
  };
  const y = {
    field,
    type: "quantitative",
    title: null,
    scale: { type: "log", domain, nice: false },
    axis: { format, grid: true, values: ticks(domain[0]!, domain[1]!) },
  };
  const color = {
    field: "kind",
    type: "nominal",
    scale: { domain: ["ivf", "flat"], range: [COLORS.ivf, COLORS.flat] },
    legend: null,
  };
  const ivf = { filter: "datum.kind === 'ivf'" };
  const flat = { filter: "datum.kind === 'flat'" };
  // Labels keep clear of the line, which falls in one panel and rises in the other.
  const beside = { align: "left", dx: 8, dy: field === "qps" ? -8 : 10 };
  const below = { align: "right", dx: 4, dy: field === "qps" ? 16 : -14 };
  return {
    width: 360,
    height: 300,
    title: { text: title, fontSize: 12, fontWeight: "normal", offset: 8 },
    encoding: { x, y },
    layer: [
      {
        transform: [ivf],
        mark: { type: "line", color: COLORS.ivf, strokeWidth: 2 },
      },
      {
        transform: [ivf],
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: { color },
      },
      {
        transform: [flat],
        mark: { type: "point", filled: true, size: 90, shape: "diamond", opacity: 1 },
        encoding: { color },
      },
      {
        transform: [ivf],
        mark: { type: "text", fontSize: 11, ...beside },
        encoding: { text: { field: "label" }, color },
      },
      {
        transform: [flat],
        mark: { type: "text", fontSize: 11, fontWeight: "bold", ...below },
        encoding: { text: { field: "label" }, color },
      },
    ],
  };
}

/** 1, 2 and 5 times the powers of ten between two numbers. */
function ticks(low: number, high: number): number[] {
  const values: number[] = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    values.push(...[1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  }
  return values.filter((value) => value >= low && value <= high);
}
