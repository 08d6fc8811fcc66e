/** Classes of FAISS that files can hold and this version can't read, by their four characters. */
export const UNAVAILABLE: ReadonlyMap<string, string> = new Map(
  Object.entries({
    IndexPQ: ["IxPQ", "IxPo"],
    IndexLSH: ["IxHE"],
    IndexRefinePanorama: ["IxRP"],
    IndexFlatPanorama: ["IxFP", "IxFp"],
    IndexFlat1D: ["IxF1"],
    Index2Layer: ["Ix2L"],
    IndexLattice: ["IxLa"],
    IndexRowwiseMinMax: ["IRMf"],
    IndexRowwiseMinMaxFP16: ["IRMh"],
    IndexResidualQuantizer: ["IxRQ"],
    ResidualCoarseQuantizer: ["ImRQ"],
    MultiIndexQuantizer: ["Imiq"],
    IndexLocalSearchQuantizerFastScan: ["ILfs"],
    IndexResidualQuantizerFastScan: ["IRfs"],
    IndexProductLocalSearchQuantizerFastScan: ["IPLf"],
    IndexProductResidualQuantizerFastScan: ["IPRf"],
    IndexRaBitQFastScan: ["Irfs"],
    IndexEDEN: ["IxEe"],
    IndexHNSW: ["IH00", "IHN2"],
    IndexHNSWCagra: ["IHNc", "IHc2"],
    IndexHNSWFlatPanorama: ["IHfP"],
    IndexHNSWRaBitQ: ["IHNr"],
    IndexIVFFlatDedup: ["IwFd"],
    IndexIVFFlatPanorama: ["IwP2", "IwPn"],
    IndexIVFFlat: ["IvFL"],
    IndexIVFPQ: ["IvPQ"],
    IndexIVFPQR: ["IvQR", "IwQR"],
    IndexIVFScalarQuantizer: ["IvSQ", "IwSQ"],
    IndexIVFSpectralHash: ["IwSh"],
    IndexIVFIndependentQuantizer: ["IwIQ"],
    IndexIVFLocalSearchQuantizerFastScan: ["IVLf"],
    IndexIVFResidualQuantizerFastScan: ["IVRf"],
    IndexIVFProductLocalSearchQuantizerFastScan: ["NPLf"],
    IndexIVFProductResidualQuantizerFastScan: ["NPRf"],
    IndexIVFRaBitQFastScan: ["Iwrf"],
    IndexIVFEDEN: ["IwEe"],
    IndexSVSFlat: ["ISVF"],
    IndexSVSVamana: ["ISVD", "ISV2"],
    IndexSVSVamanaLVQ: ["ILVQ"],
    IndexSVSVamanaLeanVec: ["ISVL"],
    IndexSVSIVF: ["ISID", "ISIQ", "ISIL"],
    IndexBinaryHNSWCagra: ["IBHc"],
    BlockInvertedLists: ["ilbl"],
    ArrayInvertedListsPanorama: ["ilpn", "ilp2"],
    "no index": ["null"],
  }).flatMap(([name, codes]) => codes.map((code) => [code, name])),
);

/** Above every id. */
export const ANY_ID = 2n ** 63n;

/** The largest dimension that FAISS reads. */
export const MAX_DIMENSION = 2 ** 20;

/** What FAISS writes into two fields of every header, its `dummy`, and ignores. */
export const HEADER_DUMMY = 2 ** 20;

/** Bytes of vectors held at once while a file is read or written. */
export const CHUNK_BYTES = 16 * 1024 * 1024;

/** Rows of `d` floats that fit a chunk. */
export function chunkRows(d: number, rows: number): number {
  return Math.max(1, Math.min(rows, Math.floor(CHUNK_BYTES / (4 * d))));
}
