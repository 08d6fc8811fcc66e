/**
 * `deno task gallery [--from FOLDER] [--out FOLDER]`: the notebooks as static pages, with an index.
 * The same notebooks give the same bytes.
 *
 * @module
 */

import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { checkout } from "../../ffi/paths.ts";
import { decoded, slugOf } from "./html.ts";
import { type IndexEntry, indexPage } from "./index_page.ts";
import { type Notebook, readNotebooks } from "./ipynb.ts";
import { notebookPage, type PageLink } from "./page.ts";

/** Title of the index, as links to it have it. */
const INDEX: PageLink = { href: "index.html", title: "All notebooks" };

/** One notebook of a folder. */
interface Source {
  /** Its file name, without folder and ending. */
  name: string;
  notebook: Notebook;
  title: string;
}

/**
 * Writes a page for each notebook of a folder, and an index.
 *
 * @param from Folder of the notebooks.
 * @param out Folder of the pages; made where it is not there.
 * @returns The paths of the pages, the index first.
 * @throws {SyntaxError} If a file is no notebook.
 * @throws {Deno.errors.NotFound} If there is no notebook, or a link leads nowhere.
 */
export async function writeGallery(from: string, out: string): Promise<string[]> {
  const sources: Source[] = [...await readNotebooks(from)].map(([file, notebook]) => ({
    name: basename(file, ".ipynb"),
    notebook,
    title: notebookPage(notebook).title,
  }));
  const links = new Links(from);
  const pages = sources.map((source, i) => {
    const { name, notebook } = source;
    const page = notebookPage(notebook, {
      index: INDEX,
      ...i > 0 ? { previous: linkTo(sources[i - 1]!) } : {},
      ...i + 1 < sources.length ? { next: linkTo(sources[i + 1]!) } : {},
      link: (href) => links.resolve(name, href),
    });
    links.add(name, page.headings.map(({ id }) => id));
    return { name, notebook, page };
  });
  await links.check();

  const entries: IndexEntry[] = pages.map(({ name, notebook, page: { title, lead } }) => ({
    name,
    title,
    lead,
    notebook,
  }));
  await Deno.mkdir(out, { recursive: true });
  const paths = [join(out, INDEX.href)];
  await Deno.writeTextFile(paths[0]!, indexPage(entries));
  for (const { name, page } of pages) {
    const path = join(out, `${name}.html`);
    await Deno.writeTextFile(path, page.html);
    paths.push(path);
  }
  return paths;
}

function linkTo({ name, title }: Source): PageLink {
  return { href: `${name}.html`, title };
}

/** The links between notebooks, and from them to files beside them. */
class Links {
  readonly #folder: string;
  readonly #places = new Map<string, Set<string>>();
  readonly #wanted: { from: string; href: string; page: string; place: string }[] = [];
  readonly #files: { from: string; href: string; path: string }[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Notes a page and its places. */
  add(name: string, places: readonly string[]): void {
    this.#places.set(name, new Set(places));
  }

  /** Where a relative link leads. A file of the repository is not there beside the pages: no link. */
  resolve(from: string, href: string): string | undefined {
    const { path, fragment } = split(href);
    const [, name] = path.match(/^(?:\.\/)?([^/]+)\.ipynb$/) ?? [];
    if (path !== "" && name === undefined) {
      this.#files.push({ from, href, path: join(this.#folder, path) });
      return undefined;
    }
    const place = fragment === "" ? "" : slugOf(fragment);
    this.#wanted.push({ from, href, page: name ?? from, place });
    return (name === undefined ? "" : `${name}.html`) + (place && `#${place}`);
  }

  /** Throws where a link leads nowhere. */
  async check(): Promise<void> {
    for (const { from, href, page, place } of this.#wanted) {
      const places = this.#places.get(page);
      if (places === undefined || (place !== "" && !places.has(place))) {
        throw brokenLink(from, href);
      }
    }
    for (const { from, href, path } of this.#files) {
      await Deno.stat(path).catch(() => {
        throw brokenLink(from, href);
      });
    }
  }
}

function brokenLink(from: string, href: string): Error {
  return new Deno.errors.NotFound(`Cannot link from ${from}.ipynb: ${href} leads nowhere`);
}

function split(href: string): { path: string; fragment: string } {
  const at = href.indexOf("#");
  return at < 0
    ? { path: decoded(href), fragment: "" }
    : { path: decoded(href.slice(0, at)), fragment: decoded(href.slice(at + 1)) };
}

if (import.meta.main) {
  const root = checkout()!;
  const { values } = parseArgs({
    args: Deno.args,
    options: { from: { type: "string" }, out: { type: "string" } },
  });
  try {
    const paths = await writeGallery(
      values.from ?? join(root, "notebooks"),
      values.out ?? join(root, "out/gallery"),
    );
    console.log(`${paths.length - 1} notebooks: ${paths[0]}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
