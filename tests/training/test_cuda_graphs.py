"""Recorded steps and evaluations, on a tape in place of CUDA graphs: the same bits as eagerly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from own_members import own_members  # noqa: F401 (a fixture)
from tape import THROWS, Tape
from tiny import CODE, HARDWARE, Folder, equal
from torch import nn
from torch.optim import Optimizer

from plasticity.core.errors import UserError
from plasticity.models import generators
from plasticity.models.undo import put_back
from plasticity.observe import telemetry
from plasticity.runs import Run
from plasticity.runs.cadence import Cadence
from plasticity.runs.compute import EXECUTIONS, NEED_A_GPU, PRECISIONS
from plasticity.training import checkpoint, prune
from plasticity.training.backends import DTYPES, prepare_backends
from plasticity.training.cuda_graphs import CudaGraphExecution, CudaGraphs
from plasticity.training.examples import Batch, Examples
from plasticity.training.hardware import Hardware
from plasticity.training.loop import (
    EagerExecution,
    EpochProgress,
    TrainState,
    evaluate,
    train_on,
)
from plasticity.training.stages import Inputs, prepare

PLACE = "digits-clutter/resnet-d1w2/seed0"
OPTIMISERS = [
    "adam-lr0.01-wd0.01-b16",
    "adamw-lr0.01-wd0.01-b16",
    "muon-lr0.01-wd0.01-b16",
    "rmsprop-lr0.001-b16",
    "sgd-lr0.1-b16",
    "sgd-lr0.1-m0.9-wd0.01-b16",
]


@dataclass(frozen=True)
class Taped(Hardware):
    """A processor whose work is taped."""

    device: str = "cpu"
    precision: str = "float32"
    tape: Tape = field(default_factory=Tape)

    def _execution(self, optimiser: Optimizer) -> EagerExecution:
        self.tape.prepare(optimiser)
        return CudaGraphExecution(self.tape)


def both(folder: Folder, run: str, **given: Path) -> Tape:
    """Train `run` both ways; the tape of the one, after the two were found to be the same."""
    taped = Taped()
    one = folder.train(Run.parse(run), "eager", **given)
    other = folder.train(Run.parse(run), "taped", hardware=taped, **given)
    assert equal(checkpoint.load(one.checkpoint), checkpoint.load(other.checkpoint))
    return taped.tape


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_recorded_updates_end_in_the_same_bits(folder: Folder, optimiser: str):
    tape = both(folder, f"{PLACE}/half_{optimiser}_e3_init")
    assert len(tape.prepared) == 1
    assert tape.recorded == 2  # an update, and the evaluation
    # Two updates an epoch; the first of all makes the optimiser's state, where it has one.
    by_hand = 0 if optimiser == "sgd-lr0.1-b16" else 1
    assert tape.replayed == 3 * 2 - by_hand + 3


def test_bfloat16_is_recorded_as_well(folder: Folder):
    run = Run.parse(f"{PLACE}/half_{OPTIMISERS[0]}_e2_init")
    one = folder.train(run, "eager", hardware=Hardware("cpu", "bfloat16"))
    taped = Taped(precision="bfloat16")
    other = folder.train(run, "taped", hardware=taped)
    assert equal(checkpoint.load(one.checkpoint), checkpoint.load(other.checkpoint))
    assert taped.tape.replayed


@pytest.mark.parametrize("view", ["augment", "rotation", "blur2", "randomlabels", "order1"])
def test_views_draw_anew_for_every_batch(folder: Folder, view: str):
    assert both(folder, f"{PLACE}/half+{view}_{OPTIMISERS[0]}_e3_init").replayed


def test_a_rate_that_drops_is_recorded_anew(folder: Folder):
    tape = both(folder, f"{PLACE}/half_sgd-lr0.1-m0.9-b16-drop1x2_e3_init")
    assert tape.recorded == 3 + 1


@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("rule", ["counter", "grouped", "listed", "fading"])
def test_rules_that_remember_in_python_are_refused(folder: Folder, rule: str):
    """A replay would repeat the step that was recorded, with its count and its rate."""
    run = Run.parse(f"{PLACE}/half_{rule}-lr0.01-b16_e3_init")
    with pytest.raises(UserError, match=r"^execution: .*; train with execution: eager$"):
        folder.train(run, hardware=Taped())


@pytest.mark.usefixtures("own_members")
def test_recording_draws_nothing(folder: Folder):
    """Warming up and recording make steps with dropout, which the generators forget."""
    run = Run.parse("digits-clutter/dropnet/seed0/half_halved-lr0.01-b16_e1_init")
    stage = prepare(
        run, Inputs(folder.train_file, folder.test_file, folder.split(run)), Taped(), CODE, print
    )
    device, execution = torch.device("cpu"), stage.train_state.execution
    batch, other = stage.order.rest_of_epoch(0, device)
    part = EpochProgress.begin(device)
    train_on(stage.train_state, stage.train, iter([batch]), part)
    before = generators.states(device)["torch"]
    with execution.training(stage.train_state, stage.train, part.sums):
        execution._record(stage.train_state, stage.train, part.sums, lambda b: torch.rand(1), other)
    assert torch.equal(generators.states(device)["torch"], before)


def test_drifting_data_and_an_unfinished_epoch(folder: Folder):
    both(folder, f"{PLACE}/drift0.5_{OPTIMISERS[0]}_e3_init")
    both(folder, f"{PLACE}/half_{OPTIMISERS[0]}_i5_init")


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_pruned_weights_stay_pruned(folder: Folder, tmp_path: Path, optimiser: str):
    dense = Run.parse(f"{PLACE}/full_{optimiser}_e2_init")
    ticket = Run.parse(f"{PLACE}/full_{optimiser}_e2_ticket1-p0.5")
    state = folder.train(dense).checkpoint
    mask = tmp_path / "mask.safetensors"
    prune.make_mask(ticket, state, mask, code=CODE, precision="float32", log=lambda line: None)
    assert both(folder, str(ticket), mask=mask).replayed


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_recorded_rung_is_continued_exactly(folder: Folder, optimiser: str):
    ten, twelve = (Run.parse(f"{PLACE}/half_{optimiser}_e{n}_init") for n in (10, 12))
    rung = folder.train(ten, hardware=Taped()).checkpoint
    straight = folder.train(twelve, "straight", hardware=Taped())
    continued = folder.train(twelve, "continued", rung=rung, hardware=Taped())
    assert equal(checkpoint.load(straight.checkpoint), checkpoint.load(continued.checkpoint))


def test_states_saved_after_every_batch_are_those_of_an_undisturbed_run(folder: Folder):
    run = Run.parse(f"{PLACE}/half_{OPTIMISERS[0]}_e2_init")
    one = folder.train(run, "saved", hardware=Taped(), resume_every=0.0)
    other = folder.train(run, "alone", hardware=Taped())
    assert equal(checkpoint.load(one.checkpoint), checkpoint.load(other.checkpoint))


def test_telemetry_sees_the_same(folder: Folder):
    run = Run.parse(f"{PLACE}/half_{OPTIMISERS[0]}_e3_init")
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))

    def table(hardware: Hardware) -> object:
        stage = prepare(run, inputs, hardware, CODE, lambda line: None)
        final = {name: value * 2 for name, value in stage.train_state.network.state_dict().items()}
        return telemetry.observe(stage, final, Cadence(6), lambda line: None)

    assert table(HARDWARE) == table(Taped())


class Reads(nn.Linear):
    """A network that looks at its own outputs, as a careless one would."""

    def forward(self, images):
        logits = super().forward(images.flatten(1))
        return logits if logits.sum() > 0 else -logits


def train_state_of(network: nn.Module, tape: Tape) -> TrainState:
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    return TrainState(network, optimiser, "float32", execution=CudaGraphExecution(tape))


def some_examples(count: int = 8) -> Examples:
    images = torch.arange(count * 4, dtype=torch.uint8).view(count, 1, 2, 2)
    middle = torch.full((1, 1, 1, 1), 16.0)
    return Examples(images, torch.arange(count) % 2, middle, middle)


def test_what_waits_for_the_device_is_refused():
    train_state, part = (
        train_state_of(Reads(4, 2), Tape()),
        EpochProgress.begin(torch.device("cpu")),
    )
    with pytest.raises(UserError, match="waits for the device"):
        train_on(train_state, some_examples(), iter([Batch(torch.arange(4))]), part)


def test_other_examples_and_other_batches_are_recorded_anew():
    tape = Tape()
    train_state = train_state_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), tape)
    part = EpochProgress.begin(torch.device("cpu"))
    one, other = some_examples(), some_examples(6)
    for examples, size, recorded in [(one, 4, 1), (one, 4, 1), (one, 2, 2), (other, 2, 3)]:
        train_on(train_state, examples, iter([Batch(torch.arange(size))]), part)
        assert tape.recorded == recorded
    assert part.sums[2] == 4 + 4 + 2 + 2
    assert evaluate(train_state, one)[2] == 8
    assert evaluate(train_state, other)[2] == 6
    assert evaluate(train_state, one)[2] == 8
    assert tape.recorded == 5, "two are remembered"
    for examples, recorded in [(some_examples(2), 6), (other, 6), (one, 7)]:
        evaluate(train_state, examples)
        assert tape.recorded == recorded


def test_an_evaluation_that_is_asked_to_stop_says_so():
    train_state = train_state_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), Tape())
    assert evaluate(train_state, some_examples(), lambda: True) is None


def test_a_tape_is_as_strict_as_a_recording():
    """What Python held while it was recorded does not change any more; what is copied in does."""
    given, factor, sums = torch.ones(2), [2.0], torch.zeros(2)
    replay = Tape(warm_ups=0).record(lambda: sums.add_((given + 1) * factor[0]))
    assert sums.tolist() == [4.0, 4.0]
    factor[0] = 100.0
    given.copy_(torch.tensor([0.0, 2.0]))
    replay()
    assert sums.tolist() == [6.0, 10.0]
    with pytest.raises(UserError):
        Tape(warm_ups=0).record(lambda: given.sum().item())


def test_a_tape_refuses_what_a_gpu_does_otherwise_each_time():
    images = torch.ones((1, 1, 4, 4), requires_grad=True)
    with pytest.raises(UserError, match="no deterministic form"):
        Tape().record(lambda: nn.functional.adaptive_avg_pool2d(images, 2).sum().backward())
    with pytest.raises(UserError, match="no deterministic form"):
        Tape().record(lambda: torch.ones(3).cumsum(0))


def test_a_tape_refuses_operations_between_two_devices():
    elsewhere = torch.ones((), device="meta")
    with pytest.raises(UserError, match="mixes devices"):
        Tape(warm_ups=0).record(lambda: torch.ones(3) + elsewhere)


def test_a_tape_knows_all_that_torch_documents_to_throw():
    """A new version of torch may know more."""
    text = torch.use_deterministic_algorithms.__doc__ or ""
    listed = text.split("operations will throw a")[1].split("In addition")[0]
    assert set(re.findall(r"\* :\w+:`([\w.]+)`", listed)) == set(THROWS)


def test_a_recording_begins_without_the_gradients_of_the_one_before():
    """They would keep all of its memory."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    left: list[bool] = []

    class Looks(Tape):
        def record(self, work: Callable[[], object]) -> Callable[[], object]:
            left.append(any(weight.grad is not None for weight in network.parameters()))
            return super().record(work)

    train_state, part = train_state_of(network, Looks()), EpochProgress.begin(torch.device("cpu"))
    for size in (4, 2):
        train_on(train_state, some_examples(), iter([Batch(torch.arange(size))]), part)
        assert all(weight.grad is not None for weight in network.parameters())
    assert left == [False, False]


