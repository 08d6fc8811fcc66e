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
  CodebookFit,
  CodeLists,
  CodeStore,
  FileMap,
  FlatStore,
  GraphPlaces,
  GraphPlan,
  GraphRows,
  HNSWGraph,
  HNSWOptions,
  HNSWSearch,
  HNSWStore,
  InvertedLists,
  IVFStore,
  ListPlaces,
  MappableRows,
  Neighbors,
  RangeNeighbors,
  ResidentRows,
  ResidualLists,
  RunInfo,
  StoreSearch,
} from "./lib/backend/backend.ts";
export { ProductQuantizer, type ProductQuantizerOptions } from "./lib/codec/product_quantizer.ts";
export type {
  BinaryGraph,
  BinaryGraphSearch,
  BinaryLists,
  BinaryNeighbors,
  BinarySearch,
  BinaryStore,
} from "./lib/backend/binary.ts";
export { createGpuBackend, type GpuBackendOptions } from "./lib/backend/gpu/mod.ts";
export { createReferenceBackend } from "./lib/backend/reference/mod.ts";
export { backend, useBackend } from "./lib/backend/select.ts";
export {
  AdditiveQuantizer,
  type AdditiveQuantizerOptions,
  type TrainedAdditive,
} from "./lib/codec/additive_quantizer.ts";
export type { TrainedNorms } from "./lib/codec/additive_norms.ts";
export { AdditiveSearchType } from "./lib/codec/additive_type.ts";
export type {
  AdditiveSpec,
  BinarySpec,
  Codec,
  CodecSpec,
  LocalSearch,
  ProductSpec,
  RaBitQSpec,
  ScalarSpec,
  SignSpec,
} from "./lib/codec/codec.ts";
export { LocalSearchQuantizer } from "./lib/codec/local_search_quantizer.ts";
export { LSHQuantizer, type LSHQuantizerOptions } from "./lib/codec/lsh.ts";
export {
  ProductAdditiveQuantizer,
  ProductLocalSearchQuantizer,
  ProductResidualQuantizer,
} from "./lib/codec/product_additive_quantizer.ts";
export { RaBitQuantizer, type RaBitQuantizerOptions } from "./lib/codec/rabitq.ts";
export { ResidualQuantizer, ResidualTraining } from "./lib/codec/residual_quantizer.ts";
export { QuantizerType, RangeStat } from "./lib/codec/quantizer_type.ts";
export { ScalarQuantizer, type ScalarQuantizerOptions } from "./lib/codec/scalar_quantizer.ts";
export type { MimeBundle } from "./lib/display.ts";
export * from "./lib/errors.ts";
export { type BinaryInput, toCodes } from "./lib/index/binary/codes_input.ts";
export { indexBinaryFactory, reverseIndexBinaryFactory } from "./lib/index/binary/factory.ts";
export { IndexBinaryFlat } from "./lib/index/binary/flat.ts";
export { IndexBinaryFromFloat } from "./lib/index/binary/from_float.ts";
export { IndexBinaryHash, IndexBinaryMultiHash } from "./lib/index/binary/hash.ts";
export { IndexBinaryHashed } from "./lib/index/binary/hashed.ts";
export {
  type BinaryHNSWParameters,
  type BinaryHNSWParts,
  IndexBinaryHNSW,
} from "./lib/index/binary/hnsw.ts";
export { IndexBinaryIDMap, IndexBinaryIDMap2 } from "./lib/index/binary/id_map.ts";
export {
  type BinaryIndexOptions,
  type BinarySearchParameters,
  type BinarySearchResult,
  type CheckedBinarySearch,
  IndexBinary,
} from "./lib/index/binary/index_binary.ts";
export { type BinaryIVFParts, IndexBinaryIVF } from "./lib/index/binary/ivf.ts";
export {
  type ExploreOptions,
  type ExploreProgress,
  ParameterSpace,
} from "./lib/index/auto_tune.ts";
export {
  type AdditiveIndexOptions,
  IndexAdditiveQuantizer,
  IndexLocalSearchQuantizer,
  IndexProductLocalSearchQuantizer,
  IndexProductResidualQuantizer,
  IndexResidualQuantizer,
} from "./lib/index/additive_quantizer.ts";
export {
  Clustering,
  type ClusteringParameters,
  type ClusteringProgress,
  type ClusteringTrainOptions,
  kmeans,
} from "./lib/index/clustering.ts";
export type { InitMethod } from "./lib/index/clustering_init.ts";
export { indexFactory, reverseIndexFactory } from "./lib/index/factory.ts";
export {
  AutoTuneCriterion,
  IntersectionCriterion,
  OneRecallAtRCriterion,
} from "./lib/index/criteria.ts";
export { DirectMapType } from "./lib/index/direct_map.ts";
export { IndexFlat, IndexFlatIP, IndexFlatL2 } from "./lib/index/flat.ts";
export { IndexFlatCodes } from "./lib/index/flat_codes.ts";
export { type GraphShape, IndexGraph } from "./lib/index/graph.ts";
export { type HNSWParameters, type HNSWParts, IndexHNSW, IndexHNSWFlat } from "./lib/index/hnsw.ts";
export { IndexHNSWPQ, IndexHNSWSQ } from "./lib/index/hnsw_codes.ts";
export { IndexIDMap, IndexIDMap2 } from "./lib/index/id_map.ts";
export {
  type CheckedSearch,
  Index,
  type IndexOptions,
  type SearchParameters,
  type TrainOptions,
} from "./lib/index/index.ts";
export { IndexIVF } from "./lib/index/ivf.ts";
export {
  IndexIVFAdditiveQuantizer,
  IndexIVFLocalSearchQuantizer,
  IndexIVFProductLocalSearchQuantizer,
  IndexIVFProductResidualQuantizer,
  IndexIVFResidualQuantizer,
  type IVFAdditiveOptions,
} from "./lib/index/ivf_additive_quantizer.ts";
export { IndexIVFCodes, type IVFCodesOptions, type IVFCodesState } from "./lib/index/ivf_codes.ts";
export { IndexIVFFlat, type IVFFlatParts } from "./lib/index/ivf_flat.ts";
export { type OperatingPoint, OperatingPoints } from "./lib/index/operating_points.ts";
export type { ParameterRange } from "./lib/index/parameters.ts";
export { IndexNNDescentFlat, type NNDescentParameters } from "./lib/index/nn_descent.ts";
export {
  IndexNSG,
  IndexNSGFlat,
  IndexNSGPQ,
  IndexNSGSQ,
  type NSGBuild,
  type NSGParameters,
} from "./lib/index/nsg.ts";
export { IndexPreTransform } from "./lib/index/pre_transform.ts";
export { IndexRefine, IndexRefineFlat } from "./lib/index/refine.ts";
export { IndexReplicas } from "./lib/index/replicas.ts";
export type { StandaloneCodec } from "./lib/index/standalone_codec.ts";
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
export { IndexLSH } from "./lib/index/lsh.ts";
export { IndexIVFRaBitQ, IndexRaBitQ } from "./lib/index/rabitq.ts";
export { deviceTopkMerge, hostTopkMerge } from "./lib/index/topk_merge.ts";
export {
  deserializeIndex,
  readIndex,
  type ReadIndexOptions,
  serializeIndex,
  writeIndex,
  type WriteIndexOptions,
} from "./lib/io/faiss_file.ts";
export { mergeOnDisk, type MergeOnDiskOptions } from "./lib/io/merge_on_disk.ts";
export {
  deserializeIndexBinary,
  readIndexBinary,
  serializeIndexBinary,
  writeIndexBinary,
} from "./lib/io/faiss_binary_file.ts";
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
  type Distances,
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
