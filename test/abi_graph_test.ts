import assert from "node:assert/strict";
import {
  GRAPH_BYTES,
  graphRecord,
  HNSW_STEPS,
  PLAN_BYTES,
  planRecord,
} from "../ffi/graph_record.ts";
import { kinds, starts } from "../ffi/graph_record.ts";
import { Metric } from "../lib/metric.ts";
import { parseHeader } from "./header.ts";

const source = await Deno.readTextFile(
  new URL("../swift/Sources/CMetalFaiss/include/metalfaiss.h", import.meta.url),
);
const header = parseHeader(source);

function readAll(bytes: Uint8Array, struct: string): Record<string, number> {
  const view = new DataView(bytes.buffer);
  const readers: Record<string, (at: number) => number> = {
    uint32_t: (at) => view.getUint32(at, true),
    float: (at) => view.getFloat32(at, true),
    double: (at) => view.getFloat64(at, true),
  };
  const fields = Object.entries(header.structs[struct]!.fields);
  return Object.fromEntries(
    fields.map(([name, { type, offset }]) => [name, readers[type]!(offset)]),
  );
}

Deno.test("records of graphs have the header's sizes, and its numbers", () => {
  assert.equal(GRAPH_BYTES, header.structs.mf_hnsw!.bytes);
  assert.equal(PLAN_BYTES, header.structs.mf_hnsw_build!.bytes);
  assert.equal(HNSW_STEPS, Number(/#define MF_HNSW_STEPS (\d+)u/.exec(source)![1]));
  const { MF_HNSW_ENTRY, MF_HNSW_NSG, MF_HNSW_RANDOM } = header.enums.mf_hnsw_start!;
  assert.deepEqual(starts, { entry: MF_HNSW_ENTRY, links: MF_HNSW_NSG, random: MF_HNSW_RANDOM });
  const { MF_HNSW_NEIGHBORS, MF_HNSW_SPREAD } = header.enums.mf_hnsw_kind!;
  assert.deepEqual(kinds, { neighbors: MF_HNSW_NEIGHBORS, spread: MF_HNSW_SPREAD });
});

Deno.test("graphRecord() writes each field where the header has it", () => {
  const made = { d: 2, m: 3, metric: Metric.L2, metricArg: 1.5 } as const;
  assert.deepEqual(
    readAll(graphRecord({ ...made, width: 4, start: "random", seed: 7 }, 9), "mf_hnsw"),
    {
      codec: 9,
      d: 2,
      m: 3,
      width: 4,
      metric: 1,
      metric_arg: 1.5,
      start: 2,
      seed: 7,
    },
  );
  const { width, start, seed } = readAll(graphRecord(made, 0), "mf_hnsw");
  assert.deepEqual([width, start, seed], [6, 0, 0]);
});

Deno.test("planRecord() writes each field where the header has it", () => {
  const plan = {
    kind: "spread",
    neighbors: 3,
    keep: 4,
    sample: 5,
    back: 6,
    rounds: 7,
    exact: true,
    list: 9,
    candidates: 10,
  } as const;
  assert.deepEqual(readAll(planRecord(plan, 1), "mf_hnsw_build"), {
    hnsw: 1,
    kind: 2,
    neighbors: 3,
    keep: 4,
    sample: 5,
    back: 6,
    rounds: 7,
    exact: 1,
    list: 9,
    candidates: 10,
    reserved: 0,
  });
});
