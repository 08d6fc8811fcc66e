/**
 * Searches with all threads, and ends: the worker of `library_test.ts`.
 *
 * @module
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { IndexFlatL2 } from "../mod.ts";

const index = new IndexFlatL2(64);
const x = new Float32Array(20_000 * 64).map((_, i) => i % 97);
await index.add(x);
index.searchSync(x.subarray(0, 64), 1);
self.postMessage("searched");
