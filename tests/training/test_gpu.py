"""What must hold on a GPU as well; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CODE, PRETRAIN, Folder, equal
from torch import Tensor, nn

from plasticity.core.errors import UserError
from plasticity.core.gpus import gpu_is_present
from plasticity.data import splits, storage
from plasticity.data.raw import RawData
from plasticity.observe import telemetry
from plasticity.runs import Run
from plasticity.runs.cadence import Cadence
from plasticity.runs.compute import PRECISIONS
from plasticity.training import checkpoint, prune
from plasticity.training.cuda_graphs import CudaGraphExecution, CudaGraphs, refusing_to_wait
from plasticity.training.examples import Batch, Examples
from plasticity.training.hardware import Hardware
from plasticity.training.loop import EpochProgress, TrainState, evaluate, train_on
from plasticity.training.stages import Inputs, prepare
from plasticity.training.train import Outputs, train_stage

pytestmark = [
    pytest.mark.gpu,
    # Torch is not asked: it would open a GPU before one is claimed.
    pytest.mark.skipif(not gpu_is_present(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module", autouse=True)
def taken() -> None:
    """A GPU as jobs take it, before anything computes: cuBLAS reads its settings once."""
    Hardware("cuda", "float32").take(print)


ROOT = Path(__file__).parents[2]
NAMES = [str(number) for number in range(10)]
OPTIMISERS = [
    *("adam-lr0.01", "rmsprop-lr0.001", "sgd-lr0.1", "sgd-lr0.1-m0.9"),
    *("adamw-lr0.01", "muon-lr0.01"),
]
METHODS = [
    *("l2init0.01", "wasserstein0.01", "spectral0.01", "parseval0.01", "sam0.1", "clip1"),
    *("shrinkperturb0.001x0.001", "redo0.5every2steps", "cbp0.01-mature2", "hare0.9every1"),
]
WAYS = [*(("graph", precision) for precision in PRECISIONS), ("eager", "bfloat16")]
STAGE = "digits-clutter/resnet-d1w2/seed0/half_{}-b16_e{}_init"


@pytest.mark.parametrize(("execution", "precision"), WAYS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_rung_and_a_repetition_end_in_the_same_bits(
    tmp_path: Path, optimiser: str, precision: str, execution: str
):
    folder = Folder.prepare(tmp_path)
    hardware = Hardware("cuda", precision, execution=execution)
    run = Run.parse(STAGE.format(optimiser, 20))
    ten = folder.train(Run.parse(STAGE.format(optimiser, 10)), hardware=hardware)
    first = folder.train(run, "first", hardware=hardware)
    second = folder.train(run, "second", hardware=hardware)
    continued = folder.train(run, "continued", rung=ten.checkpoint, hardware=hardware)
    saved = folder.train(run, "saved", hardware=hardware, resume_every=0.0)
    reference = checkpoint.load(first.checkpoint)
    for other in (second, continued, saved):
        assert equal(reference, checkpoint.load(other.checkpoint))


@pytest.mark.parametrize("method", METHODS)
def test_a_stage_with_a_method_is_saved_and_repeated(tmp_path: Path, method: str):
    folder, hardware = Folder.prepare(tmp_path), Hardware("cuda", "bfloat16")
    run = Run.parse(f"digits-clutter/resnet-d1w2/seed0/half_adam-lr0.01-b16+{method}_e3_init")
    first, saved, second = (
        checkpoint.load(folder.train(run, name, hardware=hardware, resume_every=every).checkpoint)
        for name, every in (("first", 1e9), ("saved", 0.0), ("second", 1e9))
    )
    assert equal(first, second)
    assert equal(first, saved)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "stage",
    [
        *(f"half_{optimiser}-b16_e5_init" for optimiser in OPTIMISERS),
        "half+augment_sgd-lr0.1-m0.9-b16-drop2_e5_init",
        "half+rotation_adam-lr0.01-b16_e5_init",
        "drift0.5_adam-lr0.01-b16_e5_init",
        *(f"half_adam-lr0.01-b16+{method}_e5_init" for method in METHODS),
    ],
)
def test_a_graph_ends_where_the_operations_one_by_one_do(
    tmp_path: Path, stage: str, precision: str
):
    """The same kernels in the same order: where a library chose others, by rounding alone."""
    folder = Folder.prepare(tmp_path)
    run = Run.parse(f"digits-clutter/resnet-d1w2/seed0/{stage}")
    graph, eager = (
        checkpoint.load(
            folder.train(run, way, hardware=Hardware("cuda", precision, execution=way)).checkpoint
        )
        for way in ("graph", "eager")
    )
    for one, other in zip(graph.history, eager.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-3)
    for name, weight in graph.network.items():
        torch.testing.assert_close(weight, eager.network[name], rtol=1e-2, atol=1e-3)


def test_pruned_weights_stay_pruned_in_a_graph(tmp_path: Path):
    folder = Folder.prepare(tmp_path)
    hardware = Hardware("cuda", "bfloat16")
    place = "digits-clutter/resnet-d1w2/seed0/full_sgd-lr0.1-m0.9-wd0.01-b16_e3"
    ticket = Run.parse(f"{place}_ticket1-p0.5")
    mask = tmp_path / "mask.safetensors"
    state = folder.train(Run.parse(f"{place}_init"), hardware=hardware).checkpoint
    prune.make_mask(ticket, state, mask, code=CODE, precision="bfloat16", log=lambda line: None)
    trained = checkpoint.load(folder.train(ticket, mask=mask, hardware=hardware).checkpoint)
    for name, mask in trained.mask.items():
        assert not trained.network[name][~mask].any()
        assert trained.network[name][mask].all()


@pytest.mark.parametrize("start", ["shrink0.2-init", "dash0.3", "dash0.3-eval", "fire"])
def test_a_stage_that_begins_with_a_remedy_repeats_itself(tmp_path: Path, start: str):
    folder, hardware = Folder.prepare(tmp_path), Hardware("cuda", "bfloat16")
    first = Run.parse(STAGE.format("adam-lr0.01", 1))
    parent = folder.train(first, hardware=hardware).checkpoint
    run = Run.parse(f"{first}/full_adam-lr0.01-b16_e2_{start}")
    one, other = (
        checkpoint.load(folder.train(run, name, parent=parent, hardware=hardware).checkpoint)
        for name in ("one", "other")
    )
    assert equal(one, other)


def test_telemetry_reads_the_gradients_of_the_last_update(tmp_path: Path):
    """Also where an evaluation, which is another graph, comes between."""
    folder = Folder.prepare(tmp_path)
    run = Run.parse(STAGE.format("sgd-lr0.1-m0.9", 5))
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))
    seen = []
    for way in ("graph", "eager"):
        hardware = Hardware("cuda", "float32", execution=way)
        stage = prepare(run, inputs, hardware, CODE, lambda line: None)
        cadence = Cadence(10, evaluations_per_decade=10)
        seen.append(telemetry.observe(stage, None, cadence, lambda line: None))
    graph, eager = (table["value"].to_pylist() for table in seen)
    assert graph == pytest.approx(eager, rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("execution", ["graph", "eager"])
def test_no_step_waits_for_the_device(tmp_path: Path, execution: str):
    """Neither operation by operation nor replayed: the host runs ahead for a whole epoch."""
    folder = Folder.prepare(tmp_path)
    run = Run.parse(STAGE.format("adam-lr0.01", 3))
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))
    hardware = Hardware("cuda", "bfloat16", execution=execution)
    stage = prepare(run, inputs, hardware, CODE, lambda line: None)
    part = EpochProgress.begin(stage.device)
    for _ in range(2):  # the first time records, which does wait
        again = stage.order.rest_of_epoch(0, stage.device)
        train_on(stage.train_state, stage.train, again, part)
    evaluate(stage.train_state, stage.test)
    batches = list(stage.order.rest_of_epoch(2, stage.device))
    with refusing_to_wait():
        train_on(stage.train_state, stage.train, iter(batches), part)
        evaluate(stage.train_state, stage.test)


@pytest.mark.parametrize(("execution", "precision"), WAYS)
def test_the_papers_network_repeats_itself(tmp_path: Path, precision: str, execution: str):
    """ResNet-18 at 32 x 32 pixels in batches of 128: the same bits twice."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (1280, 3, 32, 32), dtype=np.uint8)
    data = RawData(images, np.arange(1280) % 10, images[:256], np.arange(256) % 10, NAMES, "made")
    parts = tmp_path / "train.safetensors", tmp_path / "test.safetensors"
    storage.write(data, "cifar10", *parts)
    run = Run.parse("cifar10/resnet18/seed0/full_adam-lr0.001_e2_init")
    split = tmp_path / "split.parquet"
    splits.write(split, run.stage.data, data.train_labels, NAMES, 0)
    states = []
    for name in ("one", "other"):
        place = tmp_path / name
        outputs = Outputs(place / "metrics.parquet", place / "checkpoint.safetensors")
        hardware = Hardware("cuda", precision, execution=execution)
        train_stage(run, Inputs(*parts, split), outputs, hardware, CODE, lambda line: None)
        states.append(checkpoint.load(outputs.checkpoint))
    assert equal(*states)


