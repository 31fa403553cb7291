"""Print what a study costs, before anything of it is run."""

from typing import TYPE_CHECKING

from plasticity.core.logs import logged
from plasticity.runs.costs import Calibration, read_networks
from plasticity.study import Study
from plasticity.study.budget import report

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]) as log:
    given = "calibration" not in snakemake.input.keys()  # noqa: SIM118 (not a dict)
    text = report(
        Study(snakemake.config),
        read_networks(snakemake.input.networks),
        None if given else Calibration.read(snakemake.input.calibration),
    )
    log(text)
    print(f"\n{text}\n", flush=True)
