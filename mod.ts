/**
 * Vector search for Deno: FAISS's indexes, metrics and files over a native library.
 *
 * @example Index vectors, search them, keep them
 * ```ts
 * import { indexFactory, Metric, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 1000 * 16 }, () => random.normal());
 *
 * using index = indexFactory(16, "IVF16,Flat", Metric.L2);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 32), 10, { nprobe: 4 });
 * for (const hit of found.row(0)) console.log(hit.id, hit.distance);
 * assert.equal(found.row(1)[0]!.id, 1);
 * ```
 *
 * @module
 */

export type {
  Backend,
  BackendCodec,
  BackendName,
  CodeLists,
  CodeStore,
  FlatStore,
  HNSWGraph,
  HNSWOptions,
  HNSWSearch,
  HNSWStore,
  InvertedLists,
  IVFStore,
  Neighbors,
  RangeNeighbors,
  ResidentRows,
  ResidualLists,
  RunInfo,
  StoreSearch,
} from "./lib/backend/backend.ts";
export { ProductQuantizer, type ProductQuantizerOptions } from "./lib/codec/product_quantizer.ts";
export { createGpuBackend, type GpuBackendOptions } from "./lib/backend/gpu/mod.ts";
export { createReferenceBackend } from "./lib/backend/reference/mod.ts";
export { backend, useBackend } from "./lib/backend/select.ts";
export type {
  Codec,
  CodecSpec,
  ProductSpec,
  RaBitQSpec,
  ScalarSpec,
  SignSpec,
} from "./lib/codec/codec.ts";
export { LSHQuantizer, type LSHQuantizerOptions } from "./lib/codec/lsh.ts";
export { RaBitQuantizer, type RaBitQuantizerOptions } from "./lib/codec/rabitq.ts";
export { QuantizerType, RangeStat } from "./lib/codec/quantizer_type.ts";
export { ScalarQuantizer, type ScalarQuantizerOptions } from "./lib/codec/scalar_quantizer.ts";
export type { MimeBundle } from "./lib/display.ts";
export * from "./lib/errors.ts";
export {
  Clustering,
  type ClusteringParameters,
  type ClusteringProgress,
  type ClusteringTrainOptions,
  kmeans,
} from "./lib/index/clustering.ts";
export type { InitMethod } from "./lib/index/clustering_init.ts";
export { indexFactory, reverseIndexFactory } from "./lib/index/factory.ts";
export { IndexFlat, IndexFlatIP, IndexFlatL2 } from "./lib/index/flat.ts";
export { IndexFlatCodes } from "./lib/index/flat_codes.ts";
export { type HNSWParameters, type HNSWParts, IndexHNSWFlat } from "./lib/index/hnsw.ts";
export { IndexIDMap, IndexIDMap2 } from "./lib/index/id_map.ts";
export {
  type CheckedSearch,
  Index,
  type IndexOptions,
  type SearchParameters,
  type TrainOptions,
} from "./lib/index/index.ts";
export { IndexIVF } from "./lib/index/ivf.ts";
export { IndexIVFCodes, type IVFCodesOptions, type IVFCodesState } from "./lib/index/ivf_codes.ts";
export { IndexIVFFlat, type IVFFlatParts } from "./lib/index/ivf_flat.ts";
export { IndexPreTransform } from "./lib/index/pre_transform.ts";
export { IndexRefine, IndexRefineFlat } from "./lib/index/refine.ts";
export { IndexReplicas } from "./lib/index/replicas.ts";
export { IndexShards, type IndexShardsOptions } from "./lib/index/shards.ts";
export {
  type DeviceTopk,
  ivfListTopkL2,
  ivfListTopkL2Batch,
  ivfListTopkL2ChunkedDeviceMerge,
  type ListTopkOptions,
} from "./lib/index/list_topk.ts";
export {
  IndexIVFScalarQuantizer,
  IndexScalarQuantizer,
  type RangeOptions,
} from "./lib/index/scalar_quantizer.ts";
export {
  type FastScanOptions,
  IndexIVFPQFastScan,
  IndexPQFastScan,
  type IVFFastScanOptions,
} from "./lib/index/fast_scan.ts";
export { IndexIVFPQ, IndexPQ } from "./lib/index/product_quantizer.ts";
export { IndexIVFRaBitQFastScan, IndexRaBitQFastScan } from "./lib/index/rabitq_fast_scan.ts";
export { IndexLSH } from "./lib/index/lsh.ts";
export { IndexIVFRaBitQ, IndexRaBitQ } from "./lib/index/rabitq.ts";
export { deviceTopkMerge, hostTopkMerge } from "./lib/index/topk_merge.ts";
export {
  deserializeIndex,
  readIndex,
  type ReadIndexOptions,
  serializeIndex,
  writeIndex,
} from "./lib/io/faiss_file.ts";
export {
  gpu,
  type GpuBuffer,
  type GpuDevice,
  gpuDevices,
  type MetalKernel,
  metalKernel,
  Tensor,
} from "./lib/kernel/mod.ts";
export { type IdInput, Matrix, toIds, toRows, type VectorInput } from "./lib/matrix.ts";
export { isSimilarity, Metric, metricName } from "./lib/metric.ts";
export { Random } from "./lib/random.ts";
export {
  type Hit,
  RangeSearchResult,
  SearchAndReconstructResult,
  SearchResult,
} from "./lib/result.ts";
export * from "./lib/selector.ts";
export {
  CenteringTransform,
  NormalizationTransform,
  RemapDimensionsTransform,
} from "./lib/transform/elementwise.ts";
export { HadamardRotation } from "./lib/transform/hadamard.ts";
export { ITQMatrix, ITQTransform } from "./lib/transform/itq.ts";
export { LinearTransform } from "./lib/transform/linear.ts";
export { OPQMatrix } from "./lib/transform/opq.ts";
export { PCAMatrix, type PCAMatrixOptions } from "./lib/transform/pca_matrix.ts";
export { RandomRotationMatrix } from "./lib/transform/random_rotation.ts";
export { type TransformOptions, VectorTransform } from "./lib/transform/transform.ts";
