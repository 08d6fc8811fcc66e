"""Writes product-quantized indexes with faiss, and what faiss makes of them, into the directory given.

For each index NAME.faiss: NAME.codes.npy are the codes of the queries NAME.npy as sa_encode has them,
NAME.decoded.npy what they stand for, NAME.D.npy and NAME.I.npy what a search finds, and of a search
within NAME.radius.npy its NAME.lims.npy and NAME.within.npy (labels).
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
n, nq, k = 900, 25, 10


def save(name, index, x, removed=False):
    queries = x[:nq]
    for clustering in [index.pq.cp] + ([index.cp] if hasattr(index, "cp") else []):
        clustering.min_points_per_centroid = 1
        clustering.niter = 3
    index.train(x)
    index.add(x[nq:])
    if removed:
        index.remove_ids(np.arange(0, n, 3))
    faiss.write_index(index, f"{directory}/{name}.faiss")
    codes = index.sa_encode(queries)
    distances, labels = index.search(queries, k)
    radius = np.median(distances[:, k // 2])
    lims, _, within = index.range_search(queries, float(radius))
    arrays = {
        "codes": codes,
        "decoded": index.sa_decode(codes),
        "D": distances,
        "I": labels,
        "radius": radius,
        "lims": lims,
        "within": within,
    }
    np.save(f"{directory}/{name}.npy", queries)
    for suffix, array in arrays.items():
        np.save(f"{directory}/{name}.{suffix}.npy", array)


def vectors(d, offset=0.0):
    return (rng.standard_normal((n + nq, d)) + offset).astype("float32")


metrics = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}
# d, M, nbits: one part, parts of one number, parts that no register divides, codes across bytes.
shapes = [(12, 1, 4), (16, 4, 8), (16, 16, 8), (24, 8, 6), (34, 17, 5), (20, 4, 9), (8, 2, 7), (48, 16, 4)]
for metric_name, metric in metrics.items():
    for d, m, nbits in shapes:
        name = f"{metric_name}_{d}_{m}x{nbits}"
        index = faiss.IndexPQ(d, m, nbits, metric)
        save(f"flat_{name}", index, vectors(d))
        for by_residual in [True, False]:
            quantizer = faiss.IndexFlat(d, metric)
            index = faiss.IndexIVFPQ(quantizer, d, 8, m, nbits, metric)
            index.by_residual = by_residual
            index.nprobe = 3
            save(f"ivf{'' if by_residual else 'plain'}_{name}", index, vectors(d, 2.0))
    index = faiss.index_factory(16, "PQ8np", metric)
    save(f"factory_{metric_name}", index, vectors(16), removed=True)
    index = faiss.index_factory(16, "IVF4,PQ8x6np", metric)
    index.nprobe = 4
    save(f"factoryivf_{metric_name}", index, vectors(16), removed=True)

faiss.write_index(faiss.index_factory(16, "PQ8x4"), f"{directory}/untrained.faiss")
faiss.write_index(faiss.index_factory(16, "IVF8,PQ4x6"), f"{directory}/untrainedivf.faiss")
index = faiss.IndexPQ(8, 2, 4)
index.search_type = faiss.IndexPQ.ST_SDC
faiss.write_index(index, f"{directory}/symmetric.faiss")
