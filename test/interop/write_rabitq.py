"""Writes RaBitQ indexes with faiss, and what faiss makes of them, into the directory given.

For each index NAME.faiss: NAME.codes.npy are the codes of the queries NAME.npy as sa_encode has them,
NAME.decoded.npy what they stand for, NAME.D.npy and NAME.I.npy what a search finds, NAME.C.npy and
NAME.J.npy what one with 6 bits about zero does; and of a search within NAME.radius.npy its NAME.lims.npy
and NAME.within.npy (labels). faiss leaves codes of more than one bit out that would be found: there all
vectors are asked for, which leaves none out.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
n, nq, k = 700, 20, 10


def save(name, index, x, removed=False):
    queries = x[:nq]
    rabitq = index.rabitq
    ivf = hasattr(index, "nlist")
    if ivf:
        index.cp.min_points_per_centroid = 1
        index.cp.niter = 3
    index.train(x)
    index.add(x[nq:])
    if removed:
        index.remove_ids(np.arange(0, n, 3))
    faiss.write_index(index, f"{directory}/{name}.faiss")
    codes = index.sa_encode(queries)
    whole = rabitq.nb_bits > 1

    def find(params=None):
        distances, labels = index.search(queries, n if whole else k, params=params)
        return distances[:, :k], labels[:, :k]

    distances, labels = find()
    arrays = {"codes": codes, "decoded": index.sa_decode(codes), "D": distances, "I": labels}
    kind = faiss.IVFRaBitQSearchParameters if ivf else faiss.RaBitQSearchParameters
    params = kind()
    params.qb, params.centered = 6, True
    if ivf:
        params.nprobe = index.nprobe
    arrays["C"], arrays["J"] = find(params)
    params.qb, params.centered = 0, False
    arrays["F"], arrays["G"] = find(params)
    radius = np.median(distances[:, k // 2])
    if not whole:
        lims, _, within = index.range_search(queries, float(radius))
        arrays |= {"radius": radius, "lims": lims, "within": within}
    np.save(f"{directory}/{name}.npy", queries)
    for suffix, array in arrays.items():
        np.save(f"{directory}/{name}.{suffix}.npy", array)


def vectors(d, offset=0.0):
    return (rng.standard_normal((n + nq, d)) + offset).astype("float32")


metrics = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}
for metric_name, metric in metrics.items():
    for d in [1, 7, 64, 100]:
        for bits in [1, 2, 3, 4, 5, 7, 8, 9] if d == 100 else [1, 2, 4]:
            name = f"{metric_name}_{d}_{bits}"
            save(f"flat_{name}", faiss.IndexRaBitQ(d, metric, bits), vectors(d, 0.5), removed=d == 64)
            quantizer = faiss.IndexFlat(d, metric)
            index = faiss.IndexIVFRaBitQ(quantizer, d, 8, metric, True, bits)
            index.nprobe = 3
            index.qb = 4 if bits > 1 else 8
            save(f"ivf_{name}", index, vectors(d, 1.0), removed=d == 7)

faiss.write_index(faiss.index_factory(16, "RaBitQ"), f"{directory}/untrained.faiss")
faiss.write_index(faiss.index_factory(16, "IVF8,RaBitQ5"), f"{directory}/untrainedivf.faiss")
