import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { QuantizerType, RangeStat } from "../lib/codec/quantizer_type.ts";
import { ScalarQuantizer } from "../lib/codec/scalar_quantizer.ts";
import { DisposedError, NotTrainedError, UnsupportedError } from "../lib/errors.ts";
import { indexFactory, reverseIndexFactory } from "../lib/index/factory.ts";
import { IndexFlat, IndexFlatL2 } from "../lib/index/flat.ts";
import type { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "../lib/index/scalar_quantizer.ts";
import { Metric } from "../lib/metric.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const reference = createReferenceBackend();
const backends = isNative ? [reference, createCpuBackend()] : [reference];
const d = 12;
const n = 400;
const x = normals(n, d, 1);
const queries = normals(15, d, 2);

for (const backend of backends) {
  const name = (text: string) => `${text} [${backend.name}]`;

  const ivf = (qtype: QuantizerType, metric: Metric = Metric.L2, byResidual = true) => {
    const quantizer = new IndexFlat(d, metric, { backend });
    const index = new IndexIVFScalarQuantizer(quantizer, d, 6, qtype, metric, { byResidual });
    index.ownFields = true;
    return index;
  };

  Deno.test(name("a flat index of codes finds what is nearest to their vectors"), async () => {
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const qtype of [QuantizerType.QT8bit, QuantizerType.QT4bitUniform]) {
        using index = new IndexScalarQuantizer(d, qtype, metric, { backend });
        await index.train(x);
        await index.add(x);
        const stored = await index.saDecode(await index.saEncode(x));
        assert.deepEqual(index.reconstructN(0, n), stored);
        using exact = new IndexFlat(d, metric, { backend });
        await exact.add(stored);
        const [found, expected] = [await index.search(queries, 9), await exact.search(queries, 9)];
        assert.deepEqual(found.labels, expected.labels);
        assert.deepEqual(found.distances, expected.distances);
        assert.equal(index.memoryUsage(), n * index.saCodeSize);
      }
    }
  });

  Deno.test(name("lists of codes find what is nearest to their vectors"), async () => {
    for (const byResidual of [true, false]) {
      using index = ivf(QuantizerType.QT6bit, Metric.L2, byResidual);
      await index.train(x);
      await index.add(x);
      using exact = new IndexFlatL2(d, { backend });
      await exact.add(index.reconstructN(0, n));
      const found = await index.search(queries, 9, { nprobe: 6 });
      const expected = await exact.search(queries, 9);
      assert.deepEqual(found.labels, expected.labels);
      assert.deepEqual(found.distances, expected.distances);
      // What a code of saEncode stands for is what the index holds of the vector.
      assert.equal(index.saCodeSize, 1 + index.sq.codeSize);
      assert.deepEqual(await index.saDecode(await index.saEncode(x)), index.reconstructN(0, n));
      const sync = index.searchSync(queries, 9, { nprobe: 2 });
      assert.deepEqual(sync.labels, (await index.search(queries, 9, { nprobe: 2 })).labels);
    }
  });

  Deno.test(name("a cosine of codes does not depend on lengths"), async () => {
    const long = x.map((value, i) => value * (1 + Math.floor(i / d) % 7));
    for (
      const make of [
        () => new IndexScalarQuantizer(d, QuantizerType.QT8bit, Metric.Cosine, { backend }),
        () => ivf(QuantizerType.QT8bit, Metric.Cosine),
      ]
    ) {
      using index = make();
      using scaled = make();
      for (const [which, vectors] of [[index, x], [scaled, long]] as const) {
        await which.train(vectors);
        await which.add(vectors);
      }
      using exact = new IndexFlat(d, Metric.Cosine, { backend });
      await exact.add(x);
      const params = { nprobe: index instanceof IndexIVFScalarQuantizer ? 6 : undefined };
      const found = await index.search(queries, 5, params);
      const same = await scaled.search(queries.map((value) => 3 * value), 5, params);
      const expected = await exact.search(queries, 5);
      found.distances.forEach((distance, i) => {
        assert(Math.abs(distance - expected.distances[i]!) < 0.01);
        assert(Math.abs(same.distances[i]! - expected.distances[i]!) < 0.01);
      });
    }
  });

  Deno.test(name("ids, removal, merging and copies of codes"), async () => {
    using map = indexFactory(d, "IDMap2,IVF6,SQ8", Metric.L2, { backend }) as IndexIDMap2;
    await map.train(x);
    const ids = Array.from({ length: n }, (_, i) => 1000 + 3 * i);
    await map.addWithIds(x, ids);
    assert.equal(await map.removeIds((id) => id % 2n === 0n), n / 2);
    const params = { nprobe: 6 };
    const found = await map.search(x.subarray(3 * d, 4 * d), 1, params);
    assert.deepEqual([...found.labels], [1009n]);
    using copy = await map.to(reference);
    assert.deepEqual(
      (await copy.search(queries, 4, params)).labels,
      (await map.search(queries, 4, params)).labels,
    );
    await map.reset();
    assert.equal(map.ntotal, 0);

    using flat = new IndexScalarQuantizer(d, QuantizerType.QT8bit, Metric.L2, { backend });
    await flat.train(x);
    using other = await flat.to(backend);
    await flat.add(x.subarray(0, 100 * d));
    await other.add(x.subarray(100 * d));
    await flat.mergeFrom(other);
    assert.deepEqual([flat.ntotal, other.ntotal], [n, 0]);
    assert.equal(await flat.removeIds([0, 5, 399]), 3);
    const kept = await flat.saDecode(await flat.saEncode(x.subarray(d, 2 * d)));
    assert.deepEqual(flat.reconstruct(0), kept);
    using trained = new IndexScalarQuantizer(d, QuantizerType.QT8bit, Metric.L2, { backend });
    await trained.train(queries);
    await assert.rejects(flat.mergeFrom(trained), /codecs of the two indexes differ/);
    using halves = new IndexScalarQuantizer(d, QuantizerType.QTfp16, Metric.L2, { backend });
    await assert.rejects(flat.mergeFrom(halves), /codecs of the two indexes differ/);
  });

  Deno.test(name("codes that were made elsewhere can be added"), async () => {
    using index = new IndexScalarQuantizer(d, QuantizerType.QT4bit, Metric.L2, { backend });
    await assert.rejects(index.addSaCodes(new Uint8Array(6)), NotTrainedError);
    await index.train(x);
    using same = await index.to(backend);
    await same.addSaCodes(await index.saEncode(x));
    await index.add(x);
    assert.deepEqual(same.reconstructN(0, n), index.reconstructN(0, n));
    await assert.rejects(same.addSaCodes(new Uint8Array(7)), TypeError);
  });

  Deno.test(name("an index of codes refuses what it cannot do"), async () => {
    using index = new IndexScalarQuantizer(d, QuantizerType.QT8bit, Metric.L2, { backend });
    await assert.rejects(index.add(x), NotTrainedError);
    await assert.rejects(index.search(queries, 1), NotTrainedError);
    await assert.rejects(index.saEncode(x), NotTrainedError);
    await assert.rejects(index.saDecode(new Uint8Array(d)), NotTrainedError);
    const broken = x.map((value, i) => i === 30 ? NaN : value);
    await assert.rejects(index.train(broken), /^RangeError: Cannot train: row \d+ holds NaN/);
    assert.equal(index.isTrained, false);
    await index.train(x);
    await assert.rejects(
      index.addWithIds(x, Array.from({ length: n }, (_, i) => i)),
      UnsupportedError,
    );
    await assert.rejects(index.add(broken), /NaN/);
    assert.throws(() => index.reconstruct(0), /id 0 of 0 vectors/);
    using lists = ivf(QuantizerType.QTfp16);
    assert.equal(lists.isTrained, false);
    await assert.rejects(lists.add(x), NotTrainedError);
    await assert.rejects(lists.saEncode(x), NotTrainedError);
    assert.throws(() => lists.reconstruct(0), NotTrainedError);
    assert.equal(await lists.removeIds([1]), 0);
    await lists.train(x);
    await assert.rejects(
      lists.saDecode(new Uint8Array([6, ...new Uint8Array(2 * d)])),
      /list 6 of 6/,
    );
    await assert.rejects(lists.saDecode(new Uint8Array(3)), TypeError);
    index.dispose();
    await assert.rejects(index.saEncode(x), DisposedError);
    const options = { backend };
    const type = QuantizerType.QT8bit;
    assert.throws(() => new IndexScalarQuantizer(d, type, Metric.L1, options), {
      name: "RangeError",
      message: /IndexScalarQuantizer compares by L2, inner product or cosine, not by L1/,
    });
    assert.throws(
      () => new IndexScalarQuantizer(d, 9 as QuantizerType, Metric.L2, options),
      RangeError,
    );
    assert.throws(() => new IndexScalarQuantizer(0, type, Metric.L2, options), RangeError);
    using quantizer = new IndexFlatL2(d + 1, options);
    assert.throws(() => new IndexIVFScalarQuantizer(quantizer, d, 4), TypeError);
  });
}

