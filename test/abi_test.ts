import assert from "node:assert/strict";
import { Status } from "../ffi/call.ts";
import { ABI_VERSION, symbols } from "../ffi/library.ts";
import {
  ADDITIVE_BYTES,
  additiveRecord,
  CALL_BYTES,
  CallRecord,
  CODEC_BYTES,
  codecRecord,
  SEARCH_BYTES,
  searchRecord,
  SIZES_BYTES,
  sizesRecord,
} from "../ffi/record.ts";
import { familyVariantNames, variantNames } from "../lib/backend/cpu/native.ts";
import { Metric } from "../lib/metric.ts";
import { type Field, parseHeader } from "./header.ts";

const path = new URL("../swift/Sources/CMetalFaiss/include/metalfaiss.h", import.meta.url);
const header = parseHeader(await Deno.readTextFile(path));

interface Row {
  parameters: readonly string[];
  result: string;
  name?: string;
  nonblocking?: boolean;
}

const tables: Record<string, Row> = symbols;

function read(bytes: Uint8Array, field: Field | undefined): number {
  const view = new DataView(bytes.buffer);
  switch (field?.type) {
    case "uint32_t":
      return view.getUint32(field.offset, true);
    case "float":
      return view.getFloat32(field.offset, true);
    case "double":
      return view.getFloat64(field.offset, true);
    default:
      throw new Error(`Cannot read a field of type ${field?.type}`);
  }
}

function readAll(bytes: Uint8Array, struct: string): Record<string, number> {
  const fields = Object.entries(header.structs[struct]!.fields);
  return Object.fromEntries(fields.map(([name, field]) => [name, read(bytes, field)]));
}

Deno.test("parseHeader() finds the functions, structs and enums", () => {
  assert.ok(Object.keys(header.functions).length >= 30);
  assert.deepEqual(
    Object.keys(header.structs).filter((name) => !/^mf_(gpu|linalg|hnsw)(_|$)/.test(name)).sort(),
    [
      "mf_additive",
      "mf_call",
      "mf_codec",
      "mf_search",
      "mf_sizes",
    ],
  );
  const enums = Object.keys(header.enums).filter((name) =>
    !/^mf_(linalg|binary|[a-z]+_variant)/.test(name)
  );
  assert.deepEqual(enums.sort(), [
    "mf_code_layout",
    "mf_codec_kind",
    "mf_gpu_command",
    "mf_metric",
    "mf_search_flag",
    "mf_status",
    "mf_variant",
  ]);
});

Deno.test("symbols have a row for every function of the header, and no other", () => {
  const bound = new Set(Object.entries(tables).map(([key, row]) => row.name ?? key));
  assert.deepEqual([...bound].sort(), Object.keys(header.functions).sort());
});

Deno.test("symbols have the header's parameters and results", () => {
  for (const [key, { name, parameters, result }] of Object.entries(tables)) {
    assert.deepEqual({ parameters: [...parameters], result }, header.functions[name ?? key], key);
  }
});

Deno.test("symbols run elsewhere exactly where their name ends in _async", () => {
  for (const [key, { name, nonblocking }] of Object.entries(tables)) {
    assert.equal(nonblocking === true, key.endsWith("_async"), key);
    assert.equal(name, nonblocking ? key.slice(0, -"_async".length) : undefined, key);
  }
});

Deno.test("symbols have at most six parameters", () => {
  for (const [key, { parameters }] of Object.entries(tables)) {
    assert.ok(parameters.length <= 6, key);
  }
});

Deno.test("ABI_VERSION is the header's", () => {
  assert.equal(ABI_VERSION, header.version);
});

Deno.test("records have the header's sizes", () => {
  assert.equal(ADDITIVE_BYTES, header.structs.mf_additive!.bytes);
  assert.equal(CALL_BYTES, header.structs.mf_call!.bytes);
  assert.equal(CODEC_BYTES, header.structs.mf_codec!.bytes);
  assert.equal(SEARCH_BYTES, header.structs.mf_search!.bytes);
  assert.equal(SIZES_BYTES, header.structs.mf_sizes!.bytes);
});

