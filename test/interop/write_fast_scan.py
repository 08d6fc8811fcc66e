"""Writes fast-scan indexes with faiss, and what faiss makes of them, into the directory given.

For each index NAME.faiss: NAME.codes.npy are the codes of the queries NAME.npy as sa_encode has them. Distances of
fast scans are rounded in faiss: NAME.D.npy and NAME.I.npy are what the same codes give as IndexPQ and IndexIVFPQ, and
NAME.rounded.D.npy and NAME.rounded.I.npy what the fast scan itself does.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
n, nq, k = 900, 25, 10


def exact(index, x, removed):
    if isinstance(index, faiss.IndexPQFastScan):
        plain = faiss.IndexPQ(index.d, index.pq.M, 4, index.metric_type)
        plain.pq = index.pq
    else:
        plain = faiss.IndexIVFPQ(index.quantizer, index.d, index.nlist, index.pq.M, 4, index.metric_type)
        plain.pq = index.pq
        plain.by_residual = index.by_residual
        plain.nprobe = index.nprobe
    plain.is_trained = True
    plain.add(x)
    if removed is not None:
        plain.remove_ids(removed)
    return plain


def save(name, index, x, removed=None):
    queries = x[:nq]
    for clustering in [index.pq.cp] + ([index.cp] if hasattr(index, "cp") else []):
        clustering.min_points_per_centroid = 1
        clustering.niter = 3
    index.train(x)
    index.add(x[nq:])
    if removed is not None:
        index.remove_ids(removed)
    faiss.write_index(index, f"{directory}/{name}.faiss")
    plain = exact(index, x[nq:], removed)
    distances, labels = plain.search(queries, k)
    rounded, rounded_labels = index.search(queries, k)
    arrays = {
        "codes": index.sa_encode(queries),
        "D": distances,
        "I": labels,
        "rounded.D": rounded,
        "rounded.I": rounded_labels,
    }
    np.save(f"{directory}/{name}.npy", queries)
    for suffix, array in arrays.items():
        np.save(f"{directory}/{name}.{suffix}.npy", array)


def vectors(d, offset=0.0):
    return (rng.standard_normal((n + nq, d)) + offset).astype("float32")


metrics = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}
# d, M, bbs: one part, odd parts, parts that no register divides, wide blocks, more parts than bytes add up.
shapes = [(12, 1, 32), (15, 5, 32), (16, 16, 32), (34, 17, 64), (32, 16, 96), (72, 72, 32)]
for metric_name, metric in metrics.items():
    for d, m, bbs in shapes:
        name = f"{metric_name}_{d}_{m}_{bbs}"
        save(f"flat_{name}", faiss.IndexPQFastScan(d, m, 4, metric, bbs), vectors(d))
        for by_residual in [True, False]:
            quantizer = faiss.IndexFlat(d, metric)
            index = faiss.IndexIVFPQFastScan(quantizer, d, 8, m, 4, metric, bbs)
            index.by_residual = by_residual
            index.nprobe = 3
            save(f"ivf{'r' if by_residual else ''}_{name}", index, vectors(d, 2.0))
    gone = np.arange(0, n, 3)
    save(f"factory_{metric_name}", faiss.index_factory(16, "PQ8x4fs", metric), vectors(16), gone)
    index = faiss.index_factory(16, "IVF4,PQ8x4fsr", metric)
    index.nprobe = 4
    save(f"factoryivf_{metric_name}", index, vectors(16), gone)

faiss.write_index(faiss.index_factory(16, "PQ8x4fs_64"), f"{directory}/untrained.faiss")
faiss.write_index(faiss.index_factory(16, "IVF8,PQ4x4fs"), f"{directory}/untrainedivf.faiss")
