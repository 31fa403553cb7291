"""Which parts of a data set of one's own are trained and tested on, by how they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plasticity.core.errors import UserError
from plasticity.runs.own_data import OwnData

WORDS = {
    "train": ("train", "training", "tr"),
    "test": ("test", "testing", "te"),
    "validation": ("validation", "val", "valid", "dev", "eval"),
}
"""How the parts of data sets are called, by what they are."""


def part_of(word: str) -> str | None:
    """What the part that is called `word` is: ``train``, ``test``, ``validation`` or None."""
    return next((part for part, words in WORDS.items() if word.lower() in words), None)


@dataclass(frozen=True)
class Parts:
    """The names of the parts to train and to test on, and what is to be said of their choice."""

    train: str
    test: str
    notes: tuple[str, ...] = ()

    @property
    def both(self) -> tuple[str, str]:
        """Both, in this order."""
        return self.train, self.test


def choose(found: Iterable[str], wanted: OwnData, where: str, expected: str) -> Parts:
    """Which of the parts that were `found` are those that are `wanted`.

    Where none is named these are what is called ``train``, and ``test`` or else ``validation``.
    Raises `UserError`, with `where` they were looked for and what was `expected`, for one that is
    not there or not certain.
    """
    names = sorted(found)
    train = _called(names, wanted.train or "train")
    test = _called(names, wanted.test) if wanted.test else []
    notes = []
    if not wanted.test:
        test = _called(names, "test")
        if not test and (test := _called(names, "validation")):
            notes.append(f"there is no test part: {test[0]} is tested on")
    for key, there, word in (("train", train, wanted.train), ("test", test, wanted.test)):
        if len(there) == 1:
            continue
        asked = f"{wanted.key}.{key}: {word}: " if word else f"{wanted.key}: "
        listed = ", ".join(there or names) or "nothing"
        what = "several could be meant" if there else f"there is no {word or key} part"
        own = wanted.section == "datasets"
        advice = f"; name one, as {wanted.key}.{key}" if own and names else ""
        raise UserError(f"{asked}{where}: {what} among {listed}; expected {expected}{advice}")
    if train == test:
        raise UserError(f"{wanted.key}: {where}: {train[0]} is both trained and tested on")
    left = [name for name in names if part_of(name) and name not in (*train, *test)]
    notes += [f"the part {name} is not used" for name in left]
    return Parts(train[0], test[0], tuple(notes))


def _called(names: Sequence[str], word: str) -> list[str]:
    """Those of `names` that are `word`, in this spelling or in another one of the same part."""
    exact = [name for name in names if name == word]
    alike = [name for name in names if name.lower() == word.lower()]
    kind = part_of(word)
    return exact or alike or [name for name in names if kind and part_of(name) == kind]
