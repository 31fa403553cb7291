"""What a job asks of a GPU, where none is needed: by faked answers of CUDA's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import PRETRAIN, Folder

from plasticity.core.errors import PlaceError, UserError
from plasticity.observe.calibration import network_cost
from plasticity.runs import Run
from plasticity.runs.workload import Workload
from plasticity.scripts import call
from plasticity.training import checkpoint
from plasticity.training import hardware as computing
from plasticity.training.backends import is_out_of_memory, refusing_shortages
from plasticity.training.hardware import Hardware

ROOT = Path(__file__).parents[2]
OPTIMISERS = ["adam-lr0.01", "rmsprop-lr0.001", "sgd-lr0.1-m0.9"]


@pytest.fixture
def ooms(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Says how often the GPU has had too little memory."""

    def said(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "memory_stats", lambda *_: {"num_ooms": number})

    return said


# A job on the CPU


@pytest.fixture
def untouchable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU, where asking for its current stream would open it."""

    def opened(*_: object) -> None:
        raise AssertionError("a GPU was opened that nobody claimed")

    accelerator = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: accelerator)
    monkeypatch.setattr(torch.accelerator, "current_stream", opened)


@pytest.mark.usefixtures("untouchable")
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_on_the_cpu_opens_no_gpu(tmp_path: Path, optimiser: str):
    run = Run.parse(PRETRAIN.format(epochs=1).replace("adam-lr0.01", optimiser))
    assert Folder.prepare(tmp_path).train(run).metrics.exists()


@pytest.mark.usefixtures("untouchable")
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_counting_costs_opens_no_gpu(optimiser: str):
    network_cost(Workload.parse(f"2x1x8/resnet-d1w2/{optimiser}-b16"))


def place(device: str) -> SimpleNamespace:
    """The directives of a job on `device`."""
    here = SimpleNamespace(device=device, slots_per_gpu=1, execution="auto")
    return SimpleNamespace(params=SimpleNamespace(precision="float32"), threads=1, resources=here)


@pytest.mark.parametrize(("device", "seen"), [("cpu", ""), ("cuda", "1,3")])
def test_a_job_on_the_cpu_finds_no_gpu(monkeypatch: pytest.MonkeyPatch, device: str, seen: str):
    """Whatever its network, start or optimiser asks for."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    given = place(device)
    call.hardware_of(given, given.resources)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_loading_what_trains_asks_for_no_gpu():
    """CUDA sees the GPUs of its first question, whatever is claimed afterwards."""
    code = """
import torch
def asked(*_): raise SystemExit("CUDA was asked")
for name in ("is_available", "device_count", "current_device", "is_bf16_supported", "_lazy_init"):
    setattr(torch.cuda, name, asked)
import plasticity.training.train, plasticity.training.prune
import plasticity.observe.telemetry, plasticity.observe.connectivity, plasticity.observe.calibration
import sys; sys.path.insert(0, "tests")
import training.test_gpu
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr


# Too little memory


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_words_that_mean_too_little_memory(said: str, ooms: Callable[[int], None]):
    ooms(0)
    assert is_out_of_memory(RuntimeError(said))


@pytest.mark.parametrize(
    "said",
    [
        "FIND was unable to find an engine to execute this computation",
        "GET was unable to find an engine to execute this computation",
        "Unable to find an engine to execute this computation",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    ],
)
def test_words_that_may_mean_too_little_memory(said: str, ooms: Callable[[int], None]):
    ooms(0)
    assert not is_out_of_memory(RuntimeError(said))
    ooms(1)
    assert is_out_of_memory(RuntimeError(said))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access"))


def test_an_epoch_in_which_memory_ran_short_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its bits are others: neither metrics nor a state to go on from are left of it."""
    folder, run = Folder.prepare(tmp_path), Run.parse(PRETRAIN.format(epochs=3))
    told: list[str] = []
    found = count(1)
    # Memory runs short once the first epoch is told of.
    stats = lambda *_: {"num_ooms": next(found) if told else 0}  # noqa: E731
    monkeypatch.setattr(torch.cuda, "memory_stats", stats)
    with pytest.raises(UserError, match=r"out of memory on the device with batches of 16 \(memory"):
        folder.train(run, log=told.append, resume_every=0.0)
    outputs = folder.outputs(run)
    assert not outputs.metrics.exists()
    assert len(checkpoint.load(outputs.resume).history) == len(told) == 1


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2)])
def test_memory_that_ran_short_earlier_does_not_count(
    ooms: Callable[[int], None], before: int, after: int
):
    ooms(before)
    with refusing_shortages():
        ooms(after)
    with pytest.raises(torch.OutOfMemoryError), refusing_shortages():
        ooms(after + 1)


# Which GPU


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is none: an old one."""
    monkeypatch.setattr(computing, "claim_gpu", lambda *_: "GPU-1")
    monkeypatch.setattr(computing, "prepare_backends", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 0))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("precision", ["bfloat16", "tfloat32"])
def test_a_precision_that_a_gpu_only_imitates_is_refused(
    monkeypatch: pytest.MonkeyPatch, precision: str
):
    """Torch says that it is supported, unless it is asked to leave imitations out."""

    def is_supported(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    with pytest.raises(PlaceError, match=f"^precision: {precision} needs .* Tesla V100 has 7.0"):
        Hardware("cuda", precision).take(print)
    assert Hardware("cuda", "float32").take(print) == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert Hardware("cuda", precision).take(print) == torch.device("cuda")


@pytest.mark.usefixtures("gpu")
def test_a_state_names_the_model_of_its_gpu():
    assert Hardware("cuda", "float32").gpu == "Tesla V100 (7.0)"
    assert Hardware("cpu", "float32").gpu == ""
