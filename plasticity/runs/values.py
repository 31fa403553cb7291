"""Kinds of value that an option in a path can take, each with exactly one spelling.

A kind reads generously (``1e-3``, ``0.0010``) and writes strictly (``0.001``), so that whoever
compares the two can refuse a second spelling and name the right one.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from plasticity.core.errors import shown
from plasticity.runs.bounds import LARGEST

Value = int | float | str | tuple[int, ...]


class Missing:
    """The type of `REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = Missing()
"""The default of an option that has none and must be spelt."""


class ValueKind(Protocol):
    """How one option is read, checked and written."""

    @property
    def default(self) -> Value | Missing | None: ...

    @property
    def pattern(self) -> str:
        """A regular expression without groups for everything that `read` may be given."""
        ...

    def read(self, text: str) -> Value:
        """The value that `text` spells, before any check of its bounds."""
        ...

    def check(self, value: object) -> Value:
        """`value` itself, or a `ValueError` that says what was expected instead."""
        ...

    def write(self, value: Value) -> str:
        """The one spelling of `value`."""
        ...


def decimal(value: float) -> str:
    """The shortest decimal that reads back as `value`, without an exponent: 0.00001, 0.1, 2."""
    digits = format(Decimal(repr(float(value) + 0.0)), "f")  # + 0.0 turns -0.0 into 0.0
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


@dataclass(frozen=True)
class Number:
    """A finite real number within bounds."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    default: float | Missing | None = REQUIRED

    # The point stands within the optional group: a run of digits has one way to match.
    pattern = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"

    def read(self, text: str) -> float:
        return float(text)

    def check(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"expected {self}, got {describe(value)}")
        try:
            number = float(value) + 0.0
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or not all(
            (
                self.above is None or value > self.above,
                self.at_least is None or value >= self.at_least,
                self.below is None or value < self.below,
                self.at_most is None or value <= self.at_most,
            )
        ):
            raise ValueError(f"expected {self}, got {shown(value)}")
        return number

    def write(self, value: Value) -> str:
        assert isinstance(value, int | float)
        return decimal(value)

    def __str__(self) -> str:
        bounds = {
            "above": self.above,
            "of at least": self.at_least,
            "below": self.below,
            "of at most": self.at_most,
        }
        said = [f"{word} {decimal(bound)}" for word, bound in bounds.items() if bound is not None]
        return "a number " + " and ".join(said) if said else "a number"


@dataclass(frozen=True)
class Integer:
    """A whole number within bounds.

    `limit` is far from what anybody asks for: messages do not speak of it unless it is met.
    """

    at_least: int = 0
    at_most: int | None = None
    limit: int = LARGEST
    default: int | Missing | None = REQUIRED

    pattern = r"[+-]?\d{1,18}"

    def read(self, text: str) -> int:
        return int(text)

    def check(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected {self}, got {describe(value)}")
        if value < self.at_least or (self.at_most is not None and value > self.at_most):
            raise ValueError(f"expected {self}, got {shown(value)}")
        if value > self.limit:
            raise ValueError(f"expected {self} and at most {self.limit}, got {shown(value)}")
        return value

    def write(self, value: Value) -> str:
        return str(value)

    def __str__(self) -> str:
        upper = f" and at most {self.at_most}" if self.at_most is not None else ""
        return f"a whole number of at least {self.at_least}{upper}"


@dataclass(frozen=True)
class Ascending:
    """A set of whole numbers, written in ascending order with `separator` between them.

    It may be empty where the default is ``()``, which is never written.
    """

    at_least: int = 0
    separator: str = "+"
    default: tuple[int, ...] | Missing | None = REQUIRED

    @property
    def pattern(self) -> str:
        return rf"\d{{1,18}}(?:{re.escape(self.separator)}\d{{1,18}})*"

    def read(self, text: str) -> tuple[int, ...]:
        return tuple(sorted({int(part) for part in text.split(self.separator)}))

    def check(self, value: object) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or (not value and self.default != ()):
            raise ValueError(f"expected {self}, got {describe(value)}")
        numbers = [Integer(at_least=self.at_least).check(number) for number in value]
        return tuple(sorted(set(numbers)))

    def write(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return self.separator.join(str(number) for number in value)

    def __str__(self) -> str:
        return f"whole numbers of at least {self.at_least} joined by {self.separator!r}"


@dataclass(frozen=True)
class Word:
    """One of some words in lower-case letters."""

    words: tuple[str, ...]
    default: str | Missing | None = REQUIRED
    alone: bool = False
    """Whether only `words` are read as it, where the word itself tells which option it is of."""

    @property
    def pattern(self) -> str:
        # Any word matches, so that one that is not among them is refused in a message with all.
        return "|".join(self.words) if self.alone else "[A-Za-z]+"

    def __post_init__(self) -> None:
        unreadable = [word for word in self.words if not re.fullmatch("[a-z]+", word)]
        if unreadable:
            raise ValueError(f"expected words in lower-case letters, got {unreadable[0]!r}")

    def read(self, text: str) -> str:
        return text.lower()

    def check(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"expected {self}, got {describe(value)}")
        return value

    def write(self, value: Value) -> str:
        assert isinstance(value, str)
        return value

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


def describe(value: object) -> str:
    """`value` as a reader of YAML would name it, with a hint where YAML is known to surprise."""
    if isinstance(value, str):
        hint = ""
        if re.fullmatch(Number.pattern, value) and math.isfinite(float(value)):
            hint = (
                f", which was not read as a number: write {decimal(float(value))} in a "
                "configuration file (YAML takes 1e-3 for text, Snakemake all that --config nests)"
            )
        return f"the text {shown(value)}{hint}"
    if isinstance(value, datetime.date):  # YAML takes 2020-01-01 for one
        return f"the date {value}"
    return shown(value)
