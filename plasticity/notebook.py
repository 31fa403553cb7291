"""A finished run in a notebook: its network, its data as the stage saw them, and its history."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.data import declared, splits, storage
from plasticity.data.apply import apply_to_data, classes_of
from plasticity.data.storage import DataPart
from plasticity.models.network import Network, build
from plasticity.runs import Run, extensions, layout, metrics
from plasticity.runs.kinds import PRETRAIN
from plasticity.training import checkpoint


@dataclass(frozen=True)
class Part:
    """Examples: images float32 [n, c, h, w], normalised, and labels int64 [n], on the CPU."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Loaded:
    """A finished run.

    `history` has a row an epoch: see `plasticity.runs.metrics.EpochMetrics`. `about` is what the
    metrics file says of itself. `network` is that after the last epoch, on the CPU in evaluation
    mode: None where no checkpoint is there, as after tuning, or where it was dropped. `train`, the
    examples that the last stage trained on, in the order of the data set, and `test` are read when
    they are first asked for.
    """

    run: Run
    about: dict[str, Any]
    history: pd.DataFrame
    _state: Path | None = field(repr=False)
    _home: Path = field(repr=False)

    @cached_property
    def network(self) -> Network | None:
        """The network after the last epoch, where its checkpoint is there."""
        if self._state is None:
            return None
        found = checkpoint.load(self._state)
        checkpoint.require(self._state, found, {"run": str(self.run)})
        part = self._part("test")
        outputs = classes_of(self.run.stage.transforms, len(part.header.classes))
        channels, height, width = part.images.shape[1:]
        network = build(self.run.model, outputs, channels, height, width)
        network.load_state_dict(found.weights)
        return network.eval()

    @cached_property
    def train(self) -> Part:
        """What the last stage trained on, by way of its transforms that act once."""
        part = self._part("train")
        seen = self._seen(part, test=False)
        path = self._home / layout.split(self.run)
        if not path.is_file():
            raise UserError(f"{path}: no such file; run the workflow for {self.run} to draw it")
        chosen = torch.from_numpy(splits.read(path, len(part.labels)))
        return Part(seen.images[chosen], seen.labels[chosen])

    @cached_property
    def test(self) -> Part:
        """What it was tested on, by way of the transforms that act on this too."""
        return self._seen(self._part("test"), test=True)

    def _part(self, name: str) -> DataPart:
        path = self._home / layout.dataset(self.run.dataset)[name]
        if not path.is_file():
            raise UserError(
                f"{path}: the data that {self.run} was trained on are not there; put the folder "
                "results/data beside the results of the run"
            )
        part = storage.read(path)
        if part.header.checksum != self.about["data_checksum"]:
            raise UserError(
                f"{path}: holds other data than those that {self.run} was trained on; put those "
                "there"
            )
        return part

    def _seen(self, part: DataPart, *, test: bool) -> Part:
        images, labels = apply_to_data(
            self.run.stage.transforms,
            torch.from_numpy(part.images),
            torch.from_numpy(part.labels),
            len(part.header.classes),
            partial(torch_generator, self.run.seed, "view"),
            test=test,
        )
        mean, std = (
            torch.tensor(values, dtype=torch.float32).mul(255).view(1, -1, 1, 1)
            for values in (part.header.mean, part.header.deviation)
        )
        return Part((images.float() - mean) / std, labels)


def load(path: str | PathLike[str]) -> Loaded:
    """The finished run whose metrics, checkpoint or folder of both is in `path`.

    Extensions that it used are used again, and a data set that a configuration declared is known by
    its scan. Raises `UserError` where there is none.
    """
    place = Path(path)
    folder = place if place.is_dir() else place.parent
    table, state = folder / PRETRAIN.done, folder / PRETRAIN.handed_on
    if not place.exists() or place not in (folder, table, state) or not table.is_file():
        raise UserError(
            f"{place}: no finished run; expected {table.name} or {state.name} below results/tune "
            "or results/pretrain, or the folder that holds them"
        )
    rows, about = metrics.read(table)
    homes = [one.parent for one in table.absolute().parents if one.name == layout.RESULTS]
    extensions.use_recorded(about, table)
    home = homes[0] if homes else folder
    declared.use_recorded(about["run"], home / layout.RESULTS)
    return Loaded(
        run=Run.parse(about["run"]),
        about=about,
        history=rows.to_pandas(),
        _state=state if state.is_file() else None,
        _home=home,
    )
