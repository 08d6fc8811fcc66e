"""Writes LSH indexes with faiss, and what faiss makes of them, into the directory given.

For each index NAME.faiss: NAME.codes.npy are the codes of the queries NAME.npy, NAME.decoded.npy what they
stand for, NAME.D.npy and NAME.I.npy what a search finds, and of a search within NAME.radius.npy its
NAME.lims.npy and NAME.within.npy (labels).
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
n, nq, k = 500, 20, 10

for d, token in [(16, "LSH"), (16, "LSHt"), (20, "LSH33r"), (70, "LSH70rt"), (9, "LSH5t"), (130, "LSH130r")]:
    name = f"d{d}_{token}"
    x = (rng.standard_normal((n + nq, d)) + 0.3).astype("float32")
    queries = x[:nq]
    index = faiss.index_factory(d, token)
    index.train(x)
    index.add(x[nq:])
    faiss.write_index(index, f"{directory}/{name}.faiss")
    codes = index.sa_encode(queries)
    distances, labels = index.search(queries, k)
    radius = float(np.median(distances)) + 0.5
    arrays = {"": queries, "codes": codes, "decoded": index.sa_decode(codes), "D": distances, "I": labels}
    for suffix, array in arrays.items():
        np.save(f"{directory}/{name}.{suffix}.npy".replace("..", "."), array)
faiss.write_index(faiss.index_factory(8, "LSHt"), f"{directory}/untrained.faiss")
