import { Clustering } from "../index/clustering.ts";
import { IndexFlatL2 } from "../index/flat.ts";
import type { TransformOptions } from "./transform.ts";

/** Vectors a centroid that the centroids are trained on, as FAISS has it for OPQ. */
const MOST_POINTS = 1000;

/** Centroids of each of `M` parts of vectors, trained again and again from where they were. */
export class SubspaceQuantizer {
  readonly #dsub: number;
  readonly #ksub: number;
  readonly #parts: Float32Array[];

  constructor(d: number, M: number, ksub: number) {
    this.#dsub = d / M;
    this.#ksub = ksub;
    this.#parts = Array.from({ length: M }, () => new Float32Array(0));
  }

  /** Moves the centroids of each part. */
  async train(x: Float32Array, niter: number, options: TransformOptions): Promise<void> {
    for (const [part, centroids] of this.#parts.entries()) {
      const clustering = new Clustering(this.#dsub, this.#ksub, {
        niter,
        maxPointsPerCentroid: MOST_POINTS,
        minPointsPerCentroid: 0,
      });
      clustering.centroids = centroids;
      await clustering.train(this.#slice(x, part), options);
      this.#parts[part] = clustering.centroids;
    }
  }

  /** Each row, with every part replaced by the nearest of its centroids. */
  async nearest(x: Float32Array, options: TransformOptions): Promise<Float32Array> {
    const dsub = this.#dsub;
    const d = dsub * this.#parts.length;
    const out = new Float32Array(x.length);
    for (const [part, centroids] of this.#parts.entries()) {
      using index = new IndexFlatL2(dsub, { backend: options.backend });
      await index.add(centroids);
      const { signal } = options;
      const { labels } = await index.search(this.#slice(x, part), 1, { signal });
      // The low words: reading 64-bit integers one by one takes ten times as long.
      const low = new Int32Array(labels.buffer, labels.byteOffset, labels.length * 2);
      for (let row = 0; row < labels.length; row++) {
        const from = low[2 * row]! * dsub;
        const to = row * d + part * dsub;
        for (let i = 0; i < dsub; i++) out[to + i] = centroids[from + i]!;
      }
    }
    return out;
  }

  #slice(x: Float32Array, part: number): Float32Array {
    const dsub = this.#dsub;
    const d = dsub * this.#parts.length;
    const out = new Float32Array(x.length / d * dsub);
    for (let from = part * dsub, to = 0; to < out.length; from += d, to += dsub) {
      for (let i = 0; i < dsub; i++) out[to + i] = x[from + i]!;
    }
    return out;
  }
}