class FakeCuda:
    """CUDA as a recording calls it: what it was asked, in order, and memory that may run short."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.ooms = 0
        stream = SimpleNamespace(wait_stream=lambda other: None)
        fakes: dict[str, Callable[..., object]] = {
            "Stream": lambda: stream,
            "current_stream": lambda: stream,
            "stream": lambda of: nullcontext(),
            "CUDAGraph": lambda: SimpleNamespace(replay=lambda: self.asked.append("replay")),
            "graph": self.capture,
            "empty_cache": lambda: self.asked.append("empty"),
            "memory_stats": lambda: {"num_ooms": self.ooms},
            "get_sync_debug_mode": lambda: 0,
            "set_sync_debug_mode": lambda mode: None,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)

    @contextmanager
    def capture(self, graph: object, stream: object) -> Iterator[None]:
        self.asked.append("capture")
        yield


def test_a_recording_gives_back_the_memory_of_the_one_before_first(
    monkeypatch: pytest.MonkeyPatch,
):
    cuda = FakeCuda(monkeypatch)
    CudaGraphs().record(lambda: cuda.asked.append("work"))()
    assert cuda.asked == ["empty", *["work"] * 3, "capture", "work", "replay"]


def test_a_recording_in_which_memory_ran_short_is_refused(monkeypatch: pytest.MonkeyPatch):
    """A library may have taken another algorithm, which every replay would repeat."""
    cuda = FakeCuda(monkeypatch)

    def work() -> None:
        cuda.ooms += "capture" in cuda.asked

    with pytest.raises(torch.OutOfMemoryError, match="memory ran short 1 times"):
        CudaGraphs().record(work)


def test_the_words_are_those_that_are_known():
    assert set(DTYPES) == set(PRECISIONS)
    assert NEED_A_GPU["precision"] in PRECISIONS
    assert NEED_A_GPU["execution"] in EXECUTIONS


@pytest.mark.parametrize(
    ("hardware", "carried_out"),
    [
        (Hardware("cpu", "float32"), "eager"),
        (Hardware("cuda", "float32"), "graph"),
        (Hardware("cuda", "tfloat32", execution="eager"), "eager"),
        (Hardware("cuda", "bfloat16", execution="compiled"), "compiled"),
    ],
)
def test_how_operations_reach_the_device(hardware: Hardware, carried_out: str):
    assert hardware.carried_out == carried_out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"execution": "fast"}, "execution: 'fast' is not known; expected auto, eager, graph"),
        ({"execution": "graph"}, r"execution: graph needs a GPU \(device: cuda\)"),
        ({"precision": "tfloat32"}, r"precision: tfloat32 needs a GPU \(device: cuda\)"),
    ],
)
def test_what_a_processor_cannot_do_is_refused(given: dict[str, str], message: str):
    with pytest.raises(UserError, match=message):
        Hardware(**{"device": "cpu", "precision": "float32", **given})


@pytest.mark.parametrize(("precision", "rounds"), [("float32", False), ("tfloat32", True)])
def test_torch_is_of_one_mind_about_tfloat32(precision: str, rounds: bool):
    """It has two ways to ask for it, and its compiler fails where these answer differently."""
    try:
        prepare_backends(1, precision)
        assert torch.backends.cudnn.allow_tf32 == rounds
        assert torch.backends.cuda.matmul.allow_tf32 == rounds
        parts = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)
        assert {part.fp32_precision for part in parts} == {"tf32" if rounds else "ieee"}
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=rounds):
            pass
        assert torch.backends.cudnn.allow_tf32 == rounds
    finally:
        prepare_backends(1)


class Counts(torch.optim.SGD):
    """An optimiser that counts its updates in Python, which a recording would freeze."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["count"] = self.state[parameter].get("count", 0) + 1
        return super().step()


def test_an_optimiser_that_counts_in_python_is_refused():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    train_state = train_state_of(network, Tape())
    train_state = replace(train_state, optimiser=Counts(network.parameters(), lr=0.1))
    batches = [Batch(torch.arange(4))] * 2
    with pytest.raises(UserError, match="execution: Counts keeps its 'count' outside"):
        train_on(
            train_state, some_examples(), iter(batches), EpochProgress.begin(torch.device("cpu"))
        )


def test_values_are_put_back_whatever_happens():
    weight = torch.ones(2)

    def fail() -> None:
        with put_back([weight]):
            weight.zero_()
            raise UserError("no")

    with pytest.raises(UserError):
        fail()
    assert weight.tolist() == [1.0, 1.0]
