"""How long a stage lasts, and whole numbers behind a key, such as ``e350`` and ``seed7``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from plasticity.core.errors import shown
from plasticity.runs.bounds import MOST_EPOCHS, MOST_STEPS
from plasticity.runs.grammar import SpellingError
from plasticity.runs.values import Number

Unit = Literal["e", "i", "till", "until"]

PERCENT = Number(above=0, at_most=100)


@dataclass(frozen=True)
class Length:
    """How long a stage lasts, by the clock that its learning rate and its batches follow.

    ``e350`` is 350 epochs and ``i500`` 500 steps, from a clock that begins anew. ``till160`` goes
    on from where the clock of the stage before stood, to the end of epoch 160: with a stage of
    ``i500`` before, the two together are as long as ``e160``. ``until99x350`` ends after the first
    epoch in which the training accuracy is at least 99 `percent`, or after 350.
    """

    unit: Unit
    number: int
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Length:
        """The length that `text` spells; raises `SpellingError`."""
        found = re.match("e|i|till|until", text)
        if not found:
            raise SpellingError(
                f"length {shown(text)}: expected e<epochs>, i<updates>, till<epochs> to go on "
                "from the stage before, or until<percent>x<epochs> to stop at a training accuracy; "
                "such as e350"
            )
        if found[0] == "until":
            return cls._until(text)
        unit: Unit = next(one for one in get_args(Unit) if one == found[0])
        most = MOST_STEPS if unit == "i" else MOST_EPOCHS
        return cls(unit, counted("length", unit, text, at_least=1, at_most=most))

    @classmethod
    def _until(cls, text: str) -> Length:
        found = re.fullmatch(rf"until({Number.pattern})x(.*)", text)
        if not found:
            raise SpellingError(
                f"length {shown(text)}: expected until<percent>x<epochs>, such as until99x350: "
                "until a training accuracy over an epoch, at most so many epochs"
            )
        try:
            percent = PERCENT.check(PERCENT.read(found[1]))
        except ValueError as error:
            raise SpellingError(f"length {shown(text)}: percent: {error}") from None
        # Its own key, so that messages on a wrong number of epochs show where it stands.
        key = f"until{found[1]}x"
        number = counted("length", key, text, at_least=1, at_most=MOST_EPOCHS)
        length = cls("until", number, percent)
        if str(length) != text:
            raise SpellingError(f"length {shown(text)} is spelt {str(length)!r}")
        return length

    @property
    def epochs(self) -> int | None:
        """The most epochs on the clock at its end, or None where it is told in steps."""
        return None if self.unit == "i" else self.number

    def __str__(self) -> str:
        target = "" if self.percent is None else f"{PERCENT.write(self.percent)}x"
        return f"{self.unit}{target}{self.number}"


def counted(kind: str, key: str, text: str, *, at_least: int, at_most: int) -> int:
    """The number in `text`, which is `key` and a whole number in its one spelling."""
    found = re.fullmatch(re.escape(key) + r"([+-]?\d{1,18})", text)
    if not found or not at_least <= int(found[1]) <= at_most:
        low = found and int(found[1]) < at_least
        # The upper bound is far from what anybody asks for: only who meets it is told of it.
        upper = f" and at most {at_most}" if not low and text[len(key) :].isdigit() else ""
        raise SpellingError(
            f"{kind} {shown(text)}: expected {key}<number>, "
            f"a whole number of at least {at_least}{upper}"
        )
    if found[1] != str(int(found[1])):
        raise SpellingError(f"{kind} {shown(text)} is spelt '{key}{int(found[1])}'")
    return int(found[1])
