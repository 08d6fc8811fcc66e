import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Replaces a file as a whole or not at all: the new contents go to a temporary file
 * beside it, reach the disk, and take the name in one step. When `write` throws, the
 * temporary file is removed and the original stays as it was.
 *
 * @param path File to write; a symbolic link is followed.
 * @param write Receives the temporary file, open for writing.
 * @throws Whatever `write` or the file system throws.
 *
 * @example Nothing is left of a write that fails
 * ```ts
 * import { writeAtomically } from "@metalfaiss/metalfaiss/io";
 * import assert from "node:assert/strict";
 *
 * const path = `${await Deno.makeTempDir()}/numbers.bin`;
 * await Deno.writeTextFile(path, "before");
 * await assert.rejects(writeAtomically(path, async (file) => {
 *   await file.write(new Uint8Array(3));
 *   throw new Error("the disk is full");
 * }));
 * assert.equal(await Deno.readTextFile(path), "before");
 * ```
 */
export async function writeAtomically(
  path: string | URL,
  write: (file: Deno.FsFile) => Promise<void>,
): Promise<void> {
  const { target, mode } = await resolve(path instanceof URL ? fileURLToPath(path) : path);
  const temporary = `${target}.${crypto.randomUUID()}.tmp`;
  const file = await Deno.open(temporary, {
    write: true,
    createNew: true,
    ...mode === null ? {} : { mode },
  });
  try {
    try {
      await write(file);
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, target);
  } catch (error) {
    await Deno.remove(temporary);
    throw error;
  }
  await syncDirectory(dirname(target));
}

/** The file behind a link, and the permissions to keep. */
async function resolve(path: string): Promise<{ target: string; mode: number | null }> {
  try {
    const target = await Deno.realPath(path);
    return { target, mode: (await Deno.stat(target)).mode };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { target: path, mode: null };
    throw error;
  }
}

/** Makes the new name durable, where directories can be opened (not on Windows). */
async function syncDirectory(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using directory = await Deno.open(path);
  await directory.sync();
}
