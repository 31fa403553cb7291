"""Labels of data of one's own: numbers that count the classes, or their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plasticity.core.errors import UserError, shown


def are_names(labels: np.ndarray) -> bool:
    """Whether `labels` are text."""
    return labels.dtype.kind in "UO"


def counted(
    train: np.ndarray, test: np.ndarray, names: Sequence[str] | None, where: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels that count the classes from 0, of both parts, and what the classes are called.

    `train` and `test`, [n], are whole numbers or text. Numbers stay as they are; the classes are
    called by `names`, or else by their numbers. Text is the name of a class: they are in the order
    of `names` where all are among these, and else in that of the alphabet. Numbers that count from
    1, without `names`, become such that count from 0. Raises `UserError`, with `where` the labels
    are, for names that training lacks and numbers below 0.
    """
    if are_names(train) != are_names(test):
        words = ["text" if are_names(labels) else "numbers" for labels in (train, test)]
        raise UserError(
            f"{where}: the train labels are {words[0]} and the test labels {words[1]}; expected "
            "one kind"
        )
    if not are_names(train):
        both = np.unique(np.concatenate([train, test]))
        least, largest = (int(both[0]), int(both[-1])) if len(both) else (0, 0)
        if least < 0:
            raise UserError(
                f"{where}: the labels go down to {least}; expected numbers from 0 (-1 may stand "
                "for none: name a part that has labels, such as test: validation)"
            )
        if least == 1 and len(both) == largest and not names:
            return train - 1, test - 1, [*map(str, both)]
        return train, test, list(names or map(str, range(largest + 1)))
    classes = sorted({*map(str, train)})
    if names and {*classes} <= {*names}:
        classes = list(names)
    numbers = {name: number for number, name in enumerate(classes)}
    if lacking := sorted({*map(str, test)} - {*classes}):
        raise UserError(
            f"{where}: the test examples have the label {shown(lacking[0])}, which no training "
            "example has; spell the labels of both parts alike, or leave these examples out"
        )
    train, test = (
        np.array([numbers[str(label)] for label in labels], np.int64) for labels in (train, test)
    )
    return train, test, classes
