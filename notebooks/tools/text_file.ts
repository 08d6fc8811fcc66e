import { writeAtomically } from "../../lib/io/atomic.ts";

/**
 * Writes a text file as a whole or not at all.
 *
 * @param path The file.
 * @param text Its contents.
 */
export async function writeText(path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  await writeAtomically(path, async (file) => {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  });
}
