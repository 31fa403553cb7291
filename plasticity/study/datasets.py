"""Data sets of one's own in a configuration: what can be said of one, and how it becomes a word."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from plasticity.core.errors import UserError
from plasticity.runs import datasets as words
from plasticity.runs.own_data import OwnData, Reader, size_of
from plasticity.study.explain import explain
from plasticity.study.fields import Name, Place, Text

Size = Annotated[
    tuple[int, int] | None,
    BeforeValidator(lambda value: value if value is None else size_of(value)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
                {"type": "null"},
            ]
        }
    ),
]

ONLY = {"image": ("parquet", "arrays"), "label": ("parquet", "arrays"), "axes": ("arrays",)}
ONLY["channels"] = ("images", "parquet")
"""Options that not all readers have."""


class DatasetSettings(BaseModel):
    """A data set of one's own: where it is, and what of it cannot be found out by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Place | None = Field(
        None,
        description="A folder of images: train/ and test/ (or val/), in each a folder a class.",
    )
    parquet: Place | None = Field(
        None, description="A folder of parquet files with encoded images, in the hub's layouts."
    )
    arrays: Place | None = Field(
        None,
        description="An npz file, or a folder of npy files: images and labels of both parts, such "
        "as x_train, y_train, x_test, y_test.",
    )
    image: Text | None = Field(
        None, description="The column of images, or the name of their arrays without the part."
    )
    label: Text | None = Field(
        None, description="The column of labels, such as coarse_label; or the name of their arrays."
    )
    train: Text | None = Field(None, description="The part to train on: train, where left out.")
    test: Text | None = Field(
        None,
        description="The part to evaluate, such as validation; test, or else validation, where "
        "left out.",
    )
    resize: Size = Field(
        None,
        description="Pixels a side, or [height, width], that every image is brought to: bilinear, "
        "with antialiasing; proportions may change.",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="How images are decoded: 3 as colour, where left out, or 1 as grey."
    )
    axes: Literal["nchw", "nhwc"] | None = Field(
        None, description="Whether the channels of arrays come first or last, where both may be."
    )

    @model_validator(mode="after")
    def _one_place(self) -> DatasetSettings:
        kinds = [kind for kind in get_args(Reader) if getattr(self, kind) is not None]
        if len(kinds) != 1:
            there = f"{' and '.join(kinds)} are given" if kinds else "none is given"
            raise ValueError(f"expected one of {', '.join(get_args(Reader))}; {there}")
        for key, readers in ONLY.items():
            if getattr(self, key) is not None and kinds[0] not in readers:
                raise ValueError(f"{key} is of no use with {kinds[0]}; remove it")
        return self


class _Declared(BaseModel):
    """The one section of a configuration, of which the others need not be right."""

    datasets: dict[Name, DatasetSettings] = Field(default_factory=dict)


def use(config: Mapping[str, Any], *, renew: bool = True) -> None:
    """Make the data sets that `config` declares words of paths, and no others of this kind.

    Only where `renew` is true are their sources looked at. Raises `UserError`.
    """
    if not config.get("datasets") and not any(
        member.facts.own for member in words.members.values()
    ):
        return
    try:
        found = _Declared.model_validate({"datasets": config.get("datasets") or {}})
    except ValidationError as error:
        raise UserError(explain(error, {"": _Declared, "datasets": DatasetSettings})) from None
    entries = {name: one.model_dump(exclude_none=True) for name, one in found.datasets.items()}
    # What reads data stands above this package, and is found by its name, as words are.
    readers = import_module("plasticity.data.declared")
    readers.use([OwnData.of(name, one) for name, one in entries.items()], renew=renew)
