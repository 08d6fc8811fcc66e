import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { indexFactory, reverseIndexFactory } from "../lib/index/factory.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIDMap, IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { IndexIVFPQ, IndexPQ } from "../lib/index/product_quantizer.ts";
import { Metric } from "../lib/metric.ts";

const options = { backend: createReferenceBackend() };

Deno.test("indexFactory() makes flat indexes of every metric", () => {
  assert.ok(indexFactory(8, "Flat", Metric.L2, options) instanceof IndexFlatL2);
  assert.ok(indexFactory(8, "Flat", Metric.InnerProduct, options) instanceof IndexFlatIP);
  const lp = indexFactory(8, "Flat", Metric.Lp, { ...options, metricArg: 3 });
  assert.ok(lp instanceof IndexFlat);
  assert.deepEqual([lp.d, lp.metric, lp.metricArg], [8, Metric.Lp, 3]);
});

Deno.test("indexFactory() makes IVF indexes, with k and M for 1024 and 1024²", () => {
  const lists = [["IVF16,Flat", 16], ["IVF4k,Flat", 4096], ["IVF1M,Flat", 1_048_576]] as const;
  for (const [description, nlist] of lists) {
    const index = indexFactory(2, description, Metric.InnerProduct, options);
    assert.ok(index instanceof IndexIVFFlat);
    assert.deepEqual([index.nlist, index.metric, index.cp.spherical], [
      nlist,
      Metric.InnerProduct,
      true,
    ]);
    assert.ok(index.quantizer instanceof IndexFlatIP && index.ownFields);
  }
});

Deno.test("indexFactory() makes product quantizers, of 8 bits unless it says how many", () => {
  const flat = indexFactory(8, "PQ4", Metric.InnerProduct, options);
  assert.ok(flat instanceof IndexPQ && flat.metric === Metric.InnerProduct);
  assert.deepEqual([flat.pq.M, flat.pq.nbits, flat.saCodeSize], [4, 8, 4]);
  const ivf = indexFactory(8, "IVF16(IVF4,Flat),PQ2x5np", Metric.L2, options);
  assert.ok(ivf instanceof IndexIVFPQ && ivf.quantizer instanceof IndexIVFFlat && ivf.ownFields);
  assert.deepEqual([ivf.pq.M, ivf.pq.nbits, ivf.nlist, ivf.byResidual], [2, 5, 16, true]);
});

Deno.test("indexFactory() makes IDMap and IDMap2 before and after an index", () => {
  for (const description of ["IDMap,Flat", "Flat,IDMap"]) {
    const index = indexFactory(2, description, Metric.L1, options);
    assert.ok(index instanceof IndexIDMap && !(index instanceof IndexIDMap2));
    assert.ok(index.index instanceof IndexFlat && index.metric === Metric.L1);
  }
  for (const description of ["IDMap2,IVF4,Flat", "IVF4,Flat,IDMap2"]) {
    const index = indexFactory(2, description, Metric.L2, options);
    assert.ok(index instanceof IndexIDMap2 && index.index instanceof IndexIVFFlat);
  }
});

Deno.test("indexFactory() makes a quantizer in parentheses", () => {
  const index = indexFactory(2, "IVF16(IVF4,Flat),Flat", Metric.L2, options);
  assert.ok(index instanceof IndexIVFFlat && index.quantizer instanceof IndexIVFFlat);
  assert.deepEqual([index.nlist, index.quantizer.nlist], [16, 4]);
  const plain = indexFactory(2, "IVF16(Flat),Flat", Metric.L2, options) as IndexIVFFlat;
  assert.ok(plain.quantizer instanceof IndexFlatL2);
});

