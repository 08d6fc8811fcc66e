/**
 * The page that lists notebooks and experiments.
 *
 * @module
 */

import { escapeHtml, formatNumber } from "../../lib/display_cells.ts";
import { findExperiment } from "../../lib/journal/experiments.ts";
import { type Displayed, type Notebook, type Output, textOf } from "./ipynb.ts";
import { document } from "./page.ts";
import { type ReplayRecord, replaysOf } from "./replays.ts";

/** A notebook of the index. */
export interface IndexEntry {
  /** File name of its page, without ending. */
  name: string;
  title: string;
  /** Its first paragraph, as HTML. */
  lead: string;
  notebook: Notebook;
}

/** Outcomes in the order that they are counted in, with the class that colours each. */
const OUTCOMES: ReadonlyMap<string, string> = new Map([
  ["confirmed", "good"],
  ["refuted", "bad"],
  ["not testable", "open"],
]);

/**
 * The index: a card for each notebook, and one table of all experiments.
 *
 * @param entries In the order of the pages.
 * @returns The page's HTML.
 */
export function indexPage(entries: readonly IndexEntry[]): string {
  const listed = entries.map((entry) => ({ entry, replays: replaysOf(entry.notebook) }));
  const cards = listed.map(({ entry, replays }) => card(entry, replays)).join("");
  const rows = listed.flatMap(({ entry, replays }) => replays.map((replay) => row(entry, replay)));
  const head = ["Id", "Experiment", "Outcome", "Ratio", "Device", "Notebook"]
    .map((name) => `<th scope="col"${name === "Ratio" ? ' class="number"' : ""}>${name}</th>`);
  const table = rows.length === 0 ? "" : `<h2 id="experiments">Experiments</h2>
<p>Each was published with a conclusion. The outcome is what the measurements in its notebook say of
it; the ratio is what the outcome rests on.</p>
<div class="scroll" tabindex="0"><table>
<thead><tr>${head.join("")}</tr></thead>
<tbody>
${rows.join("")}</tbody></table></div>
`;
  return document(
    "metalfaiss: notebooks",
    `<main>
<h1>Notebooks</h1>
<p>Published experiments with GPU kernels and vector search, run again. Each page is a notebook of
metalfaiss as it ran on the device that it names.</p>
<ul class="cards">
${cards}</ul>
${table}</main>
`,
  );
}

function card({ name, title, lead, notebook }: IndexEntry, replays: ReplayRecord[]): string {
  const [, number] = name.match(/^(\d+)_/) ?? [];
  const picture = firstPicture(notebook);
  const device = replays[0] ? deviceText(replays[0]) : deviceOf(notebook);
  const counts = [...OUTCOMES].map(([outcome, kind]) => {
    const count = replays.filter((replay) => replay.outcome === outcome).length;
    return count === 0 ? "" : `<span class="outcome ${kind}">${count} ${outcome}</span> `;
  }).join("").trimEnd();
  return `<li class="card">
${picture === undefined ? "" : `<div class="thumbnail">${picture}</div>\n`}<h2>${
    number === undefined ? "" : `<span class="number">${number}</span> `
  }<a href="${escapeHtml(name)}.html">${escapeHtml(title)}</a></h2>
<p class="lead">${lead.replaceAll(/<\/?a\b[^>]*>/g, "")}</p>
${device === undefined ? "" : `<p class="device">${escapeHtml(device)}</p>\n`}${
    counts && `<p>${counts}</p>\n`
  }</li>
`;
}

function row({ name, title }: IndexEntry, replay: ReplayRecord): string {
  const { ids: [id = ""], outcome, ratio, anchor } = replay;
  const place = `${escapeHtml(name)}.html#${anchor}`;
  return `<tr><th scope="row"><a href="${place}">${escapeHtml(id)}</a></th><td>${
    escapeHtml(findExperiment(id)?.title ?? "")
  }</td><td><span class="outcome ${OUTCOMES.get(outcome) ?? "open"}">${
    escapeHtml(outcome)
  }</span></td><td class="number">${ratio === null ? "" : formatNumber(ratio)}</td><td>${
    escapeHtml(deviceText(replay))
  }</td><td><a href="${escapeHtml(name)}.html">${escapeHtml(title)}</a></td></tr>
`;
}

function deviceText({ device, engine, size }: ReplayRecord): string {
  return machine(device, engine) + (size === "quick" ? ", quick sizes" : "");
}

/** A device and its engine, which the device's name may hold. */
function machine(device: string, engine: string): string {
  return device.includes(engine) ? device : `${device}, ${engine}`;
}

/** The device that the first output with a table of the machine names; the CPU, where there is no GPU. */
function deviceOf(notebook: Notebook): string | undefined {
  for (const output of outputsOf(notebook)) {
    const plain = isDisplayed(output) ? textOf(output, "text/plain") ?? "" : "";
    const row = (name: string) => plain.match(new RegExp(`^ *${name} {2,}(.+?) *$`, "m"))?.[1];
    const device = row("device");
    if (device === undefined) continue;
    const engine = row("engine") ?? "";
    return ["metal", "cuda"].includes(engine) ? machine(device, engine) : row("CPU") ?? device;
  }
  return undefined;
}

/** The first chart, as an image. */
function firstPicture(notebook: Notebook): string | undefined {
  for (const output of outputsOf(notebook)) {
    const html = isDisplayed(output) ? textOf(output, "text/html") : undefined;
    const image = html?.match(/<img src="data:image\/[^"]+" alt="[^"]*">/)?.[0];
    if (image !== undefined) return image;
  }
  return undefined;
}

function outputsOf(notebook: Notebook): Output[] {
  return notebook.cells.flatMap(({ outputs }) => outputs ?? []);
}

function isDisplayed(output: Output): output is Displayed {
  return output.output_type === "display_data" || output.output_type === "execute_result";
}
