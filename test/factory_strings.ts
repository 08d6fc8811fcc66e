/**
 * Factory strings that FAISS's users write, by what they are of. Each is compared with faiss, in L2 and by
 * inner product, in factory_strings_test.ts.
 *
 * @module
 */

/** Those that are made here. */
export const strings = {
  flat: ["Flat", "IDMap,Flat", "IDMap2,Flat", "Flat,IDMap"],
  lists: [
    "IVF16,Flat",
    "IVF16_HNSW8,Flat",
    "IDMap2,IVF16,Flat",
    "IVF16,Flat,IDMap",
  ],
  scalar: [
    ...["SQ8", "SQ6", "SQ4", "SQfp16", "SQbf16", "SQ8_direct", "SQ8_direct_signed"],
    ...["IVF16,SQ8", "IVF16,SQ6", "IVF16,SQ4", "IVF16,SQfp16", "IVF16,SQbf16"],
    ...["IVF16_HNSW8,SQ8", "IDMap,SQ6", "IDMap2,IVF16,SQ4"],
  ],
  product: [
    ...["PQ8", "PQ16", "PQ8x4", "PQ16x5np", "PQ4x6", "PQ8np", "PQ2x9"],
    ...["IVF16,PQ8", "IVF16,PQ8x4", "IVF16,PQ16x6np", "IVF16,PQ32x4", "IVF16_HNSW8,PQ8x5"],
    ...["IDMap,PQ8x4", "IDMap2,IVF16,PQ8x6", "IVF16,PQ8x4,IDMap"],
  ],
  graphs: ["HNSW", "HNSW16", "HNSW24,Flat", "HNSW20_Flat", "IDMap,HNSW16", "IDMap2,HNSW24,Flat"],
  transforms: [
    ...["PCA16,Flat", "PCAW16,Flat", "PCAR16,Flat", "PCAWR8,Flat", "L2norm,Flat", "L2Norm,SQ8"],
    ...["RR,Flat", "RR24,SQfp16", "HR,Flat", "HR77,SQ6", "ITQ,Flat", "ITQ16,SQ8"],
    ...["OPQ8,PQ8x4", "OPQ8_16,PQ8x5", "OPQ4_16,IVF16,PQ4x6", "OPQ16,IVF16,PQ16x4"],
    ...["Pad40,Flat", "PCA16,IVF16,Flat", "PCAR16,IVF16,SQ8", "PCA16,HNSW16", "RR,IVF16,PQ8x5"],
    ...["L2norm,PCAR16,Pad24,HR,IVF16,SQfp16", "PCA24,OPQ8_16,IVF16_HNSW8,PQ8x4"],
    ...["IDMap,PCA16,SQ8", "IDMap2,OPQ8_16,IVF16,PQ8x4"],
  ],
  refined: [
    ...["Flat,RFlat", "SQ8,RFlat", "SQ4,Refine(SQfp16)", "PQ8x4,RFlat", "IVF16,Flat,RFlat"],
    ...["IVF16,SQ4,RFlat", "IVF16,PQ8x4,RFlat", "IVF16,PQ16x4,Refine(SQ8)", "HNSW16,RFlat"],
    ...["PCA16,Flat,Refine(PCA24,SQ8)", "OPQ8_16,IVF16,PQ8x4,RFlat"],
    ...["IVF16,PQ8x4,Refine(PQ16x6)", "IDMap,IVF16,PQ8x4,RFlat", "IDMap2,PQ8x4,Refine(SQfp16)"],
  ],
  quantizers: [
    ...["IVF16(SQ8),Flat", "IVF16(IVF4,Flat),Flat", "IVF16(PCA8,Flat),Flat"],
    ...["IVF16(PQ4x4),SQfp16", "IVF16(SQfp16),PQ4x7"],
  ],
  fastScan: [
    ...["PQ8x4fs", "PQ16x4fs", "PQ16x4fs_64", "PQ16x4fs,RFlat", "IDMap,PQ16x4fs"],
    ...["IVF16,PQ8x4fs", "IVF16,PQ16x4fs", "IVF16,PQ16x4fsr", "IVF16,PQ16x4fs_64"],
    ...["IVF16,PQ16x4fsr_64", "IVF16_HNSW8,PQ16x4fs", "IVF16,PQ16x4fs,RFlat"],
    ...["OPQ8_16,PQ8x4fs", "OPQ16,IVF16,PQ16x4fsr", "IDMap2,IVF16,PQ8x4fs"],
  ],
  rabitq: [
    ...["RaBitQ", "RaBitQ4", "RaBitQ8", "RR,RaBitQ", "HR,RaBitQ2", "IVF16,RaBitQ", "IVF16,RaBitQ5"],
    ...["RR,IVF16,RaBitQ3"],
    ...["RR,IVF16,RaBitQ,RFlat", "IDMap,RaBitQ4"],
  ],
  rabitqFastScan: [
    "RaBitQfs",
    "RaBitQfs4",
    "RaBitQfs_64",
    "RaBitQfs2",
    "IVF16,RaBitQfs",
    "RR,IVF16,RaBitQfs3",
  ],
  additive: [
    ...["RQ4x4", "RQ2x6_2x4", "RQ4x5_Nfloat", "RQ4x5_Nqint8", "RQ4x5_Nqint4", "RQ4x5_Ncqint8"],
    ...["RQ4x5_Ncqint4", "IVF16,RQ4x5", "IVF16,RQ4x5_Nfloat", "IVF16,RQ4x5_Nqint8"],
    ...["LSQ4x4", "LSQ4x4_Nqint8", "IVF16,LSQ4x4_Nfloat", "PRQ2x2x4", "PRQ2x2x4_Nqint8"],
    ...["IVF16,PRQ2x2x4_Nfloat", "PLSQ2x2x4", "IVF16,PLSQ2x2x4_Nqint8", "RQ4x5,RFlat"],
  ],
  codedGraphs: [
    ...["HNSW8,SQ8", "HNSW16,SQfp16", "HNSW8_PQ8x4", "HNSW16,PQ16x6np", "HNSW8,SQ8,RFlat"],
    ...["NSG16", "NSG16,Flat", "NSG16,SQ8", "NSG16,PQ8x4", "IVF128_NSG16,Flat", "IVF128_NSG16,SQ8"],
  ],
  /** By L2 alone. */
  hashes: ["LSH", "LSH24", "LSH16r", "LSH16t", "LSH64rt", "IDMap,LSH32rt"],
} as const;

/** Those that are FAISS's, and refused by their names. */
export const later = {
  lattice: ["ZnLattice4x10_6"],
  lists: ["IVF16,FlatDedup", "IVF16,PQ8+8", "IMI2x4,Flat", "IVF16,EDEN4"],
  additive: ["RQ8x4fs", "RCQ2x4", "IVF16,PRQ2x4x4fs_Nrq2x4"],
} as const;

/** A string with its metric. */
export interface Case {
  /** Name of its files. */
  name: string;
  string: string;
  metric: "L2" | "IP";
}

/**
 * What faiss takes by L2 alone. By inner product it ends the process (NN-descent of centroids), or makes an
 * index by L2 all the same (graphs over PQ).
 */
const L2_ALONE = /\bLSH|_NSG|(HNSW|NSG)\d*[,_]PQ/;

/** Every string by every metric that faiss takes it with. */
export function casesOf(table: Readonly<Record<string, readonly string[]>>): Case[] {
  return Object.values(table).flat().flatMap((string, at) =>
    (["L2", "IP"] as const).filter((metric) => metric === "L2" || !L2_ALONE.test(string))
      .map((metric) => ({ name: `${String(at).padStart(3, "0")}${metric}`, string, metric }))
  );
}
