"""A data set that a configuration declares: where it is, and how it is to be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Reader = Literal["images", "parquet", "arrays"]
"""What reads a data set, by the key that names its place."""


@dataclass(frozen=True)
class OwnData:
    """The data set `name`, which `reader` reads from `place`.

    The rest is as `plasticity.study.datasets.DatasetSettings` describes it: the columns of images
    and labels, the parts to train and to test on, height and width in pixels, channels, and the
    order of an array's axes; None where that is found by itself.
    """

    name: str
    reader: Reader
    place: str
    image: str | None = None
    label: str | None = None
    train: str | None = None
    test: str | None = None
    resize: tuple[int, int] | None = None
    channels: int | None = None
    axes: str | None = None
    section: str = "datasets"

    @classmethod
    def of(cls, name: str, entry: Mapping[str, Any]) -> OwnData:
        """That of `entry`, which is right, under ``datasets`` in a configuration."""
        reader: Reader = next(kind for kind in get_args(Reader) if entry.get(kind) is not None)
        options = {key: value for key, value in entry.items() if key not in get_args(Reader)}
        if options.get("resize") is not None:
            options["resize"] = size_of(options["resize"])
        return cls(name, reader, expanded(str(entry[reader])), **options)

    @classmethod
    def recorded(cls, fields: Mapping[str, Any]) -> OwnData:
        """That whose `fields` were kept as JSON, which has lists only."""
        resize = fields.get("resize")
        return cls(**{**fields, "resize": tuple(resize) if resize else None})

    @property
    def key(self) -> str:
        """The key of the configuration that names it."""
        return f"{self.section}.{self.name}"

    @property
    def source(self) -> Path:
        """Its file or folder."""
        return Path(self.place)

    @property
    def one_size(self) -> str:
        """What to do about images of several sizes."""
        if self.section != "datasets":
            return "expected one size"
        return f"bring all to one size, such as {self.key}.resize: 32"

    @property
    def options(self) -> dict[str, Any]:
        """What is said of how to read it, which is all that its content depends on but files."""
        found = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: value for key, value in found.items() if key not in _PLACES}


_PLACES = ("name", "place", "section")
"""What says where a data set is and not how it is read."""


def expanded(place: str) -> str:
    """`place` with `~` and variables such as `$HOME` expanded."""
    # Not `Path.expanduser`, which raises where there is no such home.
    return os.path.expanduser(os.path.expandvars(place))  # noqa: PTH111


def size_of(value: object) -> tuple[int, int]:
    """Height and width of the `value` of ``resize``: pixels a side, or both.

    Raises `ValueError` for anything else. Snakemake gives numbers as text where ``--config`` nests.
    """
    sides = value if isinstance(value, list | tuple) else [value, value]
    numbers = [int(str(one)) for one in sides if str(one).isdecimal() and not isinstance(one, bool)]
    if (
        len(numbers) != len(sides)
        or len(sides) != 2
        or not (min(numbers) >= 1 and max(numbers) <= LARGEST_SIDE)
    ):
        raise ValueError(
            "expected pixels a side, such as 32, or [height, width], "
            f"each in 1 to {LARGEST_SIDE}, got {value!r}"
        )
    return numbers[0], numbers[1]


LARGEST_SIDE = 4096
"""Pixels a side beyond which nothing is resized: the networks here are for small images."""
