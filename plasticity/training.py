"""One stage of a run as a job: from a parent's weights, a rung or a killed attempt to results."""

from __future__ import annotations

import hashlib
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plasticity import checkpoint, files, metrics, splits
from plasticity.checkpoint import Checkpoint, Identity
from plasticity.datasets import storage
from plasticity.devices import claim_gpu
from plasticity.engine import (
    PRECISIONS,
    Examples,
    Part,
    Trainee,
    finish_epoch,
    mixed_batches,
    prepare_backends,
    shuffled_batches,
    train_on,
)
from plasticity.errors import PlaceError, UserError
from plasticity.metrics import EpochMetrics
from plasticity.models.network import Network, initialise
from plasticity.signals import requests
from plasticity.spec import Run
from plasticity.streams import torch_generator

RESUME_EVERY = 30.0
"""Seconds between two saves of the state that a killed job goes on from."""

SAVING_SHARE = 50
"""Where saving is slow, training lasts so many times as long before the state is saved again."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute: device ``cuda`` or ``cpu``, a precision, threads on the CPU.

    `slots` is how many jobs may share a GPU, which changes no result.
    """

    device: str
    precision: str
    threads: int = 1
    slots: int = 1

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(
                f"precision: {self.precision!r} is not known; expected {', '.join(PRECISIONS)}"
            )


@dataclass(frozen=True)
class Inputs:
    """The files that a stage reads; `parent` and `rung` where it has one."""

    train: Path
    test: Path
    split: Path
    parent: Path | None = None
    rung: Path | None = None


@dataclass(frozen=True)
class Outputs:
    """The files that a stage writes; `checkpoint` only where a later stage may need it."""

    metrics: Path
    checkpoint: Path | None = None

    @property
    def resume(self) -> Path:
        """Where a killed attempt left its state. It is removed once the others are written."""
        return self.metrics.with_name("resume.safetensors")


@dataclass(frozen=True)
class Stage:
    """The last stage of `run`, ready to be trained on `device`."""

    run: Run
    identity: Identity
    trainee: Trainee
    train: Examples
    test: Examples
    pool: Pool
    device: torch.device

    @property
    def examples(self) -> int:
        """The number of training examples that this stage may see."""
        return self.pool.examples(self.run)


def train_stage(
    run: Run,
    inputs: Inputs,
    outputs: Outputs,
    hardware: Hardware,
    code: str,
    log: Log,
    resume_every: float = RESUME_EVERY,
) -> None:
    """Train the last stage of `run` and write its outputs.

    `code` is a digest of the training code; states written under another one are refused. Raises
    `UserError` for inputs that cannot be used, and `signals.Ended` where this process was asked to
    end: the state is then saved, and another call continues from it.
    """
    with files.held(outputs.resume.with_name(".lock"), log) as waited:
        try:
            stage = prepare(run, inputs, hardware, code, log)
            about = describe(run, hardware, stage.identity, stage.trainee.network, stage.examples)
            if waited and is_finished(outputs, about):
                log("the attempt that was waited for has finished this run: nothing is left to do")
                return
            history = train(stage, inputs, outputs, log, resume_every)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise out_of_memory(run, error) from error
            raise
        metrics.write(outputs.metrics, history, about)
        if outputs.checkpoint:
            network, optimiser = stage.trainee.network, stage.trainee.optimiser
            state = checkpoint.capture(stage.identity, network, optimiser, history)
            checkpoint.save(outputs.checkpoint, state)
        outputs.resume.unlink(missing_ok=True)


def is_finished(outputs: Outputs, about: Mapping[str, Any]) -> bool:
    """Whether all outputs are there, and the metrics are those of a run that is described so."""
    there = outputs.metrics.exists() and (not outputs.checkpoint or outputs.checkpoint.exists())
    return there and metrics.about(outputs.metrics) == about


def prepare(run: Run, inputs: Inputs, hardware: Hardware, code: str, log: Log) -> Stage:
    """The last stage of `run` with its data and its network as it begins, on its device.

    Raises `UserError` for inputs that cannot be used.
    """
    device = take_device(hardware, log)
    prepare_backends(hardware.threads)
    train_part, test_part = storage.read(inputs.train), storage.read(inputs.test)
    if train_part.header != test_part.header:
        raise UserError(
            f"{inputs.train} and {inputs.test} are parts of different data sets; delete both and "
            "run again to prepare them anew"
        )
    train, test = on_device(train_part, device), on_device(test_part, device)
    chosen = splits.read(inputs.split, len(train))
    pool = Pool(torch.from_numpy(chosen), len(train))
    batch = run.stage.optimiser.options["batch"]
    if pool.examples(run) < batch:
        raise UserError(
            f"stage '{run.stage}': {run.stage.data} of {run.dataset} has {pool.examples(run)} "
            f"examples, fewer than one batch of {batch}; take more data or a smaller batch (-b)"
        )

    parent = parent_state(run, inputs, train_part.header.checksum, hardware.precision)
    identity = Identity(
        run=str(run),
        code=code,
        data=train_part.header.checksum,
        split=hashlib.sha256(chosen.tobytes()).hexdigest(),
        parent=parent.digest if parent else "",
        precision=hardware.precision,
        device=hardware.device,
        threads=str(hardware.threads) if hardware.device == "cpu" else "",
        torch=torch.__version__,
    )
    network = build_network(run, len(train_part.header.classes), train_part.images.shape[1])
    if parent:
        inherit(run, network, parent)
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainee = Trainee(network, run.stage.optimiser(network.parameters()), hardware.precision)
    return Stage(run, identity, trainee, train, test, pool, device)


