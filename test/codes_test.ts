import assert from "node:assert/strict";
import type { Backend, StoreSearch } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA, setThreads } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import type { ScalarSpec } from "../lib/codec/codec.ts";
import { QuantizerType, scalarCodeSize, trainedLength } from "../lib/codec/quantizer_type.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { type IDSelector, IDSelectorArray, IDSelectorNot } from "../lib/selector.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const reference = createReferenceBackend();
const qtypes = Object.values(QuantizerType);

/** A quantizer whose ranges hold most of normal numbers times 40, not all. */
function specOf(qtype: QuantizerType, d: number): ScalarSpec {
  const random = new Random(d);
  const length = trainedLength(qtype, d);
  const trained = Float32Array.from({ length }, (_, i) => {
    if (i < length / 2) return -70 - 10 * random.uniform();
    // One dimension has no range at all.
    return i === length / 2 + 1 ? 0 : 140 + 20 * random.uniform();
  });
  return { kind: "sq", d, qtype, trained };
}

function vectors(n: number, d: number, seed: number): Float32Array {
  return normals(n, d, seed).map((value) => 40 * value);
}

function how(metric: Metric, selector?: IDSelector): StoreSearch {
  return { metric, metricArg: 0, selector };
}

/** What a flat store and lists of a backend answer, and what codes they hold. */
async function answers(
  backend: Backend,
  spec: ScalarSpec,
  n: number,
  selector?: IDSelector,
): Promise<unknown[]> {
  const { d } = spec;
  const nlist = 5;
  const x = vectors(n, d, 1);
  using codec = backend.createCodec(spec);
  using flat = backend.createCodes(spec);
  const centroids = vectors(nlist, d, 2);
  using plain = backend.createCodeLists(spec, nlist);
  using residual = backend.createCodeLists(spec, nlist, { centroids });
  const codes = await codec.encode(x);
  const random = new Random(3);
  const lists = BigInt64Array.from({ length: n }, () => BigInt(random.integer(nlist + 1) - 1));
  const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(7 * i % 1009));
  await flat.add(codes);
  for (const store of [plain, residual]) await store.add(codes, lists, ids);
  const rows = BigInt64Array.from({ length: Math.min(n, 3) }, (_, i) => BigInt(n - 1 - i));
  const gathered = new Float32Array(rows.length * d);
  flat.gather(rows, gathered);
  const located = residual.locate(ids);
  const found = located.filter((location) => location >= 0n);
  const decoded = new Float32Array(found.length * d);
  residual.gather(found, decoded);
  const results: unknown[] = [codes, await codec.decode(codes), gathered, found.length, decoded];
  results.push(residual.sizes(), plain.list(2));
  for (const metric of [Metric.L2, Metric.InnerProduct]) {
    for (const nq of [1, 4, 5, 16, 17, 40]) {
      const queries = vectors(nq, d, 4);
      const probes = BigInt64Array.from({ length: 3 * nq }, () => BigInt(random.integer(6) - 1));
      for (const k of [1, 12]) {
        const search = how(metric, selector);
        for (
          const result of [
            await flat.search(queries, k, search),
            flat.searchSync(queries, k, search),
            await plain.search(queries, probes, k, search),
            await residual.search(queries, probes, k, search),
          ]
        ) results.push([result.labels, result.distances]);
      }
      const radius = metric === Metric.L2 ? 2000 * d : 100 * d;
      for (
        const result of [
          await flat.rangeSearch(queries, radius, how(metric, selector)),
          await residual.rangeSearch(queries, probes, radius, how(metric, selector)),
        ]
      ) results.push([result.lims, result.labels, result.distances]);
    }
  }
  const selected = new IDSelectorArray(BigInt64Array.from({ length: 40 }, (_, i) => BigInt(3 * i)));
  results.push(await flat.remove(selected), await residual.remove(selected));
  results.push(flat.codes(0, flat.count), residual.list(1), residual.count);
  return results;
}

