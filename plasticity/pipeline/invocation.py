"""One invocation of the workflow: what it is asked for, what is pending, what jobs are given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NoReturn, Protocol

from plasticity.core.errors import UserError
from plasticity.pipeline import inputs, jobs, origins
from plasticity.runs import datasets, layout
from plasticity.runs.kinds import KINDS, Job, Kind
from plasticity.runs.provenance import Code
from plasticity.study import Study
from plasticity.study.explain import unknown
from plasticity.study.pending import pending, requires
from plasticity.study.plan import Asked


class Session(Protocol):
    """What Snakemake was asked for, and what it has on record of the files that it made."""

    def settle_triggers(self) -> None:
        """Let age and parameters alone decide what is made again; raises `UserError`."""

    def targets(self) -> list[str]:
        """The names of rules and files that are wanted, known once all rules are read."""

    def told(self, path: str, of: str = "code") -> str | None:
        """What it was told of the code, or `of` the source, of `path`; None without a record."""

    def make_again(self, paths: Iterable[str]) -> None:
        """Have those of the files in `paths` made again that are there without a record."""


@dataclass(frozen=True)
class Invocation:
    """The `study`, and what Snakemake was told to make of it.

    Its `session` knows the targets only after all rules were read, so that they are asked for as
    late as in the first function of an input.
    `is_main` is false in the process of a single job, which decides nothing about others.
    """

    study: Study
    session: Session
    is_main: bool = True

    @cached_property
    def asked(self) -> Asked:
        """What the targets ask for; raises `UserError` for a mistake in one of them."""
        return self.study.asked(self.session.targets())

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

    def told_of_code(self, job: Job) -> str:
        """What Snakemake is told of the code of a `job`; see `jobs.told_of_code`."""
        code, path = jobs.code_of(job, self.study.settings), layout.done(job)
        return self._told(path, code, lambda: self.made(job).changed)

    def told_of_data(self, data: jobs.Data) -> str:
        """What Snakemake is told of the code that makes `data`."""
        return self._told(data.path, data.code, lambda: data.changed)

    def _told(self, path: str, code: Code, changed: Callable[[], list[str]]) -> str:
        if not Path(path).exists():
            return jobs.told_of_code(code, None, None)
        return jobs.told_of_code(code, changed(), self.session.told(path))

    def renew(self, data: jobs.Data) -> None:
        """Have `data` that are outdated made again where Snakemake has no record of them."""
        self.require_targets()
        if self.is_main and Path(data.path).exists() and data.changed:
            self.session.make_again([data.path])

    def told_of_source(self, dataset: str) -> str:
        """What Snakemake is told of the source of `dataset`; see `origins.told_of_source`."""
        return self._told_of_source(dataset) if self.is_main else "source"

    @cached_property
    def _told_of_source(self) -> Callable[[str], str]:
        def told(dataset: str) -> str:
            known = self.session.told(layout.dataset(dataset)["train"], "source")
            return origins.told_of_source(self.study, dataset, known)

        return cache(told)

    def is_finished(self, job: Job) -> bool:
        """Whether a job that was done needs nothing more, whatever becomes of checkpoints.

        Where all of them are kept, Snakemake itself decides that by their age.
        """
        return self.study.settings.keep != "all" and self.is_current(job)

    def require_targets(self) -> None:
        """Raise `UserError` for a mistake in a target, as early as something is made at all."""
        if self.is_main:
            _ = self.begun

    @cached_property
    def begun(self) -> Asked:
        """What is asked for, of a session that is ready; raises `UserError`.

        Tables, figures and claims hold no digests of the code that made them, and so are made
        again where Snakemake has no record of them.
        """
        self.session.settle_triggers()
        self.session.make_again(inputs.made_of_runs(self.study))
        return self.asked

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
        """The files that a `job` is given, by the names of its inputs.

        A result that is outdated is made again, also where Snakemake has no record of it.
        """
        path = layout.done(job)
        if self.is_main and Path(path).exists() and not self.is_current(job):
            self.session.make_again([path])
        given = {
            name: layout.handed_on(earlier)
            for name, earlier in job.inputs.items()
            if self.study.settings.retrain
            or requires(job, earlier, lambda: self.needed, self.is_finished)
        }
        if not job.kind.computes:
            return given
        return {**layout.dataset(job.run.dataset), "split": layout.split(job.run), **given}


def misspelt_targets() -> str:
    """A pattern of what is a mistake where somebody asks for it, and which no rule makes.

    A rule for it tells what is wrong; Snakemake alone would only say that it has none.
    """
    names = "|".join(member.template.name for member in datasets.members.values())
    right = {
        "data": rf"(?:{names})(?:{layout.VARIANT})?/(?:train|test)\.safetensors",
        "splits": r"[^/]+/seed\d+/[^/_]+\.parquet",
        **{kind.name: f".+/(?:{'|'.join(map(re.escape, kind.files))})" for kind in KINDS.values()},
    }
    below = (f"{place}(?!/{path}$)(?:/.*)?" for place, path in right.items())
    return f"[^/]+|{layout.RESULTS}/(?:{'|'.join(below)})"
