"""Observe a run besides its metrics: its first updates, or the line to its twin."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged, told_once

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.observe.connectivity import observe_connectivity
    from plasticity.observe.telemetry import observe_telemetry
    from plasticity.pipeline import digests
    from plasticity.runs.cadence import Cadence
    from plasticity.runs.layout import COMPILED, job_of
    from plasticity.training.hardware import Hardware
    from plasticity.training.stages import Inputs

output = Path(snakemake.output[0])
given = {name: Path(path) for name, path in snakemake.input.items()}
reference = {name: given.pop(name) for name in ("final", "one", "other") if name in given}
job, settings = job_of(snakemake.output[0]), snakemake.params.settings
hardware = Hardware(
    snakemake.resources.device,
    snakemake.params.precision,
    snakemake.threads,
    snakemake.resources.slots_per_gpu,
    snakemake.resources.execution,
    Path(COMPILED),
)
with (
    logged(snakemake.log[0]) as log,
    told_once(output.with_name("refused.txt"), snakemake.resources.attempt),
):
    code = digests.require_unchanged(job, settings)
    if "final" in reference:
        observe_telemetry(
            job.run,
            Inputs(**given),
            reference["final"],
            output,
            hardware,
            Cadence(**settings),
            code,
            log,
        )
    else:
        observe_connectivity(
            job.run,
            Inputs(**given),
            (reference["one"], reference["other"]),
            output,
            hardware,
            settings["points"],
            settings["examples"],
            code,
            log,
        )
