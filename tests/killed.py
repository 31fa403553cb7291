"""A run that is killed after every step and goes on each time, and one that is left alone."""

import random

import numpy as np
import pytest
import torch
from tiny import Folder

from plasticity.runs import Run
from plasticity.training import checkpoint


def disturb() -> None:
    """Another process would have drawn otherwise."""
    torch.rand(3)
    np.random.random()
    random.random()


def killed_everywhere(folder: Folder, run: Run, **given) -> checkpoint.Checkpoint:
    """The state of `run`, of which each attempt was killed after one more step."""
    original = checkpoint.save

    def save(path, state):
        original(path, state)
        if path.name == "resume.safetensors":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint, "save", save)
        while True:
            disturb()
            try:
                outputs = folder.train(run, "killed", resume_every=0.0, **given)
                return checkpoint.load(outputs.checkpoint)
            except KeyboardInterrupt:
                pass


def whole(folder: Folder, run: Run, name: str = "whole", **given) -> checkpoint.Checkpoint:
    """The state of `run`, trained without a pause."""
    disturb()
    return checkpoint.load(folder.train(run, name, **given).checkpoint)
