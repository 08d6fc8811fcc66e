/**
 * How measurements look in notebooks and terminals.
 *
 * @module
 */

import {
  type Column,
  type MimeBundle,
  propertiesBundle,
  ranText,
  tableBundle,
} from "../display.ts";
import { formatBytes, formatCount, formatNumber } from "../display_cells.ts";
import type { EnvironmentRecord } from "./environment.ts";
import type { Timing } from "./measure.ts";
import type { Measurement } from "./measurement.ts";
import type { MemoryUse } from "./memory.ts";
import type { RoofFraction, Roofline } from "./roofline.ts";

/** 10th to 90th percentile, in the unit of `scale` a millisecond. */
export function formatSpread({ p10, p90 }: { p10: number; p90: number }, scale = 1): string {
  return `${formatNumber(p10 * scale)}–${formatNumber(p90 * scale)}`;
}

/** Medians and deciles, by each clock. */
export function timingBundle(timing: Timing): MimeBundle {
  const row = (clock: string, { median, p10, p90, samples }: Timing) => {
    return [clock, median, p10, p90, samples.length];
  };
  const rows = timing.gpu ? [row("GPU", timing.gpu), row("host", timing)] : [row("host", timing)];
  return tableBundle(["clock", "median ms", "p10 ms", "p90 ms", "samples"], rows, "Timing");
}

/** Columns of measurements. */
const COLUMNS: readonly (Column & { of: (one: Measurement) => unknown })[] = [
  { name: "#", of: ({ rank }) => rank, format: (value) => value === null ? "–" : String(value) },
  { name: "name", of: ({ name }) => name },
  { name: "clock", of: ({ timing, clock }) => timing && clock, optional: true },
  { name: "median ms", of: ({ median }) => median, optional: true },
  { name: "p10–p90 ms", of: spreadOf, optional: true, right: true },
  { name: "GB/s", of: ({ gbps }) => gbps, optional: true },
  { name: "GFLOP/s", of: ({ gflops }) => gflops, optional: true },
  { name: "of the roof", of: ({ roof }) => roof && formatRoof(roof), optional: true, right: true },
  { name: "error", of: ({ error }) => error, optional: true },
  { name: "ran", of: ({ execution }) => execution && ranText(execution), optional: true },
  { name: "not valid", of: ({ reason }) => reason, optional: true },
];

function spreadOf({ timing, clock }: Measurement): string | null {
  return timing && formatSpread(clock === "gpu" ? timing.gpu! : timing);
}

/** How near a limit, and which. */
export function formatRoof({ fraction, roof }: RoofFraction): string {
  return `${formatNumber(Math.round(fraction * 1000) / 10)} % ${
    roof === "fma" ? "arithmetic" : "memory"
  }`;
}

/** Measurements, the fastest first, and where they were made. */
export function measurementsBundle(all: readonly Measurement[]): MimeBundle {
  const where = all[0]?.environment;
  const title = formatCount(all.length, "measurement") + (where ? ` on ${whereText(where)}` : "");
  return tableBundle(COLUMNS, all.map((one) => COLUMNS.map(({ of }) => of(one))), title);
}

/** What measurements ran on, in a few words. */
export function whereText({ gpu, cpu, cores }: EnvironmentRecord): string {
  const host = `${cpu} (${formatCount(cores, "core")})`;
  return gpu ? `${gpu.name} (${gpu.engine}), ${host}` : host;
}

/** All that is known of a machine, a line each. */
export function environmentBundle(where: EnvironmentRecord): MimeBundle {
  const { gpu, variables, mhz } = where;
  const pairs = (record: Record<string, string>) =>
    Object.entries(record).map(([name, value]) => `${name} ${value}`).join(", ") || null;
  return propertiesBundle([
    ["GPU", gpu?.name ?? "none"],
    ["engine", gpu?.engine],
    ["driver", gpu?.driver],
    ["libraries", gpu && pairs(gpu.libraries)],
    ["GPU memory", gpu && formatBytes(gpu.workingSetBytes)],
    ["clocks", gpu?.clocks && pairs(gpu.clocks)],
    ["CPU", where.cpu],
    ["cores", where.cores],
    ["frequency", mhz && `${formatNumber(mhz)} MHz${where.governor ? `, ${where.governor}` : ""}`],
    ["memory", `${where.memory} GiB`],
    ["load", where.load],
    ["instruction set", where.isa],
    ["threads", where.threads],
    ["system", where.os],
    ["Deno", where.deno],
    ["metalfaiss", where.metalfaiss],
    ["variables", pairs(variables)],
    ["date", where.date],
  ], "Environment");
}

/** Limits of a device. */
export function rooflineBundle({ gflops, gbps, halfGflops }: Roofline): MimeBundle {
  const rows = [
    ["float32 arithmetic", gflops, "GFLOP/s"],
    ...(halfGflops === undefined ? [] : [["float16 arithmetic", halfGflops, "GFLOP/s"]]),
    ["memory", gbps, "GB/s"],
    ["balance", gflops / gbps, "FLOP/byte"],
  ];
  return tableBundle(["limit", "rate", "unit"], rows, "Roofline");
}

/** Memory before, at the peak and after. */
export function memoryBundle({ host, gpu, samples }: MemoryUse): MimeBundle {
  const row = (what: string, { before, peak, after }: MemoryUse["host"]) => {
    return [what, ...[before, peak, after, peak - before].map((bytes) => bytes / 2 ** 20)];
  };
  return tableBundle(
    ["memory", "before MiB", "peak MiB", "after MiB", "peak over before MiB"],
    [row("host", host), ...(gpu ? [row("GPU", gpu)] : [])],
    `Memory, ${formatCount(samples.length, "sample")}`,
  );
}
