"""Measure how fast this device trains and evaluates the networks of a study."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.observe.calibration import calibrate
    from plasticity.runs.layout import COMPILED
    from plasticity.runs.workload import Workload
    from plasticity.training.hardware import Hardware

with logged(snakemake.log[0]) as log:
    calibration = calibrate(
        [Workload.parse(text) for text in snakemake.params.workloads],
        Hardware(
            snakemake.params.device,
            snakemake.params.precision,
            snakemake.threads,
            snakemake.resources.slots_per_gpu,
            snakemake.params.execution,
            Path(COMPILED),
        ),
        log,
    )
    calibration.write(snakemake.output[0])
