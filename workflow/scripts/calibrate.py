"""Measure how fast this device trains and evaluates the networks of a study."""

from typing import TYPE_CHECKING

from plasticity.calibration import calibrate
from plasticity.jobs import logged
from plasticity.spec.workload import Workload
from plasticity.stages import Hardware

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]) as log:
    calibration = calibrate(
        [Workload.parse(text) for text in snakemake.params.workloads],
        Hardware(
            snakemake.params.device,
            snakemake.params.precision,
            snakemake.threads,
            snakemake.resources.slots_per_gpu,
        ),
        log,
    )
    calibration.write(snakemake.output[0])