def test_a_gpu_and_the_cpu_agree_on_the_first_epoch(tmp_path: Path):
    """The same order, the same initialisation: in float32 they differ by rounding alone."""
    folder = Folder.prepare(tmp_path)
    run = Run.parse(PRETRAIN.format(epochs=1))
    cpu = folder.train(run, "cpu")
    gpu = folder.train(run, "gpu", hardware=Hardware("cuda", "float32"))
    one, other = (checkpoint.load(made.checkpoint).history[0] for made in (cpu, gpu))
    assert one.train_loss == pytest.approx(other.train_loss, rel=1e-2)


class Reads(nn.Linear):
    """A network that looks at its own outputs."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images.flatten(1))
        return logits if logits.sum() > 0 else -logits


def test_what_cannot_be_recorded_is_refused():
    device = torch.device("cuda")
    network = Reads(4, 2).to(device)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    train_state = TrainState(
        network, optimiser, "float32", execution=CudaGraphExecution(CudaGraphs())
    )
    middle = torch.ones((1, 1, 1, 1), device=device)
    images = torch.ones((4, 1, 2, 2), dtype=torch.uint8, device=device)
    labels = torch.tensor([0, 1, 0, 1], device=device)
    examples = Examples(images, labels, middle, middle)
    batch = Batch(torch.arange(4, device=device))
    with pytest.raises(UserError, match="execution: eager"):
        train_on(train_state, examples, iter([batch]), EpochProgress.begin(device))
