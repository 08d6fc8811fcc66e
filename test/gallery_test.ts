import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Chart, lineChart } from "../lib/notebook/mod.ts";
import { writeGallery } from "../notebooks/tools/gallery.ts";
import { indexPage } from "../notebooks/tools/index_page.ts";
import { type Notebook, readNotebooks } from "../notebooks/tools/ipynb.ts";
import { notebookPage, renderNotebook } from "../notebooks/tools/page.ts";
import { README_CHARTS, readmeCharts } from "../notebooks/tools/readme.ts";
import { type Browser, openBrowser } from "./browser.ts";
import { linkedNotebook, nastyNotebook, runningNotebook } from "./nasty_notebook.ts";
import { overflowAt, type PageReport, reportOf } from "./page_report.ts";

const root = new URL("../", import.meta.url).pathname;
const committed = join(root, "notebooks");

type Scheme = "light" | "dark";

/** A temporary folder that is gone after `use`. */
async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function chart(): Chart {
  const points = [1, 2, 4, 8].map((x) => ({ series: "naïve <b>", x, y: x * x }));
  return lineChart(points, { title: "Time by size", x: "size", y: "time in ms", logX: true });
}

/** HTML that a notebook gets of a chart. */
async function chartHtml(): Promise<string> {
  const display = Reflect.get(chart(), Symbol.for("Jupyter.display")) as () => Promise<
    Record<string, string>
  >;
  return (await display.call(chart()))["text/html"]!;
}

async function writeNotebooks(
  folder: string,
  notebooks: Record<string, unknown>,
): Promise<void> {
  for (const [name, notebook] of Object.entries(notebooks)) {
    const text = typeof notebook === "string" ? notebook : JSON.stringify(notebook);
    await Deno.writeTextFile(join(folder, `${name}.ipynb`), text);
  }
}

