"""How many examples of a data set a smaller variant of it trains on, and how many it holds out."""

from __future__ import annotations

from plasticity.core.errors import UserError
from plasticity.runs.facts import DatasetFacts
from plasticity.runs.registry import Term


def sizes_of(dataset: Term[DatasetFacts], there: int) -> tuple[int, int]:
    """How many of the training examples that are `there` are trained on, and how many held out.

    Raises `UserError` where there are too few.
    """
    wanted, held = dataset.options["examples"], dataset.options["validation"] or 0
    if held >= there or (wanted or 0) + held > there:
        raise UserError(too_many_examples(dataset, there))
    return wanted or there - held, held


def too_many_examples(dataset: Term[DatasetFacts], there: int) -> str:
    """The message for a variant of more training examples than are `there`."""
    parts = [f"-{key}" for key, one in (("n", "examples"), ("v", "validation"))
             if dataset.options[one]]  # fmt: skip
    return (
        f"data set {dataset}: there are only {there} training examples; ask for fewer with "
        f"{' and '.join(parts)}"
    )
