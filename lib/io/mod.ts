/**
 * Files: vectors in fvecs, ivecs, bvecs, npy and CSV, indexes in FAISS's own format.
 *
 * @module
 */

export { writeAtomically } from "./atomic.ts";
export { type CsvOptions, type CsvWriteOptions, readCsv, writeCsv } from "./csv.ts";
export { type Digits, loadDigits } from "./digits.ts";
export {
  deserializeIndexBinary,
  readIndexBinary,
  serializeIndexBinary,
  writeIndexBinary,
} from "./faiss_binary_file.ts";
export {
  deserializeIndex,
  readIndex,
  type ReadIndexOptions,
  serializeIndex,
  writeIndex,
  type WriteIndexOptions,
} from "./faiss_file.ts";
export { mergeOnDisk, type MergeOnDiskOptions } from "./merge_on_disk.ts";
export { type NpyArray, type NpyData, type NpyDtype, readNpy, writeNpy } from "./npy.ts";
export {
  readBvecs,
  readFvecs,
  readIvecs,
  type Rows,
  type VecsOptions,
  writeBvecs,
  writeFvecs,
  writeIvecs,
} from "./vecs.ts";