if (isNative) {
  const cpu = createCpuBackend();
  const { isa, isas, threads } = describeLibrary();

  for (const name of isas) {
    Deno.test(`codes answer as those of the reference do [${name}]`, async () => {
      setISA(name);
      try {
        for (const qtype of qtypes) {
          for (
            const [d, n] of [[1, 300], [3, 64], [16, 65], [17, 257], [35, 1], [70, 90]] as const
          ) {
            const spec = specOf(qtype, d);
            const [ours, expected] = [
              await answers(cpu, spec, n),
              await answers(reference, spec, n),
            ];
            assert.deepEqual(ours, expected, `type ${qtype}, d ${d}, n ${n}`);
          }
        }
      } finally {
        setISA(isa);
      }
    });
  }

  Deno.test("selected codes answer as those of the reference do", async () => {
    const few = new IDSelectorArray(BigInt64Array.from({ length: 30 }, (_, i) => BigInt(11 * i)));
    for (const selector of [few, new IDSelectorNot(few)]) {
      for (const qtype of [QuantizerType.QT8bit, QuantizerType.QT6bit, QuantizerType.QTfp16]) {
        const spec = specOf(qtype, 19);
        const [ours, expected] = [
          await answers(cpu, spec, 300, selector),
          await answers(reference, spec, 300, selector),
        ];
        assert.deepEqual(ours, expected, `type ${qtype}`);
      }
    }
  });

  Deno.test("many codes and far ones are found in any number of threads", async () => {
    const d = 8;
    const spec: ScalarSpec = {
      kind: "sq",
      d,
      qtype: QuantizerType.QTfp16,
      trained: new Float32Array(),
    };
    const n = 20_000;
    // Products of rows as they are would say nothing of what they differ by.
    const x = vectors(n, d, 1).map((value) => 20_000 + value);
    const queries = vectors(30, d, 2).map((value) => 20_000 + value);
    const stores = [cpu, reference].map((backend) => backend.createCodes(spec));
    using codec = cpu.createCodec(spec);
    const codes = await codec.encode(x);
    for (const store of stores) await store.add(codes);
    try {
      const expected = await stores[1]!.search(queries, 10, how(Metric.L2));
      for (const count of [1, 2, 3]) {
        setThreads(count);
        for (const nq of [1, 3, 12, 30]) {
          const found = await stores[0]!.search(queries.subarray(0, nq * d), 10, how(Metric.L2));
          assert.deepEqual(found.labels, expected.labels.subarray(0, nq * 10));
          assert.deepEqual(found.distances, expected.distances.subarray(0, nq * 10));
          assert(found.run.variants.includes(nq <= 4 ? "direct_f32" : "decode_f32"));
        }
      }
    } finally {
      setThreads(threads);
      for (const store of stores) store[Symbol.dispose]();
    }
  });

  Deno.test("codes of what a half cannot hold are never found, long rows and others are", async () => {
    const [d, n] = [1500, 70];
    const spec: ScalarSpec = {
      ...{ kind: "sq", d, qtype: QuantizerType.QTfp16, trained: new Float32Array() },
    };
    const x = vectors(n, d, 1);
    for (const row of [3, 64]) x[row * d + 7] = 1e6;
    using codec = cpu.createCodec(spec);
    const codes = await codec.encode(x);
    using ours = cpu.createCodes(spec);
    using expected = reference.createCodes(spec);
    for (const store of [ours, expected]) await store.add(codes);
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const nq of [1, 4, 9, 20]) {
        // Products with the infinity would be ∞ and found first, or −∞, or, with 0, no number.
        const queries = vectors(nq, d, 2);
        for (let i = 7; i < queries.length; i += d) queries[i] = i % 2 === 0 ? 0 : -1;
        const [a, b] = [
          await ours.search(queries, n, how(metric)),
          await expected.search(queries, n, how(metric)),
        ];
        assert.deepEqual([a.labels, a.distances], [b.labels, b.distances], `${metric}, ${nq}`);
        assert(!a.labels.includes(3n) && !a.labels.includes(64n));
      }
    }
  });

  Deno.test("a search of codes stops when it is aborted", async () => {
    const d = 64;
    const spec = specOf(QuantizerType.QT8bit, d);
    using store = cpu.createCodes(spec);
    await store.add(new Uint8Array(400_000 * d));
    const signal = AbortSignal.timeout(5);
    const search = store.search(vectors(2000, d, 1), 10, { ...how(Metric.L2), signal });
    await assert.rejects(search, { name: "TimeoutError" });
  });

  Deno.test("the C ABI refuses codecs that make no sense", () => {
    const good = specOf(QuantizerType.QT8bit, 4);
    const bad: [ScalarSpec, RegExp][] = [
      [{ ...good, qtype: 9 as QuantizerType }, /no scalar type 9/],
      [{ ...good, trained: new Float32Array(7) }, /7 trained numbers where 8 are needed/],
      [{ ...good, trained: new Float32Array(8).fill(NaN) }, /range of column 0 is not finite/],
      [{ ...good, d: 0 }, /d must be 1 to/],
    ];
    for (const [spec, message] of bad) {
      // Its size of codes is only asked of the cpu backend's stores.
      assert.throws(() => cpu.createCodec({ ...spec, qtype: spec.qtype }), message);
    }
  });
}

