"""Draw one figure."""

from __future__ import annotations

import json

import pandas as pd

from plasticity.analysis.figures import Tables, render
from plasticity.scripts.call import Given, Log, present


def main(given: Given, log: Log) -> None:
    """Draw one figure."""
    observed = present(given.input, "observations")
    remedies = present(given.input, "remedies")
    shown = Tables.of(
        title=given.params.title,
        runs=pd.read_parquet(given.input.runs),
        curves=pd.read_parquet(given.input.curves),
        roles=json.loads(given.params.roles),
        labels=json.loads(given.params.labels),
        observations=pd.read_parquet(observed) if observed else None,
        remedies=pd.read_parquet(remedies) if remedies else None,
    )
    render(given.params.draw, shown, dict(given.output.items()))
    log(f"drawn with {given.params.draw} from {len(shown.runs)} runs")
