"""Kinds of value in a configuration, each checked with a message, and what they stand in."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

from plasticity.core.errors import shown
from plasticity.runs import extensions
from plasticity.runs.bounds import LARGEST, LONGEST_NAME, LONGEST_RUN, MOST_EPOCHS


class Section(BaseModel):
    """Keys of a configuration, all of them known, whose values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def about(description: str, default: Any = ..., **limits: Any) -> Any:
    """A setting with its `description`, of which documentation and editors are told."""
    return Field(default, description=description, **limits)


FIGURES = Path(__file__).parents[1] / "analysis" / "figures"


def _distinct(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("is empty; expected at least one value")
    met = set()
    for value in values:
        if value in met:
            raise ValueError(f"holds {shown(value)} twice; remove one")
        met.add(value)
    return values


def _spellable(values: list[Any]) -> list[Any]:
    """Values of a grid that a path can hold; what they mean there shows when they are filled in."""
    for value in values:
        if isinstance(value, str):
            _template(value)
        elif not -LARGEST <= value <= LARGEST:  # also what is no number
            raise ValueError(f"holds {shown(value)}; expected numbers of at most 18 digits")
    return values


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", value):
        raise ValueError(
            f"got {shown(value)}; expected a lower-case letter, then letters, digits, '_' or '-'"
        )
    if len(value) > LONGEST_NAME:
        raise ValueError(
            f"got {shown(value)}; expected at most {LONGEST_NAME} characters: "
            "folders and files get this name"
        )
    return value


def _text(value: str) -> str:
    """A text that can be drawn and written into a page."""
    strange = [letter for letter in value if _is_strange(letter) and letter not in "\n\t"]
    if strange:
        raise ValueError(f"holds the character {strange[0]!r}, which cannot be drawn; remove it")
    return value


def _is_strange(letter: str) -> bool:
    """Whether `letter` is a control character or half of one: no page and no path holds these."""
    return unicodedata.category(letter) in ("Cc", "Cs") or letter in "\ufffe\uffff"


def _template(value: str) -> str:
    if len(value) > LONGEST_RUN:
        raise ValueError(f"got {shown(value)}; expected at most {LONGEST_RUN} characters")
    return value


def _place(value: str) -> str:
    """The path of a file or folder on this machine, which need not be there."""
    # Limits of Linux, in bytes: 255 for a name, 4,095 for a path.
    strange = not value or any(map(_is_strange, value))
    if strange or len(value.encode()) > 4095 or max(map(len, value.encode().split(b"/"))) > 255:
        raise ValueError(f"got {shown(value)}; expected the path of a file or folder")
    return value


def drawings() -> list[str]:
    """The modules of `plasticity.analysis.figures` that draw."""
    return sorted({path.stem for path in FIGURES.glob("*.py")} - {"__init__", "style"})


def _drawing(value: str) -> str:
    """A module of `plasticity.analysis.figures` that draws, or a function of an extension."""
    if "." in value:
        extensions.function(value)
        return value
    if value not in drawings():
        raise ValueError(
            f"got {shown(value)}; expected one of {', '.join(drawings())}, or a function of an "
            "extension, such as ours.picture"
        )
    return value


Name = Annotated[StrictStr, AfterValidator(_name)]
Text = Annotated[StrictStr, AfterValidator(_text)]
Template = Annotated[StrictStr, AfterValidator(_template)]
Place = Annotated[StrictStr, AfterValidator(_place)]
Seeds = Annotated[list[Annotated[StrictInt, Field(ge=0, le=LARGEST)]], AfterValidator(_distinct)]
GridValues = Annotated[
    list[StrictInt | StrictFloat | StrictStr], AfterValidator(_spellable), AfterValidator(_distinct)
]
Keep = Literal["all", "rungs", "results"]
# An image in a quarter of an hour, to a thousand times the fastest device: hours stay numbers.
Throughput = Annotated[StrictFloat, Field(ge=0.001, le=1e12, allow_inf_nan=False)]
Epochs = Annotated[StrictInt, Field(ge=1, le=MOST_EPOCHS)]
Drawing = Annotated[StrictStr, AfterValidator(_drawing)]
Distinct = AfterValidator(_distinct)
