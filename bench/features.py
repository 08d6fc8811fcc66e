"""Whether FAISS has the features of the journal's table (lib/journal/feature_probes.ts).

Each probe does something small; what it raises is the reason why the feature is missing. Alone, it prints
all of them as JSON.
"""

import json
import os
import tempfile

import faiss
import numpy as np

# As many as its k-means asks for.
N, D, K = 640, 16, 5
rng = np.random.default_rng(81)
x = rng.standard_normal((N, D)).astype(np.float32)
queries = rng.standard_normal((4, D)).astype(np.float32)


def nearest(accept=lambda row: True, k=K):
    distances = ((x.astype(np.float64) - queries[0]) ** 2).sum(axis=1)
    return [int(row) for row in np.argsort(distances) if accept(row)][:k]


def expect(is_so, what):
    if not is_so:
        raise AssertionError(what)


def filled(description, metric=faiss.METRIC_L2):
    index = faiss.index_factory(D, description, metric)
    index.train(x)
    index.add(x)
    return index


def found(index, k=K, **options):
    return [int(label) for label in index.search(queries, k, **options)[1][0]]


def by_factory(description):
    def probe():
        shared = set(found(filled(description))) & set(nearest())
        expect(shared, f"{description} finds none of the true neighbours")

    return probe


def flat():
    expect(found(filled("Flat")) == nearest(), "exact search finds others")


def cosine():
    filled("Flat", faiss.METRIC_Cosine)


def range_search():
    radius = float(((x[nearest()[2]].astype(np.float64) - queries[0]) ** 2).sum())
    lims, _, _ = filled("Flat").range_search(queries[:1], radius * (1 + 1e-5))
    expect(lims[1] == 3, f"range search finds {lims[1]} of 3")


def filtered():
    selector = faiss.IDSelectorBatch(np.arange(0, N, 2))
    params = faiss.SearchParameters(sel=selector)
    labels = found(filled("Flat"), params=params)
    expect(labels == nearest(lambda row: row % 2 == 0), "filtered search finds others")


def ids():
    index = faiss.index_factory(D, "IDMap,Flat")
    index.add_with_ids(x, np.arange(1000, 1000 + N))
    expect(found(index) == [1000 + row for row in nearest()], "own ids are others")


def remove():
    index = filled("IVF4,Flat")
    index.nprobe = 4
    first, *rest = nearest()
    index.remove_ids(np.array([first]))
    expect(found(index, K - 1) == rest, "removal leaves others")


def file():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "index.faiss")
        faiss.write_index(filled("IVF4,Flat"), path)
        index = faiss.read_index(path)
        index.nprobe = 4
        expect(found(index) == nearest(), "what was read finds others")


def kmeans():
    clustering = faiss.Kmeans(D, 4, niter=5)
    clustering.train(x)
    expect(clustering.centroids.shape == (4, D), "k-means has no 4 centroids")


def nan():
    try:
        faiss.IndexFlatL2(D).add(np.full((1, D), np.nan, dtype=np.float32))
    except (ValueError, RuntimeError):
        return
    raise AssertionError("NaN is taken")


def signal():
    # It can be interrupted, by faiss.InterruptCallback: all of the process at once.
    expect(hasattr(faiss.SearchParameters(), "interrupt"), "no search can be stopped by itself")


def float16():
    index = faiss.IndexFlat(D)
    expect(hasattr(index, "gemm") or hasattr(faiss, "gemm"), "there are no matrix products")


def gpu():
    expect(hasattr(faiss, "StandardGpuResources"), "this build has no GPU part")
    expect(faiss.get_num_gpus() > 0, "there is no GPU")
    there = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, filled("Flat"))
    expect(found(there) == nearest(), "the GPU finds others")


def gpu_k():
    expect(hasattr(faiss, "StandardGpuResources"), "this build has no GPU part")
    rows = np.random.default_rng(85).standard_normal((1500, D)).astype(np.float32)
    index = faiss.IndexFlatL2(D)
    index.add(rows)
    there = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    expect(len(set(found(there, 1200))) == 1200, "labels come twice")


def kernel():
    expect(hasattr(faiss, "metal_kernel"), "it takes no kernels")


def gpu_gemm():
    expect(hasattr(faiss, "gemm"), "there are no matrix products")


def opq():
    # Quiet: by default it learns 256 centroids of too few vectors.
    matrix, codes = faiss.OPQMatrix(D, 8), faiss.ProductQuantizer(D, 8, 4)
    matrix.pq = codes
    index = faiss.IndexPreTransform(matrix, faiss.index_factory(D, "PQ8x4"))
    index.train(x)
    index.add(x)
    expect(set(found(index)) & set(nearest()), "OPQ finds none of the true neighbours")


def binary():
    codes = np.packbits(x > 0, axis=1)
    index = faiss.IndexBinaryFlat(D)
    index.add(codes)
    distances, _ = index.search(codes[:1], K)
    expect(distances[0][0] == 0, "a code is not its own neighbour")


PROBES = {
    "flat": flat,
    "cosine": cosine,
    "range": range_search,
    "ivf": by_factory("IVF4,Flat"),
    "filter": filtered,
    "ids": ids,
    "remove": remove,
    "file": file,
    "kmeans": kmeans,
    "nan": nan,
    "signal": signal,
    "float16": float16,
    "gpu": gpu,
    "gpu-k": gpu_k,
    "kernel": kernel,
    "gpu-gemm": gpu_gemm,
    "hnsw": by_factory("HNSW16"),
    "pq": by_factory("PQ8x4"),
    "sq": by_factory("SQ8"),
    "pca": by_factory("PCA8,Flat"),
    "refine": by_factory("SQ8,RFlat"),
    "fastscan": by_factory("PQ8x4fs"),
    "opq": opq,
    "binary": binary,
}


def features(_=None):
    """What each probe says."""
    cells = {}
    for name, probe in PROBES.items():
        try:
            probe()
            cells[name] = {"holds": True, "note": ""}
        except Exception as error:  # whatever it is, the feature is missing
            text = str(error).strip().splitlines()[0] if str(error).strip() else ""
            cells[name] = {"holds": False, "note": f"{type(error).__name__}: {text}"}
    return cells


if __name__ == "__main__":
    print(json.dumps(features(), indent=2))
