/**
 * Packages that `deno.lock` holds fast. The kernel takes no flag that would keep it as it is.
 *
 * @module
 */

const path = new URL("../../deno.lock", import.meta.url);

/** What the lock file has a version for. */
export async function lockedPackages(): Promise<Set<string>> {
  const { specifiers = {} } = JSON.parse(await Deno.readTextFile(path));
  return new Set(Object.keys(specifiers));
}

/**
 * What came into the lock file.
 *
 * @param before What it had.
 * @param after What it has.
 */
export function addedPackages(before: ReadonlySet<string>, after: ReadonlySet<string>): string[] {
  return [...after].filter((name) => !before.has(name));
}
