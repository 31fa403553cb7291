"""The noise of gradients and the path of the weights in the first iterations of a stage.

The stage is trained again to the same bits, as telemetry does, and looked at on the way, on probe
batches that stay the same: what differs between two iterations is the network. They are seen as
they are, without augmentation; methods add nothing to their loss. What is estimated and how is in
`plasticity.measures.noise` and `plasticity.measures.path`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from plasticity.core import tables
from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.measures import noise, path
from plasticity.measures.estimates import Estimate, jackknife, mean
from plasticity.measures.noise import Gradients
from plasticity.measures.rows import Examples, in_a_row, norm, trainable
from plasticity.models import generators, masks
from plasticity.observe.telemetry import iterations, reached, require_steps
from plasticity.runs.cadence import Cadence
from plasticity.training.batches import shuffled
from plasticity.training.examples import Batch
from plasticity.training.hardware import Log
from plasticity.training.loop import TrainState
from plasticity.training.stages import Stage

NONE = math.nan
"""Where there is no value or no error."""

LEAST = 4
"""Batches of a group without which the estimates are not all there."""

SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("iteration", pa.int64(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("quantity", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("error", pa.float64()),
    ]
)
"""A row for each iteration, group of examples and quantity, with its standard error if known.

What is of the weights alone has no group. There is no value where there is none to be had: of a
preconditioner before the first step, or of a turn before the second.
"""


@dataclass(frozen=True)
class Measured:
    """What a quantity of the table is: its unit, and by what it is estimated."""

    unit: str
    estimator: str


SQUARED, THROUGH_ADAM = "nats^2 / weight^2", "weight^2 at a rate of 1"

QUANTITIES = {
    "loss": Measured("nats", "mean over the batches, training mode"),
    "noise_trace": Measured(SQUARED, "noise.trace"),
    "squared_gradient": Measured(SQUARED, "noise.squared_norm"),
    "noise_scale": Measured("examples", "noise.noise_scale, jackknife"),
    "largest_eigenvalue_above": Measured(SQUARED, "noise.largest_eigenvalue_above"),
    "largest_eigenvalue_below": Measured(SQUARED, "noise.largest_eigenvalue_below"),
    "preconditioned_noise_trace": Measured(THROUGH_ADAM, "noise.trace, noise.adam_scale"),
    "preconditioned_squared_gradient": Measured(
        THROUGH_ADAM, "noise.squared_norm, noise.adam_scale"
    ),
    "tail_index": Measured("1", "noise.tail_index of one batch less the mean of all"),
    "update_norm": Measured("weight", "path.Path"),
    "turn": Measured("radian", "path.Path"),
    "path_length": Measured("weight", "path.Path"),
    "distance": Measured("weight", "path.Path"),
    "heading": Measured("cosine", "path.Path, to the end of the run"),
    "effective_rate": Measured("1 / weight^2", "path.effective_rate, a layer"),
}
"""All that is measured. An effective rate is followed by ``/`` and the name of its layer."""


def parted(selected: Tensor, earlier: Tensor) -> dict[str, Tensor]:
    """Groups of the examples `selected`, int64 [n]: ``all``, and by whether they were ``seen``.

    `earlier` are the examples of the stages before, int64 [m]; the others are ``new``. A group
    without examples is left out.
    """
    seen = torch.isin(selected, earlier)
    groups = {"all": selected, "seen": selected[seen], "new": selected[~seen]}
    return {name: indices for name, indices in groups.items() if len(indices)}


def observe(
    stage: Stage,
    cadence: Cadence,
    groups: Mapping[str, Tensor],
    batches: int,
    log: Log,
    final: Mapping[str, Tensor] | None = None,
    diverged: int | None = None,
    ended: int | None = None,
) -> pa.Table:
    """Train `stage`, freshly prepared, for the first iterations and measure as `cadence` says.

    `groups` are indices of training examples, int64 [n] each, of which so many `batches` of the
    stage's size are drawn once, disjoint, by the seed and the group's name. `final`, `diverged`
    and `ended` are as for telemetry, and so is where it stops. Each observation takes a pass
    forward and backward a batch and group, and the memory of as many gradients. Raises `UserError`
    where there are too few examples or iterations.
    """
    run, began = stage.run, time.perf_counter()
    require_steps(stage, cadence)
    probes = {name: _probes(stage, name, indices, batches) for name, indices in groups.items()}
    observed = reached(stage, cadence, diverged, ended)
    weights = trainable(stage.train_state.network)
    end = None
    if final is not None:
        end = in_a_row([final[name].to(stage.device) for name in weights])
    way = path.Path(in_a_row(weights.values()))
    rows: list[dict[str, Any]] = []
    # Every step, because turns and the length of the path are made of single ones.
    for iteration in iterations(stage, range(max(observed, default=-1) + 1)):
        if iteration > 0:
            way.move(in_a_row(weights.values()))
        if iteration not in observed:
            continue
        found: list[tuple[str | None, str, Estimate]] = [
            (None, name, Estimate(value, NONE)) for name, value in _of_path(stage, way, end)
        ]
        for group, examples in probes.items():
            found += [(group, *one) for one in _of_gradients(stage.train_state, examples)]
        rows += [
            {
                "run": str(run),
                "seed": run.seed,
                "iteration": iteration,
                "group": group,
                "quantity": name,
                "value": _or_none(estimate.value),
                "error": _or_none(estimate.error),
            }
            for group, name, estimate in found
        ]
    log(
        f"observed {len(observed)} of {cadence.iterations:,} iterations on {batches} batches of "
        f"{', '.join(groups)} in {time.perf_counter() - began:.1f} s"
    )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _probes(stage: Stage, name: str, indices: Tensor, batches: int) -> list[Examples]:
    """The probe batches of the group `name`."""
    drawn = shuffled(indices, stage.order.batch, torch_generator(stage.run.seed, "noise", name))
    if not LEAST <= batches <= len(drawn):
        raise UserError(
            f"batches: {batches} of {stage.order.batch} examples asked for, but {name} has "
            f"{len(indices):,} examples, which make {len(drawn)}; expected {LEAST} to as many"
        )
    return [
        stage.train.batch(Batch(each.to(stage.device), on_host=each)) for each in drawn[:batches]
    ]


def _of_path(stage: Stage, way: path.Path, end: Tensor | None) -> Iterator[tuple[str, float]]:
    """What is measured of the weights alone, by name; not a number where there is nothing."""
    heading = None if end is None else way.heading(end)
    yield "update_norm", NONE if way.update is None else float(norm(way.update))
    yield "turn", NONE if way.turn is None else float(way.turn)
    yield "path_length", float(way.length)
    yield "distance", float(way.distance)
    yield "heading", NONE if heading is None else float(heading)
    network, optimiser = stage.train_state.network, stage.train_state.optimiser
    rates = {
        id(weight): float(group["lr"])
        for group in optimiser.param_groups
        for weight in group["params"]
        if "lr" in group
    }
    for name in masks.prunable(network):
        weight = network.get_parameter(name)
        if id(weight) in rates:
            yield f"effective_rate/{name}", path.effective_rate(rates[id(weight)], weight)


def _of_gradients(
    train_state: TrainState, examples: Sequence[Examples]
) -> Iterator[tuple[str, Estimate]]:
    """What is measured of gradients on the batches of `examples`, by name."""
    network, device = train_state.network, examples[0][0].device
    with generators.kept(device), train_state.autocast(device):
        found = noise.batch_gradients(network, examples)
    mask = _mask(train_state)
    if mask is not None:
        found.rows.mul_(mask)
    gram, batch = noise.gram(found.rows), found.batch
    yield "loss", mean(found.losses.tolist())
    yield "noise_trace", jackknife(gram, lambda part: noise.trace(part, batch))
    yield "squared_gradient", jackknife(gram, noise.squared_norm)
    yield "noise_scale", jackknife(gram, lambda part: noise.noise_scale(part, batch))
    above, below = noise.largest_eigenvalue_above, noise.largest_eigenvalue_below
    yield "largest_eigenvalue_above", Estimate(above(gram, batch), NONE)
    yield "largest_eigenvalue_below", Estimate(below(gram, batch), NONE)
    scale = _adam_scale(network, train_state.optimiser)
    seen = None if scale is None else noise.gram(found.rows, scale)
    for name, statistic in (
        ("noise_trace", lambda part: noise.trace(part, batch)),
        ("squared_gradient", noise.squared_norm),
    ):
        none = Estimate(NONE, NONE)
        yield f"preconditioned_{name}", none if seen is None else jackknife(seen, statistic)
    yield "tail_index", Estimate(_tail_index(found), NONE)


def _tail_index(found: Gradients) -> float:
    return noise.tail_index(found.rows[0] - found.rows.mean(dim=0))


def _mask(train_state: TrainState) -> Tensor | None:
    """Zeros where weights of a sub-network were pruned, [n], or None for the whole network."""
    if not train_state.masks:
        return None
    known = {id(weight): mask for weight, mask in train_state.masks}
    weights = trainable(train_state.network).values()
    return in_a_row([known.get(id(weight), torch.ones_like(weight)) for weight in weights])


def _adam_scale(network: nn.Module, optimiser: Optimizer) -> Tensor | None:
    """What Adam or AdamW multiplies each gradient by, [n]; None for others and before a step."""
    if not isinstance(optimiser, Adam):
        return None
    scales = {}
    for group in optimiser.param_groups:
        for weight in group["params"]:
            state = optimiser.state.get(weight)
            if not state:
                return None
            second, steps = [state["exp_avg_sq"]], int(state["step"])
            scales[id(weight)] = noise.adam_scale(second, steps, group["betas"][1], group["eps"])
    return torch.cat([scales[id(weight)] for weight in trainable(network).values()])


# On disk


def write(file: str | Path, table: pa.Table, about: Mapping[str, Any]) -> None:
    """Write `table` with `about` (the run and its circumstances) as metadata.

    Unit and estimator of each quantity go there too, as ``quantities``.
    """
    measured = {name: vars(one) for name, one in QUANTITIES.items()}
    tables.write(file, table, SCHEMA, {**about, "quantities": measured})


def read(file: str | Path) -> tuple[pa.Table, dict[str, Any]]:
    """The table in `file` and what it says about its run; raises `UserError`."""
    return tables.read(file, SCHEMA, "noise file", "delete it and run again to make it anew")
