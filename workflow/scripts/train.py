"""Train the last stage of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.jobs import logged
from plasticity.spec import Run
from plasticity.training import Hardware, Inputs, Outputs, train_stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]) as log:
    train_stage(
        Run.parse(snakemake.params.run),
        Inputs(**{name: Path(path) for name, path in snakemake.input.items()}),
        Outputs(**{name: Path(path) for name, path in snakemake.output.items()}),
        Hardware(snakemake.resources.device, snakemake.params.precision, snakemake.threads),
        code=snakemake.params.code,
        log=log,
    )