const backends = isNative ? [reference, createCpuBackend()] : [reference];
for (const backend of backends) {
  Deno.test(`stores of codes refuse what does not fit [${backend.name}]`, async () => {
    const spec = specOf(QuantizerType.QT8bit, 4);
    using flat = backend.createCodes(spec);
    using lists = backend.createCodeLists(spec, 3);
    using codec = backend.createCodec(spec);
    await flat.add(new Uint8Array(8));
    const queries = new Float32Array(4);
    const one = BigInt64Array.of(0n);
    await assert.rejects(flat.add(new Uint8Array(6)), TypeError);
    await assert.rejects(lists.add(new Uint8Array(8), one, one), TypeError);
    await assert.rejects(lists.add(new Uint8Array(4), BigInt64Array.of(3n), one), /list 3 of 3/);
    await assert.rejects(
      codec.encode(Float32Array.of(1, 2, NaN, 4)),
      /row 0 holds NaN at column 2/,
    );
    await assert.rejects(codec.encode(new Float32Array(6)), TypeError);
    await assert.rejects(codec.decode(new Uint8Array(6)), TypeError);
    await assert.rejects(flat.search(queries, 1, how(Metric.L1)), /L2 or inner product only/);
    await assert.rejects(
      lists.search(queries, one, 1, how(Metric.Cosine)),
      /L2 or inner product only/,
    );
    await assert.rejects(
      lists.search(queries, BigInt64Array.of(3n), 1, how(Metric.L2)),
      /list 3 of 3/,
    );
    await assert.rejects(flat.search(queries.fill(NaN), 1, how(Metric.L2)), /query 0 holds NaN/);
    assert.throws(() => flat.codes(1, 2), RangeError);
    assert.throws(() => flat.codes(-1, 1), RangeError);
    assert.throws(() => flat.gather(BigInt64Array.of(2n), new Float32Array(4)), /row 2/);
    assert.throws(() => lists.gather(one, new Float32Array(4)), /location 0/);
    assert.throws(
      () => backend.createCodeLists(spec, 3, { centroids: new Float32Array(8) }),
      TypeError,
    );
    using other = backend.createCodes(specOf(QuantizerType.QT4bit, 4));
    await assert.rejects(flat.append(other), TypeError);
  });

  Deno.test(`codecs of every type keep what they can keep [${backend.name}]`, async () => {
    const exact: [QuantizerType, number[]][] = [
      [QuantizerType.QT8bitDirect, [0, 1, 128, 255, 77]],
      [QuantizerType.QT8bitDirectSigned, [-128, -1, 0, 127, 77]],
      [QuantizerType.QTfp16, [0, 1, -2.5, 65504, 2 ** -24]],
      [QuantizerType.QTbf16, [0, 1, -2.5, 2 ** 100, 2 ** -100]],
    ];
    for (const [qtype, numbers] of exact) {
      const spec: ScalarSpec = { kind: "sq", d: 5, qtype, trained: new Float32Array() };
      using codec = backend.createCodec(spec);
      const codes = await codec.encode(Float32Array.from(numbers));
      assert.equal(codes.length, scalarCodeSize(qtype, 5));
      assert.deepEqual([...await codec.decode(codes)], numbers);
    }
    // What is past the ends is kept as these.
    using direct = backend.createCodec({
      ...{ kind: "sq", d: 4, qtype: QuantizerType.QT8bitDirect, trained: new Float32Array() },
    });
    assert.deepEqual([...await direct.encode(Float32Array.of(-3, 256, 1e9, 2.9))], [
      0,
      255,
      255,
      2,
    ]);
    for (const qtype of [0, 1, 2, 3, 6] as QuantizerType[]) {
      const spec = specOf(qtype, 20);
      const x = vectors(50, 20, 5);
      using codec = backend.createCodec(spec);
      const decoded = await codec.decode(await codec.encode(x));
      const levels = { 0: 256, 1: 16, 2: 256, 3: 16, 6: 64 }[qtype as 0 | 1 | 2 | 3 | 6];
      const isUniform = qtype === 2 || qtype === 3;
      x.forEach((value, i) => {
        const j = isUniform ? 0 : i % 20;
        const [least, range] = [spec.trained[j]!, spec.trained[j + spec.trained.length / 2]!];
        const inside = Math.min(least + range, Math.max(least, value));
        const error = Math.abs(decoded[i]! - inside);
        assert(error <= 1.001 * range / (levels - 1), `type ${qtype}: ${value} as ${decoded[i]}`);
      });
    }
  });
}
