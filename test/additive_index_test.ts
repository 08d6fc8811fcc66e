import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import type { AdditiveQuantizer } from "../lib/codec/additive_quantizer.ts";
import { AdditiveSearchType } from "../lib/codec/additive_type.ts";
import { LocalSearchQuantizer } from "../lib/codec/local_search_quantizer.ts";
import { ProductResidualQuantizer } from "../lib/codec/product_additive_quantizer.ts";
import { ResidualQuantizer, ResidualTraining } from "../lib/codec/residual_quantizer.ts";
import { FormatError } from "../lib/errors.ts";
import {
  IndexLocalSearchQuantizer,
  IndexProductResidualQuantizer,
  IndexResidualQuantizer,
} from "../lib/index/additive_quantizer.ts";
import { indexFactory, reverseIndexFactory } from "../lib/index/factory.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import type { IndexFlatCodes } from "../lib/index/flat_codes.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFCodes } from "../lib/index/ivf_codes.ts";
import { IndexIVFResidualQuantizer } from "../lib/index/ivf_additive_quantizer.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { quicken, quickenQuantizer } from "./additive.ts";
import { normals, testEach as testAll } from "./grid.ts";

function testEach(name: string, run: (backend: Backend) => Promise<void>): void {
  testAll(name, run, (backend) => backend.name !== "gpu");
}

const suffixes = [
  "",
  "_Nnone",
  "_Nfloat",
  "_Nqint8",
  "_Nqint4",
  "_Ncqint8",
  "_Ncqint4",
  "_Nlsq2x4",
  "_Nrq2x4",
];

testEach(
  "factory strings of additive quantizers make them, and are given back",
  async (backend) => {
    for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
      for (const name of ["RQ2x8_3x4", "LSQ4x6", "PRQ2x3x5", "PLSQ4x2x4"]) {
        for (const suffix of suffixes) {
          for (const lists of ["", "IVF8,", "IDMap,"]) {
            using index = indexFactory(16, `${lists}${name}${suffix}`, metric, { backend });
            // What the metric has anyway is left out.
            const usual = metric !== Metric.L2 && suffix === "_Nnone" ? "" : suffix;
            assert.equal(reverseIndexFactory(index), `${lists}${name}${usual}`);
            assert.equal(index.isTrained, false);
          }
        }
      }
    }
    const same = indexFactory(16, "RQ1x8_1x8_2x4", Metric.L2, { backend });
    assert.equal(reverseIndexFactory(same), "RQ2x8_2x4");
    same.dispose();
    for (const bad of ["RQ2x4_Nq", "RQ2", "RQ2x0", "LSQ2x3_2x4", "PRQ3x2x4", "RQ0x4", "RQ1x17"]) {
      assert.throws(() => indexFactory(16, bad, Metric.L2, { backend }), RangeError, bad);
    }
    await Promise.resolve();
  },
);

testEach("indexes of additive codes find what these stand for, nearest first", async (backend) => {
  const x = normals(300, 8, 1).map((value) => value + 1);
  for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
    for (const name of ["RQ3x4", "PRQ2x2x4", "LSQ2x4", "IVF4,RQ3x4", "IVF4,PLSQ2x1x4"]) {
      using index = indexFactory(8, name, metric, { backend }) as IndexFlatCodes | IndexIVFCodes;
      quicken(index);
      await index.train(x);
      await index.add(x);
      if (index instanceof IndexIVFCodes) index.nprobe = 4;
      using exact = new IndexFlat(8, metric === Metric.L2 ? metric : Metric.InnerProduct, {
        backend,
      });
      const decoded = index.reconstructN(0, 300);
      await exact.add(decoded);
      const queries = normals(10, 8, 2);
      const unit = queries.map((value, i) => {
        const row = queries.subarray(i - i % 8, i - i % 8 + 8);
        return value / (metric === Metric.Cosine ? Math.hypot(...row) : 1);
      });
      const [found, wanted] = [await index.search(queries, 20), await exact.search(unit, 20)];
      found.distances.forEach((distance, i) => {
        assert(Math.abs(distance - wanted.distances[i]!) < 1e-4, `${name} ${metric}, place ${i}`);
      });
      assert.deepEqual(decoded, await index.saDecode(await index.saEncode(x)), name);
    }
  }
});

