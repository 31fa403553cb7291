"""Figures and the runs that they ask for."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from plasticity.core.errors import UserError, named, shown
from plasticity.runs import Run, UnsuitableError, extensions, layout, states_of
from plasticity.runs.bounds import MOST_RUNS
from plasticity.runs.kinds import KINDS, PRETRAIN, TELEMETRY, TUNE, Job, Kind
from plasticity.runs.own_data import OwnData, expanded
from plasticity.runs.workload import step_range, steps_per_epoch
from plasticity.study import arms, datasets
from plasticity.study.arms import PlannedRun
from plasticity.study.explain import unknown
from plasticity.study.settings import FigureSettings, Settings
from plasticity.study.template import RunTemplate

WHOLE = ("all", "summarise_study", "claims")
"""Rules of the workflow that are made from all figures that are targets."""


@dataclass(frozen=True)
class Figure:
    """A figure with all of its runs, each seed a run, and its roles in the words of a legend."""

    name: str
    settings: FigureSettings
    planned: tuple[PlannedRun, ...]
    labels: Mapping[str, str]

    @property
    def runs(self) -> list[Run]:
        """The measured runs, each once."""
        return list(dict.fromkeys(planned.run for planned in self.planned))

    @property
    def has_arms(self) -> bool:
        """Whether its runs are arms, which are compared in a table of their own."""
        return self.settings.arms is not None

    @property
    def observed(self) -> list[Job]:
        """What is observed besides the metrics, a job a run; empty for most figures."""
        kind = KINDS.get(self.settings.observe or "")
        return [Job(kind, run) for run in self.runs] if kind else []

    @property
    def roles(self) -> dict[str, list[str]]:
        """The lineage paths of the runs that play each role."""
        roles: dict[str, list[str]] = {}
        for planned in self.planned:
            roles.setdefault(planned.role, []).append(str(planned.run))
        return roles


@dataclass(frozen=True)
class Asked:
    """The jobs that a command line asks for, and the runs whose states are wanted themselves."""

    jobs: tuple[Job, ...]
    states: tuple[Run, ...]


class Study:
    """A checked configuration and the runs that it asks for."""

    def __init__(self, config: Mapping[str, Any], *, renew: bool = True) -> None:
        """Read `config`; raises `UserError` for what is wrong in it.

        Only where `renew` is true are the sources of data sets looked at that it declares.
        """
        extensions.use(extensions.given(config))  # which declare words that settings name
        datasets.use(config, renew=renew)
        with extensions.explained():
            self.settings = Settings.read(config)
            self.name = self.settings.study
            self._refuse_too_many()
            # Every figure is planned, also those that are no targets: a mistake shows at once.
            # What needs another data set or network is refused where it is asked for.
            self._unsuitable: dict[str, UnsuitableError] = {}
            self.figures = {
                name: figure for name in self.settings.figures if (figure := self._suitable(name))
            }
            self._refuse_unused()
            self._require_time_left(self.targets)

    def figure(self, name: str) -> Figure:
        """The figure called `name`; raises `UserError` where there is none."""
        if name in self._unsuitable:
            raise UserError(
                f"{self._unsuitable[name]}; change the figure, or leave it out of the targets"
            )
        if name not in self.figures:
            raise UserError(unknown("targets", "figure", name, self.figures))
        return self.figures[name]

    def _suitable(self, name: str) -> Figure | None:
        """The figure called `name`; None where it needs another data set or network."""
        try:
            return self._figure(name)
        except UnsuitableError as error:
            self._unsuitable[name] = error
            return None

    def group(self, name: str) -> list[Figure]:
        """The figures of the group called `name`; raises `UserError` where there is none."""
        if name not in self.settings.groups:
            raise UserError(unknown("targets", "group", name, self.groups))
        return [self.figure(one) for one in self.settings.groups[name]]

    @cached_property
    def groups(self) -> dict[str, list[Figure]]:
        """The figures that are made together under a name, but where one is not suitable."""
        groups = self.settings.groups.items()
        names = [name for name, figures in groups if not self._unsuitable.keys() & figures]
        return {name: self.group(name) for name in names}

    @property
    def targets(self) -> list[Figure]:
        """The figures that are made where no target is named, but for unsuitable ones."""
        return [self.figures[name] for name in self.settings.targets if name in self.figures]

    def _all_targets(self) -> list[Figure]:
        """All of them; raises `UserError` where one needs another data set or network."""
        return [self.figure(name) for name in self.settings.targets]

    @cached_property
    def runs(self) -> list[Run]:
        """The measured runs of all targets, each once."""
        return runs_of(self.targets)

    def runs_of(self, name: str) -> list[Run]:
        """The measured runs of the figure or of the group called `name`; raises `UserError`."""
        return runs_of(self._figures_of(name))

    def _figures_of(self, name: str) -> list[Figure]:
        return self.group(name) if name in self.settings.groups else [self.figure(name)]

    def kind_of(self, run: Run) -> Kind:
        """The kind of job that measures `run`.

        Usually tuning, which leaves nothing to go on from. A run from whose state others of the
        study are made is measured where it makes that state, so that it is trained once.
        """
        return PRETRAIN if run in self._shared_states else TUNE

    def measured(self, runs: Iterable[Run]) -> list[Job]:
        """The jobs that measure `runs`."""
        return [Job(self.kind_of(run), run) for run in runs]

    def jobs_of(self, figures: Iterable[Figure]) -> list[Job]:
        """All that `figures` are drawn from: jobs that measure and observe their runs."""
        figures = list(figures)
        observed = [job for figure in figures for job in figure.observed]
        return [*self.measured(runs_of(figures)), *dict.fromkeys(observed)]

    @cached_property
    def _shared_states(self) -> frozenset[Run]:
        """The runs whose states other runs of any figure, or what is observed, are made from."""
        figures = list(self.figures.values())
        observed = [job for figure in figures for job in figure.observed]
        given = [one for job in observed for one in job.inputs.values()]
        states = {job.run for job in given if job.kind.state}
        return frozenset(states | states_of({*runs_of(figures), *states}))

    def asked(self, targets: Iterable[str]) -> Asked:
        """What `targets` ask for, as Snakemake is told them.

        Figures by their name or a file of theirs, runs by a file of theirs, and all targets of the
        study where there is none of these. Raises `UserError` for an unknown figure or a path in a
        wrong spelling: Snakemake would only say that it has no rule for it.
        """
        figures: dict[str, Figure] = {}
        asked: list[Job] = []
        for target in map(os.path.normpath, targets):
            figures |= {figure.name: figure for figure in self._figures_in(target)}
            if target.startswith(tuple(f"{layout.RESULTS}/{kind}/" for kind in KINDS)):
                asked.append(layout.job_of(target))
            layout.require_spelt(target)
        self._require_time_left(figures.values())
        for job in asked:
            require_time_left(job.run)
            if job.kind is TELEMETRY:
                self._require_steps(job.run)
        jobs = [*asked, *self.jobs_of(figures.values())]
        if not jobs:
            jobs = self.jobs_of(self._all_targets())
        states = [job.run for job in asked if job.kind.state]
        return Asked(tuple(dict.fromkeys(jobs)), tuple(dict.fromkeys(states)))

    def _figures_in(self, target: str) -> list[Figure]:
        """The figures that a `target` names or is a file of; raises `UserError`."""
        place = f"{layout.RESULTS}/{{}}/{self.name}".format
        whole = re.escape(place("summary")) + r"/[^/]+|" + re.escape(place("claims")) + r"\.[^/]+"
        if target in WHOLE or re.fullmatch(whole, target):
            return self._all_targets()
        if (
            target in self.settings.groups
            or target in self.settings.figures
            or re.fullmatch(r"fig\d+", target)
        ):
            return self._figures_of(target)
        if target.startswith((f"{place('figures')}/", f"{place('preview')}/")):
            return [self.figure(Path(target).stem)]
        if target.startswith(f"{place('summary')}/figures/"):
            return self._figures_of(target.split("/")[4])
        if target.startswith(f"{place('claims')}-"):
            return self.group(Path(target).stem.removeprefix(f"{self.name}-"))
        return []

    def source(self, dataset: str) -> str | None:
        """Where the configuration says that `dataset`, or a local copy of it, is.

        With `~` and variables such as `$HOME` expanded; a relative path is one of the folder that
        the workflow works in.
        """
        if own := self._own(dataset):
            return own.place
        place = self.settings.sources.get(dataset)
        return expanded(place) if place else None

    def key_of_source(self, dataset: str) -> str:
        """The key of the configuration that says so."""
        own = self._own(dataset)
        return own.key if own else f"sources.{dataset}"

    def _own(self, dataset: str) -> OwnData | None:
        if dataset not in self.settings.datasets:
            return None
        entry = self.settings.datasets[dataset].model_dump(exclude_none=True)
        return OwnData.of(dataset, entry)

    def _refuse_too_many(self) -> None:
        """Raise `UserError` for more than `MOST_RUNS`, before any is planned."""
        total = 0
        for name, figure in self.settings.figures.items():
            remedies = arms.copies(figure, self.settings.remedies)
            seeds = len(figure.seeds or self.settings.seeds)
            for role in figure.runs:
                template = self._template(name, role)
                sizes = [len(values) for values in template.over(figure.grid).values()]
                total += prod(sizes) * seeds * remedies
                if total > MOST_RUNS:
                    points = " x ".join(map(str, sizes)) or "1"
                    extra = f", each with {remedies - 1} remedies" if remedies > 1 else ""
                    raise UserError(
                        f"{template.where}: {points} points of the grid and {seeds} seeds make "
                        f"{prod(sizes) * seeds:,} runs{extra}; expected at most {MOST_RUNS:,} in "
                        "all figures together: take fewer values or fewer seeds"
                    )

    def _require_time_left(self, figures: Iterable[Figure]) -> None:
        """Raise `UserError` where a run is to go on from a state beyond its own end.

        Only for what is to be made: in a small study the other figures may well not fit.
        """
        for figure in figures:
            for planned in figure.planned:
                try:
                    require_time_left(planned.run)
                    if figure.settings.observe == "telemetry":
                        self._require_steps(planned.run)
                except UserError as error:
                    where = f"figures.{figure.name}.runs.{planned.role}"
                    raise UserError(f"{where}: {error}") from None

    def _require_steps(self, run: Run) -> None:
        """Raise `UserError` where `run` has fewer steps than are to be observed."""
        if steps_per_epoch(run):
            begin, end = step_range(run)
            wanted = self.settings.telemetry.iterations
            if end - begin < wanted:
                raise UserError(
                    f"telemetry.iterations: {wanted:,} updates are to be observed, and stage "
                    f"'{run.stage}' has {end - begin:,}; observe fewer or train for longer"
                )

    def _refuse_unused(self) -> None:
        """Raise `UserError` for a length or an optimiser that no run uses: a slip, mostly."""
        used = {word for name in self.settings.figures for word in self._words(name)}
        for key in ("lengths", "optimisers"):
            entries = getattr(self.settings, key)
            for name in entries:
                if name not in used:
                    others = [other for other in entries if other != name]
                    close = difflib.get_close_matches(name, others, n=1)
                    hint = f"; did you mean {close[0]!r}?" if close else "; remove it"
                    raise UserError(f"{key}.{name}: no run of any figure uses it{hint}")

    def _words(self, name: str) -> set[str]:
        figure = self.settings.figures[name]
        templates = (self._template(name, role) for role in figure.runs)
        return set().union(*(template.variables for template in templates))

    def _template(self, name: str, role: str) -> RunTemplate:
        figure = self.settings.figures[name]
        held = f"-v{figure.tune.validation}" if figure.tune else ""
        return RunTemplate(
            f"figures.{name}.runs.{role}",
            (figure.dataset or self.settings.dataset) + held,
            figure.model or self.settings.model,
            figure.runs[role],
            self.settings,
        )

    def _figure(self, name: str) -> Figure:
        settings = self.settings.figures[name]
        remedies = self.settings.remedies
        grow = arms.with_remedies if settings.arms is None else arms.with_arms
        planned = list(dict.fromkeys(grow(name, settings, remedies, self._plan(name, settings))))
        roles = {run.role for run in planned}
        told = arms.labels_of(settings, remedies)
        labels = {role: label for role, label in told.items() if role in roles}
        order = list(labels)
        planned.sort(key=lambda run: order.index(run.role))
        return Figure(name, settings, tuple(planned), labels)

    def _plan(self, name: str, figure: FigureSettings) -> Iterator[PlannedRun]:
        """The runs that the templates of `figure` spell over its grid and its seeds."""
        unused = set(figure.grid)
        for role in figure.runs:
            template = self._template(name, role)
            where = template.where
            template.require_known(figure.grid)
            unused -= template.variables
            grid = template.over(figure.grid)
            points = [dict(zip(grid, point, strict=True)) for point in product(*grid.values())]
            met: dict[Run, dict[str, Any]] = {}
            for point, seed in product(points, figure.seeds or self.settings.seeds):
                try:
                    run = template.run(seed, point)
                    if figure.observe == "connectivity":
                        _ = run.reordered_run
                except UserError as error:
                    at = ", ".join(
                        f"{variable}: {named(value)}" for variable, value in point.items()
                    )
                    kind = UnsuitableError if isinstance(error, UnsuitableError) else UserError
                    raise kind(f"{where}: {error}{f' (at {at})' if at else ''}") from None
                if run in met:
                    raise UserError(
                        f"figures.{name}.grid: {shown(met[run])} and {shown(point)} ask for the "
                        f"same run in role {role!r}; remove one"
                    )
                met[run] = point
                yield PlannedRun(role, run)
        for variable in sorted(unused):
            raise UserError(f"figures.{name}.grid.{variable}: no run of the figure uses it")


def runs_of(figures: Iterable[Figure]) -> list[Run]:
    """The measured runs of all `figures`, each once."""
    return list(dict.fromkeys(run for figure in figures for run in figure.runs))


def require_time_left(run: Run) -> None:
    """Raise `UserError` where the last stage of `run` is to go on from a state beyond its end.

    As far as the number of examples is known.
    """
    if steps_per_epoch(run):
        step_range(run)
