"""Runs the peers for bench/peers.ts: one JSON object a line on stdin, one answer a line on stdout.

Arrays come as raw little-endian files that are mapped, and every call is timed here, so that
neither side pays for the conversation.
"""

import ctypes
import os
import time

import faiss
import numpy as np
from features import features
from peer_cache import cached, file_of
from peer_protocol import serve
from peer_training import training

arrays = {}
indexes = {}


def hello(_):
    """Versions, and what BLAS calls this processor."""
    versions = {"faiss-cpu": faiss.__version__, "numpy": np.__version__}
    for name in ("hnswlib", "usearch"):
        try:
            module = __import__(name)
            versions[name] = getattr(module, "__version__", "installed")
        except ImportError:
            pass
    variables = ("OPENBLAS_", "OMP_", "GOMP_", "MKL_", "KMP_", "BLIS_")
    return {
        "versions": versions,
        "faissOptions": faiss.get_compile_options().strip(),
        "blasCore": blas_core(),
        "variables": {k: v for k, v in os.environ.items() if k.startswith(variables)},
    }


def blas_core():
    """The kernels that FAISS's OpenBLAS took, where it is OpenBLAS and can be asked."""
    try:
        with open("/proc/self/maps") as maps:
            path = next(l.split()[-1] for l in maps if "faiss" in l and "openblas" in l)
        library = ctypes.CDLL(path)
        library.openblas_get_corename.restype = ctypes.c_char_p
        return library.openblas_get_corename().decode()
    except (OSError, StopIteration, AttributeError):
        return None


def array(request):
    arrays[request["name"]] = np.memmap(
        request["path"], dtype=request["dtype"], mode="r", shape=tuple(request["shape"])
    )


def flat(request):
    base = arrays[request["base"]]
    metric = faiss.METRIC_L2 if request["metric"] == "L2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexFlat(base.shape[1], metric)
    index.add(base)
    indexes[request["name"]] = index


def factory(request):
    """Builds an index of FAISS's own; returns the milliseconds that took."""
    base = np.array(arrays[request["base"]])
    metric = faiss.METRIC_L2 if request["metric"] == "L2" else faiss.METRIC_INNER_PRODUCT
    configure(request["way"])
    index = faiss.index_factory(base.shape[1], request["factory"], metric)
    start = time.perf_counter()
    index.train(base)
    index.add(base)
    ms = (time.perf_counter() - start) * 1e3
    indexes[request["name"]] = index
    return ms


def read(request):
    indexes[request["name"]] = faiss.read_index(request["path"])


def binary(request):
    indexes[request["name"]] = faiss.read_index_binary(request["path"])


def brute_force(request):
    import hnswlib

    base = arrays[request["base"]]
    index = hnswlib.BFIndex(space="l2" if request["metric"] == "L2" else "ip", dim=base.shape[1])
    index.init_index(max_elements=len(base))
    index.add_items(base)
    indexes[request["name"]] = index


def graph(request):
    """Builds a graph with one of the libraries; returns the milliseconds that took."""
    base = np.array(arrays[request["base"]])
    (n, d), way, m, ef = base.shape, request["way"], request["M"], request["efConstruction"]
    if way["engine"] == "hnswlib":
        import hnswlib

        index = hnswlib.Index(space="l2", dim=d)
        index.init_index(max_elements=n, M=m, ef_construction=ef)
        start = time.perf_counter()
        index.add_items(base, num_threads=way["threads"])
    elif way["engine"] == "usearch":
        import usearch.index as usearch

        index = usearch.Index(ndim=d, metric="l2sq", dtype="f32", connectivity=m, expansion_add=ef)
        start = time.perf_counter()
        index.add(np.arange(n), base, threads=way["threads"])
    else:
        configure(way)
        index = faiss.IndexHNSWFlat(d, m)
        index.hnsw.efConstruction = ef
        start = time.perf_counter()
        index.add(base)
    indexes[request["name"]] = index
    return (time.perf_counter() - start) * 1e3


def keep(request):
    """An index of the data set in a directory, from its file or built; what is known of its building."""
    args = [request[name] for name in ("directory", "peer", "d", "threads")]
    indexes[request["name"]], known = cached(*args)
    return known


