"""The states that trainings ended with, which observations of a run start from."""

from __future__ import annotations

from pathlib import Path

from plasticity.runs import Run
from plasticity.training import checkpoint
from plasticity.training.checkpoint import Checkpoint
from plasticity.training.stages import Stage


def final_state(run: Run, path: Path, stage: Stage) -> Checkpoint:
    """The checkpoint in `path`, which must be of `run` and as `stage` trains."""
    found = checkpoint.load(path)
    identity = stage.identity
    expected = {
        "run": str(run),
        "data": identity.data,
        "precision": identity.precision,
        "device": identity.device,
    }
    checkpoint.require(path, found, expected)
    stage.code.require_before(path, found.identity.components)
    return found
