"""What is left to train, by the files that are there: results, and checkpoints kept or dropped.

A checkpoint that was dropped because nothing was left to read it is made again only for a run that
still has to be trained. Finished runs that once read it stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from plasticity.runs import Run, ancestors, layout

KINDS = ("pretrain", "tune", "masks", "telemetry", "connectivity")
"""Kinds of job: a state to go on from, a measured final stage, the mask of a ticket, and what is
observed besides: weights in the first updates, and accuracy between two states."""

Present = Callable[[str], bool]
"""Whether a file is there."""

Job = tuple[str, Run]
"""A kind of job, and the run that it is about."""

Current = Callable[[Run, str], bool]
"""Whether a finished run is, as a kind of job, what it would be if it were made now."""


@dataclass(frozen=True)
class Jobs:
    """The runs that a job is to be made for, by its kind."""

    of: Mapping[str, frozenset[Run]]

    @property
    def pretrain(self) -> frozenset[Run]:
        """Those whose last stage is to be trained as a state to go on from."""
        return self.of["pretrain"]

    @property
    def tune(self) -> frozenset[Run]:
        """Those whose last stage is to be trained to be measured."""
        return self.of["tune"]


def output(kind: str, run: Run) -> str:
    """The file by which a job is known to be done, and which is never dropped."""
    match kind:
        case "masks":
            return layout.mask(run)
        case "telemetry" | "connectivity":
            return layout.observations(run, kind)
    return layout.metrics(run, kind)


def handed_on(kind: str, run: Run) -> str:
    """The file that other jobs are given by this one."""
    return layout.checkpoint(run) if kind == "pretrain" else output(kind, run)


def made_from(kind: str, run: Run) -> dict[str, Job]:
    """What a job is given besides data: checkpoints and masks, by the names of its inputs."""
    found: dict[str, Run | None]
    match kind:
        case "masks":
            found = {"state": run.pruned_from}
        case "connectivity":
            found = {"parent": run.parent, "one": run, "other": run.reordered_run}
        case _:
            found = {"parent": run.parent}
            if kind == "pretrain":
                found["rung"] = run.rung
            if kind == "telemetry":
                found["final"] = run
    jobs: dict[str, Job] = {name: ("pretrain", one) for name, one in found.items() if one}
    if run.ticket and kind != "masks":
        jobs["mask"] = ("masks", run.ticket)
    return jobs


def pending(
    wanted: Iterable[Job],
    states: Iterable[Run] = (),
    current: Current = lambda run, kind: True,
    present: Present = os.path.exists,
) -> Jobs:
    """The jobs that are missing for what is `wanted` and for what is told of its pretraining.

    `states` are runs whose checkpoints are wanted for their own sake. Outdated results are left to
    Snakemake where what they start from is there; where it was dropped, they are missing too.
    """
    wanted = list(wanted)

    def lacks(kind: str, run: Run, needs: Iterable[str]) -> bool:
        if not present(output(kind, run)):
            return True
        return not all(map(present, needs)) and not current(run, kind)

    def outdated(kind: str, run: Run) -> bool:
        given = made_from(kind, run)
        given.pop("rung", None)
        # A state that was trained before is needed again only for its own checkpoint.
        own = [layout.checkpoint(run)] if kind == "pretrain" else []
        return lacks(kind, run, own or [handed_on(*job) for job in given.values()])

    told = [("pretrain", run) for run in ancestors(run for _, run in wanted)]
    waiting = [job for job in (*wanted, *told) if outdated(*job)]
    waiting += [("pretrain", run) for run in states if not _is_made(run, present)]
    found: dict[str, set[Run]] = {kind: set() for kind in KINDS}
    while waiting:
        kind, run = waiting.pop()
        if run in found[kind]:
            continue
        found[kind].add(run)
        for source, one in made_from(kind, run).values():
            there = _is_made(one, present) if source == "pretrain" else not outdated(source, one)
            if not there:
                waiting.append((source, one))
    return Jobs({kind: frozenset(runs) for kind, runs in found.items()})


def _is_made(run: Run, present: Present) -> bool:
    """Whether the state of `run` is there to go on from, with what was measured on the way."""
    return all(map(present, (layout.checkpoint(run), layout.metrics(run, "pretrain"))))


def requires(
    job: Job,
    earlier: Job,
    needed: Jobs,
    current: Current = lambda run, kind: False,
    present: Present = os.path.exists,
) -> bool:
    """Whether a `job` depends on the file that `earlier` hands on.

    A finished job does not where that file was dropped: otherwise Snakemake would make it again as
    soon as another one needs the same. Nor does it, if it is `current`, where the file is there, as
    it may have been made again since. `needed` are the jobs that are left.
    """
    kind, run = job
    if run in needed.of[kind] or not present(output(kind, run)):
        return True
    return present(handed_on(*earlier)) and not current(run, kind)
