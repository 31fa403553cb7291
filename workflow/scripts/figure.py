"""Draw one figure."""

import json
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    import pandas as pd

    from plasticity.analysis.figures import Tables, render

with logged(snakemake.log[0]) as log:
    tables = Tables.of(
        title=snakemake.params.title,
        runs=pd.read_parquet(snakemake.input.runs),
        curves=pd.read_parquet(snakemake.input.curves),
        roles=json.loads(snakemake.params.roles),
        labels=json.loads(snakemake.params.labels),
        observations=(
            pd.read_parquet(snakemake.input.observations)
            if "observations" in snakemake.input.keys()  # noqa: SIM118 (not a dict)
            else None
        ),
    )
    render(snakemake.params.draw, tables, dict(snakemake.output.items()))
    log(f"drawn with {snakemake.params.draw} from {len(tables.runs)} runs")
