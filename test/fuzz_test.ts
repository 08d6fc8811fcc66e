import assert from "node:assert/strict";
import { corpus } from "./fuzz/corpus.ts";
import { fuzz } from "./fuzz/fuzz.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { everyKind } from "./indexes.ts";
import { isNative } from "./native.ts";

Deno.test("the fuzzer knows the fields of every kind of file", async () => {
  const directory = await Deno.makeTempDir();
  const backend = createReferenceBackend();
  const samples = await corpus(backend, directory);
  const kinds = new Set(samples.map(({ kind }) => kind));
  for (const [kind, index] of await everyKind(backend)) {
    assert(kinds.has(kind), kind);
    index.dispose();
  }
  for (const { kind, bytes, fields } of samples) {
    let end = 0;
    for (const { at, bytes: length, name } of fields) {
      // Links that end with a mark are read ahead.
      assert(at >= end || /NSG/.test(kind), `${kind}: ${name} at ${at} starts before byte ${end}`);
      end = at + length;
    }
    assert(end <= bytes.length && fields.length >= 6, kind);
    // What is not a field is known from others, as direct maps and buckets are: nothing else is left out.
    const seen = fields.reduce((sum, field) => sum + field.bytes, 0);
    if (!/graph|on disk|IVF (array|table)|hash/.test(kind)) {
      assert(seen >= bytes.length - 24, `${kind}: ${seen}`);
    }
  }
  await Deno.remove(directory, { recursive: true });
});

if (isNative) {
  // Always the same cases, as many as time allows; `deno task fuzz` goes on to others.
  Deno.test("damaged files of every kind are refused or read, and nothing else", async () => {
    const { cases, kinds, counts } = await fuzz({ seconds: 20, seed: 1, least: 400 });
    assert(kinds > 30 && cases >= 400, `${cases} cases of ${kinds} kinds`);
    for (const outcome of ["refused", "read", "mapped", "cut off"]) {
      assert(counts[outcome]! > 0, outcome);
    }
  });
}