Deno.test("additiveRecord() writes each field where the header has it", () => {
  const fields = {
    d: 1,
    m: 2,
    splits: 3,
    method: 4,
    norm: 5,
    beam: 6,
    rounds: 7,
    sweeps: 8,
    changes: 9,
    chunk: 10,
    seed: 11,
    norms: 12,
    codebooks: 2 ** 33,
  };
  const bytes = additiveRecord({ ...fields, normMin: 1.5, normMax: 2.5 });
  assert.deepEqual(readAll(bytes, "mf_additive"), { ...fields, norm_min: 1.5, norm_max: 2.5 });
});

Deno.test("searchRecord() writes each field where the header has it", () => {
  const bytes = searchRecord({
    object: 1,
    metric: 2,
    metricArg: 3.5,
    radius: 4.5,
    selector: 5,
    nprobe: 6,
    nq: 2 ** 33,
    k: 8,
    maxCodes: 9,
    flags: 3,
  });
  assert.deepEqual(readAll(bytes, "mf_search"), {
    object: 1,
    metric: 2,
    metric_arg: 3.5,
    radius: 4.5,
    selector: 5,
    nprobe: 6,
    nq: 2 ** 33,
    k: 8,
    max_codes: 9,
    flags: 3,
  });
});

Deno.test("codecRecord() writes each field where the header has it", () => {
  const bytes = codecRecord({ kind: 1, d: 2, type: 3, m: 4, nbits: 5, trained: 2 ** 33 });
  assert.deepEqual(readAll(bytes, "mf_codec"), {
    kind: 1,
    d: 2,
    type: 3,
    m: 4,
    nbits: 5,
    reserved: 0,
    trained: 2 ** 33,
  });
});

Deno.test("sizesRecord() writes each field where the header has it", () => {
  const bytes = sizesRecord({ nx: 2 ** 33, ny: 2, d: 3, k: 4, metric: 5, metricArg: 6.5 });
  assert.deepEqual(readAll(bytes, "mf_sizes"), {
    nx: 2 ** 33,
    ny: 2,
    d: 3,
    k: 4,
    metric: 5,
    metric_arg: 6.5,
  });
});

Deno.test("CallRecord reads and writes each field where the header has it", () => {
  const record = new CallRecord();
  const { cancel, variants, threads, scanned, recomputed, message } =
    header.structs.mf_call!.fields;
  const view = new DataView(record.bytes.buffer as ArrayBuffer);
  view.setUint32(variants!.offset, 1, true);
  view.setUint32(threads!.offset, 2, true);
  view.setFloat64(scanned!.offset, 3, true);
  view.setFloat64(recomputed!.offset, 4, true);
  new TextEncoder().encodeInto("naïve", record.bytes.subarray(message!.offset));
  record.cancel();
  assert.equal(read(record.bytes, cancel), 1);
  assert.deepEqual(record.report(), { variants: 1, threads: 2, scanned: 3, recomputed: 4 });
  assert.equal(record.message(), "naïve");

  record.reset();
  assert.equal(read(record.bytes, cancel), 0);
  assert.deepEqual(record.report(), { variants: 0, threads: 0, scanned: 0, recomputed: 0 });
  assert.equal(record.message(), "");
});

/** `MF_NAN_EUCLIDEAN` → `nanEuclidean`-like key without case or underscores. */
function plain(name: string): string {
  return name.replace(/^MF_/, "").replaceAll("_", "").toLowerCase();
}

function plainKeys(values: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [plain(key), value]));
}

Deno.test("Metric has the header's numbers", () => {
  assert.deepEqual(plainKeys(Metric), plainKeys(header.enums.mf_metric!));
});

Deno.test("Status has the header's numbers", () => {
  assert.deepEqual(plainKeys(Status), plainKeys(header.enums.mf_status!));
});

Deno.test("variantNames follow the header's bits", () => {
  const bits = Object.fromEntries(variantNames.map((name, bit) => [plain(name), 1 << bit]));
  assert.deepEqual(bits, plainKeys(header.enums.mf_variant!));
});

for (const [family, names] of Object.entries(familyVariantNames)) {
  Deno.test(`names of ${family}'s variants are the header's bits`, () => {
    const bits = Object.entries(names).map(([bit, name]) => [plain(name), 1 << Number(bit)]);
    assert.deepEqual(Object.fromEntries(bits), plainKeys(header.enums[`mf_${family}_variant`]!));
  });
}
