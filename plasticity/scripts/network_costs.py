"""Count what the networks of a study cost on any device."""

from __future__ import annotations

from plasticity.core.gpus import hide_gpus
from plasticity.observe.calibration import network_cost
from plasticity.runs.costs import write_networks
from plasticity.runs.workload import Workload
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Count what the networks of a study cost on any device."""
    hide_gpus()
    workloads = [Workload.parse(text) for text in given.params.workloads]
    costs = {workload: network_cost(workload) for workload in workloads}
    write_networks(given.output[0], costs)
    log(f"{len(costs)} networks with their optimisers")
