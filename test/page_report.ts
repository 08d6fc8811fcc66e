/**
 * What a browser finds on a page.
 *
 * @module
 */

import type { Page } from "./browser.ts";

/** One picture. */
export interface PictureReport {
  alt: string;
  complete: boolean;
  width: number;
  /** Colours that are told apart in it. */
  colours: number;
  /** How light its card is, from 0 to 1. */
  card: number;
}

/** A page as it is shown. */
export interface PageReport {
  title: string;
  /** How light the background is, from 0 to 1. */
  background: number;
  pictures: PictureReport[];
  /** Addresses of its links. */
  links: string[];
  ids: string[];
  /** Headings of first order, and landmarks. */
  headings: number;
  mains: number;
  language: string;
  /** Texts with less contrast than 4.5 : 1. */
  faint: string[];
  /** What a script of the data would have set. */
  ran: unknown;
}

/** Runs in the page. */
const SCRIPT = `(() => {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.width = canvas.height = 1;
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const linear = [r, g, b].map((value) =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
    );
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const picture = (image) => {
    const report = {
      alt: image.alt,
      complete: image.complete,
      width: image.naturalWidth,
      colours: 0,
      card: -1,
    };
    if (image.naturalWidth === 0) return report;
    canvas.width = 160;
    canvas.height = 120;
    pen.drawImage(image, 0, 0, 160, 120);
    const { data } = pen.getImageData(0, 0, 160, 120);
    const colours = new Set();
    for (let i = 0; i < data.length; i += 4) {
      colours.add((data[i] >> 4) << 8 | (data[i + 1] >> 4) << 4 | data[i + 2] >> 4);
    }
    return { ...report, colours: colours.size, card: data[3] === 255 ? light(data) : -1 };
  };
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgb(colour)[3] === 255) return colour;
    }
    return "Canvas";
  };
  const faint = [];
  const seen = new Map();
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].find((node) =>
      node.nodeType === 3 && node.data.trim() !== ""
    );
    if (text === undefined || element.getClientRects().length === 0) continue;
    const pair = getComputedStyle(element).color + " on " + behind(element);
    if (!seen.has(pair)) {
      const [a, b] = pair.split(" on ").map((colour) => light(rgb(colour)));
      seen.set(pair, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
    }
    if (seen.get(pair) < 4.5) faint.push(text.data.trim().slice(0, 60) + ": " + pair);
  }
  return {
    title: document.title,
    background: light(rgb(behind(document.body))),
    pictures: [...document.images].map(picture),
    links: [...document.links].map(({ href }) => href),
    ids: [...document.querySelectorAll("[id]")].map(({ id }) => id),
    headings: document.querySelectorAll("h1").length,
    mains: document.querySelectorAll("main").length,
    language: document.documentElement.lang,
    faint,
    ran: globalThis.ran,
  };
})()`;

/**
 * Looks at an open page.
 *
 * @param page Open in a browser.
 */
export async function reportOf(page: Page): Promise<PageReport> {
  return await page.evaluate(SCRIPT) as PageReport;
}

/**
 * How many pixels a page is too wide for its window.
 *
 * @param page Open in a browser.
 * @param width Of the window, in pixels.
 */
export async function overflowAt(page: Page, width: number): Promise<number> {
  await page.setViewport({ width, height: 900 });
  const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
  return await page.evaluate(overflow) as number;
}
