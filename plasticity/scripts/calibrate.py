"""Measure how fast this device trains and evaluates the networks of a study."""

from __future__ import annotations

from plasticity.observe.calibration import calibrate
from plasticity.runs.workload import Workload
from plasticity.scripts.call import Given, Log, hardware_of


def main(given: Given, log: Log) -> None:
    """Measure how fast this device trains and evaluates the networks of a study."""
    workloads = [Workload.parse(text) for text in given.params.workloads]
    calibrate(workloads, hardware_of(given, given.params), log).write(given.output[0])