testEach("norms in codes make distances about those of what codes stand for", async (backend) => {
  const x = normals(400, 8, 1);
  const queries = normals(10, 8, 2);
  const most = {
    _Nfloat: 1e-4,
    _Nqint8: 0.1,
    _Nqint4: 1.5,
    _Ncqint8: 0.1,
    _Ncqint4: 1,
    _Nlsq2x4: 0.2,
    _Nrq2x4: 0.2,
  };
  for (const [suffix, limit] of Object.entries(most)) {
    for (const name of ["RQ3x4", "IVF4,PRQ2x2x4"]) {
      using index = indexFactory(8, name + suffix, Metric.L2, { backend });
      quicken(index);
      await index.train(x);
      await index.add(x);
      const found = await index.search(queries, 5);
      let worst = 0;
      found.labels.forEach((label, i) => {
        const row = index.reconstruct(Number(label));
        const query = Math.floor(i / 5) * 8;
        const exact = row.reduce((sum, value, j) => sum + (value - queries[query + j]!) ** 2, 0);
        worst = Math.max(worst, Math.abs(exact - found.distances[i]!));
      });
      assert(worst <= limit, `${name}${suffix}: ${worst} apart`);
    }
  }
});

testEach(
  "indexes of additive codes move between backends, merge, remove and reset",
  async (backend) => {
    const x = normals(200, 8, 1);
    const makers = [
      (of: Backend) => indexFactory(8, "RQ3x3_Nqint4", Metric.L2, { backend: of }),
      (of: Backend) => indexFactory(8, "IVF4,PRQ2x1x4_Nfloat", Metric.L2, { backend: of }),
      (of: Backend) => indexFactory(8, "IDMap2,LSQ2x3", Metric.InnerProduct, { backend: of }),
    ];
    for (const make of makers) {
      using trained = make(backend);
      quicken(trained);
      await trained.train(x);
      const bytes = await serializeIndex(trained);
      const copyOf = async () => await deserializeIndex(bytes, { backend });
      const add = async (to: typeof trained, from: number, n: number) => {
        const rows = x.subarray(from * 8, (from + n) * 8);
        if (!(to instanceof IndexIDMap2)) return await to.add(rows);
        await to.addWithIds(rows, Array.from({ length: n }, (_, i) => from + i));
      };
      using index = await copyOf();
      using other = await copyOf();
      using whole = await copyOf();
      await add(index, 0, 120);
      await add(other, 120, 80);
      await add(whole, 0, 200);
      await index.mergeFrom(other, index instanceof IndexIVFCodes ? 120 : 0);
      assert.deepEqual([index.ntotal, other.ntotal], [200, 0]);
      using copy = await index.to("reference");
      const [found, wanted] = [await copy.search(x, 5), await index.search(x, 5)];
      assert.deepEqual(found.labels, wanted.labels);
      assert.deepEqual(found.distances, wanted.distances);
      assert.equal(await index.removeIds((id) => id % 2n === 0n), 100);
      assert.equal(index.ntotal, 100);
      await index.reset();
      assert.deepEqual((await index.search(x.subarray(0, 8), 1)).labels, BigInt64Array.of(-1n));
      assert.equal(whole.ntotal, 200);
    }
    using ours = indexFactory(8, "RQ2x3", Metric.L2, { backend });
    using theirs = indexFactory(8, "RQ2x3", Metric.L2, { backend });
    for (const index of [ours, theirs]) quicken(index);
    await ours.train(x);
    await theirs.train(normals(200, 8, 9));
    await assert.rejects(ours.mergeFrom(theirs), {
      name: "TypeError",
      message: /codecs .* differ/,
    });
  },
);

testEach("more codebooks and wider beams leave less", async (backend) => {
  const d = 8;
  const x = normals(300, d, 1);
  const left = async (aq: AdditiveQuantizer) => {
    const decoded = await aq.decode(await aq.encode(x));
    return decoded.reduce((sum, value, i) => sum + (value - x[i]!) ** 2, 0) / 300;
  };
  const trained = async (M: number, change: Partial<ResidualQuantizer> = {}) => {
    const aq = Object.assign(new ResidualQuantizer(d, M, 4, { backend }), change);
    quickenQuantizer(aq);
    await aq.train(x);
    return aq;
  };
  using two = await trained(2);
  using four = await trained(4);
  const least = await left(four);
  assert(await left(two) > 1.3 * least);
  for (const trainType of [ResidualTraining.Default, ResidualTraining.TopBeam]) {
    using other = await trained(4, { trainType });
    const error = await left(other);
    assert(error < 1.3 * least, `${error}, not ${least}`);
  }
  four.maxBeamSize = 1;
  const greedy = await left(four);
  four.maxBeamSize = 30;
  const wide = await left(four);
  assert(wide < least && least < greedy, `${wide}, ${least}, ${greedy}`);
  using local = new LocalSearchQuantizer(d, 4, 4, { backend });
  local.trainIters = 12;
  await local.train(x);
  const error = await left(local);
  assert(error < least, `${error}, not ${least}`);
});