Deno.test("reverseIndexFactory() gives a string that makes the same", () => {
  const canonical = {
    "Flat": "Flat",
    "IVF2k,Flat": "IVF2048,Flat",
    "HNSW": "HNSW32,Flat",
    "HNSW16_Flat": "HNSW16,Flat",
    "IDMap,HNSW8,Flat": "IDMap,HNSW8,Flat",
    "IVF16_HNSW,Flat": "IVF16_HNSW32,Flat",
    "IVF16(HNSW8),Flat": "IVF16_HNSW8,Flat",
    "Flat,IDMap": "IDMap,Flat",
    "IDMap2,IVF4,Flat": "IDMap2,IVF4,Flat",
    "IVF16(IVF4,Flat),Flat": "IVF16(IVF4,Flat),Flat",
    "IVF16(Flat),Flat": "IVF16,Flat",
    "PQ2": "PQ2x8",
    "PQ1x12np": "PQ1x12",
    "IDMap,PQ2x4": "IDMap,PQ2x4",
    "IVF16,PQ2": "IVF16,PQ2x8",
    "IVF1k(IVF4,Flat),PQ1x6": "IVF1024(IVF4,Flat),PQ1x6",
    "IVF4(PQ2x4),PQ2x4": "IVF4(PQ2x4),PQ2x4",
  };
  for (const [description, expected] of Object.entries(canonical)) {
    const reverse = reverseIndexFactory(indexFactory(2, description, Metric.L2, options));
    assert.equal(reverse, expected);
    assert.equal(reverseIndexFactory(indexFactory(2, reverse, Metric.L2, options)), reverse);
  }
});

/** FAISS's grammar that is not there yet: the token that is named, and its class. */
const later: [description: string, token: string, name: string][] = [
  ["PCA64,IVF16,PQ8", "PCA64", "PCAMatrix"],
  ["PCAWR32,Flat", "PCAWR32", "PCAMatrix"],
  ["L2norm,Flat", "L2norm", "NormalizationTransform"],
  ["RR32,Flat", "RR32", "RandomRotationMatrix"],
  ["HR,Flat", "HR", "HadamardRotation"],
  ["ITQ,LSH", "ITQ", "ITQTransform"],
  ["OPQ16_64,IVF16,PQ16x4fs", "OPQ16_64", "OPQMatrix"],
  ["Pad32,Flat", "Pad32", "RemapDimensionsTransform"],
  ["IVF16,PQ8+16", "PQ8+16", "IndexIVFPQR"],
  ["IVF16,PQ8x4fsr_64", "PQ8x4fsr_64", "IndexIVFPQFastScan"],
  ["IVF16,SQtq4", "SQtq4", "IndexIVFScalarQuantizer"],
  ["IVF16,FlatDedup", "FlatDedup", "IndexIVFFlatDedup"],
  ["IVF16,FlatPanorama8_64", "FlatPanorama8_64", "IndexIVFFlatPanorama"],
  ["IVF16,RaBitQ4", "RaBitQ4", "IndexIVFRaBitQ"],
  ["IVF16,RaBitQfs_64", "RaBitQfs_64", "IndexIVFRaBitQFastScan"],
  ["IVF16,EDEN2BIASED", "EDEN2BIASED", "IndexIVFEDEN"],
  ["IVF16,RQ4x8_Nfloat", "RQ4x8_Nfloat", "IndexIVFResidualQuantizer"],
  ["IVF16,PLSQ2x4x8", "PLSQ2x4x8", "IndexIVFProductLocalSearchQuantizer"],
  ["IVF16,RQ8x4fs_32_Nrq2x4", "RQ8x4fs_32_Nrq2x4", "IndexIVFFastScan"],
  ["IVF16,ITQ64,SH1g", "ITQ64", "ITQTransform"],
  ["IVF16_NSG32,Flat", "IVF16_NSG32", "IndexNSGFlat quantizer"],
  ["IVF16(RCQ2x8),Flat", "RCQ2x8", "ResidualCoarseQuantizer"],
  ["IMI2x8,PQ8", "IMI2x8", "MultiIndexQuantizer"],
  ["Residual4x8,PQ8", "Residual4x8", "Index2Layer"],
  ["PQ8x4fs", "PQ8x4fs", "IndexPQFastScan"],
  ["SQ0", "SQ0", "IndexScalarQuantizer"],
  ["LSH64rt", "LSH64rt", "IndexLSH"],
  ["ZnLattice4x10_6", "ZnLattice4x10_6", "IndexLattice"],
  ["RQ3x8_2x4", "RQ3x8_2x4", "IndexResidualQuantizer"],
  ["HNSW32_SQ8", "HNSW32_SQ8", "IndexHNSWSQ"],
  ["HNSW32,PQ8x4np", "HNSW32,PQ8x4np", "IndexHNSWPQ"],
  ["HNSW32,2x10+PQ8", "HNSW32,2x10+PQ8", "IndexHNSW2Level"],
  ["HNSW,FlatPanorama8", "HNSW,FlatPanorama8", "IndexHNSWFlatPanorama"],
  ["NSG32,Flat", "NSG32", "IndexNSG"],
  ["FlatL2Panorama8", "FlatL2Panorama8", "IndexFlatL2Panorama"],
  ["MinMaxFP16,SQ8", "MinMaxFP16", "IndexRowwiseMinMax"],
  ["IVF16,Flat,RFlat", "RFlat", "IndexRefineFlat"],
  ["Flat,Refine(SQ8)", "Refine(SQ8)", "IndexRefine"],
  ["SVSVamana64,LVQ4x4", "SVSVamana64", "IndexSVSVamana"],
];

