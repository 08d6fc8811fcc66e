"""Reads the files in the directory given with faiss and numpy.

For each NAME.faiss, what faiss finds goes to NAME.D.npy and NAME.I.npy, and the bytes
that faiss itself would write to NAME.again. A file whose name starts with "refused" has
to be refused. Each dtype_*.npy has to be what numpy.save would write.
"""

import io
import pathlib
import sys

import faiss
import numpy as np

directory = pathlib.Path(sys.argv[1])
queries = np.load(directory / "queries.npy")

for path in sorted(directory.glob("*.faiss")):
    try:
        index = faiss.read_index(str(path))
    except RuntimeError:
        assert path.name.startswith("refused"), path
        continue
    assert not path.name.startswith("refused"), path
    faiss.write_index(index, str(path.with_suffix(".again")))
    if not index.is_trained:
        continue
    distances, labels = index.search(queries, 10)
    np.save(path.with_suffix(".D.npy"), distances)
    np.save(path.with_suffix(".I.npy"), labels)

for path in sorted(directory.glob("dtype_*.npy")):
    array = np.load(path)
    assert array.dtype.str[1:] == path.stem.split("_")[1], (path, array.dtype)
    expected = io.BytesIO()
    np.save(expected, array)
    assert path.read_bytes() == expected.getvalue(), path
