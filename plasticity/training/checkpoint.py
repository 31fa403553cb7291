"""The state of a stage on disk: saved whole, checked against its checksum, refused where foreign.

One format serves three purposes: the state that a later stage starts from, the rung that a longer
pretraining continues from, and the place where a killed job goes on. Only safetensors: nothing that
is read is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from plasticity.core import files, tensors
from plasticity.core.errors import UserError
from plasticity.models import generators
from plasticity.runs import Run
from plasticity.runs.metrics import EpochMetrics, as_rows, from_rows
from plasticity.runs.provenance import LINEAGE, Code
from plasticity.training import optimiser_state
from plasticity.training.methods import NONE, Methods


@dataclass(frozen=True)
class Identity:
    """Whatever moves the bits of a stage: a state with another identity is not continued.

    `code`, `data`, `split`, `parent` and `mask` are digests of the training code, the data set, the
    chosen examples, the parent's checkpoint and the mask that the stage begins with (these two are
    empty without one); `threads` counts on the CPU alone, `gpu`, which model it is, on a GPU;
    `execution` is how operations reach the device. `components` are those that `code` is the digest
    of.
    """

    run: str
    code: str
    data: str
    split: str
    parent: str
    mask: str
    precision: str
    device: str
    threads: str
    execution: str
    torch: str
    gpu: str = ""
    components: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, str]:
        """Everything but the `components`."""
        return {name: value for name, value in vars(self).items() if name != "components"}


DIFFERENCES = {
    "run": "of another run",
    "code": "written by another version of the training code",
    "data": "trained on other data",
    "split": "trained on another choice of examples",
    "parent": "started from another state of its parent",
    "mask": "trained with other weights pruned",
    "precision": "trained in another precision",
    "device": "trained on another kind of device",
    "threads": "trained with another number of threads",
    "execution": "trained with its operations carried out otherwise",
    "torch": "written under another version of torch",
    "gpu": "trained on another model of GPU",
}


WITHOUT = "put the right file there, or delete it and run again to train without it"
"""What to do where the state of an attempt that was ended is not the one that is expected."""


@dataclass(frozen=True)
class Divergence:
    """The `step` at which a stage, or one before it, diverged, by the clock of that stage.

    The stage itself would have ended at step `ends` of its own.
    """

    step: int
    ends: int


@dataclass(frozen=True)
class Checkpoint:
    """The state after the last epoch of `history`; tensors are on the CPU.

    Or within the epoch that follows: `part`, float64 [6], then tells how far it has come (the
    number of batches, and then what `loop.EpochProgress` measures). Or where training diverged: no
    epoch follows then. `plain` is what the optimiser remembers besides tensors, as
    `optimiser_state` has it: None in a state that another version left without it, which only later
    stages start from. `generators` are the states of the global ones. `mask` says, by name, which
    weights of a pruned network are left, bool of their shape. `evaluated` is the network
    that a method trained along and that was evaluated in its place, at the end of a stage.
    """

    identity: Identity
    network: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    history: list[EpochMetrics]
    part: Tensor | None = None
    mask: Mapping[str, Tensor] = field(default_factory=dict)
    plain: Any = None
    generators: Mapping[str, Tensor] = field(default_factory=dict)
    diverged: Divergence | None = None
    evaluated: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The state of the network that was evaluated, and that later stages start from."""
        return self.evaluated or self.network

    @cached_property
    def digest(self) -> str:
        """A checksum of what a later stage starts from: who this is, and its weights.

        Without the history, which tells how long each epoch took, the code, which may be written
        otherwise, and the model of a GPU, where the weights tell what it changes: a parent that was
        dropped and trained again is the same parent.
        """
        facts = {k: v for k, v in self.identity.facts.items() if k not in ("code", "gpu")}
        return tensors.checksum(facts, {**self.weights, **self._masks()})

    def _tensors(self) -> dict[str, Tensor]:
        """The state as it is stored: one name a tensor."""
        return {
            **{f"network/{name}": value for name, value in self.network.items()},
            **{f"optimiser/{name}": value for name, value in self.optimiser.items()},
            "history": torch.tensor(as_rows(self.history), dtype=torch.float64),
            **({} if self.part is None else {"part": self.part}),
            **{f"generators/{name}": value for name, value in self.generators.items()},
            **self._masks(),
            **{f"evaluated/{name}": value for name, value in self.evaluated.items()},
        }

    def _masks(self) -> dict[str, Tensor]:
        return {f"kept/{name}": mask for name, mask in self.mask.items()}

    @property
    def epoch(self) -> int:
        """The last epoch on the clock that was evaluated; 0 before the first."""
        return self.history[-1].epoch if self.history else 0

    @property
    def iteration(self) -> int:
        """The step at which the stage ended or, where it diverged, would have ended."""
        return self.diverged.ends if self.diverged else self.history[-1].iteration

    @property
    def batches(self) -> int:
        """The number of batches trained on in the epoch that follows."""
        return 0 if self.part is None else int(self.part[0])


def capture(
    identity: Identity,
    network: nn.Module,
    optimiser: Optimizer,
    history: Sequence[EpochMetrics],
    part: Tensor | None = None,
    mask: Mapping[str, Tensor] = MappingProxyType({}),
    diverged: Divergence | None = None,
    methods: Methods = NONE,
) -> Checkpoint:
    """A copy of the present state; raises `UserError` for what cannot be saved."""
    plain, slots = require_storable(network, optimiser, methods)
    evaluated = methods.evaluated(network)
    ended = part is None
    other = evaluated.state_dict() if ended and evaluated is not network else {}
    return Checkpoint(
        identity=identity,
        network={name: _copy(value) for name, value in network.state_dict().items()},
        optimiser={name: _copy(value) for name, value in slots.items()},
        history=list(history),
        part=part,
        mask={name: _copy(layer) for name, layer in mask.items()},
        plain=plain,
        generators=generators.states(next(network.parameters()).device),
        diverged=diverged,
        evaluated={name: _copy(value) for name, value in other.items()},
    )


