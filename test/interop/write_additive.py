"""Writes additive-quantized indexes with faiss, and what faiss makes of them, into the directory given.

For each index NAME.faiss: NAME.codes.npy are the codes of the queries NAME.npy as sa_encode has them,
NAME.decoded.npy what they stand for, NAME.D.npy and NAME.I.npy what a search finds, and of a search within
NAME.radius.npy its NAME.lims.npy and NAME.within.npy (labels): unless faiss's compares by what codes stand for,
where its own search goes by the norms in them.
"""

import sys

import faiss
import numpy as np

directory = sys.argv[1]
rng = np.random.default_rng(1)
n, nq, k = 900, 60, 10
metrics = {"L2": faiss.METRIC_L2, "IP": faiss.METRIC_INNER_PRODUCT}


def quantizers(aq):
    if isinstance(aq, faiss.ProductAdditiveQuantizer):
        return [faiss.downcast_Quantizer(aq.subquantizer(i)) for i in range(aq.nsplits)]
    return [aq]


def additive(index):
    for name in ["rq", "lsq", "prq", "plsq"]:
        if hasattr(index, name):
            return getattr(index, name)


def save(name, made, x, removed=False):
    # What the factory made stays alive beside its downcast.
    index = faiss.downcast_index(made)
    queries = x[:nq]
    for aq in quantizers(additive(index)):
        if isinstance(aq, faiss.ResidualQuantizer):
            aq.cp.niter = 3
            aq.cp.min_points_per_centroid = 1
        else:
            aq.train_iters = 3
    if hasattr(index, "cp"):
        index.cp.min_points_per_centroid = 1
    index.train(x)
    index.add(x[nq:])
    if removed:
        index.remove_ids(np.arange(0, n, 3))
    faiss.write_index(index, f"{directory}/{name}.faiss")
    codes = index.sa_encode(queries)
    distances, labels = index.search(queries, k)
    arrays = {"codes": codes, "decoded": index.sa_decode(codes), "D": distances, "I": labels}
    decompresses = additive(index).search_type == faiss.AdditiveQuantizer.ST_decompress
    if hasattr(index, "nlist") or index.metric_type == faiss.METRIC_INNER_PRODUCT or decompresses:
        radius = np.median(distances[:, k // 2])
        lims, _, within = index.range_search(queries, float(radius))
        arrays.update({"radius": radius, "lims": lims, "within": within})
    np.save(f"{directory}/{name}.npy", queries)
    for suffix, array in arrays.items():
        np.save(f"{directory}/{name}.{suffix}.npy", array)


def vectors(d, offset=0.0):
    return (rng.standard_normal((n + nq, d)) + offset).astype("float32")


norms = ["", "_Nnone", "_Nfloat", "_Nqint8", "_Nqint4", "_Ncqint8", "_Ncqint4", "_Nlsq2x4", "_Nrq2x4"]
kinds = ["RQ4x5", "LSQ3x4", "PRQ2x2x5", "PLSQ2x2x4"]
for metric_name, metric in metrics.items():
    for kind in kinds:
        for norm in norms:
            for list in ["", "IVF8,"]:
                index = faiss.index_factory(12, f"{list}{kind}{norm}", metric)
                if list:
                    index.nprobe = 3
                name = f"{'ivf' if list else 'flat'}_{metric_name}_{kind}{norm}"
                save(name, index, vectors(12, 1.0 if list else 0.0), removed=norm == "_Nqint8")
    # Codebooks of several sizes, over bytes, and one of more than a byte.
    for shape in ["RQ1x9_2x3_1x6_Nqint8", "RQ3x1_1x7_Nfloat", "RQ5x8", "RQ2x8_Nnone", "PRQ5x1x6_Nqint4"]:
        d = 40 if shape == "RQ5x8" else 15
        save(f"shape_{metric_name}_{shape}", faiss.index_factory(d, shape, metric), vectors(d))
    # Far from the origin, where products lose what tells vectors apart.
    index = faiss.index_factory(8, "IVF4,RQ3x5_Nfloat", metric)
    index.nprobe = 2
    save(f"far_{metric_name}_RQ3x5_Nfloat", index, vectors(8, 30.0))
    quantizer = faiss.IndexFlat(10, metric)
    index = faiss.IndexIVFResidualQuantizer(quantizer, 10, 5, 3, 4, metric, faiss.AdditiveQuantizer.ST_norm_qint8)
    index.by_residual = False
    index.nprobe = 5
    save(f"plain_{metric_name}_RQ3x4_Nqint8", index, vectors(10))
    index = faiss.IndexResidualQuantizer(10, 3, 4, metric, faiss.AdditiveQuantizer.ST_norm_from_LUT)
    save(f"lut_{metric_name}_RQ3x4", index, vectors(10))
index = faiss.IndexResidualQuantizer(10, 4, 4)
index.rq.max_beam_size = 12
index.rq.train_type = faiss.ResidualQuantizer.Train_default
save("beam_L2_RQ4x4", index, vectors(10))
