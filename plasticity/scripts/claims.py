"""Judge the papers' claims from the study's tables."""

from __future__ import annotations

import json

import pandas as pd

from plasticity.analysis.claims.early import TELEMETRY
from plasticity.analysis.claims.evidence import Evidence
from plasticity.analysis.claims.judgements import table
from plasticity.analysis.claims.ledger import read_from
from plasticity.analysis.claims.page import Picture, claims_page
from plasticity.analysis.claims.verdict import judge
from plasticity.analysis.storage import write_page, write_table
from plasticity.scripts.call import Given, Log, present


def main(given: Given, log: Log) -> None:
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
