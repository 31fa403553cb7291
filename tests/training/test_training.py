"""One stage as a job: same bits after rungs, kills and repetitions; refusals of foreign states."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CODE, HARDWARE, PRETRAIN, TUNE, Folder, equal

from plasticity.core.errors import UserError
from plasticity.runs import Run, metrics
from plasticity.runs.provenance import Code
from plasticity.training import checkpoint, loop
from plasticity.training.batches import StepRange
from plasticity.training.hardware import Hardware
from plasticity.training.stages import Inputs
from plasticity.training.train import progress, train_stage


def test_a_stage_writes_metrics_and_a_checkpoint_and_leaves_no_resume_file(folder: Folder):
    run = Run.parse(PRETRAIN.format(epochs=3))
    outputs = folder.train(run)
    table, about = metrics.read(outputs.metrics)
    assert table["epoch"].to_pylist() == [1, 2, 3]
    assert about["run"] == str(run)
    assert about["training_examples"] == 32
    assert checkpoint.load(outputs.checkpoint).epoch == 3
    assert not outputs.resume.exists()
    assert sorted(path.name for path in outputs.metrics.parent.iterdir()) == [
        "checkpoint.safetensors",
        "metrics.parquet",
    ]


def test_the_same_run_twice_gives_the_same_bits(folder: Folder):
    run = Run.parse(PRETRAIN.format(epochs=3))
    first = folder.train(run, "first")
    second = folder.train(run, "second")
    assert equal(checkpoint.load(first.checkpoint), checkpoint.load(second.checkpoint))


@pytest.mark.parametrize(
    "optimiser", ["adam-lr0.01-b16", "rmsprop-lr0.001-b16", "sgd-lr0.1-m0.9-wd0.001-b16"]
)
def test_twenty_epochs_from_the_rung_of_ten_equal_twenty_straight(folder: Folder, optimiser: str):
    stages = "digits-clutter/resnet-d1w2/seed0/half_{}_e{}_init"
    lineages = [Code({**CODE.components, "lineage": name}) for name in ("of ten", "of twenty")]
    ten = folder.train(Run.parse(stages.format(optimiser, 10)), code=lineages[0])
    run = Run.parse(stages.format(optimiser, 20))
    assert run.rung == Run.parse(stages.format(optimiser, 10))
    straight = folder.train(run, "straight")
    continued = folder.train(run, "continued", rung=ten.checkpoint, code=lineages[1])
    assert equal(checkpoint.load(straight.checkpoint), checkpoint.load(continued.checkpoint))


def test_a_warm_start_begins_with_the_weights_of_its_parent(folder: Folder):
    parent = Run.parse(PRETRAIN.format(epochs=3))
    trained = folder.train(parent)
    # A vanishing learning rate keeps the weights where the stage began.
    run = Run.parse(f"{parent}/full_sgd-lr0.{'0' * 30}1-b16_e1_keep")
    outputs = folder.train(run, parent=trained.checkpoint, keep=True)
    before, after = checkpoint.load(trained.checkpoint), checkpoint.load(outputs.checkpoint)
    for name, value in before.network.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, after.network[name])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_too_little_memory_on_the_device_is_a_message(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
):
    def full(*arguments):
        raise error

    monkeypatch.setattr(loop, "cross_entropy", full)
    with pytest.raises(UserError, match="out of memory on the device with batches of 16") as told:
        folder.train(Run.parse(PRETRAIN.format(epochs=1)))
    assert str(error).splitlines()[0] in str(told.value)


def test_another_error_of_the_device_stays_what_it_is(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    def broken(*arguments):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(loop, "cross_entropy", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        folder.train(Run.parse(PRETRAIN.format(epochs=1)))


def test_a_damaged_parent_is_refused_by_name(folder: Folder):
    parent = folder.train(Run.parse(PRETRAIN.format(epochs=2)))
    parent.checkpoint.write_bytes(parent.checkpoint.read_bytes()[:-100])
    run = Run.parse(TUNE.format(pretrain=2, tune=2))
    with pytest.raises(UserError, match=r"checkpoint\.safetensors: not a readable checkpoint"):
        folder.train(run, parent=parent.checkpoint)


def test_the_checkpoint_of_another_run_is_refused_as_parent(folder: Folder):
    other = folder.train(Run.parse(PRETRAIN.format(epochs=3)))
    run = Run.parse(TUNE.format(pretrain=2, tune=2))
    with pytest.raises(UserError, match="of another run") as refused:
        folder.train(run, parent=other.checkpoint)
    assert "delete" not in str(refused.value)


def test_the_checkpoint_of_another_run_is_refused_as_rung_and_kept(folder: Folder):
    """It is a result, and may be all that is left of its run."""
    other = folder.train(Run.parse(PRETRAIN.format(epochs=3)))
    run = Run.parse(PRETRAIN.format(epochs=12))
    with pytest.raises(UserError, match=r"of another run .*; put the right file there") as refused:
        folder.train(run, rung=other.checkpoint)
    assert "delete" not in str(refused.value)
    assert other.checkpoint.exists()


def test_fewer_examples_than_a_batch_are_refused(folder: Folder):
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/half_adam-lr0.01_e2_init")
    with pytest.raises(UserError, match="has 32 examples, fewer than one batch of 128"):
        folder.train(run)


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="precision: 'float16'"):
        Hardware("cpu", "float16")


def test_stages_on_growing_data_continue_one_another(folder: Folder):
    """Each stage starts with the weights of the one before and sees the examples of both."""
    first = "digits-clutter/resnet-d1w2/seed0/stage1of2r1_adam-lr0.01-b16_e1_init"
    # At such a rate the weights stay what they were at the start.
    second = f"{first}/stage2of2r1_adam-lr0.0000000001-b16_e1_keep"
    one = folder.train(Run.parse(first))
    two = folder.train(Run.parse(second), parent=one.checkpoint)
    seen = [metrics.read(outputs.metrics)[1]["training_examples"] for outputs in (one, two)]
    assert seen == [22, 43]
    before, after = (checkpoint.load(outputs.checkpoint).network for outputs in (one, two))
    for name in (name for name in before if name.endswith("weight")):
        assert torch.allclose(before[name], after[name], atol=1e-8), name


def test_a_learnable_task_is_learnt(folder: Folder):
    """Labels that are a function of brightness: a network that trains at all gets them right."""
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01-b16_e30_init")
    table, _ = metrics.read(folder.train(run).metrics)
    assert np.mean(table["train_accuracy"].to_numpy()[-3:]) > 0.95
    assert table["train_loss"][29].as_py() < table["train_loss"][0].as_py()


def test_bfloat16_changes_the_arithmetic_and_is_recorded(folder: Folder):
    run = Run.parse(PRETRAIN.format(epochs=2))
    single = folder.train(run, "float32")
    half = folder.train(run, "bfloat16", hardware=Hardware("cpu", "bfloat16"))
    one, other = checkpoint.load(single.checkpoint), checkpoint.load(half.checkpoint)
    assert not equal(one, other)
    assert all(v.dtype in (torch.float32, torch.int64) for v in other.network.values())
    assert metrics.read(half.metrics)[1]["precision"] == "bfloat16"


def test_progress_tells_epoch_accuracy_speed_and_time_left():
    history = [
        metrics.EpochMetrics(e, 2 * e, 0.5, 0.75, 0.6, 0.5, seconds=2.0) for e in range(1, 11)
    ]
    line = progress(history, StepRange(0, 200, 2), batch=16)
    assert "epoch  10/100" in line
    assert "train 75.00%" in line
    assert "test 50.00%" in line
    assert "16 images/s" in line  # two batches of 16 in two seconds
    assert "0:03:00 left" in line


def test_a_missing_parent_is_named(folder: Folder):
    run = Run.parse(TUNE.format(pretrain=2, tune=2))
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))
    with pytest.raises(UserError, match="its parent's checkpoint is missing"):
        train_stage(run, inputs, folder.outputs(run), HARDWARE, CODE, print)


HEAVY = ("torch._dynamo", "sympy", "pandas", "scipy", "pyarrow.compute", "pyarrow.dataset")


@pytest.mark.parametrize("optimiser", ["adam-lr0.01", "rmsprop-lr0.01", "sgd-lr0.1-m0.9"])
def test_training_loads_what_it_needs_alone(tmp_path: Path, optimiser: str):
    """Loading torch's compiler, or what tables are analysed with, takes as long as short stages."""
    script = (
        "import sys; from pathlib import Path; from tiny import Folder; "
        "from plasticity.runs import Run; "
        f"run = Run.parse('digits-clutter/resnet-d1w2/seed0/half_{optimiser}-b16_e1_init'); "
        f"folder = Folder.prepare(Path({str(tmp_path)!r})); folder.train(run); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    tests = Path(__file__).parents[1]
    finished = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": f"{tests.parent}:{tests}"},
        check=True,
    )
    assert finished.stdout.strip() == "[]"
