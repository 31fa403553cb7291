"""One stage of a run, ready to be trained: its data, its network as it begins, and its clock."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.data import splits, storage
from plasticity.data.apply import apply_to_data, classes_of, drawn, task_of
from plasticity.interventions import perturbations
from plasticity.interventions.perturbations import Ticket
from plasticity.models import masks
from plasticity.models.masks import Mask
from plasticity.models.network import Network, initialise
from plasticity.runs import Run, Term, TransformFacts
from plasticity.runs.provenance import Code
from plasticity.runs.workload import require_a_batch, require_time_left
from plasticity.training import checkpoint
from plasticity.training.checkpoint import Checkpoint, Identity
from plasticity.training.hardware import Hardware, Log
from plasticity.training.loop import (
    Batch,
    Examples,
    TrainState,
    batches_on,
    mixed,
    shuffled,
)


@dataclass(frozen=True)
class Inputs:
    """The files that a stage reads; `parent`, `rung` and `mask` where it has one."""

    train: Path
    test: Path
    split: Path
    parent: Path | None = None
    rung: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class StepRange:
    """Updates: where a stage begins and where it ends, and how many make an epoch.

    A stage that goes on from the one before begins where that one left off.
    """

    begin: int
    end: int
    steps: int

    def epoch(self, done: int) -> int:
        """The epoch, counted from 1, that follows after `done` updates."""
        return done // self.steps + 1

    def span(self, done: int) -> tuple[int, int]:
        """The first batch of that epoch that is still to come, and the one at which it ends."""
        before = done // self.steps * self.steps
        return done - before, min(self.steps, self.end - before)


@dataclass(frozen=True)
class Subset:
    """What a stage draws batches from: `selected` indices, int64 [n], out of all `count`."""

    selected: Tensor
    count: int

    def examples(self, run: Run) -> int:
        """The number of examples that the last stage of `run` may see."""
        return self.count if run.stage.data.facts.fraction_of_all else len(self.selected)


@dataclass(frozen=True)
class InitialState:
    """The network as a stage begins with it.

    `kept` says by name which weights of a pruned network are left, bool of their shape; `handed_on`
    is the mask that later stages have from this one, which differs where this one has a head of its
    own. `changed` is by how much the start moved what is left: the standard deviation.
    """

    network: Network
    kept: Mapping[str, Tensor]
    handed_on: Mapping[str, Tensor]
    changed: float

    @property
    def density(self) -> float:
        """The share of weights that are left, of those that could be pruned."""
        total = sum(weight.numel() for weight in masks.prunable(self.network).values())
        return sum(int(mask.sum()) for mask in self.kept.values()) / total if self.kept else 1.0


@dataclass(frozen=True)
class Stage:
    """The last stage of `run`, ready to be trained on `device`."""

    run: Run
    code: Code
    identity: Identity
    initial_state: InitialState
    train_state: TrainState
    train: Examples
    test: Examples
    pool: Subset
    clock: StepRange
    device: torch.device

    @property
    def examples(self) -> int:
        """The number of training examples that this stage may see."""
        return self.pool.examples(self.run)

    def batches(self, done: int, more: int = 0) -> Iterator[Batch]:
        """What is left of the epoch after `done` updates and `more` of its batches.

        See `epoch_batches`.
        """
        first, last = self.clock.span(done)
        indices, draws = epoch_batches(self.run, self.clock, self.clock.epoch(done), self.pool)
        return batches_on(self.device, indices, draws, first + more, last)

    def rate(self, done: int) -> float:
        """The learning rate after `done` updates, as a share of that at the beginning."""
        drops = self.run.stage.optimiser.options.get("drops", ())
        return float(10.0 ** -sum(drop < self.clock.epoch(done) for drop in drops))


def prepare(run: Run, inputs: Inputs, hardware: Hardware, code: Code, log: Log) -> Stage:
    """The last stage of `run` with its data and its network as it begins, on its device.

    Raises `UserError` for inputs that cannot be used.
    """
    device = hardware.take(log)
    train_part, test_part = storage.read(inputs.train), storage.read(inputs.test)
    if train_part.header != test_part.header:
        raise UserError(
            f"{inputs.train} and {inputs.test} are parts of different data sets; delete both and "
            "run again to prepare them anew"
        )
    header = train_part.header
    chosen = splits.read(inputs.split, len(train_part.labels))
    pool = Subset(torch.from_numpy(chosen), len(train_part.labels))
    require_a_batch(run, pool.examples(run))
    parent = parent_state(run, inputs, header.checksum, hardware.precision)
    mask = mask_of(run, inputs)
    identity = Identity(
        run=str(run),
        code=code.digest,
        data=header.checksum,
        split=hashlib.sha256(chosen.tobytes()).hexdigest(),
        parent=parent.digest if parent else "",
        mask=mask.digest if mask else "",
        precision=hardware.precision,
        device=hardware.device,
        threads=str(hardware.threads) if hardware.device == "cpu" else "",
        execution=hardware.carried_out,
        torch=torch.__version__,
        components=dict(code.components),
    )
    classes = classes_of(run.stage.transforms, len(header.classes))
    network = build_network(run, classes, train_part.images.shape[1])
    if mask and inputs.mask:
        mask.require_fits(inputs.mask, network)
    initial_state = begin_with(run, network, parent, mask)
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = run.stage.optimiser(network.parameters())
    train_state = hardware.train_state(network, optimiser, initial_state.kept)
    return Stage(
        run,
        code,
        identity,
        initial_state,
        train_state,
        train=on_device(train_part, run, device, test=False),
        test=on_device(test_part, run, device, test=True),
        pool=pool,
        clock=clock_of(run, pool, parent),
        device=device,
    )


def clock_of(run: Run, pool: Subset, parent: Checkpoint | None) -> StepRange:
    """The clock of the last stage of `run`; raises `UserError` where it has passed its end."""
    length = run.stage.length
    steps = pool.examples(run) // run.stage.optimiser.options["batch"]
    if length.unit == "i":
        return StepRange(0, length.number, steps)
    begin, end = 0, length.number * steps
    if length.unit == "till":
        assert parent is not None
        begin = parent.history[-1].iteration
        require_time_left(run, begin, end)
    return StepRange(begin, end, steps)


def on_device(part: storage.DataPart, run: Run, device: torch.device, *, test: bool) -> Examples:
    """The examples of `part` on `device` as the last stage of `run` sees them."""
    stage = run.stage

    def generator(view: Term[TransformFacts]) -> torch.Generator:
        return torch_generator(run.seed, "view", view)

    images, labels = apply_to_data(
        stage.transforms,
        torch.from_numpy(part.images),
        torch.from_numpy(part.labels),
        len(part.header.classes),
        generator,
        test=test,
    )

    def per_channel(values: list[float]) -> Tensor:
        # Images are stored in 0 .. 255, their statistics in 0 .. 1.
        return torch.tensor(values, dtype=torch.float32, device=device).mul(255).view(1, -1, 1, 1)

    return Examples(
        images=images.to(device),
        labels=labels.to(device),
        mean=per_channel(part.header.mean),
        deviation=per_channel(part.header.deviation),
        transforms=stage.transforms,
    )


def build_network(run: Run, classes: int, channels: int) -> Network:
    """The network of `run` as it is drawn at initialisation: one draw a seed, shared by all runs.

    A cold run and the pretraining of its warm counterpart thus begin at the same point.
    """
    network: Network = run.model(classes, channels)
    initialise(network, torch_generator(run.seed, "initialisation"))
    return network


def parent_state(run: Run, inputs: Inputs, data: str, precision: str) -> Checkpoint | None:
    """The checkpoint of the parent of `run`, if it has one, trained on the same data set."""
    if run.parent is None:
        return None
    if inputs.parent is None:
        raise UserError(f"run {run}: its parent's checkpoint is missing")
    parent = checkpoint.load(inputs.parent)
    expected = {"run": str(run.parent), "data": data, "precision": precision}
    checkpoint.require(inputs.parent, parent, expected)
    return parent


def mask_of(run: Run, inputs: Inputs) -> Mask | None:
    """The mask that the last stage of `run` prunes with, if it does."""
    if run.ticket is None:
        return None
    if inputs.mask is None:
        raise UserError(f"run {run}: its mask is missing")
    mask = masks.read_mask(inputs.mask)
    options = run.stage.start.options
    found = (mask.run, mask.level, mask.share)
    expected = (str(run.pruned_from), options["level"], options["fraction"])
    if found != expected:
        raise UserError(
            f"{inputs.mask}: pruned after another run or otherwise ({found}, expected {expected}); "
            "put the right file there, or delete it and run again to prune anew"
        )
    return mask


def begin_with(
    run: Run, network: Network, parent: Checkpoint | None, mask: Mask | None
) -> InitialState:
    """`network`, as it was initialised, with what the parent hands on and what the start does."""
    stage = run.stage
    is_ticket = stage.start.facts.ticket
    initialised = deepcopy(network) if is_ticket else network  # which no other start is given
    if parent and run.parent:
        same = task_of(run.parent.stage.transforms) == task_of(stage.transforms)
        # Another task has other labels: its head is drawn anew, as that of a run from scratch.
        left_out = frozenset() if same else network.head
        handed = {name: v for name, v in parent.network.items() if name not in left_out}
        network.load_state_dict({**network.state_dict(), **handed})
    generator = torch_generator(run.seed, "start", len(run.stages))
    before = {name: weight.clone() for name, weight in masks.prunable(network).items()}
    handed_on: Mapping[str, Tensor] = mask.layers if mask else parent.kept if parent else {}
    kept = fitted(run, network, handed_on)
    with torch.no_grad():
        if is_ticket:
            kept = stage.start(network, generator, Ticket.of(kept, initialised))
            handed_on = kept if stage.prunes else handed_on
        else:
            stage.start(network, generator)
            if kept:
                masks.assign(network, masks.prunable(network), kept)
    after = masks.prunable(network)
    whole = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in before.items()}
    changed = perturbations.effective_size(before, after, kept or whole)
    return InitialState(network, kept, handed_on, changed)


def fitted(run: Run, network: Network, kept: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The mask `kept` for the last stage of `run`: a head for other labels is not pruned."""
    if not kept:
        return kept
    pruned = next(stage for stage in reversed(run.stages) if stage.prunes)
    if task_of(pruned.transforms) == task_of(run.stage.transforms):
        return kept
    weights = masks.prunable(network)
    heads = {n: torch.ones_like(weights[n], dtype=torch.bool) for n in weights if n in network.head}
    return {**kept, **heads}


