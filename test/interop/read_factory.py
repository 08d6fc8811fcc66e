"""Reads the cases of cases.json in the directory given with faiss.

What faiss finds for queries.npy (or bytequeries.npy) in NAME.faiss goes to NAME.D.npy and NAME.I.npy, and
the bytes that it would write to NAME.again.
"""

import json
import pathlib
import sys

import faiss
import numpy as np

directory = pathlib.Path(sys.argv[1])
queries = {False: np.load(directory / "queries.npy"), True: np.load(directory / "bytequeries.npy")}
for case in json.loads((directory / "cases.json").read_text()):
    path = directory / case["name"]
    index = faiss.read_index(str(path.with_suffix(".faiss")))
    faiss.write_index(index, str(path.with_suffix(".again")))
    distances, labels = index.search(queries["direct" in case["string"]], 10)
    np.save(path.with_suffix(".D.npy"), distances)
    np.save(path.with_suffix(".I.npy"), labels)
