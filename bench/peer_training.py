"""Training of FAISS's quantizers and transforms, and applying the latter, timed."""

import time

import faiss
import numpy as np


def training(request):
    """Milliseconds of training `what`, and of what it loses of the rows, the share."""
    faiss.omp_set_num_threads(request["threads"])
    x = np.fromfile(request["path"], dtype="<f4").reshape(-1, request["d"])
    what, m = request["what"], request["m"]
    start = time.perf_counter()
    if what == "PQ":
        quantizer = faiss.ProductQuantizer(x.shape[1], m, 8)
        quantizer.train(x)
    elif what == "OPQ":
        transform = faiss.OPQMatrix(x.shape[1], m)
        transform.niter = request["niter"]
        transform.train(x)
    elif what == "PCA":
        transform = faiss.PCAMatrix(x.shape[1], m)
        transform.train(x)
    else:
        transform = faiss.HadamardRotation(x.shape[1])
        transform.apply(x)
    ms = (time.perf_counter() - start) * 1e3
    if what == "PQ":
        loss = ((quantizer.decode(quantizer.compute_codes(x)) - x) ** 2).sum() / (x**2).sum()
    elif what == "PCA":
        loss = 1 - (transform.apply(x) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    elif what == "OPQ":
        rows = transform.apply(x)
        quantizer = faiss.ProductQuantizer(x.shape[1], m, 8)
        quantizer.train(rows)
        rows -= quantizer.decode(quantizer.compute_codes(rows))
        loss = (rows**2).sum() / (x**2).sum()
    else:
        loss = 0
    return {"ms": ms, "loss": float(loss)}
