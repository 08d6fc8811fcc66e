"""Reads the indexes NAME.faiss in the directory given with faiss.

What faiss finds for queries.npy goes to NAME.D.npy and NAME.I.npy, the bytes that it would write
to NAME.again, and how much PQ4x8 loses on vectors behind the OPQ matrices of opq_*.faiss, and on
those behind a matrix that faiss trained, to loss.npy.
"""

import pathlib
import sys

import faiss
import numpy as np

directory = pathlib.Path(sys.argv[1])
queries = np.load(directory / "queries.npy")
x = np.load(directory / "x.npy")

for path in sorted(directory.glob("*.faiss")):
    index = faiss.read_index(str(path))
    faiss.write_index(index, str(path.with_suffix(".again")))
    distances, labels = index.search(queries, 10)
    np.save(path.with_suffix(".D.npy"), distances)
    np.save(path.with_suffix(".I.npy"), labels)


def loss(transform):
    rows = transform.apply(x)
    pq = faiss.ProductQuantizer(rows.shape[1], 4, 6)
    pq.train(rows)
    return float(((pq.decode(pq.compute_codes(rows)) - rows) ** 2).sum())


ours = faiss.read_index(str(directory / "opq.faiss"))
theirs = faiss.OPQMatrix(x.shape[1], 4)
theirs.niter = 10
theirs.train(x)
unrotated = faiss.RemapDimensionsTransform(x.shape[1], x.shape[1], False)
losses = [loss(transform) for transform in (ours.chain.at(0), theirs, unrotated)]
np.save(directory / "loss.npy", np.array(losses))


def distance(matrix):
    rows = matrix.apply(x)
    return float(((np.where(rows < 0, -1, 1) - rows) ** 2).sum())


index = faiss.read_index(str(directory / "itq.faiss"))
ours = index.chain.at(0)
theirs = faiss.ITQMatrix(x.shape[1])
theirs.train(x)
np.save(directory / "signs.npy", np.array([distance(ours), distance(theirs)]))
