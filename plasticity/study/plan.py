"""Figures and the runs that they ask for."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from plasticity import layout
from plasticity.errors import UserError, named, shown
from plasticity.spec import Run, starts
from plasticity.study.settings import FigureSettings, Settings, unknown
from plasticity.study.template import RunTemplate

MOST_RUNS = 200_000
"""Runs of all figures together, each role and each seed counted.

Planning takes a second or two for every ten thousand; more are a slip in a grid, whose sizes
multiply, and would fill the memory before anything is said.
"""


@dataclass(frozen=True)
class PlannedRun:
    """A run and the role that it plays in a figure, such as ``cold``."""

    role: str
    run: Run


@dataclass(frozen=True)
class Figure:
    """A figure with all of its runs, each seed a run, and its roles in the words of a legend."""

    name: str
    settings: FigureSettings
    planned: tuple[PlannedRun, ...]
    labels: Mapping[str, str]

    @property
    def runs(self) -> list[Run]:
        """The tuned runs, each once."""
        return list(dict.fromkeys(planned.run for planned in self.planned))

    @property
    def roles(self) -> dict[str, list[str]]:
        """The lineage paths of the runs that play each role."""
        roles: dict[str, list[str]] = {}
        for planned in self.planned:
            roles.setdefault(planned.role, []).append(str(planned.run))
        return roles


@dataclass(frozen=True)
class Asked:
    """The tuned and the pretrained runs that a command line asks for."""

    tuned: tuple[Run, ...]
    pretrained: tuple[Run, ...]


class Study:
    """A checked configuration and the runs that it asks for."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read `config`; raises `UserError` for what is wrong in it."""
        self.settings = Settings.read(config)
        self.name = self.settings.study
        self._refuse_too_many()
        # Every figure is planned, also those that are no targets: a mistake shows at once.
        self.figures = {name: self._figure(name) for name in self.settings.figures}
        self._refuse_unused()

    def figure(self, name: str) -> Figure:
        """The figure called `name`; raises `UserError` where there is none."""
        if name not in self.figures:
            raise UserError(unknown("targets", "figure", name, self.figures))
        return self.figures[name]

    @property
    def targets(self) -> list[Figure]:
        """The figures that are made where no target is named."""
        return [self.figures[name] for name in self.settings.targets]

    @cached_property
    def runs(self) -> list[Run]:
        """The tuned runs of all targets, each once."""
        return list(dict.fromkeys(run for figure in self.targets for run in figure.runs))

    def asked(self, arguments: Iterable[str]) -> Asked:
        """What the targets among `arguments` of the command line ask for.

        Figures by their name or a file of theirs, runs by a file of theirs, and all targets of the
        study where there is none of these. Raises `UserError` for an unknown figure or a path in a
        wrong spelling: Snakemake would only say that it has no rule for it.
        """
        figures: dict[str, Figure] = {}
        runs: dict[str, list[Run]] = {"tune": [], "pretrain": []}
        places = (
            f"{layout.RESULTS}/figures/{self.name}/",
            f"{layout.RESULTS}/summary/{self.name}/",
        )
        for argument in map(os.path.normpath, arguments):
            if argument in self.figures or re.fullmatch(r"fig\d+", argument):
                figures[argument] = self.figure(argument)
            elif argument.startswith(places[0]):
                figures[argument] = self.figure(Path(argument).stem)
            elif argument.startswith(f"{places[1]}figures/"):
                figures[argument] = self.figure(argument.split("/")[4])
            for kind, found in runs.items():
                if argument.startswith(f"{layout.RESULTS}/{kind}/"):
                    found.append(layout.run_of(argument))
            layout.require_spelt(argument)
        tuned = [*runs["tune"], *(run for figure in figures.values() for run in figure.runs)]
        if not tuned and not runs["pretrain"]:
            tuned = self.runs
        return Asked(tuple(dict.fromkeys(tuned)), tuple(runs["pretrain"]))

    def source(self, dataset: str) -> str | None:
        """Where the configuration says that a local copy of `dataset` is."""
        return self.settings.sources.get(dataset)

    def _refuse_too_many(self) -> None:
        """Raise `UserError` for more than `MOST_RUNS`, before any is planned."""
        remedies = 1 + len(self.settings.remedies)  # at most: what is no warm start has none
        total = 0
        for name, figure in self.settings.figures.items():
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

    def _refuse_unused(self) -> None:
        """Raise `UserError` for a length or an optimiser that no run uses: a slip, mostly."""
        used = {word for name in self.figures for word in self._words(name)}
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
        return RunTemplate(
            f"figures.{name}.runs.{role}",
            figure.dataset or self.settings.dataset,
            figure.model or self.settings.model,
            figure.runs[role],
            self.settings,
        )

    def _figure(self, name: str) -> Figure:
        settings = self.settings.figures[name]
        planned = list(dict.fromkeys(self._with_remedies(name, self._plan(name, settings))))
        labels = {}
        for role in settings.runs:
            labels[role] = settings.labels.get(role, role)
            for remedy in self.settings.remedies:
                labels[f"{role}-{remedy}"] = f"{labels[role]}, {remedy}"
        roles = {run.role for run in planned}
        labels = {role: label for role, label in labels.items() if role in roles}
        order = list(labels)
        planned.sort(key=lambda run: order.index(run.role))
        return Figure(name, settings, tuple(planned), labels)

    def _with_remedies(self, figure: str, planned: Iterable[PlannedRun]) -> Iterator[PlannedRun]:
        """`planned`, and each plain warm start once more with every remedy in its place."""
        keep = starts.parse("keep")
        origins = {role: (role, "") for role in self.settings.figures[figure].runs}
        for item in planned:
            yield item
            if item.run.stage.start != keep:
                continue
            for name, remedy in self.settings.remedies.items():
                stage = replace(item.run.stage, start=starts.parse(remedy))
                try:
                    run = replace(item.run, stages=(*item.run.stages[:-1], stage))
                except UserError as error:
                    raise UserError(f"remedies.{name}: {error}") from None
                role = f"{item.role}-{name}"
                if origins.setdefault(role, (item.role, name)) != (item.role, name):
                    raise UserError(
                        f"remedies.{name}: with it the role {item.role!r} of figures.{figure} is "
                        f"called {role!r}, and another is already; rename one"
                    )
                yield PlannedRun(role, run)

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
                    run = Run.parse(template.lineage(seed, point))
                except UserError as error:
                    at = ", ".join(
                        f"{variable}: {named(value)}" for variable, value in point.items()
                    )
                    raise UserError(f"{where}: {error}{f' (at {at})' if at else ''}") from None
                if run in met:
                    raise UserError(
                        f"figures.{name}.grid: {shown(met[run])} and {shown(point)} ask for the "
                        f"same run in role {role!r}; remove one"
                    )
                met[run] = point
                yield PlannedRun(role, run)
        for variable in sorted(unused):
            raise UserError(f"figures.{name}.grid.{variable}: no run of the figure uses it")
