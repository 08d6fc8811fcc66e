"""Indexes of the peers, built once and kept in files: those of a million rows take minutes.

As a program, `python bench/peer_cache.py DIRECTORY NAME …` builds those that are missing, where
DIRECTORY has the rows as base.f32 and a NAME is `faiss IVF4096,Flat`, `hnswlib 32` or `usearch 32`.
"""

import json
import os
import pathlib
import sys
import time

import faiss
import numpy as np

EF_CONSTRUCTION = 40


def rows(directory, d):
    """The data set's rows, mapped."""
    return np.memmap(pathlib.Path(directory) / "base.f32", dtype="<f4", mode="r").reshape(-1, d)


def file_of(directory, name):
    return pathlib.Path(directory) / "peers" / name.replace(" ", "-")


def cached(directory, name, d, threads):
    """The index, and what is known of its building: `ms` and the machine's `load` before it."""
    engine, shape = name.split(" ", 1)
    path = file_of(directory, name)
    about = path.with_suffix(path.suffix + ".json")
    make, save, load = ENGINES[engine]
    if about.exists():
        return load(path, shape, d), json.loads(about.read_text())
    path.parent.mkdir(exist_ok=True)
    base = np.array(rows(directory, d))
    load_before = os.getloadavg()[0]
    start = time.perf_counter()
    index = make(base, shape, threads)
    known = {"ms": (time.perf_counter() - start) * 1e3, "load": load_before, "threads": threads}
    save(index, path)
    # Last, so that what stopped halfway is built again.
    about.write_text(json.dumps(known))
    return index, known


def make_faiss(base, factory, threads):
    faiss.omp_set_num_threads(threads)
    index = faiss.index_factory(base.shape[1], factory)
    index.train(base)
    index.add(base)
    return index


def make_hnswlib(base, m, threads):
    import hnswlib

    index = hnswlib.Index(space="l2", dim=base.shape[1])
    index.init_index(max_elements=len(base), M=int(m), ef_construction=EF_CONSTRUCTION)
    index.add_items(base, num_threads=threads)
    return index


def load_hnswlib(path, _, d):
    import hnswlib

    index = hnswlib.Index(space="l2", dim=d)
    index.load_index(str(path))
    return index


def usearch_index(m, d):
    import usearch.index as usearch

    return usearch.Index(
        ndim=d, metric="l2sq", dtype="f32", connectivity=int(m), expansion_add=EF_CONSTRUCTION
    )


def make_usearch(base, m, threads):
    index = usearch_index(m, base.shape[1])
    index.add(np.arange(len(base)), base, threads=threads)
    return index


def load_usearch(path, m, d):
    index = usearch_index(m, d)
    index.load(str(path))
    return index


ENGINES = {
    "faiss": (
        make_faiss,
        lambda index, path: faiss.write_index(index, str(path)),
        lambda path, *_: faiss.read_index(str(path)),
    ),
    "hnswlib": (make_hnswlib, lambda index, path: index.save_index(str(path)), load_hnswlib),
    "usearch": (make_usearch, lambda index, path: index.save(str(path)), load_usearch),
}

if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        print(wanted, cached(sys.argv[1], wanted, 128, os.cpu_count())[1], flush=True)
