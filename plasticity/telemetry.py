"""What happens to the weights in the first iterations of a stage.

Training is deterministic: a job trains the first iterations of a run again, to the same bits, and
measures on the way. What the run ended with is known by then and serves as a reference.

To measure something else, add one function of a `Sight`, decorated with `quantity`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from plasticity import tables, tickets
from plasticity.cadence import Cadence
from plasticity.engine import Batch, Part, evaluate, set_rate, train_on
from plasticity.errors import UserError
from plasticity.hardware import Log
from plasticity.stages import Stage
from plasticity.streams import torch_generator

TRACES = 10
"""How many single weights are followed."""

TRACE = "trace/"
"""What the quantity of a single weight begins with; its layer and its place in there follow."""

SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("iteration", pa.int64(), nullable=False),
        pa.field("quantity", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""A row for each iteration that was looked at and each quantity; null where there is none."""


# What


@dataclass(frozen=True)
class Sight:
    """What there is to measure at one iteration.

    `weights`, `gradient`, `initial` and `final`, float64 [n], hold all prunable weights in a row,
    of which those removed by pruning are zeros. `gradient` is that of the mean loss of the batch
    just trained on, without weight decay: None at the beginning. `final` is None where it is not
    known. `tested` are the sums of loss, hits and examples over the test set, float64 [3], or None
    where it was left out. All are on the device. In float64, because after one update the cosine to
    the beginning differs from 1 by less than float32 can tell.
    """

    weights: Tensor
    gradient: Tensor | None
    initial: Tensor
    final: Tensor | None
    tested: Tensor | None


Measure = Callable[[Sight], Tensor | None]


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
    """

    def declare(measure: Measure) -> Measure:
        QUANTITIES[measure.__name__] = Quantity(unit, measure.__doc__ or "", measure)
        return measure

    return declare


@quantity("weight")
def weight_magnitude(sight: Sight) -> Tensor:
    """The mean magnitude of all weights, removed ones included: see `nonzero_share`."""
    return _mean_magnitude(sight.weights)


@quantity("share")
def nonzero_share(sight: Sight) -> Tensor:
    """The share of weights that are not zero: means over all divided by it are over survivors."""
    return sight.weights.count_nonzero().double() / len(sight.weights)


@quantity("share")
def sign_change_share(sight: Sight) -> Tensor:
    """The share of all weights whose sign is the opposite of the initial one.

    Zero has no sign: neither a weight that is zero now nor one that began as zero counts, and so
    none that was removed by pruning.
    """
    return (sight.weights * sight.initial < 0).count_nonzero().double() / len(sight.weights)


@quantity("loss per weight")
def gradient_magnitude(sight: Sight) -> Tensor | None:
    """The mean magnitude of the gradient's entries, those of removed weights included."""
    return None if sight.gradient is None else _mean_magnitude(sight.gradient)


@quantity("loss per weight")
def gradient_norm(sight: Sight) -> Tensor | None:
    """The L2 norm of the gradient."""
    return None if sight.gradient is None else _norm(sight.gradient)


@quantity("weight")
def distance_to_initial(sight: Sight) -> Tensor:
    """The L2 distance to the weights at the beginning of the stage."""
    return _norm(sight.weights - sight.initial)


@quantity("cosine")
def cosine_to_initial(sight: Sight) -> Tensor:
    """The cosine of the angle to the weights at the beginning of the stage."""
    return _cosine(sight.weights, sight.initial)


@quantity("weight")
def distance_to_final(sight: Sight) -> Tensor | None:
    """The L2 distance to the weights at the end of the run."""
    return None if sight.final is None else _norm(sight.weights - sight.final)


@quantity("cosine")
def cosine_to_final(sight: Sight) -> Tensor | None:
    """The cosine of the angle to the weights at the end of the run."""
    return None if sight.final is None else _cosine(sight.weights, sight.final)


@quantity("nats")
def test_loss(sight: Sight) -> Tensor | None:
    """The mean cross-entropy over the test set, in evaluation mode."""
    return None if sight.tested is None else sight.tested[0] / sight.tested[2]


