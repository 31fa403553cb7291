"""One invocation of the workflow: what it is asked for, what is pending, what jobs are given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NoReturn

from plasticity.core.errors import UserError
from plasticity.pipeline import jobs, origins
from plasticity.runs import datasets, layout
from plasticity.runs.kinds import KINDS, Job, Kind
from plasticity.study import Study
from plasticity.study.explain import unknown
from plasticity.study.pending import pending, requires
from plasticity.study.plan import Asked


@dataclass(frozen=True)
class Invocation:
    """The `study`, and what Snakemake was told to make of it.

    `targets` tells the names of rules and files that are wanted: Snakemake knows them only after
    it has read all rules, so that they are asked for as late as in the first function of an input.
    `is_main` is false in the process of a single job, which decides nothing about others.
    """

    study: Study
    targets: Callable[[], Iterable[str]]
    is_main: bool = True

    @cached_property
    def asked(self) -> Asked:
        """What the targets ask for; raises `UserError` for a mistake in one of them."""
        return self.study.asked(self.targets())

    @cached_property
    def needed(self) -> frozenset[Job]:
        """The jobs that are pending; none in the process of a job, where the main one decided."""
        if not self.is_main:
            return frozenset()
        return pending(self.asked.jobs, self.asked.states, self.is_current)

    @cached_property
    def made(self) -> Callable[[Job], jobs.Made]:
        """How a finished job was made: each one is looked at once."""
        return cache(lambda job: jobs.made(job, self.study.settings))

    def is_current(self, job: Job) -> bool:
        """Whether a finished job was made by the present code, in the present precision."""
        made = self.made(job)
        return not made.changed and made.precision == self.study.settings.precision

    def told_of_code(self, job: Job, on_record: Callable[[str], Iterable[str]]) -> str:
        """What Snakemake is told of the code of a `job`; see `jobs.told_of_code`.

        `on_record` gives the parameters that it has on record for a file.
        """
        code, path = jobs.code_of(job, self.study.settings), layout.done(job)
        if not Path(path).exists():
            return jobs.told_of_code(code, None, ())
        return jobs.told_of_code(code, self.made(job), on_record(path))

    def told_of_source(self, dataset: str, on_record: tuple[str, ...]) -> str:
        """What Snakemake is told of the source of `dataset`; see `origins.told_of_source`."""
        return self._told_of_source(dataset, on_record) if self.is_main else "source"

    @cached_property
    def _told_of_source(self) -> Callable[[str, tuple[str, ...]], str]:
        return cache(lambda dataset, known: origins.told_of_source(self.study, dataset, known))

    def is_finished(self, job: Job) -> bool:
        """Whether a job that was done needs nothing more, whatever becomes of checkpoints.

        Where all of them are kept, Snakemake itself decides that by their age.
        """
        return self.study.settings.keep != "all" and self.is_current(job)

    def require_targets(self) -> None:
        """Raise `UserError` for a mistake in a target, as early as something is made at all."""
        if self.is_main:
            _ = self.asked

    def refuse(self, target: str) -> NoReturn:
        """Raise `UserError` for a `target` that no rule makes."""
        self.require_targets()
        known = {**self.study.figures, **self.study.groups}
        raise UserError(unknown("targets", "target", target, known))

    def job(self, kind: Kind, run: str) -> Job:
        """The job of a `kind` on the run in the path `run`; raises `UserError`."""
        self.require_targets()
        return layout.job_of(f"{layout.RESULTS}/{kind}/{run}/{kind.done}")

    def inputs(self, job: Job) -> dict[str, str]:
        """The files that a `job` is given, by the names of its inputs."""
        given = {
            name: layout.handed_on(earlier)
            for name, earlier in job.inputs.items()
            if self.study.settings.retrain
            or requires(job, earlier, lambda: self.needed, self.is_finished)
        }
        if not job.kind.computes:
            return given
        return {**layout.dataset(job.run.dataset), "split": layout.split(job.run), **given}


def named_targets(
    targets: Iterable[str], besides: Iterable[str], rules_with_wildcards: Iterable[str]
) -> list[str]:
    """All that Snakemake makes because it is named on a command line.

    Besides its `targets`, or the default one where there are none, those that are named by the
    options ``--forcerun``, ``--until`` and ``--prioritize``, unless they are rules with wildcards,
    which name no file.
    """
    general = set(rules_with_wildcards)
    return [*(targets or ["all"]), *(name for name in besides if name not in general)]


def misspelt_targets() -> str:
    """A pattern of what is a mistake where somebody asks for it, and which no rule makes.

    A rule for it tells what is wrong; Snakemake alone would only say that it has none.
    """
    names = "|".join(member.template.name for member in datasets.members.values())
    variant = r"(?:-n\d+(?:-r\d+)?|-r\d+)?"
    right = {
        "data": rf"(?:{names}){variant}/(?:train|test)\.safetensors",
        "splits": r"[^/]+/seed\d+/[^/_]+\.parquet",
        **{kind.name: f".+/(?:{'|'.join(map(re.escape, kind.files))})" for kind in KINDS.values()},
    }
    below = (f"{place}(?!/{path}$)(?:/.*)?" for place, path in right.items())
    return f"[^/]+|{layout.RESULTS}/(?:{'|'.join(below)})"
