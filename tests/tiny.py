"""A tiny data set and a folder to train on it, for tests of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from plasticity.data import splits, storage
from plasticity.data.raw import RawData
from plasticity.runs import Run, metrics
from plasticity.runs.provenance import Code
from plasticity.training.checkpoint import Checkpoint
from plasticity.training.hardware import Hardware
from plasticity.training.stages import Inputs
from plasticity.training.train import Outputs, train_stage

HARDWARE = Hardware("cpu", "float32")
CODE = Code({"training/loop.py": "0123456789abcdef"})
PRETRAIN = "digits-clutter/resnet-d1w2/seed0/half_adam-lr0.01-b16_e{epochs}_init"
TUNE = (
    "digits-clutter/resnet-d1w2/seed0/half_adam-lr0.01-b16_e{pretrain}_init/"
    "full_adam-lr0.01-b16_e{tune}_keep"
)


def tiny_data() -> RawData:
    """64 + 32 grey images of 8 x 8 pixels whose brightness tells their class, of two."""
    generator = np.random.default_rng(0)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 2
        noise = generator.integers(0, 100, size=(count, 1, 8, 8))
        return (noise + labels[:, None, None, None] * 100).astype(np.uint8), labels

    train_images, train_labels = part(64)
    test_images, test_labels = part(32)
    return RawData(train_images, train_labels, test_images, test_labels, ["dark", "light"], "made")


@dataclass(frozen=True)
class Folder:
    """A folder with the tiny data set, prepared and split as the workflow would."""

    path: Path

    @classmethod
    def prepare(cls, path: Path) -> Folder:
        """Write the data set below `path`."""
        folder = cls(path)
        data = tiny_data()
        storage.write(data, "digits-clutter", folder.train_file, folder.test_file)
        return folder

    @property
    def train_file(self) -> Path:
        """The prepared training part."""
        return self.path / "train.safetensors"

    @property
    def test_file(self) -> Path:
        """The prepared test part."""
        return self.path / "test.safetensors"

    def split(self, run: Run) -> Path:
        """The split of the last stage of `run`, drawn where it is missing."""
        path = self.path / f"{run.stage.data}-{run.seed}.parquet"
        if not path.exists():
            data = tiny_data()
            splits.write(path, run.stage.data, data.train_labels, data.classes, run.seed)
        return path

    def outputs(self, run: Run, name: str = "out", keep: bool = True) -> Outputs:
        """Where a training called `name` writes what it makes of `run`."""
        place = self.path / name / str(run)
        return Outputs(
            place / "metrics.parquet", place / "checkpoint.safetensors" if keep else None
        )

    def train(
        self,
        run: Run,
        name: str = "out",
        *,
        parent: Path | None = None,
        rung: Path | None = None,
        mask: Path | None = None,
        hardware: Hardware = HARDWARE,
        code: Code = CODE,
        keep: bool = True,
        log: Callable[[str], None] = lambda line: None,
        resume_every: float = 1e9,
    ) -> Outputs:
        """Train the last stage of `run`."""
        inputs = Inputs(self.train_file, self.test_file, self.split(run), parent, rung, mask)
        outputs = self.outputs(run, name, keep)
        train_stage(run, inputs, outputs, hardware, code, log, resume_every)
        return outputs


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two states hold the same bits, wall times aside."""
    names = [name for name in metrics.SCHEMA.names if name != "seconds"]
    rows = [
        [tuple(getattr(epoch, name) for name in names) for epoch in state.history]
        for state in (one, other)
    ]
    return (
        one.network.keys() == other.network.keys()
        and one.optimiser.keys() == other.optimiser.keys()
        and all(torch.equal(one.network[name], other.network[name]) for name in one.network)
        and all(torch.equal(one.optimiser[name], other.optimiser[name]) for name in one.optimiser)
        and one.evaluated.keys() == other.evaluated.keys()
        and all(torch.equal(one.evaluated[name], other.evaluated[name]) for name in one.evaluated)
        and _of_methods(one) == _of_methods(other)
        and rows[0] == rows[1]
    )


def _of_methods(state: Checkpoint) -> object:
    """What methods keep besides tensors; of a rule it depends on how steps are carried out."""
    return (state.plain or {}).get("methods")