Deno.test("codes are refused on the gpu", () => {
  const backend = Object.assign(Object.create(reference), { name: "gpu" });
  assert.throws(() => new IndexScalarQuantizer(d, 0, Metric.L2, { backend }), UnsupportedError);
});

Deno.test("a scalar quantizer says what is wrong", async () => {
  const options = { backend: reference };
  assert.throws(() => new ScalarQuantizer(0, 0, options), RangeError);
  assert.throws(() => new ScalarQuantizer(4, 10 as QuantizerType, options), RangeError);
  assert.throws(
    () => new ScalarQuantizer(4, 0, { ...options, rangeStat: 4 as RangeStat }),
    RangeError,
  );
  assert.throws(() => new ScalarQuantizer(4, 0, { ...options, rangeStatArg: NaN }), RangeError);
  const quantizer = new ScalarQuantizer(4, QuantizerType.QT8bit, options);
  await assert.rejects(quantizer.train(new Float32Array(0)), TypeError);
  await assert.rejects(quantizer.train(new Float32Array(5)), TypeError);
  await assert.rejects(quantizer.encode(new Float32Array(4)), NotTrainedError);
  await quantizer.train(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  assert.deepEqual([...quantizer.trained], [1, 2, 3, 4, 4, 4, 4, 4]);
  quantizer[Symbol.dispose]();
  await assert.rejects(quantizer.encode(new Float32Array(4)), DisposedError);
});

Deno.test("ranges of numbers that are all the same are kept", async () => {
  for (const rangeStat of Object.values(RangeStat)) {
    using quantizer = new ScalarQuantizer(2, QuantizerType.QT8bit, {
      ...{ backend: reference, rangeStat, rangeStatArg: 0.25 },
    });
    await quantizer.train(new Float32Array(20).fill(3));
    const decoded = await quantizer.decode(await quantizer.encode(Float32Array.of(3, 3)));
    decoded.forEach((value) => assert(Math.abs(value - 3) < 0.01, `${rangeStat}: ${value}`));
  }
});

Deno.test("factory strings of scalar quantizers round-trip", () => {
  for (
    const token of ["SQ4", "SQ6", "SQ8", "SQfp16", "SQbf16", "SQ8_direct", "SQ8_direct_signed"]
  ) {
    for (const text of [token, `IVF4,${token}`, `IDMap,${token}`, `IDMap2,IVF4,${token}`]) {
      using index = indexFactory(d, text, Metric.InnerProduct, { backend: reference });
      assert.equal(reverseIndexFactory(index), text);
    }
  }
});