def require_storable(
    network: nn.Module, optimiser: Optimizer, methods: Methods = NONE
) -> tuple[Any, dict[str, Tensor]]:
    """What `optimiser` and `methods` remember, as `optimiser_state.taken_apart` has it.

    Raises `UserError` where that or the state of `network` cannot be saved.
    """
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise UserError(
                f"network {type(network).__name__}: its state holds {name}, which is of the type "
                f"{type(value).__name__} and cannot be saved; keep it in a buffer"
            )
    methods.require_whole()
    return optimiser_state.taken_apart(optimiser, methods.members, network)


def restore(
    checkpoint: Checkpoint, network: nn.Module, optimiser: Optimizer, methods: Methods = NONE
) -> None:
    """Put `network`, `optimiser` and `methods`, freshly built, into the state of `checkpoint`.

    So are the global generators.
    """
    network.load_state_dict(checkpoint.network)
    remembered = (checkpoint.plain, checkpoint.optimiser)
    optimiser_state.put_back(optimiser, *remembered, methods.members, network)
    generators.restore(checkpoint.generators)


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, whole or not at all."""
    header = {
        "identity": asdict(checkpoint.identity),
        "optimiser": checkpoint.plain,
        "diverged": asdict(checkpoint.diverged) if checkpoint.diverged else None,
    }
    tensors.write(path, checkpoint._tensors(), header)


def load(path: str | Path) -> Checkpoint:
    """The checkpoint in `path`; raises `UserError` where it is damaged."""
    advice = "delete it and run again: Snakemake trains it anew"
    with tensors.opened(path, "checkpoint", advice) as file:
        identity, found = Identity(**file.header["identity"]), file.all()
        diverged = file.header.get("diverged")
        return Checkpoint(
            identity=identity,
            network=tensors.below("network/", found),
            optimiser=tensors.below("optimiser/", found),
            history=from_rows(found["history"].tolist()),
            part=found.get("part"),
            mask=tensors.below("kept/", found),
            plain=file.header.get("optimiser"),
            generators=tensors.below("generators/", found),
            diverged=Divergence(**diverged) if diverged else None,
            evaluated=tensors.below("evaluated/", found),
        )


def require(
    path: str | Path,
    checkpoint: Checkpoint,
    expected: Mapping[str, str],
    code: Code | None = None,
    advice: str = files.RIGHT_FILE,
) -> None:
    """Raise `UserError`, with `advice`, where `checkpoint`, from `path`, is not as `expected`.

    `expected` holds those fields of `Identity.facts` that matter to the caller. A digest of code
    that is equivalent to that of `code` is as good. The lineage, in which a rung differs from what
    continues it, does not count: `parent`, `data` and `mask` tell what a state comes from.
    """
    for name, value in expected.items():
        found = getattr(checkpoint.identity, name)
        changed = ""
        if name == "code" and code and found != value:
            names = code.changed_since(checkpoint.identity.components)
            names = [component for component in names if component != LINEAGE]
            found, changed = (found, f": {', '.join(names)}") if names else (value, "")
        if found != value:
            raise UserError(
                f"{path}: {DIFFERENCES[name]}{changed} ({found}, expected {value}) and not "
                f"continued from; {advice}"
            )


def to_continue(
    resume: Path,
    rung: Path | None,
    run: Run,
    identity: Identity,
    code: Code,
    log: Callable[[str], None],
) -> Checkpoint | None:
    """The state of `run` to continue from: that of a killed attempt, else the rung's, else none.

    They are in `resume` and `rung`, where these exist. Raises `UserError` for a foreign one; one
    from another model of GPU, which a cluster may give to the next attempt, and one that another
    version left without all that is needed are left aside.
    """
    if resume.exists() and (state := _continued(resume, run, identity, code, log, WITHOUT)):
        where = position(state.history, state.batches)
        log(f"resuming {where}, where an earlier attempt was ended")
        return state
    if rung and (state := _continued(rung, run.rung, identity, code, log)):
        log(f"continuing from the shorter pretraining of {state.epoch} epochs")
        return state
    return None


def _continued(
    path: Path,
    run: Run | None,
    identity: Identity,
    code: Code,
    log: Callable[[str], None],
    advice: str = files.RIGHT_FILE,
) -> Checkpoint | None:
    """The state of `run` in `path`, or None where training cannot go on from it to the same bits.

    That is where another model of GPU has made it, or where it lacks a part of its optimiser.
    """
    state = load(path)
    if state.plain is None:
        log(f"{path}: left by an earlier version, without all of its optimiser: not continued from")
        return None
    expected = {**identity.facts, "run": str(run), "gpu": state.identity.gpu}
    require(path, state, expected, code, advice)
    if state.identity.gpu == identity.gpu:
        return state
    log(
        f"{path}: not continued from: made on another model of GPU "
        f"({state.identity.gpu or 'unknown'}, this is {identity.gpu}), which gives other bits; "
        "the stage begins anew"
    )
    return None


def position(history: Sequence[EpochMetrics], batches: int) -> str:
    """How far training has come, in words."""
    epochs = len(history)
    return f"after {epochs} epochs" + (f" and {batches} batches of the next" if batches else "")


def _copy(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True).contiguous()
