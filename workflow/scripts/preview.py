"""Draw one figure with made-up numbers."""

import json
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.analysis import preview
    from plasticity.analysis.figures import render

with logged(snakemake.log[0]) as log:
    tables = preview.made_up_tables(
        snakemake.params.title,
        json.loads(snakemake.params.roles),
        json.loads(snakemake.params.labels),
        snakemake.params.observe,
        snakemake.params.settings,
    )
    render(snakemake.params.draw, tables, dict(snakemake.output.items()), preview.NOTE)
    log(f"drawn with {snakemake.params.draw} from {len(tables.runs)} made-up runs")
