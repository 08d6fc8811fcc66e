"""Writes indexes of factory strings with faiss, and what faiss makes of them, into the directory given.

cases.json lists them. For each case NAME there are NAME.untrained and NAME.trained (empty), NAME.faiss
with the vectors base.npy (or bytes.npy) under ids.npy where it takes ids, NAME.D.npy and NAME.I.npy of a
search with queries.npy (or bytequeries.npy), and where it has codes NAME.codes.npy, those of the queries.
"""

import json
import pathlib
import sys

import faiss
import numpy as np

directory = pathlib.Path(sys.argv[1])
cases = json.loads((directory / "cases.json").read_text())
rng = np.random.default_rng(1)
d, n, nq, k = 32, 1500, 20, 10

# Correlated dimensions of different ranges, which are what transforms and codes are for.
mixing = rng.standard_normal((d, d)) * np.geomspace(1, 0.1, d)
rows = (rng.standard_normal((n + nq, d)) @ mixing.T + 0.2).astype("float32")
data = {
    False: (rows[nq:], rows[:nq]),
    # Small integers, for the codes that are these.
    True: [np.clip(np.round(x * 10), 0, 100).astype("float32") for x in (rows[nq:], rows[:nq])],
}
ids = rng.permutation(9 * n)[:n].astype("int64")
np.save(directory / "ids.npy", ids)
for isDirect, (base, queries) in data.items():
    np.save(directory / ("bytes.npy" if isDirect else "base.npy"), base)
    np.save(directory / ("bytequeries.npy" if isDirect else "queries.npy"), queries)


def inside(index):
    """The index and all those that it is made of."""
    index = faiss.downcast_index(index)
    yield index
    for name in ("index", "base_index", "refine_index", "quantizer"):
        if isinstance(getattr(index, name, None), faiss.Index):
            yield from inside(getattr(index, name))


def configure(index):
    """Parameters that files keep: fewer rounds of training, and searches without luck."""
    for part in inside(index):
        for owner in (part, getattr(part, "pq", None)):
            if hasattr(owner, "cp"):
                owner.cp.niter = 4
                owner.cp.min_points_per_centroid = 1
        # Of the order of centroids only, and it takes seconds.
        if hasattr(part, "do_polysemous_training"):
            part.do_polysemous_training = False
        if hasattr(part, "nprobe"):
            part.nprobe = 4
        # Codes of few bits tie: those at the end of the candidates are any of them.
        if hasattr(part, "k_factor"):
            part.k_factor = 20
        if hasattr(part, "hnsw"):
            part.hnsw.efSearch = 2 * n
        if hasattr(part, "chain"):
            for at in range(part.chain.size()):
                transform = faiss.downcast_VectorTransform(part.chain.at(at))
                if isinstance(transform, faiss.OPQMatrix):
                    transform.niter, transform.niter_pq_0 = 3, 4


for case in cases:
    path = directory / case["name"]
    metric = faiss.METRIC_L2 if case["metric"] == "L2" else faiss.METRIC_INNER_PRODUCT
    base, queries = data["direct" in case["string"]]
    index = faiss.index_factory(d, case["string"], metric)
    faiss.write_index(index, str(path.with_suffix(".untrained")))
    configure(index)
    index.train(base)
    faiss.write_index(index, str(path.with_suffix(".trained")))
    if case["string"].startswith("IDMap") or case["string"].endswith("IDMap"):
        index.add_with_ids(base, ids)
    else:
        index.add(base)
    faiss.write_index(index, str(path.with_suffix(".faiss")))
    distances, labels = index.search(queries, k)
    np.save(path.with_suffix(".D.npy"), distances)
    np.save(path.with_suffix(".I.npy"), labels)
    if case["encodes"]:
        np.save(path.with_suffix(".codes.npy"), index.sa_encode(queries))
