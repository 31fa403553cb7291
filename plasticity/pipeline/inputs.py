"""What the tables, figures and claims of a study are made from: inputs and parameters of rules."""

from __future__ import annotations

import json
from collections.abc import Iterable

from plasticity.analysis.claims import FIGURES
from plasticity.pipeline.jobs import settings_of
from plasticity.runs import Run, ancestors, layout
from plasticity.runs.kinds import KINDS, PRETRAIN, TELEMETRY, Job
from plasticity.runs.workload import Workload
from plasticity.study import Figure, Study

TABLES = ("runs", "curves", "gaps")
"""What is made of the metrics of a figure's runs, of a group's and of the study's."""

ARMS = ("remedies", "tried")
"""What is made of these for a figure with arms."""


def metrics(study: Study, runs: Iterable[Run]) -> dict[str, list[str]]:
    """The metrics of measured `runs` and of the pretraining that they went through."""
    runs = list(runs)
    return {
        "tuned": [layout.done(job) for job in study.measured(runs)],
        "pretrained": [layout.done(Job(PRETRAIN, run)) for run in ancestors(runs)],
    }


def tables(study: Study, figure: Figure) -> dict[str, str]:
    """The tables that a `figure` is drawn from."""
    names = ["runs", "curves", *(["observations"] if figure.observed else [])]
    names += ["remedies"] * figure.has_arms
    return {name: layout.summary(study.name, name, figure.name) for name in names}


def observations(figure: Figure) -> list[str]:
    """What was observed of the runs of a `figure`, a file a run."""
    return [layout.done(job) for job in figure.observed]


def observing(study: Study, figure: Figure) -> dict[str, object]:
    """The settings of what is observed for a `figure`, if anything is."""
    kind = figure.settings.observe
    return settings_of(KINDS[kind], study.settings) if kind else {}


def pictures(study: Study, figures: Iterable[Figure], *suffixes: str) -> list[str]:
    """The files of `figures` with these `suffixes`, all where none is named."""
    return [
        layout.figure(study.name, figure.name, suffix)
        for figure in figures
        for suffix in suffixes or layout.FIGURE_SUFFIXES
    ]


def shown(study: Study, figures: Iterable[Figure]) -> list[str]:
    """All that is made to be looked at of `figures`: their pictures, and the tables of arms."""
    figures = list(figures)
    pages = [layout.remedies_page(study.name, one.name) for one in figures if one.has_arms]
    return [*pictures(study, figures), *pages]


def workload(figure: Figure) -> Workload:
    """The network of a `figure` with arms on its data, with one of their optimisers."""
    return Workload.of(figure.runs[0])


def made_of_runs(study: Study) -> list[str]:
    """All that a `study` makes of the results of its runs: tables, figures and claims."""
    parts = [*study.figures, *study.groups, None]
    return [
        *pictures(study, study.figures.values()),
        *(layout.summary(study.name, table, part) for part in parts for table in TABLES),
        *(layout.summary(study.name, "observations", figure) for figure in study.figures),
        *(
            layout.claims(f"{study.name}-{group}" if group else study.name, suffix)
            for group in (*study.groups, None)
            for suffix in ("parquet", "html")
        ),
        layout.gap_table(study.name),
        *(
            path
            for figure in study.figures.values()
            if figure.has_arms
            for path in (
                layout.remedies_page(study.name, figure.name),
                *(layout.summary(study.name, table, figure.name) for table in ARMS),
            )
        ),
    ]


def judged(figures: Iterable[Figure]) -> dict[str, Figure]:
    """Those of `figures` that claims read, by name."""
    return {figure.name: figure for figure in figures if figure.name in FIGURES}


def claims(study: Study, figures: Iterable[Figure], group: str | None = None) -> dict[str, object]:
    """What the page of claims on `figures` is made from: those of a `group`, or of the study."""
    read = judged(figures)
    return {
        "runs": layout.summary(study.name, "runs", group),
        "curves": layout.summary(study.name, "curves", group),
        "pictures": pictures(study, read.values(), "png"),
        "observations": [
            layout.summary(study.name, "observations", name)
            for name, figure in read.items()
            if figure.settings.observe == TELEMETRY.name
        ],
    }


def judged_in_words(figures: Iterable[Figure]) -> str:
    """What the page of claims must know of those of `figures` that it reads, as JSON."""
    return json.dumps(
        {
            name: {
                "roles": figure.roles,
                "title": figure.settings.title,
                "caption": figure.settings.caption,
            }
            for name, figure in judged(figures).items()
        }
    )
