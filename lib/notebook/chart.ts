/**
 * Charts: a Vega-Lite specification becomes SVG.
 *
 * @module
 */

import type { TopLevelSpec } from "npm:vega-lite@6.5.0";

/** A Vega-Lite specification. */
export type ChartSpec = TopLevelSpec;

/** Looks shared by all charts; a specification's own `config` wins. */
const THEME = {
  background: "#ffffff",
  font: "Helvetica, Arial, sans-serif",
  padding: 16,
  title: { anchor: "start", fontSize: 16, subtitleColor: "#666", subtitleFontSize: 12, offset: 14 },
  axis: {
    domainColor: "#bbb",
    gridColor: "#eee",
    labelColor: "#444",
    labelFontSize: 11,
    tickColor: "#bbb",
    titleColor: "#222",
    titleFontSize: 12,
    titleFontWeight: "normal",
    titlePadding: 8,
  },
  view: { stroke: null },
} as const;

/**
 * Draws a chart. Vega is loaded by the first call, so that programs without charts never load it.
 *
 * @param spec What to draw.
 * @returns The picture as SVG.
 */
export async function renderSvg(spec: ChartSpec): Promise<string> {
  const [{ parse, View }, { compile }] = await Promise.all([
    import("npm:vega@6.4.0"),
    import("npm:vega-lite@6.5.0"),
  ]);
  const themed = { ...spec, config: { ...THEME, ...spec.config } } as ChartSpec;
  const view = new View(parse(compile(themed).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
