"""How long a stage lasts, and whole numbers behind a key, such as ``e350`` and ``seed7``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from plasticity.core.errors import shown
from plasticity.runs.bounds import MOST_EPOCHS, MOST_STEPS
from plasticity.runs.grammar import SpellingError

Unit = Literal["e", "i", "till"]


@dataclass(frozen=True)
class Length:
    """How long a stage lasts, by the clock that its learning rate and its batches follow.

    ``e350`` is 350 epochs and ``i500`` 500 steps, from a clock that begins anew. ``till160`` goes
    on from where the clock of the stage before stood, to the end of epoch 160: with a stage of
    ``i500`` before, the two together are as long as ``e160``.
    """

    unit: Unit
    number: int

    @classmethod
    def parse(cls, text: str) -> Length:
        """The length that `text` spells; raises `SpellingError`."""
        found = re.match("e|i|till", text)
        if not found:
            raise SpellingError(
                f"length {shown(text)}: expected e<epochs>, i<updates>, or till<epochs> to go on "
                "from the stage before; such as e350"
            )
        unit: Unit = next(one for one in get_args(Unit) if one == found[0])
        most = MOST_STEPS if unit == "i" else MOST_EPOCHS
        return cls(unit, counted("length", unit, text, at_least=1, at_most=most))

    @property
    def epochs(self) -> int | None:
        """The epochs on the clock at its end, or None where it is told in steps."""
        return None if self.unit == "i" else self.number

    def __str__(self) -> str:
        return f"{self.unit}{self.number}"


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
