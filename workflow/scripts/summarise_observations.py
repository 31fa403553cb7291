"""Put what was observed of a figure's runs into one table."""

from typing import TYPE_CHECKING

from plasticity import summary
from plasticity.jobs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]) as log:
    table = summary.observations_table(snakemake.input)
    summary.write_table(snakemake.output[0], table)
    log(f"{len(table)} observations of {len(snakemake.input)} runs")