def open_kept(request):
    """Milliseconds of reading a kept index of FAISS's, and the memory that it takes then."""
    path = file_of(request["directory"], request["peer"])
    before, start = resident(), time.perf_counter()
    index = faiss.read_index(str(path))
    ms = (time.perf_counter() - start) * 1e3
    return {"ms": ms, "bytes": resident() - before, "ntotal": index.ntotal}


def resident():
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def free(_):
    indexes.clear()
    arrays.clear()


def configure(way):
    faiss.omp_set_num_threads(way["threads"])
    faiss.cvar.distance_compute_blas_threshold = way.get("blas", 128000)


def searcher(request):
    """A function of a query matrix."""
    way, k = request["way"], request["k"]
    configure(way)
    if way["engine"] == "usearch" and "efSearch" in request:
        graph = indexes[request["index"]]
        graph.expansion_search = request["efSearch"]

        def walk(x):
            found = graph.search(x, k, threads=way["threads"])
            return np.atleast_2d(found.distances), np.atleast_2d(found.keys)

        return walk
    if way["engine"] == "usearch":
        import usearch.index as usearch

        metric = usearch.MetricKind.L2sq if request["metric"] == "L2" else usearch.MetricKind.IP
        base = arrays[request["base"]]

        def search(x):
            found = usearch.search(base, x, k, metric, exact=True, threads=way["threads"])
            return np.atleast_2d(found.distances), np.atleast_2d(found.keys)

        return search
    index = indexes[request["index"]]
    if way["engine"] == "hnswlib":
        if "efSearch" in request:
            index.set_ef(request["efSearch"])
        return lambda x: index.knn_query(x, k, num_threads=way["threads"])[::-1]
    if "nprobe" in request:
        index.nprobe = request["nprobe"]
        index.parallel_mode = way.get("parallelMode", 0)
    if "efSearch" in request:
        index.hnsw.efSearch = request["efSearch"]
    if "parameters" in request:
        faiss.ParameterSpace().set_index_parameters(index, request["parameters"])
    if "bitmap" in request:
        # Kept by the closure: FAISS holds plain pointers to both.
        selector = faiss.IDSelectorBitmap(np.array(arrays[request["bitmap"]]))
        is_graph = isinstance(index, faiss.IndexHNSW)
        params = (faiss.SearchParametersHNSW if is_graph else faiss.SearchParameters)(sel=selector)
        if is_graph:
            params.efSearch = index.hnsw.efSearch
        return lambda x, selector=selector: index.search(x, k, params=params)
    return lambda x: index.search(x, k)


def timed(request):
    """Milliseconds of each call. Calls of one query go through different queries."""
    search, nq = searcher(request), request["nq"]
    queries = np.array(arrays[request["queries"]])
    batches = len(queries) // nq
    times = []
    for i in range(request["count"]):
        at = (request["at"] + i) % batches * nq
        batch = queries[at : at + nq]
        start = time.perf_counter()
        search(batch)
        times.append((time.perf_counter() - start) * 1e3)
    return times


def result(request):
    """Distances and labels of the first queries of a batch."""
    queries = np.array(arrays[request["queries"]][: request["nq"]])
    distances, labels = searcher(request)(queries)
    count = request["count"]
    return {
        "distances": np.asarray(distances[:count], dtype=np.float64).ravel().tolist(),
        "labels": np.asarray(labels[:count]).astype(np.int64).ravel().tolist(),
    }


def kmeans(request):
    configure(request["way"])
    x = np.ascontiguousarray(arrays[request["x"]])
    clustering = faiss.Clustering(x.shape[1], request["k"])
    clustering.niter = request["iterations"]
    clustering.seed = request["seed"]
    clustering.max_points_per_centroid = len(x)
    clustering.min_points_per_centroid = 1
    index = faiss.IndexFlatL2(x.shape[1])
    start = time.perf_counter()
    clustering.train(x, index)
    ms = (time.perf_counter() - start) * 1e3
    faiss.vector_to_array(clustering.centroids).tofile(request["centroids"])
    return ms


if __name__ == "__main__":
    serve(
        hello, array, flat, factory, read, binary, brute_force, graph, keep, open_kept, free, timed, result, kmeans,
        training, features,
    )
