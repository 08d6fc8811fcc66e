"""Writes indexes of bits as faiss makes them, and what it finds with them.

For each NAME.faiss there are NAME.q.npy (queries), NAME.D.npy and NAME.I.npy (the 10
nearest), and, where faiss searches by radius, NAME.radius.npy, NAME.lims.npy and
NAME.within.npy, sorted by label.
"""

import pathlib
import sys

import faiss
import numpy as np

directory = pathlib.Path(sys.argv[1])


def grouped(n, d, seed):
    """Vectors near 20 others, some of them twice."""
    random = np.random.RandomState(seed)
    centers = np.random.RandomState(1).randint(0, 256, (20, d // 8))
    noise = [random.randint(0, 256, (n, d // 8)) for _ in range(3)]
    x = centers[random.randint(0, 20, n)] ^ (noise[0] & noise[1] & noise[2])
    x[n // 2 :: 7] = x[: len(x[n // 2 :: 7])]
    return x.astype("uint8")


def write(name, index, queries, radius):
    faiss.write_index_binary(index, str(directory / f"{name}.faiss"))
    np.save(directory / f"{name}.q.npy", queries)
    if not index.is_trained:
        return
    distances, labels = index.search(queries, 10)
    np.save(directory / f"{name}.D.npy", distances)
    np.save(directory / f"{name}.I.npy", labels)
    try:
        lims, _, within = index.range_search(queries, radius)
    except RuntimeError as error:
        assert "not implemented" in str(error), error
        return
    for i in range(len(queries)):
        within[lims[i] : lims[i + 1]].sort()
    np.save(directory / f"{name}.radius.npy", np.array([radius], dtype="float32"))
    np.save(directory / f"{name}.lims.npy", lims.astype("int64"))
    np.save(directory / f"{name}.within.npy", within)


strings = ["BFlat", "BIVF8", "BIVF6_HNSW8", "BHNSW16", "BHash6", "BHash4x8", "BHash40"]
for d in (64, 72, 256):
    x, queries = grouped(400, d, 2), grouped(12, d, 3)
    for string in strings:
        index = faiss.index_binary_factory(d, string)
        inner = faiss.downcast_IndexBinary(index)
        index.train(x)
        index.add(x)
        if hasattr(inner, "nflip"):
            inner.nflip = 1 + (d == 72)
        if hasattr(inner, "nprobe"):
            inner.nprobe = 3
        if hasattr(inner, "hnsw"):
            inner.hnsw.efSearch = 40
        write(f"{string}_{d}", index, queries, d // 6)
    for string in ("IDMap,BFlat", "IDMap2,BIVF4", "BHNSW8,IDMap2", "IDMap,BHash5"):
        index = faiss.index_binary_factory(d, string)
        index.train(x)
        index.add_with_ids(x, 3 * np.arange(len(x))[::-1].copy() + 1)
        write(f"{string.replace(',', '_')}_{d}", index, queries, d // 6)
    ivf = faiss.index_binary_factory(d, "BIVF8")
    ivf.train(x)
    ivf.set_direct_map_type(faiss.DirectMap.Hashtable)
    ivf.add_with_ids(x, np.arange(len(x)) * 5)
    ivf.nprobe = 8
    write(f"direct_{d}", ivf, queries, d // 6)
    floats = faiss.IndexBinaryFromFloat(faiss.IndexFlatL2(d))
    floats.add(x)
    write(f"floats_{d}", floats, queries, d // 6)

write("empty", faiss.IndexBinaryFlat(16), grouped(2, 16, 1), 3)
write("untrained", faiss.index_binary_factory(16, "BIVF4"), grouped(2, 16, 1), 3)
for string in ("BHash4", "BHash2x4", "BHNSW4"):
    write(f"none_{string}", faiss.index_binary_factory(16, string), grouped(2, 16, 1), 3)
