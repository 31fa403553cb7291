"""Compare the arms of a figure: the tables of remedies and their page."""

from __future__ import annotations

import json

import pandas as pd

from plasticity.analysis.storage import write_page, write_table
from plasticity.analysis.summary.remedies import remedies_tables
from plasticity.analysis.summary.remedies_page import remedies_page
from plasticity.runs.costs import read_networks
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Compare the arms of a figure: the tables of remedies and their page."""
    (network,) = read_networks(given.input.network).values()
    remedies, tried = remedies_tables(
        pd.read_parquet(given.input.runs),
        pd.read_parquet(given.input.curves),
        json.loads(given.params.roles),
        network.multiply_adds,
    )
    write_table(given.output.remedies, remedies)
    write_table(given.output.tried, tried)
    page = remedies_page(
        given.params.title,
        given.params.caption,
        remedies.to_pandas(),
        tried.to_pandas(),
        json.loads(given.params.labels),
    )
    write_page(given.output.page, page)
    log(f"{len(remedies)} roles of {len(tried)} runs")
