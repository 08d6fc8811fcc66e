"""Writes indexes over graphs with faiss, and what it finds in them, into the directory given.

For each NAME.faiss: NAME.D.npy and NAME.I.npy are what a search of queries.npy finds; what is found with
FAISS's check of distances off goes to NAME.steps.D.npy and NAME.steps.I.npy.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
d, n, nq, k = 24, 2000, 50, 10

# Of few dimensions, bent: what is near is near in few directions.
flat = rng.standard_normal((n + nq, 6))
x = np.tanh(flat @ rng.standard_normal((6, d))) + np.sin(flat @ rng.standard_normal((6, d)))
x = np.ascontiguousarray(x + 0.05 * rng.standard_normal((n + nq, d)), dtype=np.float32)
queries, x = x[:nq], x[nq:]
np.save(f"{directory}/queries.npy", queries)

SQ = faiss.ScalarQuantizer


def save(name, index, added=x):
    if not index.is_trained:
        index.train(x)
    if len(added):
        index.add(added)
    faiss.write_index(index, f"{directory}/{name}.faiss")
    distances, labels = index.search(queries, k)
    np.save(f"{directory}/{name}.D.npy", distances)
    np.save(f"{directory}/{name}.I.npy", labels)


def walked(name, index):
    """With more kept than by default."""
    index.hnsw.efSearch = 40
    save(name, index)
    how = faiss.SearchParametersHNSW()
    how.efSearch, how.check_relative_distance = 12, False
    distances, labels = index.search(queries, k, params=how)
    np.save(f"{directory}/{name}.steps.D.npy", distances)
    np.save(f"{directory}/{name}.steps.I.npy", labels)


for metric, code in {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}.items():
    walked(f"HNSW_flat_{metric}", faiss.IndexHNSWFlat(d, 8, code))
    for kind, qtype in {"8bit": SQ.QT_8bit, "fp16": SQ.QT_fp16, "4bit": SQ.QT_4bit}.items():
        walked(f"HNSW_{kind}_{metric}", faiss.IndexHNSWSQ(d, qtype, 8, code))
    walked(f"HNSW_PQ6x8_{metric}", faiss.IndexHNSWPQ(d, 6, 8, 8, code))
    walked(f"HNSW_PQ8x5_{metric}", faiss.IndexHNSWPQ(d, 8, 8, 5, code))
    for search in (16, 60):
        for build in (0, 1):
            index = faiss.IndexNSGFlat(d, 16, code)
            index.build_type = build
            index.nsg.search_L = search
            save(f"NSG_flat{search}{build}_{metric}", index)
    save(f"NSG_8bit_{metric}", faiss.IndexNSGSQ(d, SQ.QT_8bit, 12, code))
    index = faiss.IndexNNDescentFlat(d, 24, code)
    index.nndescent.search_L = 50
    save(f"NNDescent_flat_{metric}", index)
save("NSG_PQ6x8_L2", faiss.IndexNSGPQ(d, 6, 16, 8))
save("IVF_NSG_L2", faiss.index_factory(d, "IVF120_NSG16,Flat"))

faiss.write_index(faiss.IndexHNSWPQ(d, 6, 8, 8), f"{directory}/untrained.faiss")
faiss.write_index(faiss.IndexNSGFlat(d, 16), f"{directory}/empty.faiss")
