import assert from "node:assert/strict";
import type { Backend, StoreSearch } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { cluster1D, decodedNorms } from "../lib/codec/additive_norms.ts";
import {
  additiveCodeSize,
  AdditiveSearchType,
  normBits,
  rowOffsets,
} from "../lib/codec/additive_type.ts";
import type { AdditiveSpec } from "../lib/codec/codec.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorArray, IDSelectorRange } from "../lib/selector.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const reference = createReferenceBackend();

interface Shape {
  d: number;
  splits?: number;
  nbits: number[];
  local?: boolean;
}

/** Few rows and many, indices over bytes and of 9 bits, parts, more codebooks than a byte has bits. */
const shapes: Shape[] = [
  { d: 1, nbits: [1] },
  { d: 7, nbits: [3, 5, 2] },
  { d: 12, splits: 3, nbits: [4, 4, 4, 4, 4, 4] },
  { d: 33, nbits: [8, 8, 8, 8] },
  { d: 6, nbits: [9, 1, 6] },
  { d: 9, nbits: [4, 4, 4], local: true },
  { d: 16, splits: 2, nbits: [5, 5, 5, 5], local: true },
];

const types = Object.values(AdditiveSearchType);

/** A quantizer whose rows become smaller from codebook to codebook. */
function specOf(shape: Shape, searchType: AdditiveSearchType, offset = 0): AdditiveSpec {
  const { d, splits = 1, nbits, local } = shape;
  const [dsub, each] = [d / splits, nbits.length / splits];
  const offsets = rowOffsets(nbits);
  const codebooks = normals(offsets.at(-1)!, dsub, 11);
  for (let m = 0; m < nbits.length; m++) {
    for (let i = offsets[m]! * dsub; i < offsets[m + 1]! * dsub; i++) {
      codebooks[i] = codebooks[i]! * 0.6 ** (m % each) + (m % each === 0 ? offset : 0);
    }
  }
  const [normMin, normMax] = [0, 3 * d];
  const norms = normBits(searchType) === 4 || normBits(searchType) === 8
    ? Float32Array.from({ length: 2 ** normBits(searchType) }, (_, i) => (i * 37 % 101) * d / 40)
    : new Float32Array();
  const trained = { normMin, normMax, qnorm: norms, normTabs: new Float32Array() };
  const encoding = local
    ? { rounds: 4, sweeps: 3, changes: 2, chunk: 30, seed: 0x12345 }
    : { beam: 4 };
  return {
    kind: "aq",
    d,
    splits,
    nbits: Uint8Array.from(nbits),
    codebooks,
    searchType,
    normMin,
    normMax,
    norms: decodedNorms(searchType, trained),
    encoding,
  };
}

/** Random codes, of which some are the same: their ties go by id. Float norms may be anything. */
function codesOf({ nbits, searchType }: AdditiveSpec, n: number): Uint8Array {
  const size = additiveCodeSize(nbits, searchType);
  const random = new Random(3);
  const codes = Uint8Array.from({ length: n * size }, () => random.integer(256));
  codes.copyWithin(Math.floor(n / 2) * size, 0, Math.floor(n / 4) * size);
  return codes;
}

function searches(n: number): StoreSearch[] {
  const selectors = [
    undefined,
    new IDSelectorRange(Math.floor(n / 4), n - Math.floor(n / 8)),
    new IDSelectorArray([1, 3, n + 5, n >> 1]),
  ];
  return [Metric.L2, Metric.InnerProduct].flatMap((metric) =>
    selectors.map((selector) => ({ metric, metricArg: 0, selector }))
  );
}

function test(name: string, run: (backend: Backend) => Promise<void>): void {
  Deno.test(`cpu backend ${name}`, { ignore: !isNative }, async () => {
    const backend = createCpuBackend();
    const { isa, isas } = describeLibrary();
    try {
      for (const each of isas) {
        setISA(each);
        await run(backend);
      }
    } finally {
      setISA(isa);
    }
  });
}

test("searches additive codes as the reference does, with every instruction set", async (backend) => {
  for (const [i, shape] of shapes.entries()) {
    for (const searchType of types) {
      const n = [0, 1, 63, 130, 700][(i + searchType) % 5]!;
      const [nq, k] = [[1, 12], [5, 3], [9, 30]][searchType % 3] as [number, number];
      const spec = specOf(shape, searchType, searchType === 3 ? 50 : 0);
      using ours = backend.createCodes(spec);
      using theirs = reference.createCodes(spec);
      const codes = codesOf(spec, n);
      for (const store of [ours, theirs]) await store.add(codes);
      const queries = normals(nq, spec.d, 2);
      for (const how of searches(n)) {
        const what = `${JSON.stringify(shape)} of type ${searchType} by ${how.metric}`;
        const found = await ours.search(queries, k, how);
        const wanted = await theirs.search(queries, k, how);
        assert.deepEqual(found.labels, wanted.labels, what);
        assert.deepEqual(found.distances, wanted.distances, what);
        assert.deepEqual(ours.searchSync(queries, k, how).labels, wanted.labels, what);
        const radius = wanted.distances[k >> 1]!;
        const within = await ours.rangeSearch(queries, radius, how);
        const expected = await theirs.rangeSearch(queries, radius, how);
        assert.deepEqual(within.lims, expected.lims, `${what} within ${radius}`);
        assert.deepEqual(within.labels, expected.labels, `${what} within ${radius}`);
        assert.deepEqual(within.distances, expected.distances, `${what} within ${radius}`);
      }
    }
  }
});

