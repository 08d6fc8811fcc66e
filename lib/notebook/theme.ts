/**
 * Colours, fonts and sizes of charts: nothing else has any.
 *
 * @module
 */

/** Colours of series, of Okabe and Ito (2008): told apart with every kind of colour blindness. */
export const palette: readonly string[] = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#7f7f7f",
];

/** Marks of series, so that colour is never the only cue. */
export const shapes: readonly string[] = [
  "circle",
  "square",
  "triangle-up",
  "diamond",
  "triangle-down",
  "cross",
  "triangle-right",
];

/** Dashes of series. */
export const dashes: readonly (readonly number[])[] = [
  [1, 0],
  [6, 3],
  [2, 2],
  [8, 3, 2, 3],
  [10, 4],
  [4, 2, 1, 2],
  [1, 3],
];

/** Lines that belong to no series, readable on light and on dark. */
export const neutral = "#808080";

/** Colours of amounts, dark to light; and ink that is readable on each end. */
export const amounts = { scheme: "viridis", onDark: "white", onLight: "black" } as const;

const font = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

/** Size of labels inside a plot. */
export const labelSize = 11;

/** What the JSON of every chart carries: no colours of pages, because notebooks bring their own. */
export const config = {
  font,
  padding: 16,
  title: {
    anchor: "start",
    frame: "bounds",
    fontSize: 15,
    subtitleFontSize: 12,
    subtitlePadding: 6,
    offset: 14,
  },
  axis: { labelFontSize: labelSize, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8 },
  legend: { labelFontSize: labelSize, titleFontSize: 12, titleFontWeight: "normal", labelLimit: 0 },
  header: { labelFontSize: 12, titleFontSize: 12, labelFontWeight: "bold", labelLimit: 480 },
  // Themes do not reach text and rules inside plots: grey is readable on all.
  text: { color: neutral },
  rule: { color: neutral },
  view: { stroke: null },
  style: {
    label: { fontSize: labelSize, baseline: "middle" },
    group: { fontSize: 12, fontWeight: "bold", baseline: "middle" },
    spread: { strokeWidth: 1.5 },
    stem: { strokeWidth: 1, strokeDash: [4, 3] },
    span: { stroke: neutral, strokeWidth: 0.5 },
  },
} as const;

/** Inks of the picture: each of light pages, and what it becomes on dark ones. */
const inks = {
  card: ["#ffffff", "#161b22"],
  text: ["#1f2328", "#e6edf3"],
  muted: ["#59636e", "#a0a9b4"],
  axis: ["#b3bac2", "#656c76"],
  grid: ["#e4e7eb", "#2f363e"],
  // The darkest colour of series is too dark on a dark card.
  blue: [palette[0]!, "#2a8fd0"],
} as const;

const [card, text, muted, axis, grid] = [inks.card, inks.text, inks.muted, inks.axis, inks.grid]
  .map(([light]) => light);

/** What the picture adds to {@linkcode config}. */
export const pictureConfig = {
  background: card,
  aria: false,
  title: { color: text, subtitleColor: muted },
  axis: {
    domainColor: axis,
    tickColor: axis,
    gridColor: grid,
    labelColor: muted,
    titleColor: text,
  },
  legend: { labelColor: text, titleColor: text },
  header: { labelColor: text, titleColor: text },
  text: { color: text },
  rule: { color: text },
  style: {
    "guide-label": { fill: muted },
    "guide-title": { fill: text },
    span: { stroke: card },
  },
} as const;

/** Rules inside the picture that recolour it on dark pages: they win over its attributes. */
export const darkStyle: string = `@media (prefers-color-scheme:dark){${
  Object.values(inks).map(([light, dark]) =>
    `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`
  ).join("")
}}`;
