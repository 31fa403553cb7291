"""Train the last stage of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged, told_once

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.pipeline import digests
    from plasticity.runs.layout import COMPILED, job_of
    from plasticity.training.hardware import Hardware
    from plasticity.training.stages import Inputs
    from plasticity.training.train import Outputs, train_stage

outputs = Outputs(**{name: Path(path) for name, path in snakemake.output.items()})
with (
    logged(snakemake.log[0]) as log,
    told_once(outputs.metrics.with_name("refused.txt"), snakemake.resources.attempt),
):
    job = job_of(snakemake.output.metrics)
    train_stage(
        job.run,
        Inputs(**{name: Path(path) for name, path in snakemake.input.items()}),
        outputs,
        Hardware(
            snakemake.resources.device,
            snakemake.params.precision,
            snakemake.threads,
            snakemake.resources.slots_per_gpu,
            snakemake.resources.execution,
            Path(COMPILED),
        ),
        code=digests.require_unchanged(job),
        log=log,
    )