/** Opens a page and looks at it; all that the browser complains of, or asks the network for, is in `faults`. */
async function look(
  browser: Browser,
  path: string,
  scheme: Scheme,
): Promise<{ report: PageReport; overflow: number[]; faults: string[]; far: string[] }> {
  const page = await browser.newPage();
  const faults: string[] = [];
  const far: string[] = [];
  page.on("console", (message) => {
    faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => {
    faults.push(String(error));
  });
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("requestfailed", (request) => {
    faults.push(`request: ${request.url().slice(0, 100)}`);
  });
  page.on("request", (request) => {
    if (!/^(?:file|data):/.test(request.url())) far.push(request.url());
  });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(pathToFileURL(path).href, { waitUntil: "load" });
  const report = await reportOf(page);
  const overflow: number[] = [];
  for (const width of [400, 1280, 1600]) overflow.push(await overflowAt(page, width));
  await page.close();
  return { report, overflow, faults, far };
}

/** Opens every page of a gallery in both schemes, and follows its links. */
async function checkPages(paths: readonly string[], charts: Map<string, number>): Promise<void> {
  const browser = await openBrowser();
  const places = new Map<string, Set<string>>();
  const links: { from: string; href: string }[] = [];
  try {
    for (const path of paths) {
      for (const scheme of ["light", "dark"] as const) {
        const where = `${basename(path)}, ${scheme}`;
        const { report, overflow, faults, far } = await look(browser, path, scheme);
        checkReport(report, scheme, where);
        assert.deepEqual([faults, far], [[], []], where);
        assert.deepEqual(overflow, [0, 0, 0], `${where}: wider than its window`);
        const drawn = report.pictures.length;
        assert.equal(drawn, charts.get(basename(path)) ?? drawn, `${where}: charts`);
        places.set(pathToFileURL(path).href, new Set(report.ids));
        links.push(...report.links.map((href) => ({ from: where, href })));
      }
    }
  } finally {
    await browser.close();
  }
  for (const { from, href } of links) {
    if (/^https?:/.test(href)) continue;
    const [address = "", place = ""] = href.split("#");
    const ids = places.get(address);
    assert.ok(
      ids !== undefined && (place === "" || ids.has(decodeURIComponent(place))),
      from + href,
    );
  }
}

function checkReport(report: PageReport, scheme: Scheme, where: string): void {
  const isRight = (light: number) => scheme === "light" ? light > 0.8 : light >= 0 && light < 0.1;
  assert.notEqual(report.title, "", where);
  assert.deepEqual([report.headings >= 1, report.mains, report.language], [true, 1, "en"], where);
  assert.equal(new Set(report.ids).size, report.ids.length, `${where}: an id twice`);
  assert.ok(isRight(report.background), `${where}: background ${report.background}`);
  assert.deepEqual(report.faint, [], `${where}: too little contrast`);
  assert.equal(report.ran, undefined, where);
  for (const { alt, complete, width, colours, card } of report.pictures) {
    assert.ok(complete && width > 0 && colours > 1, `${where}: ${alt} is not drawn`);
    assert.ok(isRight(card), `${where}: the card of ${alt} is ${card}`);
    assert.notEqual(alt, "", `${where}: a picture without a text`);
  }
}

/** How many charts each page has to show. */
function chartsOf(notebooks: ReadonlyMap<string, Notebook>): Map<string, number> {
  return new Map([...notebooks].map(([file, { cells }]) => {
    const outputs = cells.flatMap(({ outputs }) => outputs ?? []);
    const charts = outputs.filter((output) =>
      "data" in output && "application/vnd.vegalite.v5+json" in output.data
    );
    return [file.replace(".ipynb", ".html"), charts.length];
  }));
}

Deno.test("gallery: committed notebooks are drawn in light and dark, and nothing is missing", async () => {
  await withFolder(async (folder) => {
    const charts = chartsOf(await readNotebooks(committed));
    assert.ok(charts.size >= 12, `${charts.size} notebooks`);
    for (const [page, count] of charts) assert.ok(count > 0, `${page} has no chart`);
    await checkPages(await writeGallery(committed, folder), charts);
  });
});

Deno.test("gallery: huge tables, long lines, errors and markup in data are shown, not run", async () => {
  await withFolder(async (folder) => {
    const notebooks = {
      "01_nasty": nastyNotebook(await chartHtml()),
      "02_linked": linkedNotebook(),
    };
    await writeNotebooks(folder, notebooks);
    const paths = await writeGallery(folder, folder);
    assert.deepEqual(paths.map((path) => basename(path)), [
      "index.html",
      "01_nasty.html",
      "02_linked.html",
    ]);
    await checkPages(paths, new Map([["01_nasty.html", 2], ["index.html", 1]]));
    const index = await Deno.readTextFile(paths[0]!);
    const row = index.split("\n").find((line) => line.includes('<th scope="row">')) ?? "";
    assert.match(row, /href="01_nasty\.html#replay-j2">J2<.*refuted.*0\.4322.*a &lt;device&gt;/);
    assert.match(index, />1 refuted</);
  });
});

Deno.test("gallery: HTML of an output can neither run nor load", async () => {
  await withFolder(async (folder) => {
    const asked: string[] = [];
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      asked.push(request.url);
      return new Response();
    });
    const path = join(folder, "page.html");
    const address = `http://127.0.0.1:${server.addr.port}`;
    await Deno.writeTextFile(path, renderNotebook(runningNotebook(address)));
    const browser = await openBrowser();
    try {
      const { report } = await look(browser, path, "light");
      assert.deepEqual([report.ran, asked], [undefined, []]);
      assert.equal(report.pictures.length, 2);
    } finally {
      await browser.close();
      await server.shutdown();
    }
  });
});

Deno.test("the index names the GPU that a notebook ran on, or the CPU", () => {
  const deviceOn = (device: string, engine: string): string | undefined => {
    const plain = `The journal\ndevice  ${device}\nengine  ${engine}\nCPU     A & B\n`;
    const cell = { cell_type: "code" as const, metadata: {}, source: "" };
    const outputs = [{ output_type: "display_data" as const, data: { "text/plain": plain } }];
    const notebook = { ...linkedNotebook(), cells: [{ ...cell, outputs }] };
    const html = indexPage([{ name: "01_x", title: "X", lead: "", notebook }]);
    return html.match(/<p class="device">(.*)<\/p>/)?.[1];
  };
  assert.equal(deviceOn("NVIDIA H200", "cuda"), "NVIDIA H200, cuda");
  assert.equal(deviceOn("Metal emulator", "emulator"), "A &amp; B");
  assert.equal(deviceOn("no GPU", "native"), "A &amp; B");
});

