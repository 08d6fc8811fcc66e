import { backend as defaultBackend } from "../backend/select.ts";
import { PartClustering } from "../codec/part_clustering.ts";
import type { TransformOptions } from "./transform.ts";

/** Bits of a part's number. */
const NBITS = 8;

/** Centroids of each part. */
export const KSUB = 2 ** NBITS;

/** Seed of the first centroids, and of what is split. */
const SEED = 1234;

/** Centroids of each of `M` parts of vectors, moved again and again from where they are. */
export class SubspaceQuantizer {
  readonly #d: number;
  readonly #m: number;
  readonly #clustering: PartClustering;

  constructor(d: number, M: number) {
    this.#d = d;
    this.#m = M;
    this.#clustering = new PartClustering(d, M, KSUB, SEED);
  }

  /** Moves the centroids by steps of k-means, the first time from vectors chosen by chance. */
  async train(x: Float32Array, niter: number, options: TransformOptions): Promise<void> {
    const { backend = defaultBackend(), signal } = options;
    await this.#clustering.train(x, niter, backend, signal);
  }

  /** Each row, with every part replaced by the nearest of its centroids. */
  async nearest(
    x: Float32Array,
    { backend = defaultBackend() }: TransformOptions,
  ): Promise<Float32Array> {
    const centroids = this.#clustering.centroids(x);
    const spec = { kind: "pq", d: this.#d, m: this.#m, nbits: NBITS, centroids } as const;
    using codec = backend.createCodec(spec);
    return await codec.decode(await codec.encode(x));
  }
}
