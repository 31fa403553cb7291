"""Turn metrics files into the tables of runs, curves and gaps."""

from __future__ import annotations

from plasticity.analysis import summary
from plasticity.core import tables
from plasticity.runs import layout
from plasticity.scripts.call import Given, Log, present, write_page


def main(given: Given, log: Log) -> None:
    """Turn metrics files into the tables of runs, curves and gaps."""
    tuned, pretrained = (
        {layout.job_of(path).run: summary.Measured.read(path) for path in paths}
        for paths in (given.input.tuned, given.input.pretrained)
    )
    runs = summary.runs_table(tuned, pretrained)
    gaps = summary.gaps_table(runs.to_pandas())
    summary.write_table(given.output.runs, runs)
    curves = summary.curves(tuned, pretrained)
    tables.write_pieces(given.output.curves, summary.CURVES, curves)
    summary.write_table(given.output.gaps, gaps)
    if page := present(given.output, "page"):
        write_page(page, summary.gaps_page(gaps.to_pandas(), given.params.study))
    log(f"{len(tuned)} tuned runs, {len(pretrained)} pretraining stages, {len(gaps)} gaps")
