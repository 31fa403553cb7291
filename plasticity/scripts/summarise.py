"""Turn metrics files into the tables of runs, curves and gaps."""

from __future__ import annotations

from plasticity.analysis.storage import write_page, write_table
from plasticity.analysis.summary.curves import CURVES, curves
from plasticity.analysis.summary.gaps import gaps_table
from plasticity.analysis.summary.page import gaps_page
from plasticity.analysis.summary.runs import Measured, runs_table
from plasticity.core import tables
from plasticity.runs import layout
from plasticity.scripts.call import Given, Log, present


def main(given: Given, log: Log) -> None:
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
