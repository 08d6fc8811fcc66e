/**
 * The operations that `lib/linalg` is written on.
 *
 * @module
 */

import type { Tensor } from "../kernel/tensor.ts";
import type { BackendName } from "./backend.ts";

/** What a call ran: every result of `lib/linalg` says it. */
export interface Execution {
  /** Backend that did the work. */
  backend: BackendName;
  /** What executed it: `"typescript"`, `"native"`, or a GPU's engine: `"metal"`, `"cuda"`, `"emulator"`. */
  engine: string;
  /** Instruction set of the kernels; `"none"` for TypeScript; a GPU's name. */
  isa: string;
  /** Kernel variants that ran, e.g. `["gemm_nn_f32_bm64_bn64"]`. */
  variants: string[];
  /** Threads that took part; of a GPU, threads dispatched. */
  threads: number;
  /** Time on the GPU, from the start to the end of each command buffer. */
  gpuSeconds?: number;
}

/** Types of elements that products take. */
export type Element = "float32" | "float16" | "bfloat16";

/** Numbers of the host: bfloat16 as bits in a Uint16Array. */
export type HostNumbers = Float32Array | Float16Array | Uint16Array;

/**
 * A row-major matrix, or `batch` of them one after the other. Its numbers are the host's, or, for the
 * gpu backend, may be a Tensor of its device: then the result is one too.
 */
export interface Dense<Data extends HostNumbers | Tensor = HostNumbers | Tensor> {
  /** The numbers, row by row. */
  readonly data: Data;
  /** Number of rows, of all matrices of a batch together. */
  readonly rows: number;
  /** Numbers a row. */
  readonly columns: number;
  /** Type of the numbers. */
  readonly dtype: Element;
}

/** A result, and what computed it. */
export interface Computed<T> {
  /** The result. */
  readonly value: T;
  /** What computed it. */
  readonly run: Execution;
}

/** How {@linkcode LinearAlgebra.gemm} multiplies. */
export interface GemmOptions {
  /** Whether A, as it lies, is k × m. */
  transposeA?: boolean | undefined;
  /** Whether B, as it lies, is n × k. */
  transposeB?: boolean | undefined;
  /** Factor of the product; 1 by default. */
  alpha?: number | undefined;
  /** Factor of `c`; 0 by default: then `c` is not read. */
  beta?: number | undefined;
  /** Added, `beta` times; it is left as it is. */
  c?: Dense | undefined;
  /** Kernel by name, as `naive`, `bm64_bn64`, `simd` or `vendor` on a GPU; by default what is fastest for the shape. */
  variant?: string | undefined;
  /** Stops it. */
  signal?: AbortSignal | undefined;
}

/** How {@linkcode LinearAlgebra.gemv} multiplies. */
export interface GemvOptions {
  /** `nt` (default): W is n × k; `nn`: W is k × n. */
  layout?: "nt" | "nn" | undefined;
  /** Factor of the product; 1 by default. */
  alpha?: number | undefined;
  /** Factor of `y`; 0 by default: then `y` is not read. */
  beta?: number | undefined;
  /** Added, `beta` times: batch × n; it is left as it is. */
  y?: Dense | undefined;
  /** Added: n numbers, or batch × n. */
  bias?: Dense | undefined;
  /** Matrices one after the other in W, each with a row of x; 1 by default. */
  batch?: number | undefined;
  /** Kernel variant by name; by default what is fastest for the shape. */
  variant?: string | undefined;
}

/** How {@linkcode LinearAlgebra.qr} works. */
export interface QrOptions {
  /**
   * `mgs`: two-pass modified Gram–Schmidt, a column at a time; `blocked`: the same by panels and
   * matrix products; `householder`. By default, or for `auto`, what is fastest for the shape.
   */
  method?: "auto" | "mgs" | "blocked" | "householder" | undefined;
  /** Kernel of projections c = Qᵀv on a GPU: `auto` is `simd` from m ≥ 512. */
  dot?: "auto" | "simple" | "simd" | "library" | undefined;
  /** Columns whose rest is shorter than this much of their length are dependent; n · 2⁻²³ by default. */
  tolerance?: number | undefined;
  /** Stops it. */
  signal?: AbortSignal | undefined;
}

