"""Turn metrics files into the tables of runs, curves and gaps."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.analysis import summary
    from plasticity.core import files, tables
    from plasticity.runs import layout

with logged(snakemake.log[0]) as log:
    tuned, pretrained = (
        {layout.run_of(path): summary.Measured.read(path) for path in paths}
        for paths in (snakemake.input.tuned, snakemake.input.pretrained)
    )
    runs = summary.runs_table(tuned, pretrained)
    gaps = summary.gaps_table(runs.to_pandas())
    summary.write_table(snakemake.output.runs, runs)
    curves = summary.curves(tuned, pretrained)
    tables.write_pieces(snakemake.output.curves, summary.CURVES, curves)
    summary.write_table(snakemake.output.gaps, gaps)
    if "page" in snakemake.output.keys():  # noqa: SIM118 (not a dict)
        with files.whole(snakemake.output.page) as partial:
            Path(partial).write_text(summary.gaps_page(gaps.to_pandas(), snakemake.params.study))
    log(f"{len(tuned)} tuned runs, {len(pretrained)} pretraining stages, {len(gaps)} gaps")
