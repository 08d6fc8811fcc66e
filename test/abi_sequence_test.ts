import assert from "node:assert/strict";
import { recurrenceRecord, rowsRecord, summingRecord } from "../ffi/sequence.ts";
import { parseHeader } from "./header.ts";

const path = new URL("../swift/Sources/CMetalFaiss/include/metalfaiss.h", import.meta.url);
const header = parseHeader(await Deno.readTextFile(path));

/** The fields of a record, as C reads them. */
function read(bytes: Uint8Array, struct: string): Record<string, number> {
  const { bytes: size, fields } = header.structs[struct]!;
  assert.equal(bytes.length, size, struct);
  const view = new DataView(bytes.buffer);
  return Object.fromEntries(
    Object.entries(fields).map(([name, { type, offset }]) => [
      name,
      type === "double"
        ? view.getFloat64(offset, true)
        : type === "float"
        ? view.getFloat32(offset, true)
        : view.getUint32(offset, true),
    ]),
  );
}

Deno.test("summingRecord() writes each field where the header has it", () => {
  assert.deepEqual(read(summingRecord(2 ** 33, 1, 2), "mf_linalg_summing"), {
    n: 2 ** 33,
    terms: 1,
    summation: 2,
  });
});

Deno.test("rowsRecord() writes each field where the header has it", () => {
  const sizes = { rows: 2 ** 33, columns: 2, heads: 3, outputs: 4, number: 5.5, type: 2 };
  assert.deepEqual(read(rowsRecord(sizes), "mf_linalg_rows"), sizes);
  const few = { rows: 7, columns: 8, type: 1 };
  const all = { ...few, heads: 1, outputs: 0, number: 0 };
  assert.deepEqual(read(rowsRecord(few), "mf_linalg_rows"), all);
});

Deno.test("recurrenceRecord() writes each field where the header has it", () => {
  const sizes = { batch: 1, steps: 2, d: 3, chunk: 4 };
  const bytes = recurrenceRecord({ ...sizes, precompute: true, hasInitial: false });
  assert.deepEqual(read(bytes, "mf_linalg_recurrence"), {
    ...sizes,
    precompute: 1,
    has_initial: 0,
  });
});