def epoch_batches(
    run: Run, clock: StepRange, epoch: int, pool: Subset
) -> tuple[Tensor, Tensor | None]:
    """The batches of one epoch, which depend on nothing but the seed, the stage and the epoch.

    Indices, int64 [steps, batch], and what the transforms draw, int64 [steps, batch, k]. The stage
    counts as its data and the number of earlier stages on the same, so that the tuning of a warm
    run and its cold counterpart see the same batches. Stages that share a clock count as one.
    """
    stage = run.stage
    data, batch = stage.data, stage.optimiser.options["batch"]
    first = len(run.stages) - 1
    while run.stages[first].length.unit == "till":
        first -= 1
    # What went before the weights were set back to the initialisation is forgotten.
    rewound = [n for n, one in enumerate(run.stages) if one.start.facts.rewinds]
    known = run.stages[max(rewound, default=0) : first]
    before = sum(earlier.seen == stage.seen for earlier in known)
    # A pretraining that sees other images or labels has an order of its own as well.
    own = [str(view) for view in stage.transforms if view.member.name != "augment"]
    generator = torch_generator(run.seed, "order", data, before, epoch, *own)
    if data.facts.fraction_of_all is None:
        indices = shuffled(pool.selected, batch, generator)
    else:
        # As many steps as a pass through all examples has (Berariu et al., appendix A.2). The
        # current step counts from 1, so that the last one is N of N.
        done = [(epoch - 1) * clock.steps + step for step in range(1, clock.steps + 1)]
        shares = [data.facts.fraction_of_all(min(1.0, n / clock.end), **data.own) for n in done]
        share = torch.tensor(shares, dtype=torch.float64)
        indices = mixed(pool.selected, pool.count, share, batch, generator)
    generator = torch_generator(run.seed, "views", data, before, epoch, *own)
    draws = drawn(stage.transforms, len(indices), batch, generator)
    return indices, draws if draws.shape[2] else None


def describe(stage: Stage, hardware: Hardware) -> dict[str, Any]:
    """All that a metrics file needs to explain itself when it is found alone."""
    run, identity, network = stage.run, stage.identity, stage.train_state.network
    return {
        "run": str(run),
        "dataset": str(run.dataset),
        "model": str(run.model),
        "seed": run.seed,
        "stages": [
            {
                "data": one.seen,
                "optimiser": {"name": one.optimiser.member.name, **one.optimiser.options},
                "length": str(one.length),
                "start": str(one.start),
            }
            for one in run.stages
        ],
        "begins": stage.clock.begin,
        "ends": stage.clock.end,
        "density": stage.initial_state.density,
        "perturbation": stage.initial_state.changed,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "training_examples": stage.examples,
        "data_checksum": identity.data,
        "split_checksum": identity.split,
        "parent_checksum": identity.parent,
        "mask_checksum": identity.mask,
        "code": identity.code,
        "components": dict(identity.components),
        "precision": identity.precision,
        "device": identity.device,
        "device_name": hardware.name,
        "execution": identity.execution,
        "threads": hardware.threads,
        "torch": identity.torch,
        "python": platform.python_version(),
    }
