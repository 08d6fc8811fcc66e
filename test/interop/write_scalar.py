"""Writes scalar-quantized indexes with faiss, and what faiss makes of them, into the directory given.

For each index NAME.faiss: NAME.npy are queries, NAME.codes.npy their codes as sa_encode has them,
NAME.decoded.npy what these stand for, NAME.D.npy and NAME.I.npy what a search finds, and of a search
within NAME.radius.npy its NAME.lims.npy and NAME.within.npy (labels). NAME.train.npy are the vectors that
it was trained with, and all of these but the first 25 were added.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
n, nq, k = 500, 25, 10

SQ = faiss.ScalarQuantizer
types = {
    "8bit": SQ.QT_8bit,
    "4bit": SQ.QT_4bit,
    "8bituniform": SQ.QT_8bit_uniform,
    "4bituniform": SQ.QT_4bit_uniform,
    "fp16": SQ.QT_fp16,
    "8bitdirect": SQ.QT_8bit_direct,
    "6bit": SQ.QT_6bit,
    "bf16": SQ.QT_bf16,
    "8bitdirectsigned": SQ.QT_8bit_direct_signed,
}
metrics = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}


def save(name, index, x, removed=False):
    queries = x[:nq]
    index.train(x)
    index.add(x[nq:])
    if removed:
        index.remove_ids(np.arange(0, n, 3))
    faiss.write_index(index, f"{directory}/{name}.faiss")
    codes = index.sa_encode(queries)
    distances, labels = index.search(queries, k)
    radius = np.median(distances[:, k // 2])
    lims, _, within = index.range_search(queries, float(radius))
    arrays = {
        "codes": codes,
        "decoded": index.sa_decode(codes),
        "train": x,
        "D": distances,
        "I": labels,
        "radius": radius,
        "lims": lims,
        "within": within,
    }
    np.save(f"{directory}/{name}.npy", queries)
    for suffix, array in arrays.items():
        np.save(f"{directory}/{name}.{suffix}.npy", array)


def vectors(kind, d):
    x = rng.standard_normal((n + nq, d)) * 40
    # Integers, which those types are for; also those that lie at the ends.
    if kind == "8bitdirect":
        x = np.clip(np.floor(x + 128), 0, 255)
    elif kind == "8bitdirectsigned":
        x = np.clip(np.floor(x), -128, 127)
    else:
        # Columns of other ranges and places; one that is the same everywhere.
        x = x * rng.random(d) + rng.standard_normal(d) * 20
        x[:, d // 2] = 3.5
    return x.astype("float32")


def ivf(index):
    index.cp.min_points_per_centroid = 1
    index.nprobe = 3
    return index


for metric_name, metric in metrics.items():
    for kind, qtype in types.items():
        for d in [1, 6, 16, 19, 40]:
            name = f"{metric_name}_{kind}_{d}"
            save(f"flat_{name}", faiss.IndexScalarQuantizer(d, qtype, metric), vectors(kind, d))
            if d == 16:
                for by_residual in [True, False]:
                    # Residuals of integers are not what these types are for: faiss's casts are undefined there.
                    if by_residual and "direct" in kind:
                        continue
                    quantizer = faiss.IndexFlat(d, metric)
                    index = faiss.IndexIVFScalarQuantizer(quantizer, d, 8, qtype, metric, by_residual)
                    save(f"ivf{'' if by_residual else 'plain'}_{name}", ivf(index), vectors(kind, d))
    for token in ["SQ8", "SQ4", "SQ6", "SQfp16", "SQbf16"]:
        save(f"factory_{metric_name}_{token}", faiss.index_factory(12, token, metric), vectors("", 12), removed=True)
        index = ivf(faiss.index_factory(12, f"IVF4,{token}", metric))
        save(f"factoryivf_{metric_name}_{token}", index, vectors("", 12), removed=True)

# Ranges found in other ways. faiss leaves the first row out of columns; so it is all zeros.
for stat, name, arg in [
    (SQ.RS_minmax, "minmax", 0.1),
    (SQ.RS_meanstd, "meanstd", 2.0),
    (SQ.RS_quantiles, "quantiles", 0.05),
    (SQ.RS_optim, "optim", 0.0),
]:
    for kind in ["8bit", "4bituniform", "6bit"]:
        index = faiss.IndexScalarQuantizer(8, types[kind])
        index.sq.rangestat = stat
        index.sq.rangestat_arg = arg
        x = vectors("", 8)
        if name == "optim":
            x[:, 4] = x[:, 3] * 2 + 1  # not one number everywhere: faiss finds NaN
        x[0] = 0
        save(f"range_{name}_{kind}", index, x)

faiss.write_index(faiss.index_factory(16, "SQ8"), f"{directory}/untrained.faiss")
faiss.write_index(faiss.index_factory(16, "IVF8,SQ4"), f"{directory}/untrainedivf.faiss")
faiss.write_index(faiss.index_factory(16, "IVF8,SQfp16"), f"{directory}/untrainedhalves.faiss")
index = faiss.index_factory(16, "SQtqmse4")
index.train(vectors("", 16))
faiss.write_index(index, f"{directory}/later.faiss")
