"""What decorators declare, such as a word of a registry: where, and how it is taken back."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

LIBRARY = f"{Path(__file__).parents[1]}{os.sep}"

QUANTITY = "quantity"
"""The kind of what telemetry measures; all others are those of registries."""


@dataclass(frozen=True, eq=False)
class Declaration:
    """What a decorated `function` is declared as: the `name` of a `kind`, such as an optimiser.

    `add` makes it known, and raises `ValueError` where something else of that name is; `remove`
    takes it back. `file` is that which declares it; the function may be written in another.
    """

    kind: str
    name: str
    function: Callable[..., Any]
    add: Callable[[], None]
    remove: Callable[[], None]
    file: str = ""


made: list[Declaration] = []
"""All that was declared, in order, whether or not it was taken back since then."""


def declare(declaration: Declaration) -> None:
    """Make `declaration` known; raises `ValueError`."""
    declaration.add()
    made.append(replace(declaration, file=_caller()))


def _caller() -> str:
    """The nearest file outside of the library whose code is at work; empty if there is none."""
    frame = sys._getframe()
    while frame and frame.f_code.co_filename.startswith(LIBRARY):
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_code.co_filename if frame else ""


def place_of(function: Callable[..., Any]) -> str:
    """The file and line in which `function` is written."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else f"module {function.__module__}"


def twice(kind: str, name: str, one: Callable[..., Any], other: Callable[..., Any]) -> ValueError:
    """The error where two functions declare the same `name`."""
    return ValueError(
        f"{kind} {name} is declared twice: {place_of(one)} and {place_of(other)}; rename one"
    )
