"""What happens to the weights in the first iterations of a stage.

Training is deterministic: a job trains the first iterations of a run again, to the same bits, and
measures on the way. What the run ended with is known by then and serves as a reference.
What is measured are the functions of `plasticity.measures.quantities`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from plasticity.core import files, tables
from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.measures.quantities import QUANTITIES, TRACE, TRACES, Snapshot
from plasticity.models import masks
from plasticity.observe.final_states import final_state
from plasticity.runs import Run
from plasticity.runs.cadence import Cadence
from plasticity.runs.provenance import Code
from plasticity.training.examples import Batch
from plasticity.training.explained import explained
from plasticity.training.hardware import Hardware, Log
from plasticity.training.loop import EpochProgress, evaluate, train_on
from plasticity.training.stages import Inputs, Stage, describe, prepare

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


# Of which weights


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    """The weights of convolutions, linear layers and attention, by name, in the network's order.

    Biases and normalisation are left out.
    """
    return {name: network.get_parameter(name) for name in masks.prunable(network)}


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
        """Measure the network as it is after so many steps, and the gradient of the last one.

        `tested` are the sums of loss, correct answers and examples of an evaluation, where there
        was one.
        """
        weights = list(self._weights.values())
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        snapshot = Snapshot(
            weights=_in_a_row(weights),
            gradient=_in_a_row(gradients) if len(gradients) == len(weights) else None,
            initial=self._initial,
            final=self._final,
            tested=tested,
        )
        values = [each.measure(snapshot) for each in QUANTITIES.values()]
        row = self._values[len(self._iterations)]
        row[: len(values)] = torch.stack([row[0] if v is None else v for v in values])
        row[len(values) :] = snapshot.weights[self._traced]
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
    stage: Stage,
    final: Mapping[str, Tensor] | None,
    cadence: Cadence,
    log: Log,
    diverged: int | None = None,
    ended: int | None = None,
) -> pa.Table:
    """Train `stage`, freshly prepared, for the first iterations and measure as `cadence` says.

    `final` is the state of the network at the end of the run, where it is known. The network ends
    with the bits that it has after as many steps of the real training. It stops before the step at
    which that `diverged`, on the clock, where it did, and after that at which it `ended`, where it
    stopped early. Raises `UserError` where the stage has fewer.
    """
    run, network, began = stage.run, stage.train_state.network, time.perf_counter()
    require_steps(stage, cadence)
    masks.require_prunable(network)
    weights = parameters_of(network)
    traces = draw_traces(weights, TRACES, torch_generator(run.seed, "traces"))
    observed = reached(stage, cadence, diverged, ended)
    evaluated = set(observed).intersection(cadence.evaluated())
    observer = Observer(network, weights, final, traces, len(observed))
    for iteration in iterations(stage, observed):
        tested = evaluate(stage.train_state, stage.test) if iteration in evaluated else None
        observer.observe(iteration, tested)
        if tested is not None:
            log(f"iteration {iteration:>{len(str(cadence.iterations))}}/{cadence.iterations}")
    table = observer.table(str(run), run.seed)
    if diverged is not None:
        log(f"the run diverged at step {diverged}: not observed from there on")
    log(
        f"observed {len(observed)} of {cadence.iterations:,} iterations, {len(evaluated)} of them "
        f"with an evaluation, in {time.perf_counter() - began:.1f} s"
    )
    return table


def require_steps(stage: Stage, cadence: Cadence) -> None:
    """Raise `UserError` where `stage` has fewer steps than `cadence` looks at."""
    steps = stage.steps.end - stage.steps.begin
    if steps < cadence.iterations:
        raise UserError(
            f"iterations: {cadence.iterations:,} asked for, but stage '{stage.run.stage}' of run "
            f"{stage.run} has {steps:,}; observe fewer of them or a longer stage"
        )


def reached(stage: Stage, cadence: Cadence, diverged: int | None, ended: int | None) -> list[int]:
    """The iterations of `cadence` to which `stage` came, which `diverged` or `ended` by then."""
    begin = stage.steps.begin
    if stage.diverged_before is not None:
        return []
    return [
        one
        for one in cadence.observed()
        if (diverged is None or begin + one < diverged) and (ended is None or begin + one <= ended)
    ]


def iterations(stage: Stage, stops: Sequence[int]) -> Iterator[int]:
    """Train `stage` from its beginning and give each of `stops`, which rise, once it is reached.

    Stops count the steps of the stage itself. The only place here that knows how a stage is
    trained: epoch after epoch, like `training.train`, where what happens between two epochs leaves
    the weights alone.
    """
    steps, done = stage.steps, 0
    part = EpochProgress.begin(stage.device)
    batches: Iterator[Batch] = iter(())
    for stop in stops:
        while True:
            before = part.batches
            train_on(stage.train_state, stage.train, islice(batches, stop - done), part)
            done += part.batches - before
            if done == stop:
                break
            part = EpochProgress.begin(stage.device)
            batches = stage.batches(steps.begin + done)
        yield stop


# On disk


def write(path: str | Path, table: pa.Table, about: Mapping[str, Any]) -> None:
    """Write `table` with `about` (the run and its circumstances) as metadata."""
    tables.write(path, table, SCHEMA, about)


def read(path: str | Path) -> tuple[pa.Table, dict[str, Any]]:
    """The table in `path` and what it says about its run; raises `UserError`."""
    return tables.read(path, SCHEMA, "telemetry file", "delete it and run again to make it anew")


# As a job


def observe_telemetry(
    run: Run,
    inputs: Inputs,
    final: Path,
    output: Path,
    hardware: Hardware,
    cadence: Cadence,
    code: Code,
    log: Log,
) -> None:
    """Train the first steps of the last stage of `run` again and write what happens in them.

    `final` is the state at its end, from which distances are measured. Raises `UserError` for
    inputs that cannot be used.
    """
    with files.held(output.with_name(".lock"), log), explained(run, log):
        stage = prepare(run, inputs, hardware, code, log)
        end = final_state(run, final, stage)
        diverged = end.diverged.step if end.diverged else None
        ended = end.iteration if run.stage.length.unit == "until" else None
        table = observe(stage, None if diverged else end.weights, cadence, log, diverged, ended)
        write(output, table, {**describe(stage, hardware), "diverged_step": diverged})
