"""A few tiny runs, with all that leads to them: their numbers, and the digests of their code.

This is run in a process that has the library from a copy of it, of which a function is broken.
Numbers are read by other means than the library's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PLACE = "digits-clutter/resnet-d1w2/seed0"
ADAM, SGD = "adam-lr0.01-b16", "sgd-lr0.05-m0.9-wd0.001-b16"
ADAMW, MUON = "adamw-lr0.01-wd0.01-b16", "muon-lr0.01-wd0.01-b16"
JOBS = {
    "drops": ("tune", f"full+augment_{SGD}-drop1_e2_init"),
    "rungs": ("pretrain", "half_rmsprop-lr0.001-b16_e11_init"),
    "drifting": ("tune", f"half_{ADAM}_e1_init/drift0.5_{ADAM}_e2_reset1+6"),
    "pieces": ("tune", f"stage1of1r0.5_{ADAM}_e1_init/full_{ADAM}_e1_keep"),
    "labels": ("tune", f"full+blur2+randomlabels_{ADAM}_e1_init/full+rotation_{ADAM}_e1_keep"),
    "noise": ("tune", f"full_{SGD}_i2_init/full_{SGD}_till2_ticket2-noise1"),
    "signs": ("tune", f"full_{SGD}_e1_ticket1-signs-fresh-magnitudes-init"),
    "swapped": ("tune", f"full_{SGD}_i2_init/full_{SGD}_till2_ticket1-signshuffle-filter"),
    "random": ("tune", f"full_{SGD}_e1_ticket1-random/resampled_{SGD}_e1_rewind"),
    "matrices": ("tune", f"part0.5+wronglabels0.5_{MUON}-warm1-cosine_e1_init"),
    "going on": ("tune", f"chunk1of2_{ADAMW}_until90x2_init/rest_{ADAMW}_e1_continue"),
    "telemetry": ("telemetry", f"full_{SGD}_i4_init"),
    "connectivity": ("connectivity", f"full_{ADAM}_e1_init"),
}
"""The kind of job and the stages of each run."""

SETTINGS = {
    "telemetry": {"iterations": 3, "each": 3, "per_decade": 2, "evaluations_per_decade": 1},
    "connectivity": {"points": 3, "examples": 32},
}


def look(place: Path) -> dict[str, dict[str, Any]]:
    """The numbers and the components of every run, all of it made below `place`."""
    from tiny import Folder

    from plasticity.pipeline import digests
    from plasticity.runs import Run
    from plasticity.runs.kinds import KINDS, Job

    folder, found = Folder.prepare(place), {}
    for name, (kind, stages) in JOBS.items():
        job = Job(KINDS[kind], Run.parse(f"{PLACE}/{stages}"))
        path = make(job, folder, {})
        found[name] = {
            "numbers": dict(_numbers(path)),
            # Another run has other results, in another place.
            "components": {**digests.components(job, SETTINGS.get(kind)), "run": str(job.run)},
        }
    return found


def make(job: Any, folder: Any, made: dict[Any, Path]) -> Path:
    """Make what `job` hands on, and all that it is made from; returns the folder of it."""
    from tiny import CODE, HARDWARE

    from plasticity.observe.connectivity import observe_connectivity
    from plasticity.observe.telemetry import observe_telemetry
    from plasticity.runs.cadence import Cadence
    from plasticity.training.prune import make_mask
    from plasticity.training.stages import Inputs
    from plasticity.training.train import Outputs, train_stage

    kind, run = job.kind.name, job.run
    place = folder.path / "made" / kind / str(run)
    if place.exists():
        return place
    before = {
        name: make(one, folder, made) / one.kind.handed_on for name, one in job.inputs.items()
    }
    data = (folder.train_file, folder.test_file, folder.split(run))
    log: Callable[[str], None] = lambda line: None  # noqa: E731
    output = place / job.kind.done
    if kind == "masks":
        make_mask(run, before["state"], output, code=CODE, precision="float32", log=log)
    elif kind == "telemetry":
        final, cadence = before.pop("final"), Cadence(**SETTINGS[kind])
        observe_telemetry(run, Inputs(*data, **before), final, output, HARDWARE, cadence, CODE, log)
    elif kind == "connectivity":
        ends, given = (before.pop("one"), before.pop("other")), SETTINGS[kind]
        inputs = Inputs(*data, **before)
        numbers = (given["points"], given["examples"])
        observe_connectivity(run, inputs, ends, output, HARDWARE, *numbers, CODE, log)
    else:
        outputs = Outputs(output, place / job.kind.state if job.kind.state else None)
        train_stage(run, Inputs(*data, **before), outputs, HARDWARE, CODE, log)
    return place


def _numbers(place: Path) -> Iterator[tuple[str, Any]]:
    """Of tables the columns, of their headers the numbers, of tensors a checksum."""
    import pyarrow.parquet as pq
    from safetensors import safe_open

    for path in sorted(place.iterdir()):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            about = json.loads(table.schema.metadata[b"plasticity"])
            for key in ("density", "perturbation"):
                yield f"{path.name} {key}", repr(about.get(key))
            for column in table.column_names:
                if column not in ("seconds", "run", "seed"):
                    yield f"{path.name} {column}", repr(table[column].to_pylist())
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                for name in sorted(file.keys()):
                    # The history tells how long each epoch took.
                    if name != "history":
                        data = file.get_tensor(name).tobytes()
                        yield f"{path.name} {name}", hashlib.sha256(data).hexdigest()
