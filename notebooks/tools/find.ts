/**
 * Finding notebooks by name.
 *
 * @module
 */

import { basename, join, resolve } from "node:path";

/**
 * Paths of notebooks.
 *
 * @param names Each a number (`03`), a name (`svd`), both (`03_svd`), or a path; none means all.
 * @param folder Where notebooks are.
 * @returns Each path once, in the folder's order where all are meant.
 * @throws {RangeError} If there is no notebook of a name; the message lists all.
 */
export async function findNotebooks(names: readonly string[], folder: string): Promise<string[]> {
  const all: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".ipynb")) all.push(basename(name, ".ipynb"));
  }
  all.sort();
  const inFolder = (name: string) => join(folder, `${name}.ipynb`);
  if (names.length === 0) {
    if (all.length === 0) throw new RangeError(`Cannot run notebooks: ${folder} has none`);
    return all.map(inFolder);
  }
  const paths = names.map((name) => {
    if (name.includes("/")) return resolve(name);
    const stem = basename(name, ".ipynb");
    const found = all.find((known) => known === stem || parts(known).includes(stem));
    if (found !== undefined) return inFolder(found);
    throw new RangeError(
      `Cannot run "${name}": there is no such notebook; there are ${all.join(", ")}`,
    );
  });
  return [...new Set(paths)];
}

/** The number and the name of `03_svd`. */
function parts(stem: string): string[] {
  const [, number, name] = stem.match(/^(\d+)_(.+)$/) ?? [];
  return number === undefined ? [] : [number, name!];
}