test("searches lists of additive codes as the reference does, with every instruction set", async (backend) => {
  const [n, nq, k, nlist] = [500, 4, 7, 3];
  for (const [i, shape] of shapes.entries()) {
    for (const searchType of types.filter((type) => (type + i) % 3 === 0)) {
      for (const offset of [undefined, 0, 1000]) {
        const spec = specOf(shape, searchType);
        const { d } = spec;
        const centroids = normals(nlist, d, 5).map((value) => value + (offset ?? 0));
        const residual = offset === undefined ? undefined : { centroids };
        using ours = backend.createCodeLists(spec, nlist, residual);
        using theirs = reference.createCodeLists(spec, nlist, residual);
        const lists = BigInt64Array.from({ length: n }, (_, i) => BigInt((i * i) % 4) - 1n);
        const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
        for (const store of [ours, theirs]) await store.add(codesOf(spec, n), lists, ids);
        const queries = normals(nq, d, 2).map((value) => value + (offset ?? 0));
        const probes = BigInt64Array.from({ length: nq * 2 }, (_, i) => BigInt(i % 4) - 1n);
        for (const how of searches(n)) {
          const what = `${JSON.stringify(shape)} of type ${searchType} from ${offset}`;
          const found = await ours.search(queries, probes, k, how);
          const wanted = await theirs.search(queries, probes, k, how);
          assert.deepEqual(found.labels, wanted.labels, what);
          assert.deepEqual(found.distances, wanted.distances, what);
          const radius = wanted.distances[1]!;
          const within = await ours.rangeSearch(queries, probes, radius, how);
          const expected = await theirs.rangeSearch(queries, probes, radius, how);
          assert.deepEqual(within.labels, expected.labels, what);
          assert.deepEqual(within.distances, expected.distances, what);
        }
      }
    }
  }
});

/** Mean squared error of what codes stand for. */
async function errorOf(backend: Backend, spec: AdditiveSpec, x: Float32Array, codes: Uint8Array) {
  using codec = backend.createCodec(spec);
  const decoded = await codec.decode(codes);
  return decoded.reduce((sum, value, i) => sum + (value - x[i]!) ** 2, 0) / x.length;
}

test("encodes and decodes additive codes as the reference does, with every instruction set", async (backend) => {
  for (const shape of shapes) {
    for (const searchType of [0, 3, 4, 7] as const) {
      for (const offset of [0, 100]) {
        const spec = specOf(shape, searchType, shape.local ? 0 : offset);
        const n = shape.d > 20 ? 20 : 70;
        const x = normals(n, shape.d, 4).map((value) => value + (shape.local ? 0 : offset));
        using ours = backend.createCodec(spec);
        using theirs = reference.createCodec(spec);
        const [codes, wanted] = [await ours.encode(x), await theirs.encode(x)];
        assert.deepEqual(await ours.decode(wanted), await theirs.decode(wanted));
        const size = codes.length / n;
        let differing = 0;
        for (let row = 0; row < n; row++) {
          // The last bits of a norm go by the order of sums.
          const indices = searchType === 3 ? size - 4 : size;
          const [a, b] = [codes, wanted].map((all) =>
            all.subarray(row * size, row * size + indices)
          );
          if (a!.some((byte, i) => byte !== b![i])) differing++;
        }
        const what = `${JSON.stringify(shape)} of type ${searchType} from ${offset}`;
        assert(differing <= 1, `${what}: ${differing} of ${n} differ`);
        const [own, other] = [
          await errorOf(backend, spec, x, codes),
          await errorOf(backend, spec, x, wanted),
        ];
        assert(own <= 1.01 * other + 1e-9, `${what}: error ${own}, not ${other}`);
        assert.deepEqual(await ours.encode(new Float32Array()), new Uint8Array());
        const bad = x.slice();
        bad[spec.d] = NaN;
        await assert.rejects(ours.encode(bad), { name: "RangeError", message: /row 1 holds NaN/ });
      }
    }
  }
});