def train(
    stage: Stage, inputs: Inputs, outputs: Outputs, log: Log, resume_every: float
) -> list[EpochMetrics]:
    """Train `stage` from where an earlier attempt or a rung left off to its last epoch.

    The state is saved every `resume_every` seconds (0: after every batch), less often where saving
    is slow, and when this process is asked to end, which raises `signals.Ended`.
    """
    run, trainee = stage.run, stage.trainee
    epochs, batch = run.stage.epochs, run.stage.optimiser.options["batch"]
    history, part = begin(stage, inputs, outputs, log)
    saved, pause = time.monotonic(), resume_every

    def due() -> bool:
        return bool(request) or time.monotonic() - saved >= pause

    def save() -> None:
        nonlocal saved, pause
        began = time.monotonic()
        network, optimiser = trainee.network, trainee.optimiser
        unfinished = part.as_tensor() if part.batches else None
        state = checkpoint.capture(stage.identity, network, optimiser, history, unfinished)
        checkpoint.save(outputs.resume, state)
        saved = time.monotonic()
        pause = max(resume_every, SAVING_SHARE * (saved - began)) if resume_every else 0.0
        if request:
            where = position(len(history), part.batches)
            raise request.ended(f"{where}; the next attempt goes on from there")

    with requests() as request:
        while len(history) < epochs:
            epoch = len(history) + 1
            batches = epoch_batches(run, epoch, stage.pool, stage.device)
            rest = islice(batches, part.batches, None)
            while not train_on(trainee, stage.train, rest, part, due):
                save()
            measured = finish_epoch(trainee, epoch, part, stage.test, request.__bool__)
            if measured is None:
                save()
                continue
            history.append(measured)
            part = Part.begin(stage.device)
            log(progress(history, epochs, stage.examples // batch * batch))
            # Even after the last epoch: who asked a job to end no longer accepts its results.
            if request or (due() and epoch < epochs):
                save()
    return history


def begin(
    stage: Stage, inputs: Inputs, outputs: Outputs, log: Log
) -> tuple[list[EpochMetrics], Part]:
    """Put the network of `stage` where an earlier attempt or a rung left off, or at its beginning.

    Returns the epochs that are done and what is done of the next one.
    """
    earlier = earlier_state(stage.run, inputs, outputs, stage.identity, log)
    if not earlier:
        return [], Part.begin(stage.device)
    checkpoint.restore(earlier, stage.trainee.network, stage.trainee.optimiser)
    if earlier.part is None:
        return earlier.history, Part.begin(stage.device)
    return earlier.history, Part.from_tensor(earlier.part, stage.device)


def position(epochs: int, batches: int) -> str:
    """How far training has come, in words."""
    return f"after {epochs} epochs" + (f" and {batches} batches of the next" if batches else "")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device had too little memory; torch and CUDA's libraries use different words."""
    words = ("out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def out_of_memory(run: Run, error: Exception) -> UserError:
    """What to do where the device has too little memory for a stage."""
    batch = run.stage.optimiser.options["batch"]
    first = str(error).strip().splitlines()[0]
    return UserError(
        f"stage '{run.stage}': out of memory on the device with batches of {batch} ({first}). "
        "Use a GPU with more memory or fewer jobs a GPU, or train with smaller batches (-b in the "
        "optimiser's name, batch in the configuration), which are other runs"
    )


def take_device(hardware: Hardware, log: Log) -> torch.device:
    """The device to compute on: the CPU, or a GPU of which this process holds a slot until it ends.

    Raises `UserError` where there is no GPU to take or torch cannot use it.
    """
    if hardware.device == "cuda":
        claim_gpu(log, hardware.slots)
        if not torch.cuda.is_available():
            raise PlaceError(
                f"torch {torch.__version__} (for CUDA {torch.version.cuda}) cannot use the GPU "
                "that was taken for this job; install a build of torch that fits the driver"
            )
    return torch.device(hardware.device)


def on_device(part: storage.Part, device: torch.device) -> Examples:
    """The examples of `part` on `device`, with what normalises them."""

    def per_channel(values: list[float]) -> Tensor:
        # Images are stored in 0 .. 255, their statistics in 0 .. 1.
        return torch.tensor(values, dtype=torch.float32, device=device).mul(255).view(1, -1, 1, 1)

    return Examples(
        images=torch.from_numpy(part.images).to(device),
        labels=torch.from_numpy(part.labels).to(device),
        mean=per_channel(part.header.mean),
        deviation=per_channel(part.header.deviation),
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


def inherit(run: Run, network: Network, parent: Checkpoint) -> None:
    """Give `network` the weights of its parent, changed by the start of the last stage."""
    network.load_state_dict(parent.network)
    generator = torch_generator(run.seed, "start", len(run.stages))
    with torch.no_grad():
        run.stage.start(network, generator)


def earlier_state(
    run: Run, inputs: Inputs, outputs: Outputs, identity: Identity, log: Log
) -> Checkpoint | None:
    """The state to continue from: that of a killed attempt, else the rung's, else none."""
    if outputs.resume.exists():
        state = checkpoint.load(outputs.resume)
        checkpoint.require(outputs.resume, state, asdict(identity))
        where = position(state.epoch, state.batches)
        log(f"resuming {where}, where an earlier attempt was ended")
        return state
    if inputs.rung:
        state = checkpoint.load(inputs.rung)
        checkpoint.require(inputs.rung, state, {**asdict(identity), "run": str(run.rung)})
        log(f"continuing from the shorter pretraining of {state.epoch} epochs")
        return state
    return None


@dataclass(frozen=True)
class Pool:
    """What a stage draws batches from: `selected` indices, int64 [n], out of all `count`."""

    selected: Tensor
    count: int

    def examples(self, run: Run) -> int:
        """The number of examples that the last stage of `run` may see."""
        return self.count if "share_of_all" in run.stage.data.facts else len(self.selected)


def epoch_batches(run: Run, epoch: int, pool: Pool, device: torch.device) -> Iterator[Tensor]:
    """The batches of one epoch, which depend on nothing but the seed, the stage and the epoch.

    The stage counts as its data selection and the number of earlier stages on the same, so that
    the tuning of a warm run and its cold counterpart see the same batches.
    """
    data, batch = run.stage.data, run.stage.optimiser.options["batch"]
    before = sum(stage.data == data for stage in run.stages[:-1])
    generator = torch_generator(run.seed, "order", data, before, epoch)
    if "share_of_all" not in data.facts:
        return shuffled_batches(pool.selected, batch, generator, device)
    # As many steps as a pass through all examples has (Berariu et al., appendix A.2). The current
    # step counts from 1, so that the last one is N of N.
    steps = pool.count // batch
    done = [(epoch - 1) * steps + step for step in range(1, steps + 1)]
    shares = [data.facts["share_of_all"](n / (run.stage.epochs * steps), **data.own) for n in done]
    share = torch.tensor(shares, dtype=torch.float64)
    return mixed_batches(pool.selected, pool.count, share, batch, generator, device)


def progress(history: Sequence[EpochMetrics], epochs: int, images: int) -> str:
    """One line on the last epoch: accuracies, training images a second, time left."""
    last = history[-1]
    recent = [epoch.seconds for epoch in history[-10:]]
    left = round(sum(recent) / len(recent) * (epochs - last.epoch))
    minutes, seconds = divmod(left, 60)
    return (
        f"epoch {last.epoch:>{len(str(epochs))}}/{epochs}  "
        f"loss {last.train_loss:.4f}  train {last.train_accuracy:6.2%}  "
        f"test {last.test_accuracy:6.2%}  {images / last.seconds:,.0f} images/s  "
        f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"
    )


def cpu_name() -> str:
    """The processor's name, or its architecture where the system does not tell the name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def describe(
    run: Run, hardware: Hardware, identity: Identity, network: nn.Module, examples: int
) -> dict[str, Any]:
    """All that a metrics file needs to explain itself when it is found alone."""
    name = torch.cuda.get_device_name() if hardware.device == "cuda" else cpu_name()
    return {
        "run": str(run),
        "dataset": str(run.dataset),
        "model": str(run.model),
        "seed": run.seed,
        "stages": [
            {
                "data": str(stage.data),
                "optimiser": {"name": stage.optimiser.member.name, **stage.optimiser.options},
                "epochs": stage.epochs,
                "start": str(stage.start),
            }
            for stage in run.stages
        ],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "training_examples": examples,
        "data_checksum": identity.data,
        "split_checksum": identity.split,
        "parent_checksum": identity.parent,
        "code": identity.code,
        "precision": identity.precision,
        "device": identity.device,
        "device_name": name,
        "threads": hardware.threads,
        "torch": identity.torch,
        "python": platform.python_version(),
    }
