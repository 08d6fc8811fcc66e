"""Writes indexes with faiss, and what faiss finds in them, into the directory given.

For each index NAME.faiss, NAME.D.npy and NAME.I.npy, and of a search within
NAME.radius.npy its NAME.lims.npy and NAME.within.npy (labels). Queries of a group of indexes
are in GROUP.npy; an index's name starts with its group.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
d, n, nq, k = 16, 700, 20, 10

groups = {
    "signed": rng.standard_normal((n + nq, d)),
    "positive": rng.random((n + nq, d)) + 0.01,
    "few": rng.standard_normal((5 + nq, d)),
}
holes = rng.standard_normal((n + nq, d))
holes[rng.random(holes.shape) < 0.2] = np.nan
groups["holes"] = holes
groups = {name: x.astype("float32") for name, x in groups.items()}
for name, x in groups.items():
    np.save(f"{directory}/{name}.npy", x[:nq])


def save(name, index):
    queries = groups[name.split("_")[0]][:nq]
    faiss.write_index(index, f"{directory}/{name}.faiss")
    distances, labels = index.search(queries, k)
    np.save(f"{directory}/{name}.D.npy", distances)
    np.save(f"{directory}/{name}.I.npy", labels)
    # What its range search finds depends on the walk; ours looks at every vector.
    if index.ntotal < k or "HNSW" in type(index).__name__:
        return
    radius = np.median(distances[:, k // 2])
    lims, _, within = index.range_search(queries, float(radius))
    np.save(f"{directory}/{name}.radius.npy", radius)
    np.save(f"{directory}/{name}.lims.npy", lims)
    np.save(f"{directory}/{name}.within.npy", within)


def flat(group, name, metric, metric_arg=0):
    index = faiss.IndexFlat(d, metric)
    index.metric_arg = metric_arg
    index.add(groups[group][nq:])
    save(f"{group}_{name}", index)


for group in ["signed", "positive"]:
    flat(group, "L2", faiss.METRIC_L2)
    flat(group, "IP", faiss.METRIC_INNER_PRODUCT)
    flat(group, "L1", faiss.METRIC_L1)
    flat(group, "Linf", faiss.METRIC_Linf)
    flat(group, "Lp", faiss.METRIC_Lp, 3)
    flat(group, "Canberra", faiss.METRIC_Canberra)
    flat(group, "BrayCurtis", faiss.METRIC_BrayCurtis)
    flat(group, "NaNEuclidean", faiss.METRIC_NaNEuclidean)
flat("positive", "JensenShannon", faiss.METRIC_JensenShannon)
flat("positive", "Jaccard", faiss.METRIC_Jaccard)
flat("holes", "NaNEuclidean", faiss.METRIC_NaNEuclidean)
flat("few", "L2", faiss.METRIC_L2)
flat("few", "IP", faiss.METRIC_INNER_PRODUCT)
save("few_empty", faiss.IndexFlatL2(d))
save("few_emptyIDMap", faiss.IndexIDMap(faiss.IndexFlatIP(d)))

x = groups["signed"][nq:]
ids = rng.permutation(10 * n)[:n].astype("int64")
ids[0] = 2**53


def ivf(metric=faiss.METRIC_L2):
    quantizer = faiss.IndexFlat(d, metric)
    index = faiss.IndexIVFFlat(quantizer, d, 16, metric)
    index.cp.min_points_per_centroid = 1
    index.train(x)
    index.nprobe = 5
    return index


def added(index):
    index.add(x)
    return index


save("signed_IVF", added(ivf()))
save("signed_IVFIP", added(ivf(faiss.METRIC_INNER_PRODUCT)))
save("signed_IVFL1", added(ivf(faiss.METRIC_L1)))
save("few_IVFempty", ivf())

index = ivf()
index.nprobe = 100
save("signed_IVFall", added(index))

index = ivf()
index.add_with_ids(x, ids)
save("signed_IVFids", index)

index = added(ivf())
index.make_direct_map()
save("signed_IVFarray", index)

index = ivf()
index.set_direct_map_type(faiss.DirectMap.Hashtable)
index.add_with_ids(x, ids)
save("signed_IVFhashtable", index)

index = ivf()
index.add(groups["few"][nq:])
save("few_IVFsparse", index)

index = added(ivf())
index.remove_ids(np.arange(0, n, 3))
save("signed_IVFremoved", index)



def hnsw(group, M, metric, ef=16):
    index = faiss.IndexHNSWFlat(d, M, metric)
    index.hnsw.efSearch = ef
    index.add(groups[group][nq:])
    return index


save("signed_HNSW", hnsw("signed", 8, faiss.METRIC_L2))
save("signed_HNSW2", hnsw("signed", 2, faiss.METRIC_L2, 50))
save("signed_HNSW32", hnsw("signed", 32, faiss.METRIC_L2, 100))
save("signed_HNSWIP", hnsw("signed", 16, faiss.METRIC_INNER_PRODUCT))
save("positive_HNSWL1", hnsw("positive", 5, faiss.METRIC_L1))
save("few_HNSW", hnsw("few", 4, faiss.METRIC_L2))
save("few_HNSWempty", faiss.IndexHNSWFlat(d, 16))

index = faiss.index_factory(d, "IVF16_HNSW4,Flat")
index.cp.min_points_per_centroid = 1
index.train(x)
index.add(x)
index.nprobe = 5
save("signed_IVFwalked", index)

for name, sub in [
    ("IDMap", faiss.IndexFlatL2(d)),
    ("IDMapIP", faiss.IndexFlatIP(d)),
    ("IDMapIVF", ivf()),
    ("IDMapHNSW", faiss.IndexHNSWFlat(d, 16)),
]:
    index = faiss.IndexIDMap(sub)
    index.add_with_ids(x, ids)
    save(f"signed_{name}", index)

index = faiss.IndexIDMap2(faiss.IndexFlatL2(d))
index.add_with_ids(x, ids)
save("signed_IDMap2", index)

factory = faiss.index_factory(d, "IDMap2,IVF16,Flat")
faiss.write_index(factory, f"{directory}/untrained.faiss")
faiss.write_index(faiss.index_factory(d, "IVF16,ITQ8,SH"), f"{directory}/later.faiss")
