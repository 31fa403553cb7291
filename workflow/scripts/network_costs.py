"""Count what the networks of a study cost on any device."""

from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.observe.calibration import network_cost
    from plasticity.runs.costs import write_networks
    from plasticity.runs.workload import Workload

with logged(snakemake.log[0]) as log:
    workloads = [Workload.parse(text) for text in snakemake.params.workloads]
    costs = {workload: network_cost(workload) for workload in workloads}
    write_networks(snakemake.output[0], costs)
    log(f"{len(costs)} networks with their optimisers")
