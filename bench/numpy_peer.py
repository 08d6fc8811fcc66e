"""Runs NumPy (OpenBLAS and LAPACK) for bench/linalg_bench.ts: the protocol of peer.py."""

import time

import numpy as np
from peer_protocol import serve

arrays = {}


def hello(_):
    """Version and the kernels that OpenBLAS took."""
    info = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {"numpy": np.__version__, "blas": f"{info.get('name')} {info.get('version')}"}


def array(request):
    arrays[request["name"]] = np.fromfile(request["path"], dtype=request["dtype"]).reshape(request["shape"])


def free(_):
    arrays.clear()


def subspace(a, start, iterations):
    """Top singular values by subspace iteration with Rayleigh-Ritz."""
    v = start
    for _ in range(iterations):
        v, _ = np.linalg.qr(a.T @ (a @ v))
    u, s, wt = np.linalg.svd(a @ v, full_matrices=False)
    return u, s, v @ wt.T


def layer_norm(x, eps):
    mean = x.mean(axis=1, keepdims=True)
    centred = x - mean
    return centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + eps)


WORK = {
    "gemm": lambda a, b: a @ b,
    "at_b": lambda a, b: a.T @ b,
    "gemv": lambda w, x: w @ x,
    "qr": np.linalg.qr,
    "svd": lambda a, v: subspace(a, v, 4),
    "layer_norm": lambda x: layer_norm(x, np.float32(1e-6)),
    "soft_cap": lambda x: np.float32(15) * np.tanh(x / np.float32(15)),
}


def timed(request):
    """Milliseconds of each call."""
    work = WORK[request["work"]]
    args = [arrays[name] for name in request["args"]]
    times = []
    for _ in range(request["count"]):
        start = time.perf_counter()
        work(*args)
        times.append((time.perf_counter() - start) * 1e3)
    return times


if __name__ == "__main__":
    serve(hello, array, free, timed)
