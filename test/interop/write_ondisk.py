"""Writes indexes that are mapped, with faiss, and what faiss finds in them, into the directory given.

Each NAME.faiss has NAME.D.npy and NAME.I.npy of the queries in queries.npy. Those whose name starts with
"ondisk" have their lists in NAME.ivfdata, some of them with room for more vectors than they hold.
"""

import os
import sys

import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk

directory = sys.argv[1]
rng = np.random.default_rng(3)
d, n, k = 12, 700, 10
x = rng.standard_normal((n, d)).astype("float32") + 1
queries = rng.standard_normal((25, d)).astype("float32") + 1
np.save(f"{directory}/queries.npy", queries)
np.save(f"{directory}/x.npy", x)


def search(name, index):
    if hasattr(index, "nprobe"):
        index.nprobe = 3
    distances, labels = index.search(queries, k)
    np.save(f"{directory}/{name}.D.npy", distances)
    np.save(f"{directory}/{name}.I.npy", labels)


def path(name):
    return f"{directory}/{name}"


metrics = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}
plain = ["Flat", "SQ8", "SQ6", "SQfp16", "PQ4x4np", "PQ6np", "HNSW8,Flat", "IVF9,Flat", "IVF9,SQ8", "IVF9,PQ4np"]
plain += ["PCA7,Flat", "HNSW8,SQ8", "HNSW8,PQ4np", "IDMap,Flat", "IVF9_HNSW8,Flat", "SQ8,RFlat"]
for metric, number in metrics.items():
    for string in plain:
        index = faiss.index_factory(d, string, number)
        index.train(x)
        index.add_with_ids(x, np.arange(n) * 3) if string.startswith("IDMap") else index.add(x)
        name = f"plain_{string.replace(',', '_')}_{metric}"
        search(name, index)
        faiss.write_index(index, path(f"{name}.faiss"))
    for string in ["Flat", "SQ8", "PQ4np"]:
        name = f"ondisk_{string}_{metric}"
        trained = faiss.index_factory(d, f"IVF9,{string}", number)
        trained.train(x)
        faiss.write_index(trained, path("trained"))
        shards = []
        for part in range(3):
            shard = faiss.read_index(path("trained"))
            ids = np.arange(part * 200, part * 200 + 200)
            shard.add_with_ids(x[ids], ids)
            shards.append(path(f"shard{part}"))
            faiss.write_index(shard, shards[-1])
        index = faiss.read_index(path("trained"))
        merge_ondisk(index, shards, path(f"{name}.ivfdata"))
        search(name, index)
        faiss.write_index(index, path(f"{name}.faiss"))
        # Lists that grow get room for more. (Those that merge_ondisk filled lose ids when they grow.)
        name = f"ondisk_grown_{string}_{metric}"
        index = faiss.read_index(path("trained"))
        lists = faiss.OnDiskInvertedLists(index.nlist, index.code_size, path(f"{name}.ivfdata"))
        index.replace_invlists(lists, False)
        for part in np.array_split(x, 4):
            index.add(part)
        search(name, index)
        faiss.write_index(index, path(f"{name}.faiss"))
for name in ["trained", "shard0", "shard1", "shard2"]:
    os.remove(path(name))
