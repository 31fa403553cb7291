"""Prepared data sets on disk: uint8 images, int64 labels and a header, as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from plasticity.core import tensors
from plasticity.core.tensors import TensorFile
from plasticity.data.raw import RawData

CONSTANT = 0.001
"""The standard deviation below which a channel counts as constant: a quarter of a level."""

ADVICE = "delete it and run again to prepare it anew"


@dataclass(frozen=True)
class Header:
    """What a prepared file says about the data set as a whole.

    `mean` and `deviation` are those of each channel over the training images, in 0 .. 1;
    `checksum` is a SHA-256 over the images and labels of both parts. `files` are those of the
    source, by name, with their checksums (see `plasticity.data.origin`); None where that was not
    recorded. `components` are the digests of the code that prepared them.
    """

    name: str
    source: str
    checksum: str
    classes: list[str]
    mean: list[float]
    deviation: list[float]
    files: dict[str, str] | None = None
    components: Mapping[str, str] = field(default_factory=dict)

    @property
    def constant_channels(self) -> list[int]:
        """The channels whose deviation is set to 1, as they are constant."""
        return [index for index, value in enumerate(self.deviation) if value == 1.0]


@dataclass(frozen=True)
class DataPart:
    """The training, test or validation part: images uint8 [n, c, h, w], labels int64 [n]."""

    images: np.ndarray
    labels: np.ndarray
    header: Header


def write(
    data: RawData,
    name: str,
    train: str | Path,
    test: str | Path,
    files: dict[str, str] | None = None,
    components: Mapping[str, str] = MappingProxyType({}),
) -> Header:
    """Write both parts of `data`, made from `files` by the code in `components`, as `name`.

    What is held out for validation stands in the file of the test part: neither is trained on.
    """
    parts = {
        Path(train): {"images": data.train_images, "labels": data.train_labels},
        Path(test): {"images": data.test_images, "labels": data.test_labels},
    }
    if data.validation_images is not None and data.validation_labels is not None:
        parts[Path(test)] |= {
            "validation_images": data.validation_images,
            "validation_labels": data.validation_labels,
        }
    mean, deviation = channel_statistics(data.train_images)
    header = Header(
        name=name,
        source=data.source,
        checksum=tensors.checksum(None, *parts.values()),
        classes=data.classes,
        mean=mean.tolist(),
        deviation=deviation.tolist(),
        files=files,
        components=dict(components),
    )
    for path, arrays in parts.items():
        contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        # Each file has a checksum of its own besides, so that one part can be verified without the
        # other.
        tensors.write(path, contiguous, {"header": asdict(header)})
    return header


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, float64 [channels], on a scale of 0 .. 1.

    The deviation of a channel that is constant, or as good as, is 1: it carries nothing, and
    dividing by next to nothing would make any other value huge.
    """
    # A uint8 image has 256 levels: counting them is exact and needs no copy in floating point.
    counts = np.stack([np.bincount(c.ravel(), minlength=256) for c in images.swapaxes(0, 1)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    levels = np.arange(256) / 255.0
    mean = shares @ levels
    # A difference of squares, which for a constant channel rounding may push below 0.
    deviation = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0.0))
    return mean, np.where(deviation < CONSTANT, 1.0, deviation)


def read(path: str | Path) -> DataPart:
    """The prepared part in `path`; raises `UserError` where it is not one or is damaged."""
    return read_evaluated(path)[0]


def read_evaluated(path: str | Path) -> tuple[DataPart, DataPart | None]:
    """The part in `path`, and what is held out for validation beside it; raises as `read`."""
    with _opened(path) as file:
        arrays, header = file.all(), Header(**file.header["header"])
        part = DataPart(arrays["images"], arrays["labels"], header)
        if "validation_labels" not in arrays:
            return part, None
        held_out = arrays["validation_images"], arrays["validation_labels"]
        return part, DataPart(held_out[0], held_out[1], header)


def read_raw(train: str | Path, test: str | Path) -> RawData:
    """Both prepared parts as one data set, to make a variant of."""
    first, second = read(train), read(test)
    return RawData(
        train_images=first.images,
        train_labels=first.labels,
        test_images=second.images,
        test_labels=second.labels,
        classes=first.header.classes,
        source=first.header.source,
    )


def read_labels(path: str | Path) -> tuple[np.ndarray, Header]:
    """The labels, int64 [n], and the header of `path`, without reading its images."""
    with _opened(path) as file:
        return file.some(["labels"])["labels"], Header(**file.header["header"])


def made_by(path: str | Path) -> Mapping[str, str]:
    """The digests of the code that prepared the data set in `path`; raises `UserError`."""
    with _opened(path) as file:
        return Header(**file.header["header"]).components


def _opened(path: str | Path) -> AbstractContextManager[TensorFile]:
    return tensors.opened(path, "data set", ADVICE, "np")
