"""Data of one's own, as people bring it: folders, parquet files and arrays that a test makes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from plasticity.data import declared
from plasticity.runs.own_data import OwnData


def pictures(count, seed=0, shape=(6, 6, 3)):
    """Random images, uint8 [count, *shape]."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def write(path, image):
    """`image` as a file, of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def folder(place, parts=(("train", 6), ("test", 4)), classes=("ant", "bee"), shape=(6, 6, 3)):
    """An image folder, with so many images of each class in each of the `parts`."""
    for seed, (part, count) in enumerate(parts):
        for number, name in enumerate(classes):
            for index, image in enumerate(pictures(count, 10 * seed + number, shape)):
                write(place / part / name / f"{index}.png", image)
    return place


def parquet(path, count=4, seed=0, labels=None, shape=(6, 6, 3), **columns):
    """A parquet file of encoded images and their labels."""
    cells = []
    for image in pictures(count, seed, shape):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    labels = labels if labels is not None else [row % 2 for row in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or {"label": labels}
    pq.write_table(pa.table({"image": cells, **columns}), path)
    return path


def declare(reader, place: Path, **options) -> OwnData:
    """What a configuration declares as `own`."""
    return OwnData.of("own", {reader: str(place), **options})


def read(wanted):
    """The data set that is `wanted`, and the numbers that a scan finds, which must be its own."""
    reader = declared.reader_of(wanted)
    data, scan = reader.read(wanted), reader.scan(wanted)
    found = (len(data.train_labels), len(data.test_labels), len(data.classes))
    assert (scan.train, scan.test, scan.classes) == found
    assert (scan.channels, scan.height, scan.width) == data.train_images.shape[1:]
    return data
