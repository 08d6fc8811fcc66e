"""Searches with faiss the indexes NAME.faiss in the directory given: into NAME.D.npy and NAME.I.npy."""

import pathlib
import sys

import faiss
import numpy as np

directory = pathlib.Path(sys.argv[1])
queries = np.load(directory / "queries.npy")
for path in sorted(directory.glob("*.faiss")):
    index = faiss.read_index(str(path))
    lists = index.invlists
    assert isinstance(faiss.downcast_InvertedLists(lists), faiss.OnDiskInvertedLists), path
    distances, labels = index.search(queries, 10)
    np.save(path.with_suffix(".D.npy"), distances)
    np.save(path.with_suffix(".I.npy"), labels)
