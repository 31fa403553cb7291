"""What is evaluated and when, and images that stay on the host: training is the same to the bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from test_cuda_graphs import Taped
from tiny import CODE, HARDWARE, PRETRAIN, Folder, equal, tiny_data

from plasticity.data import storage
from plasticity.runs import Run, metrics
from plasticity.runs.length import Length
from plasticity.runs.metrics import EVALUATED, evaluated_epochs, final_epochs, is_evaluated
from plasticity.training import checkpoint
from plasticity.training.hardware import Hardware
from plasticity.training.stages import Inputs, Streams, prepare, stays_on_host
from plasticity.training.train import Outputs, train, train_stage

RUN = Run.parse(PRETRAIN.format(epochs=11))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """The tiny data set, of whose training examples the first 20 are held out as well."""
    data = tiny_data()
    held = {name: getattr(data, f"train_{name}")[:20] for name in ("images", "labels")}
    data = replace(data, **{f"validation_{name}": array for name, array in held.items()})
    folder = Folder(tmp_path)
    storage.write(data, "digits-clutter", folder.train_file, folder.test_file)
    return folder


def trained(
    folder: Folder,
    name: str,
    hardware: Hardware = HARDWARE,
    every: int = 1,
    run: Run = RUN,
    rung: Path | None = None,
) -> Outputs:
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run), rung=rung)
    outputs = folder.outputs(run, name)
    train_stage(run, inputs, outputs, hardware, CODE, print, evaluate_every=every)
    return outputs


def rows(outputs: Outputs) -> list[dict[str, float | None]]:
    return metrics.read(outputs.metrics)[0].drop_columns("seconds").to_pylist()


# Cadence


def test_of_a_stage_with_a_target_all_epochs_are_evaluated(folder: Folder):
    """Which are its last ones, that the final accuracy is taken over, is known only then."""
    run = RUN.ending(length=Length.parse("until20x9"))
    found = rows(trained(folder, "target", every=9, run=run))
    assert len(found) < 9
    assert all(row["test_accuracy"] is not None for row in found)


def test_what_is_evaluated_does_not_depend_on_how_often(folder: Folder):
    every, some = trained(folder, "every"), trained(folder, "some", every=4)
    for one, other in zip(rows(every), rows(some), strict=True):
        if other["test_loss"] is None:  # the final accuracy is that of the last two epochs
            assert one["epoch"] in (1, 2, 3, 5, 6, 7, 9)
            one |= dict.fromkeys(EVALUATED)
        assert one == other
    states = [checkpoint.load(outputs.checkpoint) for outputs in (every, some)]
    assert all(torch.equal(states[0].network[n], states[1].network[n]) for n in states[0].network)
    assert states[0].digest == states[1].digest
    assert [one.test_loss for one in states[1].history] == [one["test_loss"] for one in rows(some)]


def test_the_last_epochs_of_a_rung_are_not_those_of_a_longer_training(folder: Folder):
    rung = trained(folder, "rung", every=4, run=RUN.rung)
    straight, longer = (
        trained(folder, name, every=4, rung=state)
        for name, state in (("straight", None), ("longer", rung.checkpoint))
    )
    assert [row["epoch"] for row in rows(rung) if row["test_loss"]] == [4, 8, 9, 10]
    assert [row["epoch"] for row in rows(longer) if row["test_loss"]] == [4, 8, 10, 11]
    assert rows(longer) == rows(straight)
    assert equal(*(checkpoint.load(outputs.checkpoint) for outputs in (longer, straight)))


@pytest.mark.parametrize("epochs", [1, 4, 5, 11, 350])
@pytest.mark.parametrize("every", [1, 2, 10, 1000])
def test_the_final_window_is_always_evaluated(epochs: int, every: int):
    found = [epoch for epoch in range(1, epochs + 1) if is_evaluated(epoch, epochs, every)]
    assert found[-final_epochs(epochs) :] == [*range(epochs - final_epochs(epochs) + 1, epochs + 1)]
    for before in (0, epochs // 2, epochs - 1):
        count = sum(epoch > before for epoch in found)
        assert evaluated_epochs(before, epochs, every) == count


# What is held out


def test_what_is_held_out_is_evaluated_beside_the_test_set(folder: Folder):
    found = rows(trained(folder, "held out"))
    assert all(0 < row["validation_loss"] < 9 for row in found)
    without = Folder.prepare(folder.path / "without")
    plain = rows(without.train(RUN))
    assert {row["validation_loss"] for row in plain} == {None}
    shared = [name for name in plain[0] if not name.startswith("validation")]
    assert [[row[n] for n in shared] for row in plain] == [
        [row[n] for n in shared] for row in found
    ]


def test_an_evaluation_of_the_test_set_itself_agrees(tmp_path: Path):
    data = tiny_data()
    folder = Folder(tmp_path)
    data = replace(data, validation_images=data.test_images, validation_labels=data.test_labels)
    storage.write(data, "digits-clutter", folder.train_file, folder.test_file)
    for hardware in (HARDWARE, Taped()):
        for row in rows(trained(folder, type(hardware).__name__, hardware)):
            assert row["validation_loss"] == row["test_loss"]
            assert row["validation_accuracy"] == row["test_accuracy"]


def test_metrics_from_before_there_was_validation_are_read(folder: Folder):
    path = trained(folder, "old").metrics
    table, about = metrics.read(path)
    old = table.drop_columns(["validation_loss", "validation_accuracy"])
    metrics.tables.write(path, old, old.schema, about)
    read, _ = metrics.read(path)
    assert read.schema == metrics.SCHEMA
    assert read["validation_loss"].null_count == len(read)
    assert read["test_loss"].equals(table["test_loss"])
    history = [metrics.EpochMetrics(**row) for row in read.to_pylist()]
    assert metrics.from_rows([row[:7] for row in metrics.as_rows(history)]) == history


# Images that stay on the host


@dataclass(frozen=True)
class Small(Hardware):
    """A processor that says to have little memory."""

    device: str = "cpu"
    precision: str = "float32"
    room: int = 0

    def free_memory(self, device: torch.device) -> int | None:
        return self.room


class SmallTaped(Taped):
    """The same whose work is taped."""

    def free_memory(self, device: torch.device) -> int | None:
        return 0


@pytest.mark.parametrize("path", [PRETRAIN, PRETRAIN.replace("half", "full+augment")])
def test_images_on_the_host_give_the_same_bits(tmp_path: Path, path: str):
    folder, run = Folder.prepare(tmp_path), Run.parse(path.format(epochs=3))
    told: list[str] = []
    usual = checkpoint.load(folder.train(run).checkpoint)
    for hardware in (Small(), SmallTaped()):
        name = type(hardware).__name__
        outputs = folder.train(run, name, hardware=hardware, log=told.append, resume_every=0)
        assert equal(checkpoint.load(outputs.checkpoint), usual)
    assert any("stay in the memory of the host" in line for line in told)


class OnHost(torch.Tensor):
    """Images whose device is another one than that of their batches, as beside a GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self) -> torch.device:
        return torch.device("meta")


