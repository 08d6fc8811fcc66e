/**
 * Good files of every kind of index, and where their fields are. A kind that joins `everyKind`, and
 * every file that its reader reads through a ByteReader, joins here by itself.
 *
 * @module
 */

import type { Backend } from "../../lib/backend/backend.ts";
import type { Index } from "../../lib/index/index.ts";
import { IndexIVF } from "../../lib/index/ivf.ts";
import {
  deserializeIndex,
  deserializeIndexBinary,
  serializeIndex,
  serializeIndexBinary,
  writeIndex,
} from "../../lib/io/mod.ts";
import { everyBinaryKind } from "../binary_kinds.ts";
import { everyKind } from "../indexes.ts";
import { type Field, trace } from "./trace.ts";

/** A good file. */
export interface Sample {
  /** Name of its kind. */
  kind: string;
  /** Whether it holds an index of bits. */
  isBinary: boolean;
  /** All of it. */
  bytes: Uint8Array<ArrayBuffer>;
  /** What it is made of. */
  fields: Field[];
}

/**
 * Every kind of index as a file.
 *
 * @param directory Where the files are that others name.
 */
export async function corpus(backend: Backend, directory: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const [kind, index] of await everyKind(backend)) {
    const bytes = await serializeIndex(index);
    samples.push(await sampleOf(kind, bytes, backend));
    if (hasLists(index, bytes)) {
      const path = `${directory}/${samples.length}.faiss`;
      await writeIndex(index, path, { ondisk: `${directory}/${samples.length}.ivfdata` });
      samples.push(await sampleOf(`${kind} on disk`, await Deno.readFile(path), backend));
    }
    index.dispose();
  }
  for (const [kind, index] of await everyBinaryKind(backend)) {
    const bytes = await serializeIndexBinary(index);
    samples.push(await sampleOf(`bits ${kind}`, bytes, backend, true));
    index.dispose();
  }
  return samples;
}

/** Whether an index has lists that may go to a file of their own: those in blocks may not. */
export function hasLists(index: Index, bytes: Uint8Array): boolean {
  return index instanceof IndexIVF && index.isTrained && index.ntotal > 0 &&
    new TextDecoder("latin1").decode(bytes).includes("ilar");
}

async function sampleOf(
  kind: string,
  bytes: Uint8Array<ArrayBuffer>,
  backend: Backend,
  isBinary = false,
): Promise<Sample> {
  const read = isBinary ? deserializeIndexBinary : deserializeIndex;
  const fields = await trace(async () => {
    // Lists that are elsewhere are refused here, after all that is special to them.
    try {
      (await read(bytes, { backend })).dispose();
    } catch (error) {
      if (!kind.endsWith("on disk")) throw error;
    }
  });
  return { kind, isBinary, bytes, fields };
}
