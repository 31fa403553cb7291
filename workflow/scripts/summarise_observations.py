"""Put what was observed of a figure's runs into one table."""

from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.analysis import storage
    from plasticity.analysis.summary.observations import observations_table

with logged(snakemake.log[0]) as log:
    table = observations_table(snakemake.input)
    storage.write_table(snakemake.output[0], table)
    log(f"{len(table)} observations of {len(snakemake.input)} runs")
