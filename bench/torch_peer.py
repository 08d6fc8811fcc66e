"""Runs PyTorch on a GPU for bench/gpu_bench.ts: the protocol of peer.py, times of CUDA events.

Searches are what one writes with PyTorch: a matrix product in float32, norms, topk. Arrays come as raw
files or are drawn here and written to one, so that both sides have the same.
"""

import numpy as np
import torch
from peer_protocol import serve

DEVICE = "cuda"
# Bytes of a distance matrix at a time.
BUDGET = 8 << 30

arrays = {}
lists = {}


def hello(_):
    torch.backends.cuda.matmul.allow_tf32 = False
    free, total = torch.cuda.mem_get_info()
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name(),
        "memory": total,
        "copyGBps": copy_bandwidth(),
    }


def copy_bandwidth():
    """Bytes read and written a second, in GB/s."""
    a = torch.empty(1 << 29, dtype=torch.float32, device=DEVICE)
    b = torch.empty_like(a)
    return 8 * a.numel() / min(times(lambda: b.copy_(a), 9)) / 1e6


def draw(request):
    """Standard normal rows, also written to a file."""
    generator = torch.Generator(device=DEVICE).manual_seed(request["seed"])
    x = torch.randn(*request["shape"], generator=generator, device=DEVICE)
    arrays[request["name"]] = x
    with open(request["path"], "wb") as file:
        for part in x.split(1 << 20):
            part.cpu().numpy().tofile(file)


def array(request):
    x = np.fromfile(request["path"], dtype=request["dtype"]).reshape(request["shape"])
    # PyTorch indexes with 64-bit integers.
    arrays[request["name"]] = torch.from_numpy(x.astype(np.int64) if x.dtype == np.uint32 else x).to(DEVICE)


def free(_):
    arrays.clear()
    lists.clear()
    torch.cuda.empty_cache()


def times(work, count):
    """Milliseconds of each call on the GPU."""
    work()
    torch.cuda.synchronize()
    measured = []
    for _ in range(count):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        measured.append(start.elapsed_time(end))
    return measured


def nearest(x, norms, q, k):
    distances = torch.addmm(norms[None, :], q, x.t(), alpha=-2)
    return torch.topk(distances, min(k, len(x)), largest=False)


def flat_search(request):
    x, k = arrays[request["base"]], request["k"]
    norms = (x * x).sum(1)
    rows = max(1, BUDGET // (4 * len(x)))

    def search(q):
        found = [nearest(x, norms, part, k) for part in q.split(rows)]
        labels = torch.cat([f.indices for f in found])
        distances = torch.cat([f.values for f in found]) + (q * q).sum(1)[:, None]
        return distances, labels

    return search


def ivf(request):
    """Rows in the order of their lists, with where each list begins, and the centroids."""
    x, order = arrays[request["base"]], arrays[request["order"]]
    lists.update(
        x=x[order].contiguous(),
        order=order,
        offsets=arrays[request["offsets"]].tolist(),
        centroids=arrays[request["centroids"]],
    )
    lists["norms"] = (lists["x"] ** 2).sum(1)


def probe(q, nprobe):
    centroids = lists["centroids"]
    return nearest(centroids, (centroids * centroids).sum(1), q, nprobe).indices


def ivf_single(q, k, nprobe):
    """One query: its lists put together, one product, one topk."""
    offsets = lists["offsets"]
    probes = probe(q, nprobe)[0].tolist()
    rows = torch.cat([torch.arange(offsets[i], offsets[i + 1], device=DEVICE) for i in probes])
    found = nearest(lists["x"][rows], lists["norms"][rows], q, k)
    return found.values, lists["order"][rows[found.indices]]


def ivf_padded(q, k, nprobe):
    """Many queries: lists and the queries of each padded to a common length, batched products, topk twice."""
    offsets = torch.tensor(lists["offsets"], device=DEVICE)
    sizes = offsets[1:] - offsets[:-1]
    longest, nlist = int(sizes.max()), len(sizes)
    probes = probe(q, nprobe).reshape(-1)
    order = torch.argsort(probes, stable=True)
    grouped = torch.bincount(probes, minlength=nlist)
    starts = torch.cumsum(grouped, 0) - grouped
    place = torch.arange(len(order), device=DEVICE) - starts[probes[order]]
    most = int(grouped.max())
    which = torch.full((nlist, most), -1, dtype=torch.long, device=DEVICE)
    which[probes[order], place] = order
    values = torch.full((len(order), k), float("inf"), device=DEVICE)
    labels = torch.full((len(order), k), -1, dtype=torch.long, device=DEVICE)
    at = torch.arange(longest, device=DEVICE)
    step = max(1, BUDGET // (4 * longest * (most + q.shape[1])))
    for first in range(0, nlist, step):
        here = slice(first, first + step)
        rows = (offsets[:-1][here, None] + at).clamp(max=len(lists["x"]) - 1)
        outside = at >= sizes[here, None]
        norms = lists["norms"][rows].masked_fill(outside, float("inf"))
        queries = q[(which[here].clamp(min=0)) // nprobe]
        distances = torch.baddbmm(norms[:, None, :], queries, lists["x"][rows].transpose(1, 2), alpha=-2)
        found = torch.topk(distances, min(k, longest), largest=False)
        there = which[here] >= 0
        values[which[here][there], : found.values.shape[2]] = found.values[there]
        ids = torch.gather(rows[:, None, :].expand(-1, most, -1), 2, found.indices)
        labels[which[here][there], : found.values.shape[2]] = ids[there]
    best = torch.topk(values.view(len(q), -1), k, largest=False)
    return best.values, lists["order"][torch.gather(labels.view(len(q), -1), 1, best.indices)]


def ivf_search(request):
    k, nprobe = request["k"], request["nprobe"]
    way = ivf_single if request["nq"] == 1 else ivf_padded
    return lambda q: way(q, k, nprobe)


def searcher(request):
    return (ivf_search if "nprobe" in request else flat_search)(request)


def timed(request):
    search, nq = searcher(request), request["nq"]
    queries = arrays[request["queries"]]
    batches = len(queries) // nq
    measured = []
    for i in range(request["count"]):
        at = (request["at"] + i) % batches * nq
        measured += times(lambda: search(queries[at : at + nq]), 1)
    return measured


def result(request):
    queries = arrays[request["queries"]][: request["nq"]]
    distances, labels = searcher(request)(queries)
    count = request["count"]
    return {
        "distances": distances[:count].double().cpu().ravel().tolist(),
        "labels": labels[:count].cpu().ravel().tolist(),
    }


def layer_norm(x, eps=1e-6):
    """As a program writes it, an operation a kernel."""
    mean = x.mean(dim=1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps)


WORK = {
    "z_step": lambda a, v: a.T @ (a @ v),
    "layer_norm": layer_norm,
    "fused_layer_norm": lambda x: torch.nn.functional.layer_norm(x, x.shape[1:], eps=1e-6),
    "gemm": lambda a, b: a @ b,
    "soft_cap": lambda x: 15 * torch.tanh(x / 15),
    "qr": lambda a: torch.linalg.qr(a),
}


def worked(request):
    """Milliseconds of a call, over batches of calls; each goes to the next copy of the first array."""
    work, calls = WORK[request["work"]], request["calls"]
    first, *rest = (arrays[name] for name in request["args"])
    copies = [first.clone() for _ in range(request["copies"])]

    def batch():
        for i in range(calls):
            work(copies[i % len(copies)], *rest)

    return [ms / calls for ms in times(batch, request["count"])]


if __name__ == "__main__":
    serve(hello, draw, array, free, ivf, timed, result, worked)
