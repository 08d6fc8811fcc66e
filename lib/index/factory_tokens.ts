/**
 * The tokens of FAISS's grammar that are not available yet, with the class each makes.
 *
 * @module
 */

type Table = readonly (readonly [pattern: RegExp, name: string])[];

const ADDITIVE_NORM = "(_N(none|float|qint8|qint4|cqint8|cqint4|lsq2x4|rq2x4))?";
const STAGES = "\\d+x\\d+(_\\d+x\\d+)*";
/** Scalar quantizers that are not there yet. */
const SCALAR = /^SQ(0|tqmse[12348]|tq[2345])$/;

const quantizers: Table = [
  [/^IVF\d+[kM]?_SVSVamana\d*(_.+)?$/, "IndexSVSVamana quantizer"],
  [/^IMI2x\d+$/, "MultiIndexQuantizer"],
  [/^Residual\d+(x\d+)?$/, "Index2Layer"],
];

const ivfCodes: Table = [
  [/^FlatDedup$/, "IndexIVFFlatDedup"],
  [/^FlatPanorama(\d+(_\d+)?)?$/, "IndexIVFFlatPanorama"],
  [SCALAR, "IndexIVFScalarQuantizer"],
  [/^PQ\d+\+\d+$/, "IndexIVFPQR"],
  [new RegExp(`^(P?RQ|P?LSQ)[\\dx]+x4fsr?(_\\d+)?${ADDITIVE_NORM}$`), "IndexIVFFastScan"],
  [/^SH\d*[gcm]?$/, "IndexIVFSpectralHash"],
  [/^EDEN[1-8]?(BIASED|BIAS)?$/, "IndexIVFEDEN"],
];

const indexes: Table = [
  [/^RefinePanorama\(.*\)$/, "IndexRefinePanorama"],
  [/^MinMax(FP16)?$/, "IndexRowwiseMinMax"],
  [/^FlatL2Panorama\d+(_\d+)?$/, "IndexFlatL2Panorama"],
  [/^FlatIPPanorama\d+(_\d+)?$/, "IndexFlatIPPanorama"],
  [/^ZnLattice\d+x\d+_\d+$/, "IndexLattice"],
  [SCALAR, "IndexScalarQuantizer"],
  [new RegExp(`^RCQ${STAGES}$`), "ResidualCoarseQuantizer"],
  [new RegExp(`^LSCQ${STAGES}$`), "LocalSearchCoarseQuantizer"],
  [new RegExp(`^(P?RQ|P?LSQ)[\\dx]+x4fs(_\\d+)?${ADDITIVE_NORM}$`), "IndexFastScan"],
  [/^EDEN[1-8]?(BIASED|BIAS)?$/, "IndexEDEN"],
  [/^SVSFlat$/, "IndexSVSFlat"],
  [/^SVSVamana\d+$/, "IndexSVSVamana"],
  [/^SVSIVF\d+$/, "IndexSVSIVF"],
];

/** What follows `HNSW<M>,` or `HNSW<M>_`; of these, a scalar quantizer follows `NSG<R>` too. */
const graphStorages: Table = [
  [/^FlatPanorama\d*$/, "IndexHNSWFlatPanorama"],
  [SCALAR, "IndexHNSWSQ"],
  [/^(\d+|2x\d+)\+PQ\d+$/, "IndexHNSW2Level"],
  [/^RaBitQ[1-9]?$/, "IndexHNSWRaBitQ"],
];

function lookUp(table: Table, token: string): string | undefined {
  return table.find(([pattern]) => pattern.test(token))?.[1];
}

/** The class that finds the lists of an IVF index. */
export function laterQuantizer(token: string): string | undefined {
  return lookUp(quantizers, token);
}

/** The class of a code after an IVF token. */
export function laterIVFCode(token: string): string | undefined {
  return lookUp(ivfCodes, token);
}

/** The class of an index of its own, or around another. */
export function laterIndex(token: string): string | undefined {
  return lookUp(indexes, token);
}

/** The class of a graph over other storage than flat vectors. */
export function laterGraph(tokens: readonly string[]): string | undefined {
  const [, kind, storage] = /^(HNSW|NSG)\d*[,_](.+)$/.exec(tokens.join()) ?? [];
  if (storage === undefined) return undefined;
  if (kind === "NSG") return SCALAR.test(storage) ? "IndexNSGSQ" : undefined;
  return lookUp(graphStorages, storage);
}
