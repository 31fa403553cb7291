"""Scripts that turn what runs measured into tables, figures and claims."""

from __future__ import annotations

import json

import pandas as pd

from plasticity.analysis import preview
from plasticity.analysis.claims.early import TELEMETRY
from plasticity.analysis.claims.evidence import Evidence
from plasticity.analysis.claims.ledger import read_from
from plasticity.analysis.claims.page import Picture, claims_page
from plasticity.analysis.claims.verdict import judge, table
from plasticity.analysis.figures import Tables, render
from plasticity.analysis.storage import write_page, write_table
from plasticity.analysis.summary.curves import CURVES, curves
from plasticity.analysis.summary.gaps import gaps_table
from plasticity.analysis.summary.observations import observations_table
from plasticity.analysis.summary.page import gaps_page
from plasticity.analysis.summary.runs import Measured, runs_table
from plasticity.core import tables
from plasticity.runs import layout
from plasticity.scripts.call import Given, Log, present


def summarise(given: Given, log: Log) -> None:
    """Turn metrics files into the tables of runs, curves and gaps."""
    tuned, pretrained = (
        {layout.job_of(path).run: Measured.read(path) for path in paths}
        for paths in (given.input.tuned, given.input.pretrained)
    )
    runs = runs_table(tuned, pretrained)
    gaps = gaps_table(runs.to_pandas())
    write_table(given.output.runs, runs)
    tables.write_pieces(given.output.curves, CURVES, curves(tuned, pretrained))
    write_table(given.output.gaps, gaps)
    if page := present(given.output, "page"):
        write_page(page, gaps_page(gaps.to_pandas(), given.params.study))
    log(f"{len(tuned)} tuned runs, {len(pretrained)} pretraining stages, {len(gaps)} gaps")


def summarise_observations(given: Given, log: Log) -> None:
    """Put what was observed of a figure's runs into one table."""
    observations = observations_table(given.input)
    write_table(given.output[0], observations)
    log(f"{len(observations)} observations of {len(given.input)} runs")


def draw(given: Given, log: Log) -> None:
    """Draw one figure."""
    observed = present(given.input, "observations")
    shown = Tables.of(
        title=given.params.title,
        runs=pd.read_parquet(given.input.runs),
        curves=pd.read_parquet(given.input.curves),
        roles=json.loads(given.params.roles),
        labels=json.loads(given.params.labels),
        observations=pd.read_parquet(observed) if observed else None,
    )
    render(given.params.draw, shown, dict(given.output.items()))
    log(f"drawn with {given.params.draw} from {len(shown.runs)} runs")


def draw_preview(given: Given, log: Log) -> None:
    """Draw one figure with made-up numbers."""
    shown = preview.made_up_tables(
        given.params.title,
        json.loads(given.params.roles),
        json.loads(given.params.labels),
        given.params.observe,
        given.params.settings,
    )
    render(given.params.draw, shown, dict(given.output.items()), preview.NOTE)
    log(f"drawn with {given.params.draw} from {len(shown.runs)} made-up runs")


def judge_claims(given: Given, log: Log) -> None:
    """Judge the papers' claims from the study's tables."""
    figures = json.loads(given.params.figures)
    # The telemetry, where the rule gives it: a path, or a list of one or none.
    observed = present(given.input, "observations") or ()
    telemetry = observed if isinstance(observed, str) else next(iter(observed), None)
    evidence = Evidence.of(
        pd.read_parquet(given.input.runs),
        pd.read_parquet(given.input.curves),
        {name: figure["roles"] for name, figure in figures.items()},
        {TELEMETRY: pd.read_parquet(telemetry)} if telemetry else {},
    )
    judgements = judge(read_from(figures), evidence)
    pictures = {
        name: Picture(figure["title"], figure["caption"], path)
        for (name, figure), path in zip(figures.items(), given.input.pictures, strict=True)
    }
    page = claims_page(given.params.study, judgements, pictures)
    write_table(given.output.table, table(judgements))
    write_page(given.output.page, page)
    for one in judgements:
        log(f"{one.id}: {one.verdict}. {one.reason}")