@quantity("share")
def test_accuracy(sight: Sight) -> Tensor | None:
    """The share of the test set that is classified right, in evaluation mode."""
    return None if sight.tested is None else sight.tested[1] / sight.tested[2]


def _mean_magnitude(values: Tensor) -> Tensor:
    return _norm(values, order=1) / len(values)


def _norm(values: Tensor, order: int = 2) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values, ord=order)
    return norm


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return one.dot(other) / (_norm(one) * _norm(other))


# Of which weights


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    """The weights of convolutions and linear layers by name, from the input to the output.

    Biases and normalisation are left out.
    """
    return {name: network.get_parameter(name) for name in tickets.prunable(network)}


def draw_traces(
    weights: Mapping[str, Tensor], count: int, generator: torch.Generator
) -> list[tuple[str, int]]:
    """`count` single weights, each as the name of its layer and its place in there.

    They are spread evenly over the layers, the first and the last included; places count in the
    order of the indices. Within a layer the draw is uniform, but weights that are zero, as pruning
    leaves them, come last: a pruned network and the dense one of the same seed thus follow the same
    weights wherever these survive.
    """
    names = list(weights)
    step = (len(names) - 1) / max(count - 1, 1)
    chosen = [names[round(number * step)] for number in range(count)]
    traces = []
    for name in dict.fromkeys(chosen):
        order = torch.randperm(weights[name].numel(), generator=generator)
        alive = weights[name].detach().cpu().reshape(-1)[order] != 0
        places = torch.cat([order[alive], order[~alive]])[: chosen.count(name)]
        traces += [(name, place) for place in places.tolist()]
    return traces


class Observer:
    """Measures a network on its device; nothing waits for the device before `table` is asked for.

    `initial` and `final` are states of the network, of which the prunable weights are used; `final`
    is None where it is not known. `traces` are single weights, as `draw_traces` gives them, and
    `observations` is how often `observe` is going to be called. Raises `UserError` where a state
    lacks a weight of the network.
    """

    def __init__(
        self,
        network: nn.Module,
        initial: Mapping[str, Tensor],
        final: Mapping[str, Tensor] | None,
        traces: Sequence[tuple[str, int]],
        observations: int,
    ) -> None:
        self._weights = parameters_of(network)
        device = next(iter(self._weights.values())).device
        self._initial = self._row_of(initial, "initial", device)
        self._final = None if final is None else self._row_of(final, "final", device)
        sizes = [weight.numel() for weight in self._weights.values()]
        starts = dict(zip(self._weights, accumulate(sizes, initial=0), strict=False))
        places = [starts[name] + place for name, place in traces]
        self._traced = torch.tensor(places, dtype=torch.int64, device=device)
        self._names = [*QUANTITIES, *(f"{TRACE}{name}[{place}]" for name, place in traces)]
        shape = (observations, len(self._names))
        self._values = torch.zeros(shape, dtype=torch.float64, device=device)
        self._iterations: list[int] = []
        self._measured: list[list[bool]] = []

    def _row_of(self, state: Mapping[str, Tensor], what: str, device: torch.device) -> Tensor:
        """A copy of the prunable weights of `state` in a row, float64 [n]."""
        for name, weight in self._weights.items():
            if name not in state or state[name].shape != weight.shape:
                raise UserError(
                    f"the {what} weights have no {name} of shape {list(weight.shape)}; "
                    "give those of the same run"
                )
        return _in_a_row([state[name].to(device) for name in self._weights])

    @torch.no_grad()
    def observe(self, iteration: int, tested: Tensor | None = None) -> None:
        """Measure the network as it is after so many updates, and the gradient of the last one.

        `tested` are the sums of loss, hits and examples of an evaluation, where there was one.
        """
        weights = list(self._weights.values())
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        sight = Sight(
            weights=_in_a_row(weights),
            gradient=_in_a_row(gradients) if len(gradients) == len(weights) else None,
            initial=self._initial,
            final=self._final,
            tested=tested,
        )
        values = [each.measure(sight) for each in QUANTITIES.values()]
        row = self._values[len(self._iterations)]
        row[: len(values)] = torch.stack([row[0] if v is None else v for v in values])
        row[len(values) :] = sight.weights[self._traced]
        self._iterations.append(iteration)
        self._measured.append([v is not None for v in values] + [True] * len(self._traced))

    def table(self, run: str, seed: int) -> pa.Table:
        """All that was measured, as `SCHEMA` says; waits for the device."""
        rows = zip(self._values.tolist(), self._measured, strict=False)
        values = [
            value if measured else None
            for row in rows
            for value, measured in zip(*row, strict=True)
        ]
        columns = {
            "run": [run] * len(values),
            "seed": [seed] * len(values),
            "iteration": [i for i in self._iterations for _ in self._names],
            "quantity": self._names * len(self._iterations),
            "value": values,
        }
        return pa.table(columns, schema=SCHEMA)


