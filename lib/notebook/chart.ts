/**
 * Charts: a Vega-Lite specification becomes a picture and a notebook's output.
 *
 * @module
 */

import type { TopLevelSpec } from "npm:vega-lite@6.5.0";
import type { MimeBundle } from "../display.ts";
import { escapeHtml } from "../display_cells.ts";
import { pixelWidth } from "./pixels.ts";
import { finishSvg } from "./svg.ts";
import { config, pictureConfig } from "./theme.ts";

/** A Vega-Lite specification. */
export type ChartSpec = TopLevelSpec;

/** What is asked of every chart. */
export interface ChartOptions {
  /** What the chart says, in one line. */
  title: string;
  /** How it was measured, and on what. */
  subtitle?: string | undefined;
  /** Width of the plot in pixels. */
  width?: number | undefined;
  /** Height of the plot in pixels. */
  height?: number | undefined;
}

/** What a {@linkcode Chart} can be given besides. */
export interface ChartSettings {
  /** The numbers as HTML, shown where Vega cannot be loaded; by default the text. */
  html?: string | undefined;
  /** What draws it; by default {@linkcode renderSvg}. */
  render?: ((spec: ChartSpec) => Promise<string>) | undefined;
}

/** Schema that the notebooks' renderers know; they draw no later one. */
export const SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json";

/**
 * A chart: drawn in notebooks, a picture for pages, a table for terminals.
 *
 * @example
 * ```ts
 * import { Chart } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = new Chart({
 *   title: "Two",
 *   data: { values: [{ x: 1, y: 2 }, { x: 2, y: 4 }] },
 *   mark: "line",
 *   encoding: { x: { field: "x", type: "quantitative" }, y: { field: "y", type: "quantitative" } },
 * }, "x  y\n1  2\n2  4");
 * assert.match(await chart.toSvg(), /^<svg/);
 * ```
 */
export class Chart {
  /** The specification, of Vega-Lite 5. */
  readonly spec: ChartSpec;
  /** Title and numbers, for terminals. */
  readonly text: string;
  readonly #drawn: ChartSpec;
  readonly #html: string;
  readonly #render: (spec: ChartSpec) => Promise<string>;

  /**
   * A chart of a specification.
   *
   * @param spec What to draw.
   * @param text Title and numbers.
   * @param settings What else there is to say.
   */
  constructor(spec: ChartSpec, text: string, settings: ChartSettings = {}) {
    this.#drawn = spec;
    this.spec = { $schema: SCHEMA, ...spec, config: { ...config, ...spec.config } } as ChartSpec;
    this.text = text;
    this.#html = settings.html ?? `<pre>${escapeHtml(text)}</pre>`;
    this.#render = settings.render ?? renderSvg;
  }

  /** The chart as SVG, readable on light and on dark pages. */
  toSvg(): Promise<string> {
    return this.#render(this.#drawn);
  }

  /** What a notebook shows: a picture; where Vega cannot be loaded, the table, which says so. */
  async [Symbol.for("Jupyter.display")](): Promise<MimeBundle> {
    const json = { "application/vnd.vegalite.v5+json": this.spec };
    let svg: string;
    try {
      svg = await this.toSvg();
    } catch (error) {
      const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
      const note = `The chart was not drawn: ${reason}`;
      return {
        ...json,
        "text/html": `${this.#html}<p>${escapeHtml(note)}</p>`,
        "text/plain": `${this.text}\n${note}`,
      };
    }
    const source = `data:image/svg+xml;base64,${new TextEncoder().encode(svg).toBase64()}`;
    return {
      ...json,
      "text/html": `<img src="${source}" alt="${escapeHtml(titleOf(this.spec))}">`,
      "text/plain": this.text,
    };
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.text;
  }
}

/** Title of a specification, in one line. */
function titleOf({ title }: ChartSpec): string {
  const text = typeof title === "object" && title !== null && "text" in title ? title.text : title;
  return Array.isArray(text) ? text.join(" ") : typeof text === "string" ? text : "chart";
}

/**
 * Draws a chart. Vega is loaded by the first call, so that programs without charts never load it.
 *
 * @param spec What to draw; its own `config` wins over the theme's.
 * @returns The picture as SVG, with the colours of light pages and of dark ones.
 * @throws {TypeError} If the npm packages vega and vega-lite cannot be loaded.
 */
export async function renderSvg(spec: ChartSpec): Promise<string> {
  const [vega, { compile }] = await Promise.all([
    import("npm:vega@6.4.0"),
    import("npm:vega-lite@6.5.0"),
  ]);
  const { mergeConfig, parse, View } = vega;
  // Without a canvas Vega takes every letter for 0.8 em wide, and leaves gaps. Its types lack this.
  const { textMetrics } = vega as unknown as { textMetrics: TextMetrics };
  textMetrics.width = ({ fontSize = 11 }, text) => pixelWidth(String(text ?? ""), fontSize);
  const themes: object[] = [config, pictureConfig, spec.config ?? {}];
  // Vega writes into the data.
  const themed = { ...structuredClone(spec), config: mergeConfig(...themes) } as ChartSpec;
  // Warnings are about the specification, whose reader is not the one who runs this.
  const view = new View(parse(compile(themed, { logger: quiet }).spec), { renderer: "none" });
  try {
    return finishSvg(await view.toSVG());
  } finally {
    view.finalize();
  }
}

/** How Vega measures text. */
interface TextMetrics {
  width: (item: { fontSize?: number }, text: unknown) => number;
}

/** A logger of Vega that only fails. */
const quiet = {
  level: () => quiet,
  error: (...reasons: readonly unknown[]) => {
    throw new TypeError(`Cannot draw the chart: ${reasons.join(" ")}`);
  },
  warn: () => quiet,
  info: () => quiet,
  debug: () => quiet,
};
