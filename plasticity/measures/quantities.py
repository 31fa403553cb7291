"""What is measured of the weights in the first steps: one function a quantity.

To measure something else, declare a function of a `Snapshot` in an extension, decorated with
`quantity`: it is at once in the table of observations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plasticity.runs import declarations
from plasticity.runs.declarations import QUANTITY, Declaration

if TYPE_CHECKING:
    from torch import Tensor

TRACES = 10
"""How many single weights are followed."""

TRACE = "trace/"
"""What the quantity of a single weight begins with; its layer and its place in there follow."""


@dataclass(frozen=True)
class Snapshot:
    """What there is to measure at one iteration.

    `weights`, `gradient`, `initial` and `final`, float64 [n], hold all prunable weights in a row,
    of which those removed by pruning are zeros. `gradient` is that of the mean loss of the batch
    just trained on, without weight decay and masked like the weights, as the optimiser was given
    it: None at the beginning. `final` is None where it is not known. `tested` are sums over the
    test set, float64 [4], which begin with those of loss, correct answers and examples, or None
    where it was left out. All are on the device. In float64, because after one step the cosine to
    the beginning differs from 1 by less than float32 can tell.
    """

    weights: Tensor
    gradient: Tensor | None
    initial: Tensor
    final: Tensor | None
    tested: Tensor | None


Measure = Callable[[Snapshot], "Tensor | None"]


@dataclass(frozen=True)
class Quantity:
    """Something measured: a number on the device, or None where there is none at that iteration."""

    unit: str
    description: str
    measure: Measure


QUANTITIES: dict[str, Quantity] = {}
"""All that is measured, by name, besides the single weights."""


def quantity(unit: str) -> Callable[[Measure], Measure]:
    """Declare a quantity: the name of the function is its name, the docstring its description.

    The function must not wait for the device: no `item`, no `tolist`, no comparison in Python.
    Raises `ValueError` where the docstring is missing, or another quantity has that name.
    """

    def declare(measure: Measure) -> Measure:
        name = measure.__name__
        if not measure.__doc__:
            raise ValueError(f"{QUANTITY} {name} has no docstring")
        one = Quantity(unit, measure.__doc__, measure)
        declarations.declare(
            Declaration(QUANTITY, name, measure, lambda: _add(name, one), lambda: _remove(name))
        )
        return measure

    return declare


def _add(name: str, one: Quantity) -> None:
    if name in QUANTITIES:
        raise declarations.twice(QUANTITY, name, one.measure, QUANTITIES[name].measure)
    QUANTITIES[name] = one


def _remove(name: str) -> None:
    del QUANTITIES[name]


@quantity("weight")
def weight_magnitude(snapshot: Snapshot) -> Tensor:
    """The mean magnitude of all weights, removed ones included: see `nonzero_share`."""
    return _mean_magnitude(snapshot.weights)


@quantity("share")
def nonzero_share(snapshot: Snapshot) -> Tensor:
    """The fraction of weights not zero: means over all divided by it are over survivors."""
    return snapshot.weights.count_nonzero().double() / len(snapshot.weights)


@quantity("share")
def sign_change_share(snapshot: Snapshot) -> Tensor:
    """The fraction of all weights whose sign is the opposite of the initial one.

    Zero has no sign: neither a weight that is zero now nor one that began as zero counts, and so
    none that was removed by pruning.
    """
    return (snapshot.weights * snapshot.initial < 0).count_nonzero().double() / len(
        snapshot.weights
    )


@quantity("loss per weight")
def gradient_magnitude(snapshot: Snapshot) -> Tensor | None:
    """The mean magnitude of the gradient's entries; those of removed weights count as 0."""
    return None if snapshot.gradient is None else _mean_magnitude(snapshot.gradient)


@quantity("loss per weight")
def gradient_norm(snapshot: Snapshot) -> Tensor | None:
    """The L2 norm of the gradient; entries of removed weights are 0."""
    return None if snapshot.gradient is None else _norm(snapshot.gradient)


@quantity("weight")
def distance_to_initial(snapshot: Snapshot) -> Tensor:
    """The L2 distance to the weights at the beginning of the stage."""
    return _norm(snapshot.weights - snapshot.initial)


@quantity("cosine")
def cosine_to_initial(snapshot: Snapshot) -> Tensor:
    """The cosine of the angle to the weights at the beginning of the stage."""
    return _cosine(snapshot.weights, snapshot.initial)


@quantity("weight")
def distance_to_final(snapshot: Snapshot) -> Tensor | None:
    """The L2 distance to the weights at the end of the run."""
    return None if snapshot.final is None else _norm(snapshot.weights - snapshot.final)


@quantity("cosine")
def cosine_to_final(snapshot: Snapshot) -> Tensor | None:
    """The cosine of the angle to the weights at the end of the run."""
    return None if snapshot.final is None else _cosine(snapshot.weights, snapshot.final)


@quantity("nats")
def test_loss(snapshot: Snapshot) -> Tensor | None:
    """The mean cross-entropy over the test set, in evaluation mode."""
    return None if snapshot.tested is None else snapshot.tested[0] / snapshot.tested[2]


@quantity("share")
def test_accuracy(snapshot: Snapshot) -> Tensor | None:
    """The fraction of the test set that is classified right, in evaluation mode.

    Not a number where the loss is none: what is classified then is always the first class.
    """
    tested = snapshot.tested
    return None if tested is None else tested[1] / tested[2] + 0 * tested[0]


def _mean_magnitude(values: Tensor) -> Tensor:
    return _norm(values, order=1) / len(values)


def _norm(values: Tensor, order: int = 2) -> Tensor:
    import torch

    norm: Tensor = torch.linalg.vector_norm(values, ord=order)
    return norm


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return one.dot(other) / (_norm(one) * _norm(other))
