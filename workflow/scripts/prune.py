"""Prune a network to the mask of a ticket."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged, told_once

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.runs import Run
    from plasticity.runs.provenance import Code
    from plasticity.training.prune import make_mask

output = Path(snakemake.output[0])
with (
    logged(snakemake.log[0]) as log,
    told_once(output.with_name("refused.txt"), snakemake.resources.attempt),
):
    make_mask(
        Run.parse(snakemake.params.run),
        Path(snakemake.input.state),
        output,
        code=Code({"library": snakemake.params.code}),
        precision=snakemake.params.precision,
        log=log,
    )
