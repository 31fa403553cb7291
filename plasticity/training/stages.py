"""One stage of a run, ready to be trained: its data, its network as it begins, and its steps."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.data import splits, storage
from plasticity.data.storage import DataPart
from plasticity.models import masks
from plasticity.models.masks import Mask
from plasticity.runs import Run
from plasticity.runs.compute import Precision
from plasticity.runs.provenance import Code
from plasticity.training import checkpoint, generators
from plasticity.training.batches import Order, StepRange, Subset, order_of
from plasticity.training.checkpoint import Checkpoint, Identity
from plasticity.training.examples import Examples, on_device
from plasticity.training.hardware import Hardware, Log
from plasticity.training.initial_state import InitialState, initial_state
from plasticity.training.loop import TrainState


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
class Stage:
    """The last stage of `run`, ready to be trained on `device`."""

    run: Run
    code: Code
    identity: Identity
    initial_state: InitialState
    train_state: TrainState
    train: Examples
    test: Examples
    validation: Examples | None
    order: Order
    device: torch.device

    @property
    def diverged_before(self) -> int | None:
        """The step at which a stage that it goes on from diverged: it is not trained then."""
        return self.initial_state.diverged

    @property
    def steps(self) -> StepRange:
        """Its steps, from the first to the end of the last."""
        return self.order.steps

    @property
    def learning_rate_drops(self) -> tuple[int, ...]:
        """The epochs after each of which the learning rate is divided by 10."""
        drops: tuple[int, ...] = self.run.stage.optimiser.options.get("drops", ())
        return drops


def prepare(run: Run, inputs: Inputs, hardware: Hardware, code: Code, log: Log) -> Stage:
    """The last stage of `run` with its data and its network as it begins, on its device.

    Raises `UserError` for inputs that cannot be used.
    """
    device = hardware.take(log)
    generators.seed(run, device)
    train, test, validation = read_data(inputs)
    subset = read_subset(inputs, train)
    parent = read_parent(run, inputs, train.header.checksum, hardware.precision, code)
    mask = read_mask(run, inputs, hardware.precision, code)
    identity = identify(run, train, subset, parent, mask, hardware, code)
    order = order_of(run, subset, parent)
    evaluated = [part for part in (test, validation) if part]
    streams = stays_on_host(train, evaluated, hardware, device, log)
    seen = partial(
        on_device,
        seen=run.stage.transforms,
        generator_for=partial(torch_generator, run.seed, "view"),
        device=device,
    )
    classes, shape = len(train.header.classes), train.images.shape[1:]
    initial = initial_state(run, classes, shape, parent, mask, inputs.mask)
    network = initial.network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = optimiser_of(run, network)
    return Stage(
        run=run,
        code=code,
        identity=identity,
        initial_state=initial,
        train_state=hardware.train_state(network, optimiser, initial.mask),
        train=seen(train, test=False, streamed=streams.train),
        test=seen(test, test=True, streamed=streams.evaluated),
        validation=seen(validation, test=True, streamed=streams.evaluated) if validation else None,
        order=order,
        device=device,
    )


def optimiser_of(run: Run, network: nn.Module) -> Optimizer:
    """The optimiser of the last stage of `run`; raises `UserError` for one that is of no use."""
    term = run.stage.optimiser
    optimiser, name = term(network.parameters()), term.member.name
    if not isinstance(optimiser, Optimizer):
        raise UserError(
            f"optimiser {name}: returns {type(optimiser).__name__}; expected an Optimizer, of "
            "torch.optim"
        )
    closure = inspect.signature(optimiser.step).parameters.get("closure")
    if closure and closure.default is closure.empty:
        raise UserError(
            f"optimiser {name}: the step of {type(optimiser).__name__} asks for a closure, by "
            "which it would evaluate the loss at other weights; a step here is given gradients "
            "alone; take one that works with these"
        )
    return optimiser


@dataclass(frozen=True)
class Streams:
    """Whether the images that are trained on, and those that are evaluated, stay on the host."""

    train: bool
    evaluated: bool


SHARE = 0.5
"""How much of the free memory of a device images may take: the network needs the rest."""


def stays_on_host(
    train: DataPart,
    evaluated: Sequence[DataPart],
    hardware: Hardware,
    device: torch.device,
    log: Log,
) -> Streams:
    """Which images stay in the memory of the host, as that of the `device` is too small for them.

    It is a matter of time and not of results.
    """
    room = hardware.free_memory(device)
    if room is None:
        return Streams(train=False, evaluated=False)
    trained, others = train.images.nbytes, sum(part.images.nbytes for part in evaluated)
    found = Streams(train=trained + others > SHARE * room, evaluated=others > SHARE * room)
    if found.train:
        size = (trained + (others if found.evaluated else 0)) / 1e9
        log(
            f"{size:.1f} GB of images stay in the memory of the host, of whose batches each is "
            f"copied: {room / 1e9:.1f} GB are free on the device"
        )
    return found


def read_data(inputs: Inputs) -> tuple[DataPart, DataPart, DataPart | None]:
    """The examples to train and to test on, and those that are held out for validation, if any."""
    train, (test, validation) = storage.read(inputs.train), storage.read_evaluated(inputs.test)
    if train.header != test.header:
        raise UserError(
            f"{inputs.train} and {inputs.test} are parts of different data sets; delete both and "
            "run again to prepare them anew"
        )
    return train, test, validation


def read_subset(inputs: Inputs, train: DataPart) -> Subset:
    """The examples of `train` that the split selects."""
    count = len(train.labels)
    return Subset(torch.from_numpy(splits.read(inputs.split, count)), count)


def read_parent(
    run: Run, inputs: Inputs, data: str, precision: Precision, code: Code
) -> Checkpoint | None:
    """The checkpoint of the parent of `run`, if it has one, trained on the same data set.

    And by the same `code`, so far as both depend on it.
    """
    if run.parent is None:
        return None
    if inputs.parent is None:
        raise UserError(f"run {run}: its parent's checkpoint is missing")
    parent = checkpoint.load(inputs.parent)
    expected = {"run": str(run.parent), "data": data, "precision": precision}
    checkpoint.require(inputs.parent, parent, expected)
    code.require_before(inputs.parent, parent.identity.components)
    return parent


def read_mask(run: Run, inputs: Inputs, precision: Precision, code: Code) -> Mask | None:
    """The mask that the last stage of `run` prunes with, if it does.

    It must be of a state in `precision`, and by the same `code`.
    """
    if run.ticket is None:
        return None
    if inputs.mask is None:
        raise UserError(f"run {run}: its mask is missing")
    mask = masks.read_mask(inputs.mask)
    options = run.stage.start.options
    found = (mask.run, mask.level, mask.fraction, mask.precision)
    expected = (str(run.pruned_from), options["level"], options["fraction"], precision)
    if found != expected:
        raise UserError(
            f"{inputs.mask}: pruned after another run or otherwise ({found}, expected {expected}); "
            "put the right file there, or delete it and run again to prune anew"
        )
    code.require_before(inputs.mask, mask.code.components)
    return mask


def identify(
    run: Run,
    train: DataPart,
    subset: Subset,
    parent: Checkpoint | None,
    mask: Mask | None,
    hardware: Hardware,
    code: Code,
) -> Identity:
    """Whatever moves the bits of the last stage of `run`."""
    return Identity(
        run=str(run),
        code=code.digest,
        data=train.header.checksum,
        split=hashlib.sha256(subset.selected.numpy().tobytes()).hexdigest(),
        parent=parent.digest if parent else "",
        mask=mask.digest if mask else "",
        precision=hardware.precision,
        device=hardware.device,
        gpu=hardware.gpu,
        threads=str(hardware.threads) if hardware.device == "cpu" else "",
        execution=hardware.carried_out,
        torch=torch.__version__,
        components=dict(code.components),
    )


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
        "begins": stage.steps.begin,
        "ends": stage.steps.end,
        "density": stage.initial_state.density,
        "perturbation": stage.initial_state.changed if stage.diverged_before is None else None,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "training_examples": stage.order.subset.examples(run),
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