test("encodes alike whatever the beam goes by, and the number of rows", async (backend) => {
  const spec = specOf({ d: 24, nbits: [6, 6, 6] }, AdditiveSearchType.Decompress);
  // Rows that matter little make products lose what they add up to.
  const offsets = rowOffsets(spec.nbits);
  const small = { ...spec, codebooks: spec.codebooks.slice() };
  for (let i = offsets[2]! * 24; i < small.codebooks.length; i++) small.codebooks[i]! *= 1e-3;
  const x = normals(700, 24, 4);
  for (const each of [spec, small]) {
    using codec = backend.createCodec(each);
    using plain = reference.createCodec(each);
    const codes = await codec.encode(x);
    const wanted = await plain.encode(x.subarray(0, 24 * 100));
    const size = codes.length / 700;
    let differing = 0;
    for (let row = 0; row < 100; row++) {
      const [a, b] = [codes, wanted].map((all) => all.subarray(row * size, (row + 1) * size));
      if (a!.some((byte, i) => byte !== b![i])) differing++;
    }
    assert(differing <= 1, `${differing} of 100 differ`);
    const alone = await codec.encode(x.subarray(24 * 650, 24 * 651));
    assert.deepEqual(alone, codes.slice(650 * size, 651 * size));
  }
});

test("fits codebooks as the reference does, with every instruction set", async (backend) => {
  for (const [n, d, m, ksub] of [[50, 5, 2, 4], [300, 9, 3, 32], [40, 70, 1, 64]] as const) {
    const x = normals(n, d, 6);
    const random = new Random(7);
    const indices = Uint32Array.from({ length: n * m }, () => random.integer(ksub));
    const how = { d, m, ksub, lambda: 0.01 };
    const ours = await backend.fitCodebooks(x, indices, how);
    const theirs = await reference.fitCodebooks(x, indices, how);
    ours.forEach((value, i) => assert(Math.abs(value - theirs[i]!) < 1e-4, `number ${i}`));
    for (const each of [backend, reference]) {
      const wrong = indices.map(() => ksub);
      await assert.rejects(each.fitCodebooks(x, wrong, how), { name: "RangeError" });
      const loose = { ...how, lambda: -1e6 };
      await assert.rejects(each.fitCodebooks(x, indices, loose), /lambda is too small/);
    }
  }
});

test("betters indices as the reference does, with every instruction set", async (backend) => {
  const spec = specOf(shapes[6]!, AdditiveSearchType.Decompress);
  const x = normals(40, 16, 8);
  const start = new Uint32Array(40 * 4);
  using ours = backend.createCodec(spec);
  using theirs = reference.createCodec(spec);
  const [found, wanted] = [await ours.better!(x, start), await theirs.better!(x, start)];
  const differing = found.filter((index, i) => index !== wanted[i]).length;
  assert(differing <= 4, `${differing} indices differ`);
  await assert.rejects(ours.better!(x, start.fill(32)), /index 32 in codebook 0/);
  using beam = backend.createCodec(specOf(shapes[1]!, AdditiveSearchType.Decompress));
  await assert.rejects(
    beam.better!(normals(1, 7, 1), new Uint32Array(3)),
    /no codes by local search/,
  );
});

Deno.test("cluster1D() finds the groups with the least squared error", () => {
  const error = (x: number[]) => {
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    return x.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  };
  const random = new Random(5);
  for (let round = 0; round < 20; round++) {
    const x = Float32Array.from({ length: 8 }, () => random.normal() + 1000);
    const sorted = [...x].sort((a, b) => a - b);
    let least = Infinity;
    for (let a = 1; a < 7; a++) {
      for (let b = a + 1; b < 8; b++) {
        const parts = [sorted.slice(0, a), sorted.slice(a, b), sorted.slice(b)];
        least = Math.min(least, parts.reduce((sum, part) => sum + error(part), 0));
      }
    }
    const centers = cluster1D(x, 3);
    const found = sorted.reduce((sum, value) => {
      return sum + Math.min(...[...centers].map((center) => (value - center) ** 2));
    }, 0);
    assert(found <= least + 1e-4, `${found}, not ${least}`);
  }
  assert.deepEqual(cluster1D(Float32Array.of(3, 1, 2), 3), Float32Array.of(1, 2, 3));
  assert.throws(() => cluster1D(Float32Array.of(1), 2), { name: "RangeError" });
});

test("refuses additive codecs whose numbers do not fit", async (backend) => {
  const spec = specOf(shapes[1]!, AdditiveSearchType.NormQint8);
  const bad: [Partial<AdditiveSpec>, RegExp][] = [
    [{ splits: 2 }, /not divisible by splits 2/],
    [{ nbits: Uint8Array.of(3, 5, 17) }, /nbits must be 1 to 16, not 17/],
    [{ nbits: Uint8Array.of(3, 5, 3) }, /308 numbers of codebooks where 336|numbers of codebooks/],
    [{ codebooks: spec.codebooks.map(() => NaN) }, /codebook row 0 holds NaN/],
    [{ norms: new Float32Array(16) }, /16 norms where 256 are needed/],
    [{ encoding: { beam: 0 } }, /a beam of 0/],
    [{ d: 0 }, /d must be 1 to/],
  ];
  for (const [change, message] of bad) {
    assert.throws(() => backend.createCodec({ ...spec, ...change }), message);
  }
  await Promise.resolve();
});