Deno.test("indexFactory() names the token of faiss's grammar that is not available yet", () => {
  for (const [description, token, name] of later) {
    assert.throws(() => indexFactory(64, description, Metric.L2, options), {
      name: "UnsupportedError",
      message: new RegExp(
        `^Cannot parse ".*": ${RegExp.escape(token)} \\(${name}\\) is not available yet$`,
      ),
    }, description);
  }
});

Deno.test("indexFactory() names the token that is unknown or out of place", () => {
  const bad = {
    "Foo": /^Cannot parse "Foo": unknown token "Foo"$/,
    "flat": /unknown token "flat"/,
    "IVF16,Foo": /unknown token "Foo"/,
    "IVFx,Flat": /unknown token "IVFx"/,
    "IVF,Flat": /unknown token "IVF"/,
    "PQx": /unknown token "PQx"/,
    "IVF16(Foo),Flat": /unknown token "Foo"/,
    "IVF16": /IVF16 needs a code/,
    "Flat,Flat": /token "Flat" is out of place/,
    "Flat,IVF16": /token "IVF16" is out of place/,
    "IVF16,IVF16,Flat": /token "IVF16" is out of place/,
    "IVF16,Flat,Flat": /token "Flat" is out of place/,
    "PQ8,Flat": /token "Flat" is out of place/,
    "Flat,PQ8": /token "PQ8" is out of place/,
    "PQ3": /d 8 is not divisible by M 3/,
    "PQ0": /M 0 is no integer above 0/,
    "IVF4,PQ3": /d 8 is not divisible by M 3/,
    "PQ8x0": /nbits 0/,
    "PQ8x17": /nbits 17/,
    "IVF4,PQ8x24": /nbits 24/,
    "HNSW32,Flat,Flat": /token "Flat" is out of place/,
    "HNSW32_Flat,Flat": /token "Flat" is out of place/,
    "HNSW32,Foo": /unknown token "Foo"/,
    "HNSW1": /M 1 is no integer from 2 to 1024/,
    "IVF0,Flat": /nlist 0/,
    "": /token 1 is empty/,
    "Flat,": /token 2 is empty/,
    "IDMap": /IDMap wraps nothing/,
    "IDMap,IDMap2,Flat": /wraps another IDMap/,
    "Flat Flat": /unknown token "Flat Flat"/,
    "IVF16(Flat,Flat": /unknown token/,
  };
  for (const [description, message] of Object.entries(bad)) {
    assert.throws(() => indexFactory(8, description, Metric.L2, options), {
      name: "RangeError",
      message,
    }, description);
  }
});