testEach("additive quantizers refuse bad numbers and use before training", async (backend) => {
  const bad: [() => unknown, RegExp][] = [
    [() => new ResidualQuantizer(8, 2, 0, { backend }), /nbits 0/],
    [() => new ResidualQuantizer(8, 2, 17, { backend }), /nbits 17/],
    [() => new ResidualQuantizer(8, 0, 4, { backend }), /M 0/],
    [() => new ResidualQuantizer(8, 0, [], { backend }), /M 0/],
    [() => new ResidualQuantizer(0, 2, 4, { backend }), /d 0/],
    [() => new LocalSearchQuantizer(8, 2000, 4, { backend }), /M 2000/],
    [() => new ProductResidualQuantizer(8, 3, 1, 4, { backend }), /not divisible by nsplits 3/],
    [
      () => new ResidualQuantizer(8, 2, 4, { backend, searchType: 11 as AdditiveSearchType }),
      /no search type 11/,
    ],
    [() => new IndexResidualQuantizer(8, 2, 4, Metric.L1, { backend }), /not by L1/],
  ];
  for (const [make, message] of bad) assert.throws(make, { name: "RangeError", message });
  const untrained = { name: "NotTrainedError", message: /train\(\)/ };
  const quantizer = new IndexFlat(8, Metric.L2, { backend });
  for (
    const index of [
      new IndexLocalSearchQuantizer(8, 2, 4, Metric.L2, { backend }),
      new IndexProductResidualQuantizer(8, 2, 1, 4, Metric.L2, { backend }),
      new IndexIVFResidualQuantizer(quantizer, 8, 2, 2, 4),
    ]
  ) {
    using it = index;
    const x = normals(10, 8, 1);
    quicken(it);
    await assert.rejects(it.add(x), untrained);
    await assert.rejects(it.search(x, 1), untrained);
    await assert.rejects(it.saEncode(x), untrained);
    await assert.rejects(it.train(x), {
      name: "RangeError",
      message: /10 vectors are fewer than 16 rows of a codebook/,
    });
    assert.equal(it.isTrained, false);
  }
  using rq = new ResidualQuantizer(8, 2, 2, { backend });
  quickenQuantizer(rq);
  const x = normals(50, 8, 1);
  await rq.train(x);
  rq.maxBeamSize = 0;
  await assert.rejects(rq.encode(x), { name: "RangeError", message: /maxBeamSize 0/ });
  rq.trainType = ResidualTraining.RefineCodebook;
  await assert.rejects(rq.train(x), { name: "UnsupportedError" });
  await assert.rejects(rq.train(x, AbortSignal.abort()), { name: "AbortError" });
  using cqint8 = new ResidualQuantizer(8, 1, 2, {
    backend,
    searchType: AdditiveSearchType.NormCqint8,
  });
  quickenQuantizer(cqint8);
  await assert.rejects(cqint8.train(x), {
    name: "RangeError",
    message: /50 norms are fewer than 256/,
  });
  quantizer.dispose();
});

