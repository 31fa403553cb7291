"""Golden numbers: what six short runs measured once, and which random streams they drew from.

Everything else here tests properties, which a mistake may leave as they are: twice the same bits of
something else. Losses are compared to a tolerance, as processors round differently (see `NEAR`);
`tests/freeze.py` compares the bits of two commits on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import CODE, Folder

from plasticity.core import rng
from plasticity.data import splits, storage
from plasticity.data.raw import variant
from plasticity.runs import Run, datasets, metrics
from plasticity.training.prune import make_mask

# Width 8: oneDNN in torch 2.13 crashes with fewer channels on processors with AVX2 alone.
PLACE = "digits-clutter-n64/resnet-d1w8/seed0"
MOMENTUM = "sgd-lr0.05-m0.9-wd0.0005-b32"
ADAM = "adam-lr0.002-b32"
RUNS = {
    "adam": f"full_{ADAM}_e3_init",
    "momentum": f"full+augment_{MOMENTUM}-drop2_e3_init",
    "parts": "part0.5+wronglabels0.5_nadam-lr0.01-b32-warm1-cosine_e3_init",
    "rmsprop": "full+randomlabels_rmsprop-lr0.0005-b32_e3_init",
    "ticket": f"full_{MOMENTUM}_i1_init/full_{MOMENTUM}_till2_ticket1",
    "warm": f"half_{ADAM}_e2_init/full_{ADAM}_e3_reset5+6",
}
"""Each epoch is two updates on batches of 32 of 64 digits, or one where it is half of them."""

LOSSES = {
    "adam": {"train": [2.287697, 1.626225, 1.176821], "test": [2.30751, 2.307326, 2.306621]},
    "momentum": {"train": [2.325716, 2.270548, 2.316047], "test": [2.307689, 2.308633, 2.309455]},
    "parts": {"train": [2.251627, 1.497911, 0.838], "test": [2.309541, 2.310721, 2.311926]},
    "rmsprop": {"train": [2.371282, 1.658025, 1.096915], "test": [2.307836, 2.309531, 2.312411]},
    "ticket": {"train": [2.073604, 1.826182], "test": [2.307061, 2.306905]},
    "warm": {"train": [2.339156, 1.623571, 1.164102], "test": [2.309732, 2.310669, 2.31177]},
}
"""Mean cross-entropies at the end of each epoch, as measured on a processor with AVX2."""

DRAWN = [
    "0/architecture",
    "0/digits-clutter",
    "0/global/1",
    "0/global/2",
    "0/initialisation",
    "0/order/full/0/1",
    "0/order/full/0/1/randomlabels",
    "0/order/full/0/2",
    "0/order/full/0/2/randomlabels",
    "0/order/full/0/3",
    "0/order/full/0/3/randomlabels",
    "0/order/half/0/1",
    "0/order/half/0/2",
    "0/order/part0.5/0/1/wronglabels0.5",
    "0/order/part0.5/0/2/wronglabels0.5",
    "0/order/part0.5/0/3/wronglabels0.5",
    "0/split/full",
    "0/split/half",
    "0/split/part",
    "0/start/1",
    "0/start/2",
    "0/variant",
    "0/view/randomlabels",
    "0/view/wronglabels0.5",
    "0/views/full/0/1",
    "0/views/full/0/1/randomlabels",
    "0/views/full/0/2",
    "0/views/full/0/2/randomlabels",
    "0/views/full/0/3",
    "0/views/full/0/3/randomlabels",
    "0/views/half/0/1",
    "0/views/half/0/2",
    "0/views/part0.5/0/1/wronglabels0.5",
    "0/views/part0.5/0/2/wronglabels0.5",
    "0/views/part0.5/0/3/wronglabels0.5",
]
"""Every stream that these runs draw from: a seed and a purpose. Another name is another draw."""

NEAR_IN_TRAINING = (3e-4, 3e-3, 4e-2)
NEAR_IN_TESTING = 2e-4
"""How near, by epoch, as a share: about ten times what other arithmetic moved them by.

