"""Writes IVF indexes with direct maps, other quantizers and around codes, and what faiss makes of them.

Arrays are in NAME.npy beside NAME.faiss; x.npy and queries.npy are what all of them hold and are asked.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(7)
n, nq, d, k = 800, 20, 16, 10
x = rng.standard_normal((n, d)).astype("float32")
queries = x[:nq] + 0.3 * rng.standard_normal((nq, d)).astype("float32")
np.save(f"{directory}/x.npy", x)
np.save(f"{directory}/queries.npy", queries)
metrics = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}


def save(name, index, **arrays):
    faiss.write_index(index, f"{directory}/{name}.faiss")
    for suffix, array in arrays.items():
        np.save(f"{directory}/{name}.{suffix}.npy", array)


def found(index, **parameters):
    if not parameters:
        return dict(zip("DI", index.search(queries, k)))
    how = faiss.SearchParametersIVF(**parameters)
    return dict(zip("DI", index.search(queries, k, params=how)))


def make(text, metric):
    index = faiss.index_factory(d, text, metric)
    ivf = faiss.try_extract_index_ivf(index)
    if ivf is not None:
        ivf.cp.niter = 4
        ivf.cp.min_points_per_centroid = 1
        ivf.nprobe = 4
        pq = getattr(faiss.downcast_index(ivf), "pq", None)
        if pq is not None:
            pq.cp.niter = 4
    index.train(x)
    index.add(x)
    return index


# Direct maps, and vectors that are replaced by their ids.
replaced = np.array([5, 700, 6, 0, 799, 123], dtype="int64")
np.save(f"{directory}/replaced.npy", replaced)
for metric_name, metric in metrics.items():
    for code in ["Flat", "SQ8", "PQ4x4"]:
        index = make(f"IVF12,{code}", metric)
        name = f"map_{metric_name}_{code}"
        save(f"{name}_0", index, **found(index))
        for kind in [faiss.DirectMap.Array, faiss.DirectMap.Hashtable]:
            other = faiss.clone_index(index)
            other.set_direct_map_type(kind)
            save(f"{name}_{int(kind)}", other)
            other.update_vectors(replaced, -x[replaced])
            save(f"{name}_{int(kind)}_updated", other, **found(other))

# Search parameters.
for metric_name, metric in metrics.items():
    for code in ["Flat", "SQ8", "PQ4x4"]:
        index = make(f"IVF12,{code}", metric)
        name = f"how_{metric_name}_{code}"
        save(name, index)
        chosen = faiss.IDSelectorBatch(np.arange(0, n, 7))
        cases = {
            "codes": dict(nprobe=12, max_codes=100),
            "few": dict(nprobe=12, max_codes=3),
            "selected": dict(nprobe=12, max_codes=30, sel=chosen),
            "full": dict(nprobe=12, max_codes=3, ensure_topk_full=True),
            "fullselected": dict(nprobe=12, max_codes=3, ensure_topk_full=True, sel=chosen),
        }
        for case, parameters in cases.items():
            for suffix, array in found(index, **parameters).items():
                np.save(f"{directory}/{name}_{case}.{suffix}.npy", array)
        D, _ = index.search(queries, k)
        radius = float(np.median(D[:, 2]))
        how = faiss.SearchParametersIVF(nprobe=12, max_empty_result_buckets=1)
        lims, _, labels = index.range_search(queries, radius, params=how)
        np.save(f"{directory}/{name}.radius.npy", np.float32(radius))
        np.save(f"{directory}/{name}.lims.npy", lims.astype("int64"))
        np.save(f"{directory}/{name}.within.npy", labels)
        D, I, vectors = index.search_and_reconstruct(queries, k)
        np.save(f"{directory}/{name}_vectors.npy", vectors)
        np.save(f"{directory}/{name}_labels.npy", I)

# Coarse quantizers of any kind.
quantizers = ["PQ4x4", "SQ8", "HNSW8", "IVF4,Flat", "IVF4,PQ4x4", "PCA8,Flat", "PQ4x4,RFlat", "RR,PQ4x4"]
for metric_name, metric in metrics.items():
    for at, quantizer in enumerate(quantizers):
        # Without a direct map of its own faiss takes no residuals from centroids in lists; and it adds
        # distances from projected centroids, as PCA's are, to those from residuals of whole ones.
        for code in ["Flat"] if "IVF" in quantizer or "PCA" in quantizer else ["Flat", "SQ8", "PQ4x4"]:
            index = make(f"IVF20({quantizer}),{code}", metric)
            save(f"coarse_{metric_name}_{at}_{code}", index, **found(index))

# Codes of what lies around others.
for at, text in enumerate(["PCA8,PQ4x4", "OPQ4,IVF8,PQ4x4", "SQ8,RFlat", "IVF8,SQ8,Refine(SQfp16)", "IVF300,Flat", "RR,IVF8,Flat"]):
    index = make(text, faiss.METRIC_L2)
    codes = index.sa_encode(queries)
    save(f"codes_{at}", index, codes=codes, decoded=index.sa_decode(codes))
