/**
 * Places for labels beside points, where they cover little.
 *
 * @module
 */

import { pixelWidth } from "../pixels.ts";
import { labelSize } from "../theme.ts";

/** A point with a label, in pixels from the plot's upper left. */
export interface Anchor {
  x: number;
  y: number;
  /** The label. */
  text: string;
}

/** Where a label stands, from its point. */
export interface Place {
  dx: number;
  dy: number;
  align: "left" | "center" | "right";
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Places that are tried, the best first. */
const PLACES: readonly Place[] = [
  { dx: 8, dy: -8, align: "left" },
  { dx: 9, dy: 0, align: "left" },
  { dx: 8, dy: 9, align: "left" },
  { dx: -8, dy: -8, align: "right" },
  { dx: -9, dy: 0, align: "right" },
  { dx: -8, dy: 9, align: "right" },
  { dx: 0, dy: -13, align: "center" },
  { dx: 0, dy: 14, align: "center" },
];
/** Half the size of a point's mark. */
const MARK = 5;
/** Of a place: a label that covers three marks, or is outside, is better not there. */
const MOST_COST = 60;
/** Pixels between the samples of a line. */
const SAMPLE = 5;
/** Labels of one chart, and those that are tried: more are no help. */
const MOST_LABELS = 60;
const MOST_TRIED = 240;

/**
 * Places labels one after the other, each where it covers the least of points and lines.
 *
 * @param anchors Points, each with its label.
 * @param lines Lines that labels should leave free, as points.
 * @param width Of the plot.
 * @param height Of the plot.
 * @returns A place for each, or null where it would lie on another label.
 */
export function placeLabels(
  anchors: readonly Anchor[],
  lines: readonly (readonly { x: number; y: number }[])[],
  width: number,
  height: number,
): (Place | null)[] {
  const marks = anchors.map(({ x, y }) => box(x - MARK, x + MARK, y - MARK, y + MARK));
  const samples = lines.flatMap(sample);
  const taken: Box[] = [];
  return anchors.map((anchor, i) => {
    if (taken.length >= MOST_LABELS || i >= MOST_TRIED || anchor.text === "") return null;
    let best: { place: Place; space: Box; cost: number } | undefined;
    for (const place of PLACES) {
      const space = spaceOf(anchor, place);
      if (taken.some((other) => overlap(space, other))) continue;
      const out = space.left < 0 || space.right > width + 40 || space.top < 0 ||
        space.bottom > height;
      const cost = (out ? 100 : 0) + 20 * marks.filter((mark) => overlap(space, mark)).length +
        samples.filter(({ x, y }) => inside(space, x, y)).length;
      if (best === undefined || cost < best.cost) best = { place, space, cost };
    }
    if (best === undefined || best.cost >= MOST_COST) return null;
    taken.push(best.space);
    return best.place;
  });
}

function spaceOf({ x, y, text }: Anchor, { dx, dy, align }: Place): Box {
  const width = pixelWidth(text, labelSize);
  const left = x + dx - { left: 0, center: width / 2, right: width }[align];
  return box(left, left + width, y + dy - labelSize / 2 - 1, y + dy + labelSize / 2 + 1);
}

function box(left: number, right: number, top: number, bottom: number): Box {
  return { left, right, top, bottom };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function inside({ left, right, top, bottom }: Box, x: number, y: number): boolean {
  return x >= left && x <= right && y >= top && y <= bottom;
}

function sample(line: readonly { x: number; y: number }[]): { x: number; y: number }[] {
  return line.slice(1).flatMap((to, i) => {
    const from = line[i]!;
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / SAMPLE));
    return Array.from({ length: steps + 1 }, (_, step) => ({
      x: from.x + (to.x - from.x) * step / steps,
      y: from.y + (to.y - from.y) * step / steps,
    }));
  });
}

/** The layer that draws placed labels: its data has `text`, `dx`, `dy` and `align`. */
export function labelMark(): object {
  return {
    type: "text",
    style: "label",
    align: { expr: "datum.align" },
    dx: { expr: "datum.dx" },
    dy: { expr: "datum.dy" },
  };
}