testEach("files of additive codes that contradict themselves are refused", async (backend) => {
  const d = 4;
  const x = normals(40, d, 1);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of ["RQ2x3_Nqint8", "RQ1x2_Ncqint4", "LSQ2x2", "PRQ2x1x3", "IVF2,RQ2x3"]) {
    using index = indexFactory(d, name, Metric.L2, { backend });
    quicken(index);
    await index.train(x);
    await index.add(x);
    files.set(name, await serializeIndex(index));
  }
  const forge = (name: string, change: (view: DataView) => void) => {
    const bytes = files.get(name)!.slice();
    change(new DataView(bytes.buffer));
    return bytes;
  };
  const u64 = (at: number, value: bigint) => (view: DataView) => view.setBigUint64(at, value, true);
  const i32 = (at: number, value: number) => (view: DataView) => view.setInt32(at, value, true);
  const u8 = (at: number, value: number) => (view: DataView) => view.setUint8(at, value);
  // d, M, nbits (2), is_trained, codebooks (16 × 4), search type, norms, training, beam, code size, codes.
  const [RQ, BOOKS] = [37, 37 + 40 + 1];
  const TYPE = BOOKS + 8 + 4 * 64;
  const QNORM = 37 + 8 + 8 + 16 + 1 + 8 + 4 * 16 + 12;
  const LSQ = 37 + 40 + 1 + 8 + 4 * 32 + 12;
  const PRQ = 37 + 40 + 1 + 8 + 4 * 32 + 12;
  const LISTS = 53 + 45 + 4 * 8 + 9;
  const huge = 2n ** 62n;
  const cases: [string, Uint8Array, RegExp][] = [
    ["d", forge("RQ2x3_Nqint8", u64(RQ, 5n)), /quantizer has dimension 5 and is of 4/],
    ["M", forge("RQ2x3_Nqint8", u64(RQ + 8, 3n)), /2 numbers of bits for 3 codebooks/],
    ["no M", forge("RQ2x3_Nqint8", u64(RQ + 8, 0n)), /0 codebooks, not 1 to 1024/],
    ["huge M", forge("RQ2x3_Nqint8", u64(RQ + 8, huge)), /codebooks, not 1 to 1024/],
    ["huge bits", forge("RQ2x3_Nqint8", u64(RQ + 16, huge)), /items of 8 bytes/],
    ["bits", forge("RQ2x3_Nqint8", u64(RQ + 24, 40n)), /codebook 0 has 40 bits/],
    ["0 bits", forge("RQ2x3_Nqint8", u64(RQ + 32, 0n)), /codebook 1 has 0 bits/],
    ["other bits", forge("RQ2x3_Nqint8", u64(RQ + 24, 4n)), /64 numbers of codebooks where 96/],
    ["untrained", forge("RQ2x3_Nqint8", u8(RQ + 40, 0)), /64 numbers of codebooks where 0/],
    ["untrained index", forge("RQ2x3_Nqint8", u8(32, 0)), /not trained, unlike its quantizer/],
    ["huge codebooks", forge("RQ2x3_Nqint8", u64(BOOKS, huge)), /items of 4 bytes/],
    ["NaN", forge("RQ2x3_Nqint8", i32(BOOKS + 12, 0x7fc00000)), /codebooks: number 1 holds NaN/],
    ["type", forge("RQ2x3_Nqint8", i32(TYPE, 10)), /search of kind 10 is not available/],
    ["other type", forge("RQ2x3_Nqint8", i32(TYPE, 0)), /codes have 2 bytes and 1 are needed/],
    ["norms", forge("RQ2x3_Nqint8", i32(TYPE + 4, 0x7fc00000)), /norms are from NaN/],
    ["beam", forge("RQ2x3_Nqint8", i32(TYPE + 16, 0)), /beam keeps 0 sums/],
    ["wide beam", forge("RQ2x3_Nqint8", i32(TYPE + 16, 2 ** 30)), /beam keeps 1073741824 sums/],
    ["code size", forge("RQ2x3_Nqint8", u64(TYPE + 20, 3n)), /codes have 3 bytes and 2 are/],
    ["codes", forge("RQ2x3_Nqint8", u64(TYPE + 28, 79n)), /79 bytes where 40 codes of 2/],
    ["few norms", forge("RQ1x2_Ncqint4", u64(QNORM, 15n)), /15 norms where 16 are needed/],
    ["huge norms", forge("RQ1x2_Ncqint4", u64(QNORM, huge)), /items of 4 bytes/],
    ["K", forge("LSQ2x2", u64(LSQ, 8n)), /codebooks of 2, 2 bits are said to have 8 rows/],
    ["iterations", forge("LSQ2x2", u64(LSQ + 16, huge)), /encode_ils_iters is 46116/],
    ["chunk", forge("LSQ2x2", u64(LSQ + 48, 0n)), /chunk_size is 0/],
    ["p", forge("LSQ2x2", i32(LSQ + 40, 0x7f800000)), /p is Infinity/],
    ["double", forge("LSQ2x2", u8(LSQ + 68, 2)), /update_codebooks_with_double is 2/],
    ["parts", forge("PRQ2x1x3", u64(PRQ, 3n)), /not divisible by 3 parts/],
    ["no parts", forge("PRQ2x1x3", u64(PRQ, 0n)), /not divisible by 0 parts/],
    ["one part", forge("PRQ2x1x3", u64(PRQ, 1n)), /32 numbers of codebooks where 64/],
    ["part's d", forge("PRQ2x1x3", u64(PRQ + 8, 4n)), /quantizer has dimension 4 and is of 2/],
    ["part's books", forge("PRQ2x1x3", i32(PRQ + 8 + 16 + 16 + 9, 0)), /part 0 .* differs/],
    ["lists' size", forge("IVF2,RQ2x3", u64(LISTS, 2n)), /codes have 2 bytes and 1 are needed/],
  ];
  for (const [what, bytes, message] of cases) {
    await assert.rejects(deserializeIndex(bytes, { backend }), (error) => {
      assert(error instanceof FormatError, `${what}: ${error}`);
      assert.match(error.message, message, what);
      return true;
    });
  }
});
