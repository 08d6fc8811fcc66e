/**
 * Reads a file that may be bad, and uses what comes of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Backend } from "../../lib/backend/backend.ts";
import { FormatError, NotTrainedError, UnsupportedError } from "../../lib/errors.ts";
import { IndexBinary } from "../../lib/index/binary/index_binary.ts";
import type { Index } from "../../lib/index/index.ts";
import {
  deserializeIndex,
  deserializeIndexBinary,
  readIndex,
  serializeIndex,
  serializeIndexBinary,
} from "../../lib/io/mod.ts";
import type { Random } from "../../lib/random.ts";
import { numbers } from "../indexes.ts";
import type { Case } from "./mutate.ts";

/** How a case is read. */
export interface How {
  /** What holds the index. */
  backend: Backend;
  /** A file for those that are read from one. */
  path: string;
}

/** What came of a case. */
export type Outcome = "refused" | "read" | "mapped" | "cut off";

/** What reading may throw: a file is damaged, or asks for what there is not. */
function assertRefusal(error: unknown): void {
  assert(error instanceof FormatError, `reading threw ${describe(error)}`);
  assert.match(error.message, /^Cannot read .*: at byte \d+: .*[^.]$/s);
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}\n${error.stack}` : String(error);
}

/** What a good index may throw too, or one of numbers whose sums are too large. */
const HARMLESS = [
  /out of the range of float32$/,
  /: id \d+ of \d+ vectors$/,
  /id \d+ is not in the index$/,
  /holds (an? )?(NaN|-?infinity)/i,
];

function isHarmless(error: unknown): boolean {
  if (error instanceof UnsupportedError || error instanceof NotTrainedError) return true;
  return error instanceof RangeError && HARMLESS.some((text) => text.test(error.message));
}

/**
 * Reads a case, and uses the index. Throws if anything but a typed error comes of it.
 *
 * @param random Chooses how the file is read.
 */
export async function runCase(
  { kind, isBinary, bytes }: Case,
  { backend, path }: How,
  random: Random,
): Promise<Outcome> {
  // Lists that are elsewhere are read from files only.
  const isMapped = !isBinary && (kind.endsWith("on disk") || random.integer(3) === 0);
  if (backend.mapFile === undefined || !isMapped) {
    let index: Index | IndexBinary;
    try {
      index = await (isBinary ? deserializeIndexBinary : deserializeIndex)(bytes, { backend });
    } catch (error) {
      assertRefusal(error);
      return "refused";
    }
    using _ = index;
    await use(index, (error) => isHarmless(error));
    await assertWrites(index, backend);
    return "read";
  }
  await Deno.writeFile(path, bytes);
  let index: Index;
  try {
    index = await readIndex(path, { backend, mmap: true, ondiskSameDir: true });
  } catch (error) {
    assertRefusal(error);
    return "refused";
  }
  using _ = index;
  // What was not looked at when it was mapped is refused when it is met.
  const isFine = (error: unknown) => isHarmless(error) || error instanceof FormatError;
  if (random.integer(2) === 0) {
    await Deno.truncate(path, random.integer(bytes.length + 1));
    await use(index, isFine);
    return "cut off";
  }
  await use(index, isFine);
  return "mapped";
}

/** Everything that looks at vectors, and then what changes them. */
async function use(
  index: Index | IndexBinary,
  isFine: (error: unknown) => boolean,
): Promise<void> {
  if (index instanceof IndexBinary) {
    const length = index.codeSize;
    const queries = Uint8Array.from({ length: 2 * length }, (_, i) => 37 * i);
    await useAll<Uint8Array>(index, queries, length, isFine);
  } else {
    await useAll<Float32Array>(index, numbers(2 * index.d, 3), index.d, isFine);
  }
}

/** What both kinds of index do. */
interface Usable<T> {
  search(queries: T, k: number, params?: { filter: (number | bigint)[] }): Promise<unknown>;
  searchSync(queries: T, k: number): unknown;
  rangeSearch(queries: T, radius: number): Promise<unknown>;
  reconstruct(id: number): unknown;
  searchAndReconstruct(queries: T, k: number): Promise<unknown>;
  memoryUsage(): number;
  add(x: T): Promise<void>;
  removeIds(ids: number[]): Promise<number>;
  reset(): Promise<void>;
}

async function useAll<T extends Float32Array | Uint8Array>(
  index: Usable<T>,
  queries: T,
  d: number,
  isFine: (error: unknown) => boolean,
): Promise<void> {
  const uses: (() => unknown)[] = [
    () => index.search(queries, 3),
    () => index.searchSync(queries.subarray(0, d) as T, 2),
    () => index.search(queries, 4, { filter: [0, 1, 2n ** 62n] }),
    () => index.rangeSearch(queries, 0.5),
    () => index.reconstruct(0),
    () => index.searchAndReconstruct(queries, 2),
    () => index.memoryUsage(),
    () => String(index),
    () => index.add(queries),
    () => index.removeIds([0, 3]),
    () => index.search(queries, 3),
    () => index.reset(),
  ];
  for (const one of uses) {
    try {
      const result = await one();
      if (result instanceof Object && "labels" in result) {
        const { labels, distances } = result as Record<string, ArrayLike<unknown>>;
        assert.equal(labels!.length, distances!.length);
      }
    } catch (error) {
      if (!isFine(error)) throw new Error(`${one} threw ${describe(error)}`, { cause: error });
    }
  }
}

/** What was read is written, and read again as the same. */
async function assertWrites(index: Index | IndexBinary, backend: Backend): Promise<void> {
  const message = "what was read is not what was written";
  if (index instanceof IndexBinary) {
    const bytes = await serializeIndexBinary(index);
    using same = await deserializeIndexBinary(bytes, { backend });
    assert.deepEqual(await serializeIndexBinary(same), bytes, message);
    return;
  }
  const bytes = await serializeIndex(index);
  using same = await deserializeIndex(bytes, { backend });
  assert.deepEqual(await serializeIndex(same), bytes, message);
}
