"""Scripts that train, prune and observe runs, and that measure how fast networks are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plasticity.core.logs import told_once
from plasticity.observe.calibration import calibrate, network_cost
from plasticity.observe.connectivity import observe_connectivity
from plasticity.observe.telemetry import observe_telemetry
from plasticity.pipeline import digests
from plasticity.runs.cadence import Cadence
from plasticity.runs.costs import write_networks
from plasticity.runs.kinds import CONNECTIVITY, OF_RULES, TELEMETRY
from plasticity.runs.layout import COMPILED, job_of
from plasticity.runs.workload import Workload
from plasticity.scripts.call import Given, Log
from plasticity.training.hardware import Hardware
from plasticity.training.prune import make_mask
from plasticity.training.stages import Inputs
from plasticity.training.train import Outputs, train_stage


def train(given: Given, log: Log) -> None:
    """Train the last stage of a run."""
    outputs = Outputs(**paths(given.output))
    with told_once(outputs.metrics.with_name("refused.txt"), given.resources.attempt):
        job = job_of(given.output.metrics)
        train_stage(
            job.run,
            Inputs(**paths(given.input)),
            outputs,
            hardware(given, given.resources),
            digests.require_unchanged(job),
            log,
        )


def prune(given: Given, log: Log) -> None:
    """Prune a network to the mask of a ticket."""
    output = Path(given.output[0])
    with told_once(output.with_name("refused.txt"), given.resources.attempt):
        job = job_of(given.output[0])
        make_mask(
            job.run,
            Path(given.input.state),
            output,
            code=digests.require_unchanged(job),
            precision=given.params.precision,
            log=log,
        )


def observe(given: Given, log: Log) -> None:
    """Observe a run besides its metrics, in the way that its rule names."""
    {TELEMETRY: telemetry, CONNECTIVITY: connectivity}[OF_RULES[given.rule]](given, log)


def telemetry(given: Given, log: Log) -> None:
    """Observe the weights in the first updates of a run."""
    output, inputs = Path(given.output[0]), paths(given.input)
    final = inputs.pop("final")
    with told_once(output.with_name("refused.txt"), given.resources.attempt):
        job = job_of(given.output[0])
        observe_telemetry(
            job.run,
            Inputs(**inputs),
            final,
            output,
            hardware(given, given.resources),
            Cadence(**given.params.settings),
            digests.require_unchanged(job, given.params.settings),
            log,
        )


def connectivity(given: Given, log: Log) -> None:
    """Observe a run on the line to the same run with another order of its examples."""
    output, inputs = Path(given.output[0]), paths(given.input)
    ends = inputs.pop("one"), inputs.pop("other")
    with told_once(output.with_name("refused.txt"), given.resources.attempt):
        job = job_of(given.output[0])
        observe_connectivity(
            job.run,
            Inputs(**inputs),
            ends,
            output,
            hardware(given, given.resources),
            given.params.settings["points"],
            given.params.settings["examples"],
            digests.require_unchanged(job, given.params.settings),
            log,
        )


def measure_throughput(given: Given, log: Log) -> None:
    """Measure how fast this device trains and evaluates the networks of a study."""
    workloads = [Workload.parse(text) for text in given.params.workloads]
    calibrate(workloads, hardware(given, given.params), log).write(given.output[0])


def count_costs(given: Given, log: Log) -> None:
    """Count what the networks of a study cost on any device."""
    workloads = [Workload.parse(text) for text in given.params.workloads]
    costs = {workload: network_cost(workload) for workload in workloads}
    write_networks(given.output[0], costs)
    log(f"{len(costs)} networks with their optimisers")


def paths(files: Any) -> dict[str, Path]:
    """The named inputs or outputs of a job, as paths."""
    return {name: Path(path) for name, path in files.items()}


def hardware(given: Given, place: Any) -> Hardware:
    """How to compute: `place` are the directives that name the device and the execution."""
    return Hardware(
        place.device,
        given.params.precision,
        given.threads,
        given.resources.slots_per_gpu,
        place.execution,
        Path(COMPILED),
    )