/** A = QR. */
export interface QrParts {
  /** m × n, orthonormal columns, also where A lacks rank. */
  q: Float32Array;
  /** n × n, upper triangular, diagonal not negative. */
  r: Float32Array;
  /** Independent columns. */
  rank: number;
}

/** How {@linkcode LinearAlgebra.topkSvd} iterates. */
export interface TopkSvdOptions {
  /** Most steps V ← orth(Aᵀ(AV)); 4 by default. */
  iterations?: number | undefined;
  /** Stops when no singular value changes by more than this much of the largest; 0 (default): never. */
  tolerance?: number | undefined;
  /** Rotates U and V at the end, so that both are orthonormal; true by default. */
  rayleighRitz?: boolean | undefined;
  /** n × k numbers to start from; by default Gaussian ones by `seed`. */
  start?: Float32Array | undefined;
  /** Of the start; 0 by default. */
  seed?: number | undefined;
  /** Columns of V a band of the Z-step, or 0 for one band. By default `METALFAISS_SVD_BAND`, else 0. */
  band?: number | undefined;
  /** Streams that bands run on; a GPU's only. By default `METALFAISS_SVD_STREAMS`, else 1. */
  streams?: number | undefined;
  /** How bands go to streams: in turns (default) or in blocks. */
  assignment?: "round-robin" | "block" | undefined;
  /** Whether buffers are kept from step to step (default) or allocated for each; a GPU's only. */
  workspaces?: "reused" | "fresh" | undefined;
  /** Whether iterations are encoded once and replayed; a GPU's only. By default `METALFAISS_USE_COMPILE`, else true. */
  encodeOnce?: boolean | undefined;
  /**
   * What computes Aᵀ(AV): two tiled kernels, a naive one, one fused pass, or the vendor's products. By
   * default `METALFAISS_USE_GEMM_KERNEL` and `METALFAISS_FORCE_SVD`, else what is fastest.
   */
  product?: "tiled" | "naive" | "fused" | "vendor" | undefined;
  /** False: kernels without bounds checks, for sizes that are multiples of the tile; a GPU's only. */
  guards?: boolean | undefined;
  /** Stops it. */
  signal?: AbortSignal | undefined;
}

/** A ≈ U diag(s) Vᵀ. */
export interface SvdParts {
  /** m × k. */
  u: Float32Array;
  /** k values, largest first. */
  s: Float32Array;
  /** n × k. */
  v: Float32Array;
  /** Steps done. */
  iterations: number;
  /** Whether the tolerance was met. */
  converged: boolean;
  /** Values above n · 2⁻²³ of the largest. */
  rank: number;
}

/** How sums are made: plainly, by Kahan's compensation, in two floats, or exactly in limbs. */
export type Summation = "plain" | "kahan" | "two-float" | "limbs";

/** A sum, and what is known of its error. */
export interface SumParts {
  /** The sum, to double precision where the summation has it. */
  value: number;
  /** What ran: the one asked for, or the one that a guard chose. */
  summation: Summation;
  /** Sum of absolute values by the sum's: digits that a plain sum loses. */
  condition: number;
  /**
   * Roundings on the way of a number into the sum, at most, each of half a unit in the last place of the
   * summation's arithmetic. Kahan's compensation makes up for most of them.
   */
  roundings: number;
}

