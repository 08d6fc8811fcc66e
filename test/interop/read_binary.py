"""Reads the files of indexes of bits in the directory given with faiss.

For each NAME.faiss, what faiss finds for queries.npy goes to NAME.D.npy and NAME.I.npy,
its number of vectors to NAME.n.npy, and the bytes that faiss itself would write to
NAME.again.
"""

import pathlib
import sys

import faiss
import numpy as np

directory = pathlib.Path(sys.argv[1])
queries = np.load(directory / "queries.npy")

for path in sorted(directory.glob("*.faiss")):
    index = faiss.read_index_binary(str(path))
    faiss.write_index_binary(index, str(path.with_suffix(".again")))
    np.save(path.with_suffix(".n.npy"), np.array([index.ntotal]))
    distances, labels = index.search(queries, 10)
    np.save(path.with_suffix(".D.npy"), distances)
    np.save(path.with_suffix(".I.npy"), labels)
