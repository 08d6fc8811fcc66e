/**
 * Reports of the variant harness as text.
 *
 * @module
 */

import type { VariantReport, VariantResult } from "./run.ts";

const columns: [title: string, cell: (result: VariantResult) => string][] = [
  ["#", ({ rank }) => rank === null ? "–" : String(rank)],
  ["variant", ({ name }) => name],
  ["family", ({ family }) => family],
  ["GPU µs", ({ gpu }) => micros(gpu?.median)],
  ["p10–p90", ({ gpu, cpu }) => span(gpu ?? cpu)],
  ["CPU µs", ({ cpu }) => micros(cpu?.median)],
  ["gap µs", ({ hostGap }) => micros(hostGap)],
  ["GB/s", ({ gbps }) => digits(gbps)],
  ["vendor", ({ vendorRatio }) => vendorRatio === null ? "" : `${vendorRatio.toFixed(2)}×`],
  ["error", ({ error }) => error === null ? "" : error.toExponential(1)],
  ["threads", ({ threads }) => threads === null ? "" : String(threads)],
  ["", ({ tags, why }) => why === null ? tags.join(", ") : `INVALID: ${why}`],
];

/**
 * A report as a table for terminals: best first, then what is wrong, then what was skipped and why.
 *
 * @param report What `runVariants` returned.
 */
export function formatVariants(report: VariantReport): string {
  const { operation, problem, device, method, results, skipped } = report;
  const on = device ? `${device.name} (${device.engine})` : "no GPU";
  const lines = [
    `${operation} ${problem.name} ${problem.dtype}: ${on}; ${method.iterations} samples of ` +
    `${method.dispatches} products, ${method.sets} sets of operands`,
  ];
  const rows = [columns.map(([title]) => title)]
    .concat(results.map((result) => columns.map(([, cell]) => cell(result))));
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const isText = (i: number) => i === 1 || i === 2 || i === columns.length - 1;
  for (const row of rows) {
    const cells = row.map((cell, i) =>
      isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
    );
    lines.push(cells.join("  ").trimEnd());
  }
  const reasons = Map.groupBy(skipped, ({ why }) => why);
  for (const [why, ones] of reasons) {
    lines.push(`skipped, ${why}: ${ones.map(({ name }) => name).join(" ")}`);
  }
  return lines.join("\n");
}

const fields = ["operation", "problem", "device", "engine", "variant", "kind", "family", "rank"]
  .concat(["valid", "why", "error", "threads", "gpu_ms", "gpu_p10_ms", "gpu_p90_ms", "cpu_ms"])
  .concat(["host_gap_ms", "gbps", "gflops", "vendor_ratio", "tags"]);

/**
 * Reports as CSV: a line a variant; those skipped are not `valid`, and say why.
 *
 * @param reports What `runVariants` returned.
 */
export function variantsCsv(reports: readonly VariantReport[]): string {
  const lines = [fields.join(",")];
  for (const { operation, problem, device, results, skipped } of reports) {
    const about = [operation, problem.name, device?.name ?? "", device?.engine ?? ""];
    for (const r of results) {
      const times = [r.gpu?.median, r.gpu?.p10, r.gpu?.p90, r.cpu?.median, r.hostGap];
      lines.push(csv([
        ...about,
        ...[r.name, r.kind, r.family, r.rank, r.valid, r.why, r.error, r.threads],
        ...times,
        ...[r.gbps, r.gflops, r.vendorRatio, r.tags.join(" · ")],
      ]));
    }
    for (const { name, why } of skipped) {
      const empty = new Array(fields.length - 10).fill(null);
      lines.push(csv([...about, name, null, null, null, false, `skipped: ${why}`, ...empty]));
    }
  }
  return lines.join("\n") + "\n";
}

function csv(values: readonly unknown[]): string {
  return values.map((value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",");
}

function micros(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? "" : (ms * 1e3).toFixed(2);
}

function span(timing: { p10: number; p90: number } | null): string {
  return timing === null ? "" : `${micros(timing.p10)}–${micros(timing.p90)}`;
}

function digits(value: number | null): string {
  return value === null ? "" : value.toPrecision(4).replace(/\.?0+$/, "");
}
