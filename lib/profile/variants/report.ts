/**
 * Reports of the variant harness as tables and text.
 *
 * @module
 */

import { type Column, type MimeBundle, plainText, tableBundle } from "../../display.ts";
import { escapeHtml, formatCount, formatDigits } from "../../display_cells.ts";
import type { VariantReport, VariantResult } from "./run.ts";

/** A column, and its value of a result. */
interface ResultColumn extends Column {
  of: (result: VariantResult) => unknown;
}

const micros = { format: ifThere((us) => us.toFixed(2)), right: true };
const columns: readonly ResultColumn[] = [
  { name: "#", of: ({ rank }) => rank, format: (rank) => rank === null ? "–" : String(rank) },
  { name: "variant", of: ({ name }) => name },
  { name: "family", of: ({ family }) => family },
  { name: "GPU µs", of: ({ gpu }) => gpu && gpu.median * 1e3, ...micros },
  { name: "p10–p90", of: ({ gpu, cpu }) => span(gpu ?? cpu), right: true },
  { name: "CPU µs", of: ({ cpu }) => cpu && cpu.median * 1e3, ...micros },
  { name: "gap µs", of: ({ hostGap }) => hostGap && hostGap * 1e3, ...micros },
  { name: "GB/s", of: ({ gbps }) => gbps, format: ifThere((rate) => formatDigits(rate, 4)) },
  {
    name: "vendor",
    of: ({ vendorRatio }) => vendorRatio,
    format: ifThere((ratio) => `${ratio.toFixed(2)}×`),
  },
  { name: "error", of: ({ error }) => error, format: ifThere((error) => error.toExponential(1)) },
  { name: "threads", of: ({ threads }) => threads, format: ifThere(String) },
  {
    name: "notes",
    of: ({ tags, why }) => why === null ? tags.join(", ") : `INVALID: ${why}`,
    optional: true,
  },
];

function ifThere(format: (value: number) => string): (value: unknown) => string {
  return (value) => typeof value === "number" ? format(value) : "";
}

function span(timing: { p10: number; p90: number } | null): string {
  return timing === null ? "" : `${(timing.p10 * 1e3).toFixed(2)}–${(timing.p90 * 1e3).toFixed(2)}`;
}

/** A report as a table: best first, then what is wrong, then what was skipped and why. */
export function variantsBundle(report: VariantReport): MimeBundle {
  const { operation, problem, device, method, results, skipped } = report;
  const on = device ? `${device.name} (${device.engine})` : "no GPU";
  const title = `${operation} ${problem.name} ${problem.dtype}: ${on}; ` +
    `${formatCount(method.iterations, "sample")} of ${
      formatCount(method.dispatches, "product")
    }, ` +
    `${formatCount(method.sets, "set")} of operands`;
  const rows = results.map((result) => columns.map(({ of }) => of(result)));
  const bundle = tableBundle(columns, rows, title, Infinity);
  const reasons = [...Map.groupBy(skipped, ({ why }) => why)].map(([why, ones]) => {
    return `skipped, ${why}: ${ones.map(({ name }) => name).join(" ")}`;
  });
  return {
    ...bundle,
    "text/html": bundle["text/html"] + reasons.map((line) => `<p>${escapeHtml(line)}</p>`).join(""),
    "text/plain": [plainText(bundle), ...reasons].join("\n"),
  };
}

/**
 * A report as a table for terminals: best first, then what is wrong, then what was skipped and why.
 *
 * @param report What `runVariants` returned.
 */
export function formatVariants(report: VariantReport): string {
  return plainText(variantsBundle(report));
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
