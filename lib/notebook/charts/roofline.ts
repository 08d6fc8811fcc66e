/**
 * Kernels below the limits of a device.
 *
 * @module
 */

import type { Roofline } from "../../profile/roofline.ts";
import type { Chart, ChartOptions } from "../chart.ts";
import { neutral } from "../theme.ts";
import { Axis } from "./axis.ts";
import { distinct, drawable, encodeSeries, fits, HEIGHT, keep, makeChart } from "./frame.ts";
import { short, shorten, WIDTH } from "./frame.ts";
import { labelMark, placeLabels } from "./labels.ts";

/** A kernel, and what it did in how long. */
export interface RooflineKernel {
  /** Its name. */
  name: string;
  /** Floating-point operations. */
  flops: number;
  /** Bytes that it had to move. */
  bytes: number;
  /** Milliseconds. */
  ms: number;
}

/** Kernels that are named at their points, not in a legend. */
const MOST_NAMED = 10;
/** Kernels that have a colour each, and that are drawn. */
const MOST_COLORED = 20;
const MOST_KERNELS = 200;

/**
 * Speed over arithmetic intensity, below the limits of arithmetic and memory (Williams, Waterman and
 * Patterson, 2009).
 *
 * @param kernels What ran; those without operations, bytes or time are left out and counted in the
 * subtitle, because they have no place on logarithmic axes.
 * @param limits The device's, as `roofline()` measures them.
 * @param options Title and sizes.
 * @throws {RangeError} If there are no kernels, or a limit is not above 0.
 *
 * @example
 * ```ts
 * import { rooflineChart } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = rooflineChart(
 *   [{ name: "gemv_f32", flops: 2e6, bytes: 4e6, ms: 0.2 }],
 *   { gflops: 200, gbps: 30 },
 *   { title: "A product with a vector is bound by memory" },
 * );
 * assert.match(chart.text, /gemv_f32 +0.5 +10 +67 %/);
 * ```
 */
export function rooflineChart(
  kernels: readonly RooflineKernel[],
  limits: Roofline,
  options: ChartOptions,
): Chart {
  const { gflops, gbps, halfGflops } = limits;
  if (!(gflops > 0 && gbps > 0 && gflops < Infinity && gbps < Infinity)) {
    throw new RangeError(`Cannot draw the chart: limits are ${gflops} GFLOP/s and ${gbps} GB/s`);
  }
  const { kept, notes } = drawable(
    kernels,
    ({ flops, bytes, ms }) => [flops, bytes, ms].every((value) => fits(value, true)),
    "kernels",
  );
  const { width = WIDTH, height = HEIGHT } = options;
  const points = kept.map(({ name, flops, bytes, ms }) => {
    const [intensity, rate] = [flops / bytes, flops / ms / 1e6];
    return { name, intensity, rate, part: rate / Math.min(gflops, gbps * intensity) };
  });
  const tops = [
    { text: `${short(gflops)} GFLOP/s`, top: gflops },
    ...(fits(halfGflops, true)
      ? [{ text: `${short(halfGflops)} GFLOP/s in fp16`, top: halfGflops }]
      : []),
  ];
  const ridges = tops.map(({ top }) => top / gbps);
  const highest = Math.max(...tops.map(({ top }) => top));
  const drawn = points.slice(0, MOST_KERNELS);
  if (drawn.length < points.length) notes.push(`${drawn.length} of ${points.length} kernels drawn`);
  const intensities = drawn.map(({ intensity }) => intensity);
  const x = new Axis([...intensities, Math.min(...ridges) / 8, Math.max(...ridges) * 4], {
    title: "Arithmetic intensity, FLOP/byte",
    log: true,
  });
  const [low, high] = x.domain;
  const y = new Axis(
    [...drawn.map(({ rate }) => rate), low * gbps, ...tops.map(({ top }) => top)],
    {
      title: "GFLOP/s",
      log: true,
    },
  );
  const at = ({ intensity, rate }: { intensity: number; rate: number }) => ({
    x: x.part(intensity) * width,
    y: (1 - y.part(rate)) * height,
  });
  const roofs = tops.map(({ text, top }) =>
    [low, top / gbps, high].map((intensity) => ({
      roof: text,
      intensity,
      rate: Math.min(top, gbps * intensity),
    }))
  );
  // Roofs are named first: above the highest, and below the others and the slope, for two may lie close.
  const slope = Math.sqrt(low * ridges[0]!);
  const named = [
    ...tops.map(({ text, top }) => ({
      text,
      intensity: high,
      rate: top,
      dx: 0,
      dy: top === highest ? -8 : 12,
      right: true,
    })),
    {
      text: `${short(gbps)} GB/s`,
      intensity: slope,
      rate: slope * gbps,
      dx: 8,
      dy: 12,
      right: false,
    },
  ].map(({ right, ...label }) => ({ ...label, align: right ? "right" : "left" }));
  const labels = drawn.length > MOST_NAMED ? [] : placeLabels(
    drawn.map((point) => ({ ...at(point), text: shorten(point.name, 32) })),
    roofs.map((roof) => roof.map(at)),
    width,
    height,
  );
  const isNamed = labels.length > 0 && labels.every((place) => place !== null);
  // Too many to tell apart are all of one look.
  const names = drawn.length > MOST_COLORED
    ? drawn.map(() => "kernels")
    : distinct(drawn.map(({ name }) => name));
  const values = drawn.map(({ intensity, rate }, i) => ({
    name: names[i]!,
    intensity: keep(intensity),
    rate: keep(rate),
    ...(isNamed ? { text: shorten(drawn[i]!.name, 32), ...labels[i] } : {}),
  }));
  const encode = encodeSeries("name", [...new Set(names)], width);
  const legend = isNamed ? { legend: null } : {};
  const spec = {
    width,
    height,
    data: { values },
    encoding: { x: x.channel("intensity"), y: y.channel("rate") },
    layer: [
      {
        data: { values: roofs.flat() },
        mark: { type: "line", color: neutral, strokeWidth: 2 },
        encoding: { detail: { field: "roof" } },
      },
      {
        data: { values: named },
        mark: labelMark(),
        encoding: { text: { field: "text" } },
      },
      {
        mark: { type: "point", filled: true, size: 90, opacity: 1 },
        encoding: {
          color: { ...encode.color, ...legend },
          shape: { ...encode.shape, ...legend },
        },
      },
      ...(isNamed ? [{ mark: labelMark(), encoding: { text: { field: "text" } } }] : []),
    ],
  };
  const rows = points.map(({ name, intensity, rate, part }) => [
    name,
    keep(intensity),
    keep(rate),
    `${Math.round(part * 100)} %`,
  ]);
  const columns = ["kernel", "FLOP/byte", "GFLOP/s", "of the fp32 roof"];
  return makeChart(options, { spec, columns, rows, notes });
}
