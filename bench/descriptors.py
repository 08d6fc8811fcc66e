"""Writes SIFT descriptors of the photographs that scikit-image and scikit-learn ship: DIRECTORY/base.f32 and
DIRECTORY/queries.f32, both n x 128 float32, with as many rows of the base as the second argument says.

Queries are those of photographs that the base has none of, as in SIFT1M. Every photograph is also seen at
other sizes and turned, so that there are enough.
"""

import importlib.util
import pathlib
import sys

import cv2
import numpy as np

# Photographs; not drawings, text and masks, of which descriptors are few and alike.
BASE = {
    "skimage": "data/{astronaut,brick,camera,chelsea,coffee,coins,grass,gravel,ihc,moon,motorcycle_left,"
    "retina,hubble_deep_field,cell}",
    "sklearn": "datasets/images/china",
}
QUERIES = {"skimage": "data/rocket", "sklearn": "datasets/images/flower"}
SIZES = (1.0, 0.75, 1.4)
TURNS = (0, 30)
CONTRAST = 0.005


def photographs(table):
    """Paths of the images, found without importing the packages, which need others."""
    for package, pattern in table.items():
        root = pathlib.Path(importlib.util.find_spec(package).origin).parent
        folder, _, names = pattern.rpartition("/")
        for name in names.strip("{}").split(","):
            yield next(root.joinpath(folder).glob(f"{name}.*"))


def descriptors(path):
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    sift = cv2.SIFT_create(contrastThreshold=CONTRAST, edgeThreshold=20)
    for size in SIZES:
        for turn in TURNS:
            height, width = image.shape
            matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0) * size
            seen = cv2.warpAffine(
                image, matrix, (int(width * size), int(height * size)), borderMode=cv2.BORDER_REFLECT
            )
            found = sift.detectAndCompute(seen, None)[1]
            if found is not None:
                yield found


def write(path, table, most):
    """At most so many rows, in a random order, each once."""
    rows = np.vstack([found for image in photographs(table) for found in descriptors(image)])
    rows = np.unique(rows, axis=0)
    np.random.default_rng(1).shuffle(rows)
    rows[:most].astype("<f4").tofile(path)
    return min(most, len(rows))


if __name__ == "__main__":
    directory, most = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    cv2.setNumThreads(1)
    queries = write(directory / "queries.f32", QUERIES, 10_000)
    print(queries, write(directory / "base.f32", BASE, most))
