"""Kinds of job: what each makes of a run, from what, and the file by which it is known to be done.

The one table of them. What asks where files are, what is pending, what it costs, which rules there
are and which code counts reads it; nothing else knows one kind from another by its name. It stands
here and not with the workflow, because the layout of files and the study read it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plasticity.runs.run import Run


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of job. There is one object a kind, so that two are compared by identity."""

    name: str
    """Its folder below ``results/``."""
    rules: tuple[str, ...]
    """The rules of the workflow whose jobs are of this kind."""
    module: str
    """That of the function which such a job calls."""
    script: str
    """The script of the workflow that calls it."""
    inputs: Callable[[Run], Mapping[str, Job | None]]
    """The earlier jobs whose files it is given besides data, by the names of its inputs; None
    stands for one that this run does not have."""
    done: str
    """The file by which a job is known to be done, and which is never dropped."""
    header: str
    """What reads, from the path of that file, what it says about itself, as ``module:function``."""
    state: str | None = None
    """The state of the network at the end, to go on from, where the kind makes one: it may be
    dropped when nothing is left to read it."""
    settings: str | None = None
    """The key of the study's settings that it observes with, if it observes."""
    computes: bool = True
    """Whether it runs the network: on data, and on the study's device."""
    measures: bool = False
    """Whether it measures all quantities, those of extensions too."""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all that it leaves in the folder of its run."""
        return (self.done, *([self.state] if self.state else []))

    @property
    def handed_on(self) -> str:
        """The file that later jobs are given."""
        return self.state or self.done

    @property
    def roots(self) -> tuple[str, ...]:
        """The script, and the module from which all other code is found that such a job runs."""
        return (self.script, self.module)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Job:
    """What a kind of job makes of a run."""

    kind: Kind
    run: Run

    @property
    def inputs(self) -> dict[str, Job]:
        """The earlier jobs whose files it is given besides data, by the names of its inputs."""
        return {name: job for name, job in self.kind.inputs(self.run).items() if job}


HEADER_OF_TABLE = "plasticity.runs.metrics:about"
HEADER_OF_TENSORS = "plasticity.core.tensors:read_header"


def _state(run: Run | None) -> Job | None:
    return Job(PRETRAIN, run) if run else None


def _before(run: Run) -> dict[str, Job | None]:
    """What the last stage of `run` starts from: a state, and the mask that it trains with."""
    return {"parent": _state(run.parent), "mask": Job(MASK, run.ticket) if run.ticket else None}


PRETRAIN = Kind(
    name="pretrain",
    rules=("pretrain", "pretrain_rung"),
    module="plasticity.training.train",
    script="train.py",
    inputs=lambda run: {**_before(run), "rung": _state(run.rung)},
    state="checkpoint.safetensors",
    done="metrics.parquet",
    header=HEADER_OF_TABLE,
)
"""Trains the last stage of a run to a state to go on from, and measures it."""

TUNE = Kind(
    name="tune",
    rules=("tune",),
    module="plasticity.training.train",
    script="train.py",
    inputs=_before,
    done="metrics.parquet",
    header=HEADER_OF_TABLE,
)
"""Trains the last stage of a run to measure it."""

MASK = Kind(
    name="masks",
    rules=("prune",),
    module="plasticity.training.prune",
    script="prune.py",
    inputs=lambda run: {"state": _state(run.pruned_from)},
    done="mask.safetensors",
    header=HEADER_OF_TENSORS,
    computes=False,
)
"""Prunes the network at the end of the level before to the mask of a ticket."""

TELEMETRY = Kind(
    name="telemetry",
    rules=("telemetry",),
    module="plasticity.observe.telemetry",
    script="observe.py",
    inputs=lambda run: {**_before(run), "final": _state(run)},
    settings="telemetry",
    measures=True,
    done="observations.parquet",
    header=HEADER_OF_TABLE,
)
"""Trains the first updates of the last stage of a run again and watches the weights."""

CONNECTIVITY = Kind(
    name="connectivity",
    rules=("connectivity",),
    module="plasticity.observe.connectivity",
    script="observe.py",
    inputs=lambda run: {**_before(run), "one": _state(run), "other": _state(run.reordered_run)},
    settings="connectivity",
    done="observations.parquet",
    header=HEADER_OF_TABLE,
)
"""Measures accuracy on the line between the ends of a run in two orders of its examples."""

KINDS = {kind.name: kind for kind in (PRETRAIN, TUNE, MASK, TELEMETRY, CONNECTIVITY)}
"""All kinds of job, by name."""

OF_RULES = {rule: kind for kind in KINDS.values() for rule in kind.rules}
"""The kind of job that a rule makes, by the rule's name."""
