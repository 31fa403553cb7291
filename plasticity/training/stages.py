"""One stage of a run, ready to be trained: its data, its network as it begins, and its steps."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.data import splits, storage
from plasticity.data.storage import DataPart
from plasticity.models import generators, masks
from plasticity.models.masks import Mask
from plasticity.runs import Run, Term, extensions
from plasticity.runs.compute import Precision
from plasticity.runs.metrics import EpochMetrics, reaches
from plasticity.runs.provenance import Code
from plasticity.training import checkpoint, optimiser_state
from plasticity.training.batches import ComingBatches, Order, StepRange, Subset, order_of
from plasticity.training.checkpoint import Checkpoint, Identity
from plasticity.training.examples import Batch, Examples, on_device
from plasticity.training.hardware import Hardware, Log
from plasticity.training.initial_state import InitialState, initial_state
from plasticity.training.loop import TrainState
from plasticity.training.methods import NONE, Methods
from plasticity.training.schedule import Schedule


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
    schedule: Schedule
    device: torch.device

    @property
    def diverged_before(self) -> int | None:
        """The step at which a stage that it goes on from diverged: it is not trained then."""
        return self.initial_state.diverged

    @property
    def steps(self) -> StepRange:
        """Its steps, from the first to the end of the last."""
        return self.order.steps

    def is_over(self, history: Sequence[EpochMetrics]) -> bool:
        """Whether it ends after the epochs of `history`: all of them, or those to its target."""
        if not history:
            return False
        reached = reaches(history[-1].train_accuracy, self.run.stage.length.percent)
        return reached or history[-1].iteration >= self.steps.end

    def batches(self, done: int, more: int = 0) -> Iterator[Batch]:
        """The batches of the epoch after `done` steps, less those `more` that are done as well.

        When one is taken, the learning rate is that of its step, and what methods do before it is
        done.
        """
        state = self.train_state
        batches = self.order.rest_of_epoch(done, self.device, more)
        batches = self.schedule.followed(batches, state.optimiser, done + more)
        made = done + more - self.steps.begin
        return state.methods.followed(
            batches, made, state.network, state.optimiser, self.train, state.prune
        )


def prepare(run: Run, inputs: Inputs, hardware: Hardware, code: Code, log: Log) -> Stage:
    """The last stage of `run` with its data and its network as it begins, on its device.

    Raises `UserError` for inputs that cannot be used.
    """
    passes = run.stage.optimiser.facts.passes
    hardware = hardware.stepping(passes)
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
    _, *image = train.images.shape
    shape = (image[0], image[1], image[2])
    trained_on = cache(lambda: seen(train, test=False, streamed=streams.train))
    initial = initial_state(
        run,
        len(train.header.classes),
        shape,
        parent,
        mask,
        inputs.mask,
        lambda: ComingBatches.of(run, order, trained_on()),
    )
    network = initial.network.to(device)
    if passes == 1:  # rules with a closure, such as LBFGS, take views of gradients in a row
        network.to(memory_format=initial.network.memory_format)  # type: ignore[call-overload]
    optimiser = optimiser_of(run, network)
    if parent and run.stage.start.facts.keeps_optimiser and initial.diverged is None:
        inherit(optimiser, inputs.parent, parent)
    schedule = Schedule.of(run, order.steps)
    schedule.prepare(optimiser)
    methods = NONE
    if initial.initial:
        started = initial.initial.to(device)
        methods = Methods.of(run.stage.methods, network, started, order.steps.per_epoch, passes)
    return Stage(
        run=run,
        code=code,
        identity=identity,
        initial_state=initial,
        train_state=hardware.train_state(network, optimiser, initial.mask, passes, methods),
        train=trained_on(),
        test=seen(test, test=True, streamed=streams.evaluated),
        validation=seen(validation, test=True, streamed=streams.evaluated) if validation else None,
        order=order,
        schedule=schedule,
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
    parameters = inspect.signature(optimiser.step).parameters.values()
    needs = any(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        for one in parameters
    )
    if needs and term.facts.passes == 1:
        raise UserError(
            f"optimiser {name}: the step of {type(optimiser).__name__} asks for a closure, by "
            "which it evaluates the loss again; declare about how many passes a step makes, the "
            "first included: facts=OptimiserFacts(passes=2)"
        )
    if term.facts.passes > 1 and not any(one.kind is not one.KEYWORD_ONLY for one in parameters):
        raise UserError(
            f"optimiser {name}: declares passes={term.facts.passes} among its facts, and the step "
            f"of {type(optimiser).__name__} takes no closure; let it take one, or leave passes out"
        )
    if any("lr" not in group for group in optimiser.param_groups) and any(
        term.options.get(name) for name in ("drops", "warm", "schedule")
    ):
        raise UserError(
            f"optimiser {name}: '{term}' has a schedule, and {type(optimiser).__name__} has no "
            "rate 'lr' in its groups that could follow it; keep it there, or leave that out"
        )
    known = {id(parameter) for parameter in network.parameters()}
    if any(id(p) not in known for group in optimiser.param_groups for p in group["params"]):
        raise UserError(
            f"optimiser {name}: {type(optimiser).__name__} trains a tensor that is no parameter of "
            "the network, such as a view of one, which nobody would save; give it the parameters "
            "themselves"
        )
    return optimiser


def inherit(optimiser: Optimizer, path: Path | None, parent: Checkpoint) -> None:
    """Let `optimiser`, freshly made, go on with the state that the stage before ended with.

    That is `parent`, from `path`. Its rate is its own. Raises `UserError` where it is not there.
    """
    if parent.plain is None:
        raise UserError(
            f"{path}: left by an earlier version, without all of its optimiser, with which this "
            "stage goes on; delete it and run again to train it anew"
        )
    # The rate, and how steps are computed: on what device, and whether they can be recorded.
    kept = ("lr", "capturable", "foreach", "fused")
    own = [{k: group[k] for k in kept if k in group} for group in optimiser.param_groups]
    came_from_cpu = parent.identity.device == "cpu"
    optimiser_state.put_back(optimiser, parent.plain, parent.optimiser, follow=came_from_cpu)
    for group, fresh in zip(optimiser.param_groups, own, strict=True):
        for name in ("initial_lr", "drops"):  # what the schedule before kept there
            group.pop(name, None)
        group.update(fresh)
        if "capturable" in group:  # torch's rules have them where they compute with them
            on_cpu = not (group["capturable"] or group.get("fused"))
            optimiser_state.place_numbers(optimiser, group, on_cpu=on_cpu)
        elif came_from_cpu:
            optimiser_state.place_numbers(optimiser, group, on_cpu=False)


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
            f"{files.RIGHT_FILE}"
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
                "optimiser": {"name": one.optimiser.member.name, **_given(one.optimiser)},
                **({"methods": [str(method) for method in one.methods]} if one.methods else {}),
                "length": str(one.length),
                "start": str(one.start),
            }
            for one in run.stages
        ],
        "begins": stage.steps.begin,
        "ends": stage.steps.end,
        "density": stage.initial_state.density,
        "perturbation": stage.initial_state.changed if stage.diverged_before is None else None,
        "modules": [part.name for part in stage.initial_state.network.numbered_modules],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "training_examples": stage.order.subset.examples(run),
        "data_checksum": identity.data,
        "split_checksum": identity.split,
        "parent_checksum": identity.parent,
        "mask_checksum": identity.mask,
        "code": identity.code,
        "components": dict(identity.components),
        **extensions.recorded(identity.components),
        "precision": identity.precision,
        "device": identity.device,
        "device_name": hardware.name,
        "execution": identity.execution,
        "threads": hardware.threads,
        "torch": identity.torch,
        "python": platform.python_version(),
    }


def _given(term: Term[Any]) -> dict[str, Any]:
    """The options of `term` that say something."""
    return {name: value for name, value in term.options.items() if value is not None}
