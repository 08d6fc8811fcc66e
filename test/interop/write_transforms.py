"""Writes indexes with transforms and refinement, and what faiss finds, into the directory given.

x.npy are the vectors that indexes were trained on and hold, queries.npy the queries. For each
index NAME.faiss there are NAME.D.npy and NAME.I.npy, and of a search within NAME.radius.npy its
NAME.lims.npy and NAME.within.npy; of those made from a factory string, NAME.txt has the string
and NAME.untrained what faiss writes before training.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
d, n, nq, k = 16, 1500, 20, 10

mixing = rng.standard_normal((d, d)) * np.geomspace(1, 0.05, d)
x = (rng.standard_normal((n, d)) @ mixing.T + 0.3).astype("float32")
queries = (rng.standard_normal((nq, d)) @ mixing.T + 0.3).astype("float32")
np.save(f"{directory}/x.npy", x)
np.save(f"{directory}/queries.npy", queries)


def save(name, index):
    path = f"{directory}/{name}"
    faiss.write_index(index, f"{path}.faiss")
    distances, labels = index.search(queries, k)
    np.save(f"{path}.D.npy", distances)
    np.save(f"{path}.I.npy", labels)
    radius = np.median(distances[:, k // 2])
    if index.metric_type == faiss.METRIC_INNER_PRODUCT and hasattr(index, "k_factor"):
        # faiss multiplies the radius, which finds less by similarities; ours divides it.
        index.k_factor = 1
    lims, _, within = index.range_search(queries, float(radius))
    np.save(f"{path}.radius.npy", radius)
    np.save(f"{path}.lims.npy", lims)
    np.save(f"{path}.within.npy", within)


strings = [
    "PCA8,Flat",
    "PCAW8,Flat",
    "PCAR8,Flat",
    "PCAWR16,Flat",
    "L2norm,Flat",
    "RR,Flat",
    "RR8,Flat",
    "RR24,Flat",
    "HR,Flat",
    "HR77,Flat",
    "ITQ,Flat",
    "ITQ8,Flat",
    "OPQ4,Flat",
    "OPQ4_8,Flat",
    "OPQ4_20,Flat",
    "Pad20,Flat",
    "L2norm,PCAR8,Pad12,HR,Flat",
    "PCA8,IVF8,Flat",
    "OPQ4_8,IVF8,Flat",
    "Flat,RFlat",
    "IVF8,Flat,RFlat",
    "PCA4,Flat,RFlat",
    "Flat,Refine(Flat)",
    "PCA8,Flat,Refine(PCA12,Flat)",
    "Flat,RFlat,RFlat",
    "IDMap,PCA8,Flat",
    "IDMap2,HR,Flat",
    "IDMap2,PCA4,Flat,RFlat",
    "PCA8,SQ8",
    "PCAR8,IVF8,SQfp16",
    "IVF8,SQ8,RFlat",
    "Flat,Refine(SQ8)",
    "IDMap2,RR,PQ4x4",
    "OPQ4_8,PQ4x4",
    "OPQ4_8,IVF8,PQ4x4,RFlat",
]

for metric, suffix in [(faiss.METRIC_L2, "L2"), (faiss.METRIC_INNER_PRODUCT, "IP")]:
    for at, string in enumerate(strings):
        name = f"{at:02d}{suffix}"
        with open(f"{directory}/{name}.txt", "w") as file:
            file.write(string)
        index = faiss.index_factory(d, string, metric)
        faiss.write_index(index, f"{directory}/{name}.untrained")
        if "OPQ" in string:
            chain = index.base_index if "RFlat" in string else index
            opq = faiss.downcast_VectorTransform(faiss.downcast_index(chain).chain.at(0))
            opq.niter, opq.niter_pq_0 = 3, 5
        if "PQ" in string and "RFlat" in string:
            # Codes of few bits tie: those at the end of the candidates are any of them.
            index.k_factor = 20
        index.train(x)
        if string.startswith("IDMap"):
            index.add_with_ids(x, rng.permutation(9 * n)[:n].astype("int64"))
        else:
            index.add(x)
        save(name, index)


def behind(transform, flat=None):
    """An index of vectors after a transform."""
    index = faiss.IndexPreTransform(transform, flat or faiss.IndexFlatL2(transform.d_out))
    index.train(x)
    index.add(x)
    return index


save("centering", behind(faiss.CenteringTransform(d)))
save("itq", behind(faiss.ITQMatrix(d)))
save("uniform", behind(faiss.RemapDimensionsTransform(d, 11, True)))
save("wider", behind(faiss.RemapDimensionsTransform(d, 27, True)))

bins = faiss.PCAMatrix(d, 8)
bins.balanced_bins = 4
save("bins", behind(bins))
power = faiss.PCAMatrix(d, 8, -0.25, False)
power.epsilon = 0.5
save("power", behind(power))

linear = faiss.LinearTransform(d, 5, True)
faiss.copy_array_to_vector(rng.standard_normal(5 * d).astype("float32"), linear.A)
faiss.copy_array_to_vector(rng.standard_normal(5).astype("float32"), linear.b)
linear.is_trained = True
linear.set_is_orthonormal()
save("linear", behind(linear))

# Indexes around one by Lp do not know its p.
lp = faiss.IndexFlat(d, faiss.METRIC_Lp)
lp.metric_arg = 3
save("lp", behind(faiss.HadamardRotation(d), lp))

ivf = faiss.index_factory(d, "IVF8,Flat")
refine = faiss.IndexRefineFlat(ivf)
refine.train(x)
refine.add(x)
refine.k_factor = 3
ivf.nprobe = 3
save("factor", refine)

inside = faiss.IndexPreTransform(
    faiss.NormalizationTransform(d), faiss.IndexIDMap2(faiss.IndexFlatIP(d))
)
inside.add_with_ids(x, np.arange(n) * 3 + 5)
save("inside", inside)
