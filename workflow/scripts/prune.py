"""Prune a network to the mask of a ticket."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged, told_once

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.pipeline import digests
    from plasticity.runs.layout import job_of
    from plasticity.training.prune import make_mask

output = Path(snakemake.output[0])
with (
    logged(snakemake.log[0]) as log,
    told_once(output.with_name("refused.txt"), snakemake.resources.attempt),
):
    job = job_of(snakemake.output[0])
    make_mask(
        job.run,
        Path(snakemake.input.state),
        output,
        code=digests.require_unchanged(job),
        precision=snakemake.params.precision,
        log=log,
    )
