"""The process that `benchmarks.startup` measures: a training job, as its script runs it.

    python -m benchmarks.startup_job DEVICE PRECISION EXECUTION CLOCK RUN FOLDER

Prints, as JSON, what the clock showed at the end of each part.
"""

import sys
import time

CLOCKS = {"cpu": time.CLOCK_PROCESS_CPUTIME_ID, "wall": time.CLOCK_MONOTONIC}
device, precision, execution, clock, run, folder = sys.argv[1:]
ends: dict[str, float] = {}


def mark(part: str) -> None:
    """Note that `part` has ended, unless it was noted before."""
    ends.setdefault(part, time.clock_gettime(CLOCKS[clock]))


mark("python")

import json  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, cast  # noqa: E402

from plasticity.scripts.call import quick_imports  # noqa: E402

with quick_imports():
    import torch

    mark("torch")

    from plasticity.runs import Run
    from plasticity.runs.compute import Execution, Precision
    from plasticity.runs.provenance import Code
    from plasticity.training import train
    from plasticity.training.hardware import Hardware
    from plasticity.training.stages import Inputs

mark("library")
job: Any = train
prepare, train_on = job.prepare, job.train_on


def prepared(*given: Any) -> Any:
    """As `prepare`; notes its end."""
    stage = prepare(*given)
    mark("prepared")
    return stage


def trained_on(train_state: Any, examples: Any, batches: Any, part: Any, pause: Any) -> bool:
    """As `train_on`; notes the end of the first step of all."""
    if "first step" not in ends:
        train_on(train_state, examples, iter([next(batches)]), part, pause)
        if device == "cuda":
            torch.cuda.synchronize()
        mark("first step")
    finished: bool = train_on(train_state, examples, batches, part, pause)
    return finished


job.prepare, job.train_on = prepared, trained_on
place = Path(folder)
train.train_stage(
    Run.parse(run),
    Inputs(place / "train.safetensors", place / "test.safetensors", place / "split.parquet"),
    train.Outputs(place / "metrics.parquet", place / "checkpoint.safetensors"),
    Hardware(device, cast(Precision, precision), execution=cast(Execution, execution)),
    Code({}),
    lambda line: None,
)
mark("trained and saved")
print(json.dumps(ends))
