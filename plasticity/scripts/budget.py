"""Print what a study costs."""

from __future__ import annotations

from plasticity.runs.costs import Calibration, read_networks
from plasticity.scripts.call import Given, Log, present
from plasticity.study import Study
from plasticity.study.budget import report


def main(given: Given, log: Log) -> None:
    """Print what a study costs."""
    measured = present(given.input, "calibration")
    text = report(
        Study(given.config, renew=False),
        read_networks(given.input.networks),
        Calibration.read(measured) if measured else None,
    )
    log(text)
    print(f"\n{text}\n", flush=True)