/** Numbers of a recurrent scan h_t = tanh(W x_t + R h_(t-1) + b), t = 1 … S, for B sequences. */
export interface RecurrentInput {
  /** B × S × D. */
  x: Float32Array;
  /** D × D: of inputs. */
  w: Float32Array;
  /** D × D: of states. */
  r: Float32Array;
  /** D. */
  bias: Float32Array;
  /** B × D; zeros by default. */
  h0?: Float32Array | undefined;
  /** B: sequences. */
  batch: number;
  /** S: steps of each. */
  steps: number;
  /** D: numbers of a state. */
  d: number;
}

/** How {@linkcode LinearAlgebra.recurrentScan} runs. */
export interface RecurrentOptions {
  /** Whether W x is one product for many steps (default) or computed step by step. */
  precompute?: boolean | undefined;
  /** Steps whose W x is made at once; all by default. */
  chunk?: number | undefined;
  /** Streams: the next chunk's product beside this chunk's steps; a GPU's only. 1 by default. */
  streams?: number | undefined;
  /** Stops it. */
  signal?: AbortSignal | undefined;
}

/** The operations of linear algebra; one implementation a device. All refuse what does not fit. */
export interface LinearAlgebra {
  /** alpha · op(A) op(B) + beta · C, sums and result in float32. */
  gemm(a: Dense, b: Dense, options?: GemmOptions): Promise<Computed<Dense>>;
  /** A (m × n) by a tall, slim V (n × k): the first half of a Z-step. */
  gemmAV(a: Dense, v: Dense): Promise<Computed<Dense>>;
  /** Aᵀ (n × m) by a tall, slim B (m × k): the second half. A is m × n as it lies. */
  gemmAtB(a: Dense, b: Dense): Promise<Computed<Dense>>;
  /** y = alpha · W x + beta · y + bias; x is batch × k; the result has x's element type. */
  gemv(w: Dense, x: Dense, options?: GemvOptions): Promise<Computed<Dense>>;
  /** A = QR of an m × n matrix, m ≥ n. */
  qr(a: Dense, options?: QrOptions): Promise<Computed<QrParts>>;
  /** c = Qᵀv: Q is m × n, v has m numbers. */
  projectCoeffs(q: Dense, v: Float32Array, dot?: QrOptions["dot"]): Promise<Computed<Float32Array>>;
  /** v − Qc. */
  updateVector(q: Dense, c: Float32Array, v: Float32Array): Promise<Computed<Float32Array>>;
  /** The k largest singular values and vectors, by subspace iteration. */
  topkSvd(a: Dense, k: number, options?: TopkSvdOptions): Promise<Computed<SvdParts>>;
  /**
   * Eigenvalues of a symmetric `n × n` matrix, largest first, and its vectors as columns. Absent where
   * TypeScript finds them.
   */
  eigenSymmetric?(
    a: Float64Array,
    n: number,
    signal?: AbortSignal,
  ): Promise<{ values: Float64Array; vectors: Float64Array }>;
  /** Σ x. */
  sum(x: Float32Array, summation: Summation): Promise<Computed<SumParts>>;
  /** Σ x y. */
  dot(x: Float32Array, y: Float32Array, summation: Summation): Promise<Computed<SumParts>>;
  /** ‖x‖², scaled so that no square overflows or vanishes on the way. */
  norm2(x: Float32Array, summation: Summation): Promise<Computed<SumParts>>;
  /** (x − mean) / √(variance + eps) of each row, by weight and plus bias (a row each, or none). */
  layerNorm(
    x: Dense,
    eps: number,
    weight?: Float32Array,
    bias?: Float32Array,
  ): Promise<Computed<Dense>>;
  /** cap · tanh(x / cap). */
  softCap(x: Dense, cap: number): Promise<Computed<Dense>>;
  /** y[b, h] = W[h] x[b, h]: x is (B·heads) × d, w (heads·out) × d; the result (B·heads) × out. */
  headLinear(x: Dense, w: Dense, heads: number): Promise<Computed<Dense>>;
  /** All states: B × S × D. */
  recurrentScan(input: RecurrentInput, options?: RecurrentOptions): Promise<Computed<Float32Array>>;
}