def test_steps_on_images_from_the_host_are_recorded_where_their_batches_are(tmp_path: Path):
    folder = Folder.prepare(tmp_path)
    run = Run.parse(PRETRAIN.format(epochs=2))
    usual = checkpoint.load(folder.train(run).checkpoint)
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))
    hardware = SmallTaped()
    stage = prepare(run, inputs, hardware, CODE, print)
    images = stage.train.images.as_subclass(OnHost)
    stage = replace(stage, train=replace(stage.train, images=images))
    assert stage.train.images.device != stage.train.device
    history, _ = train(stage, None, tmp_path / "resume", print, 1e9)
    assert hardware.tape.replayed > 0
    assert [one.train_loss for one in history] == [one.train_loss for one in usual.history]


@pytest.mark.parametrize(
    ("room", "streams"), [(0, (True, True)), (10_000, (True, False)), (13_000, (False, False))]
)
def test_images_stay_on_the_host_where_there_is_no_room(
    tmp_path: Path, room: int, streams: tuple[bool, bool]
):
    """4,096 bytes are trained on, and 2,048 evaluated: half of the room is for them."""
    folder = Folder.prepare(tmp_path)
    part = [storage.read(file) for file in (folder.train_file, folder.test_file)]
    told: list[str] = []
    device = torch.device("cpu")
    found = stays_on_host(part[0], part[1:], Small(room=room), device, told.append)
    assert found == Streams(*streams)
    assert len(told) == streams[0]
    assert stays_on_host(part[0], part[1:], HARDWARE, device, print) == Streams(False, False)


def test_a_stage_whose_images_stay_on_the_host_holds_them_there(tmp_path: Path):
    folder = Folder.prepare(tmp_path)
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(RUN))
    stage = prepare(RUN, inputs, Small(), CODE, print)
    assert stage.train.streamed
    assert stage.test.streamed
    assert stage.validation is None
