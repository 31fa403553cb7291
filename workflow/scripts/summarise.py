"""Turn metrics files into the tables of runs, curves and gaps."""

from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.analysis import storage
    from plasticity.analysis.summary.curves import CURVES, curves
    from plasticity.analysis.summary.gaps import gaps_table
    from plasticity.analysis.summary.page import gaps_page
    from plasticity.analysis.summary.runs import Measured, runs_table
    from plasticity.core import tables
    from plasticity.runs import layout

with logged(snakemake.log[0]) as log:
    tuned, pretrained = (
        {layout.run_of(path): Measured.read(path) for path in paths}
        for paths in (snakemake.input.tuned, snakemake.input.pretrained)
    )
    runs = runs_table(tuned, pretrained)
    gaps = gaps_table(runs.to_pandas())
    storage.write_table(snakemake.output.runs, runs)
    pieces = curves(tuned, pretrained)
    tables.write_pieces(snakemake.output.curves, CURVES, pieces)
    storage.write_table(snakemake.output.gaps, gaps)
    if "page" in snakemake.output.keys():  # noqa: SIM118 (not a dict)
        page = gaps_page(gaps.to_pandas(), snakemake.params.study)
        storage.write_page(snakemake.output.page, page)
    log(f"{len(tuned)} tuned runs, {len(pretrained)} pretraining stages, {len(gaps)} gaps")