Deno.test("renderNotebook() prefers what is drawn to text, and escapes what is text", async () => {
  const { html, title, lead, headings } = notebookPage(nastyNotebook(await chartHtml()));
  assert.equal(title, "Nasty & <b>bold</b> 日本語");
  assert.match(lead, /^First <strong>paragraph<\/strong> &lt;script&gt;/);
  assert.deepEqual(
    headings.map(({ id }) => id),
    ["nasty-b-bold-b-日本語", "huge-tables", "huge-tables-2", "last"],
  );
  assert.ok(!html.includes("<script") && !html.includes("javascript:") && !html.includes("\x1b"));
  assert.ok(!html.includes('far.png"') && html.includes("known after all"));
  assert.ok(/\n100 %\nwide wide/.test(html));
  assert.ok(/class="stderr"[^>]*>warning: ½ 🦆/.test(html));
  assert.ok(/class="error"[^>]*>TypeError: Cannot &lt;add&gt;: no/.test(html));
  assert.ok(/`<span class="language-metal"><span class="hljs-type">uint<\/span> i/.test(html));
  assert.ok(/<code>&lt;b&gt;<\/code>/.test(html));
});

Deno.test("writeGallery() gives the same bytes for the same notebooks", async () => {
  await withFolder(async (folder) => {
    await writeNotebooks(folder, {
      "01_nasty": nastyNotebook("<p>"),
      "02_linked": linkedNotebook(),
    });
    const read = async (out: string) => {
      const paths = await writeGallery(folder, join(folder, out));
      return await Promise.all(paths.map((path) => Deno.readTextFile(path)));
    };
    assert.deepEqual(await read("a"), await read("b"));
  });
});

Deno.test("writeGallery() names the file that is no notebook, and the link that leads nowhere", async () => {
  const page = linkedNotebook();
  const faults: [notebook: unknown, message: RegExp][] = [
    ["{", /^Cannot read 03_x\.ipynb: not JSON/],
    ["[]", /^Cannot read 03_x\.ipynb: not a notebook$/],
    [{ ...page, cells: [] }, /^Cannot read 03_x\.ipynb: no cells$/],
    [{ ...page, nbformat: 3 }, /^Cannot read 03_x\.ipynb: nbformat 3, not 4$/],
    [
      { ...page, cells: [{ cell_type: "code", source: "", metadata: {} }] },
      /cell 1 has no list of/,
    ],
    [
      { ...page, cells: [{ cell_type: "code", source: "", metadata: {}, outputs: [{}] }] },
      /cell 1 has a broken output/,
    ],
    [page, /^Cannot link from 03_x\.ipynb: 01_nasty\.ipynb#Huge-tables leads nowhere$/],
  ];
  for (const [notebook, message] of faults) {
    await withFolder(async (folder) => {
      await writeNotebooks(folder, { "03_x": notebook });
      await assert.rejects(writeGallery(folder, folder), { message });
      const files = [...Deno.readDirSync(folder)].map(({ name }) => name);
      assert.deepEqual(files, ["03_x.ipynb"], "pages beside an error");
    });
  }
  await withFolder((folder) =>
    assert.rejects(writeGallery(folder, folder), /Cannot read notebooks: .* has none/)
  );
});

Deno.test("readmeCharts() takes the tagged charts, each once", async () => {
  const html = await chartHtml();
  const tagged = (...names: string[]): Map<string, Notebook> => {
    const cells = names.map((readme) => ({
      ...nastyNotebook("").cells[2]!,
      metadata: { metalfaiss: { readme } },
      outputs: [{ output_type: "display_data" as const, data: { "text/html": html } }],
    }));
    return new Map([["01_x.ipynb", { ...linkedNotebook(), cells }]]);
  };
  const svg = await chart().toSvg();
  const charts = readmeCharts(tagged(...README_CHARTS));
  assert.deepEqual([...charts], README_CHARTS.map((name) => [name, svg]));

  const [first = "", ...rest] = README_CHARTS;
  assert.throws(() => readmeCharts(tagged(...rest)), /no cell has that chart/);
  assert.throws(() => readmeCharts(tagged(first, first)), /another cell has that chart/);
  assert.throws(() => readmeCharts(tagged("other")), /the README's charts are/);
  const bare = tagged(first);
  bare.set("01_x.ipynb", {
    ...linkedNotebook(),
    cells: [{ ...bare.get("01_x.ipynb")!.cells[0]!, outputs: [] }],
  });
  assert.throws(() => readmeCharts(bare), /its cell shows 0 charts, not 1/);
});

Deno.test("the README's charts are those of the committed notebooks", async () => {
  const charts = readmeCharts(await readNotebooks(committed));
  const readme = await Deno.readTextFile(join(root, "README.md"));
  for (const [name, svg] of charts) {
    assert.equal(await Deno.readTextFile(join(root, `data/results/${name}.svg`)), svg, name);
    assert.ok(readme.includes(`](data/results/${name}.svg)`), `README.md does not show ${name}`);
  }
});