def _in_a_row(tensors: Sequence[Tensor]) -> Tensor:
    """A copy of all entries in the order of the indices, however they lie in memory: float64."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).double()


# The job


def observe(
    stage: Stage, final: Mapping[str, Tensor] | None, cadence: Cadence, log: Log
) -> pa.Table:
    """Train `stage`, freshly prepared, for the first iterations and measure as `cadence` says.

    `final` is the state of the network at the end of the run, where it is known. The network ends
    with the bits that it has after as many updates of the real training. Raises `UserError` where
    the stage has fewer.
    """
    run, network, began = stage.run, stage.trainee.network, time.perf_counter()
    if (updates := stage.clock.end - stage.clock.begin) < cadence.iterations:
        raise UserError(
            f"iterations: {cadence.iterations:,} asked for, but stage '{run.stage}' of run {run} "
            f"has {updates:,}; observe fewer of them or a longer stage"
        )
    weights = parameters_of(network)
    traces = draw_traces(weights, TRACES, torch_generator(run.seed, "traces"))
    observed, evaluated = cadence.observed(), set(cadence.evaluated())
    observer = Observer(network, weights, final, traces, len(observed))
    for iteration in iterations(stage, observed):
        tested = evaluate(stage.trainee, stage.test) if iteration in evaluated else None
        observer.observe(iteration, tested)
        if tested is not None:
            log(f"iteration {iteration:>{len(str(cadence.iterations))}}/{cadence.iterations}")
    table = observer.table(str(run), run.seed)
    log(
        f"observed {len(observed)} of {cadence.iterations:,} iterations, {len(evaluated)} of them "
        f"with an evaluation, in {time.perf_counter() - began:.1f} s"
    )
    return table


def iterations(stage: Stage, stops: Sequence[int]) -> Iterator[int]:
    """Train `stage` from its beginning and give each of `stops`, which rise, once it is reached.

    Stops count the updates of the stage itself. The only place here that knows how a stage is
    trained: epoch after epoch, like `training.train`, where what happens between two epochs leaves
    the weights alone.
    """
    clock, done = stage.clock, 0
    part = Part.begin(stage.device)
    batches: Iterator[Batch] = iter(())
    for stop in stops:
        while True:
            before = part.batches
            train_on(stage.trainee, stage.train, islice(batches, stop - done), part)
            done += part.batches - before
            if done == stop:
                break
            part = Part.begin(stage.device)
            set_rate(stage.trainee.optimiser, stage.rate(clock.begin + done))
            batches = stage.batches(clock.begin + done)
        yield stop


# On disk


def write(path: str | Path, table: pa.Table, about: Mapping[str, Any]) -> None:
    """Write `table` with `about` (the run and its circumstances) as metadata."""
    tables.write(path, table, SCHEMA, about)


def read(path: str | Path) -> tuple[pa.Table, dict[str, Any]]:
    """The table in `path` and what it says about its run; raises `UserError`."""
    return tables.read(path, SCHEMA, "telemetry")