Tried were two threads, torch without oneDNN, oneDNN limited to AVX and to SSE4.1, and all of torch
without vectors: in training up to 2e-5, 3e-4 and 4e-3 from one epoch to the next, as differences
grow with each step; in testing 2e-5. A ticket begins with the differences of the run before it: a
few weights near the threshold are pruned instead of others.
"""

LATER = {"ticket": 1}
"""Epochs of training that an epoch of a run is compared as if they had come before."""

SEEDS = {
    (0, "initialisation"): 1524489256608302450,
    (0, "global", 1): 5434012279484643457,
    (0, "split", "half"): 285790960250729653,
    (0, "split", "chunks"): 2983956976788920664,
    (0, "split", "part"): 5525267566745847825,
    (0, "view", "wronglabels0.5"): 7317385384897508317,
    (3, "order", "half", 1, 20): 7319379638551166691,
    (0, "order", "start batches", 2, 1): 7399018544480801593,
    (1, "start", 2): 5453122117045311594,
}


Losses = dict[str, dict[str, list[float]]]


class Digits(Folder):
    """A folder with the first digits in noise, and what is trained on them."""

    @classmethod
    def prepare(cls, path: Path) -> Digits:
        """Write the data set below `path`."""
        folder = cls(path)
        whole = datasets.parse("digits-clutter")(None, path)
        name = PLACE.partition("/")[0]
        storage.write(
            variant(whole, datasets.parse(name)), name, folder.train_file, folder.test_file
        )
        return folder

    def split(self, run: Run) -> Path:
        """The split of the last stage of `run`, drawn where it is missing."""
        path = self.path / f"{run.stage.data}.parquet"
        if not path.exists():
            labels, header = storage.read_labels(self.train_file)
            splits.write(path, run.stage.data, labels, header.classes, run.seed)
        return path

    def state(self, run: Run) -> Path:
        """The checkpoint of `run`, trained, with its ancestors, where it is missing."""
        outputs = self.outputs(run)
        if not outputs.checkpoint.exists():
            parent = self.state(run.parent) if run.parent else None
            self.train(run, parent=parent, mask=self.mask(run) if run.ticket else None)
        return outputs.checkpoint

    def mask(self, run: Run) -> Path:
        """The mask of the ticket `run`, pruned after the run from which it is."""
        path = self.path / "mask.safetensors"
        state = self.state(run.pruned_from)
        make_mask(run.ticket, state, path, code=CODE, precision="float32", log=lambda line: None)
        return path


@pytest.fixture(scope="module")
def drawn() -> Iterator[list[str]]:
    """The streams that are drawn from while this lasts, each as its purpose is spelt."""
    names: list[str] = []
    derive = rng.derive

    def noted(seed: int, *purpose: object) -> int:
        names.append("/".join(map(str, (seed, *purpose))))
        return derive(seed, *purpose)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rng, "derive", noted)
        yield names


@pytest.fixture(scope="module")
def losses(drawn: list[str], tmp_path_factory: pytest.TempPathFactory) -> Losses:
    """The losses of each run in training and testing, epoch by epoch."""
    folder = Digits.prepare(tmp_path_factory.mktemp("digits"))
    found = {}
    for name, stages in RUNS.items():
        run = Run.parse(f"{PLACE}/{stages}")
        folder.state(run)
        table, _ = metrics.read(folder.outputs(run).metrics)
        found[name] = {part: table[f"{part}_loss"].to_pylist() for part in ("train", "test")}
    return found


@pytest.mark.parametrize("name", RUNS)
def test_losses_are_what_they_were(losses: Losses, name: str):
    found, expected = losses[name], LOSSES[name]
    assert found["test"] == pytest.approx(expected["test"], rel=NEAR_IN_TESTING)
    assert len(found["train"]) == len(expected["train"])
    near = NEAR_IN_TRAINING[LATER.get(name, 0) :]
    for loss, golden, share in zip(found["train"], expected["train"], near, strict=False):
        assert loss == pytest.approx(golden, rel=share)


def test_streams_have_their_names(losses: Losses, drawn: list[str]):
    assert sorted(set(drawn)) == DRAWN


@pytest.mark.parametrize("purpose", SEEDS)
def test_streams_have_their_seeds(purpose: tuple[int, ...]):
    assert rng.derive(*purpose) == SEEDS[purpose]
