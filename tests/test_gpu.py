"""What must hold on a GPU as well; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import PRETRAIN, Folder, equal

from plasticity import checkpoint
from plasticity.hardware import Hardware
from plasticity.spec import Run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimiser", ["adam-lr0.01", "rmsprop-lr0.001", "sgd-lr0.1-m0.9"])
def test_a_rung_and_a_repetition_end_in_the_same_bits(
    tmp_path: Path, optimiser: str, precision: str
):
    folder = Folder.prepare(tmp_path)
    hardware = Hardware("cuda", precision)
    stage = "digits-clutter/resnet-d1w2/seed0/half_{}-b16_e{}_init"
    run = Run.parse(stage.format(optimiser, 20))
    ten = folder.train(Run.parse(stage.format(optimiser, 10)), hardware=hardware)
    first = folder.train(run, "first", hardware=hardware)
    second = folder.train(run, "second", hardware=hardware)
    continued = folder.train(run, "continued", rung=ten.checkpoint, hardware=hardware)
    reference = checkpoint.load(first.checkpoint)
    assert equal(reference, checkpoint.load(second.checkpoint))
    assert equal(reference, checkpoint.load(continued.checkpoint))


def test_a_gpu_and_the_cpu_agree_on_the_first_epoch(tmp_path: Path):
    """The same order, the same initialisation: in float32 they differ by rounding alone."""
    folder = Folder.prepare(tmp_path)
    run = Run.parse(PRETRAIN.format(epochs=1))
    cpu = folder.train(run, "cpu")
    gpu = folder.train(run, "gpu", hardware=Hardware("cuda", "float32"))
    one, other = (checkpoint.load(made.checkpoint).history[0] for made in (cpu, gpu))
    assert one.train_loss == pytest.approx(other.train_loss, rel=1e-2)
