/**
 * Vega's pictures, made smaller, in the colours of light pages and of dark ones.
 *
 * @module
 */

import { config, darkStyle } from "./theme.ts";

/** Marks of one look from which on each is drawn by reference. */
const LEAST_COPIES = 8;
const DROPPED =
  / (?:(?:class|role|aria-[a-z]+|pointer-events|stroke-miterlimit|xmlns:xlink)="[^"]*"|(?:fill-|stroke-)?opacity="1")/g;
const FONT = ` font-family="${config.font}"`;
const SYMBOL = /<path transform="translate\(([^,)]+),([^)]+)\)"( d="[^"]*"[^>]*?)\/>/g;

/**
 * A picture of Vega with short numbers, without what only programs read, and with a style for dark pages.
 * The size is a third of the original, of many points a tenth.
 *
 * @param svg What Vega drew.
 * @returns The picture.
 */
export function finishSvg(svg: string): string {
  const short = svg.replace(
    /<[^>]+>/g,
    (tag) =>
      tag.replace(DROPPED, "").replace(
        /-?\d*\.\d+(?:e[-+]?\d+)?/g,
        (number) => String(Number(Number(number).toFixed(2))),
      ),
  )
    .replace(/<(path|rect|line)([^>]*)><\/\1>/g, "<$1$2/>");
  const { body, marks } = shareSymbols(
    dropEmpty(short.replaceAll('<path d="" display="none"/>', "")),
  );
  const head = `<style>${darkStyle}</style>${marks}`;
  // One font for all, where most texts repeat it.
  return body.replaceAll(FONT, "").replace(/^<svg([^>]*)>/, `<svg$1${FONT}>${head}`);
}

function dropEmpty(svg: string): string {
  const less = svg.replace(/<g[^>]*><\/g>/g, "");
  return less.length === svg.length ? svg : dropEmpty(less);
}

/** Draws what is there many times once, and refers to it. */
function shareSymbols(svg: string): { body: string; marks: string } {
  const counts = new Map<string, number>();
  for (const [, , , look] of svg.matchAll(SYMBOL)) counts.set(look!, (counts.get(look!) ?? 0) + 1);
  const shared = [...counts].filter(([, count]) => count >= LEAST_COPIES).map(([look]) => look);
  if (shared.length === 0) return { body: svg, marks: "" };
  const ids = new Map(shared.map((look, i) => [look, `m${i}`]));
  const body = svg.replace(SYMBOL, (whole, x: string, y: string, look: string) => {
    return ids.has(look) ? `<use href="#${ids.get(look)}" x="${x}" y="${y}"/>` : whole;
  });
  const drawn = shared.map((look) => `<path id="${ids.get(look)}"${look}/>`);
  return { body, marks: `<defs>${drawn.join("")}</defs>` };
}
