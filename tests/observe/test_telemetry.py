"""Telemetry: what it measures, and that training does not notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny import CODE, HARDWARE, PRETRAIN, TUNE, Folder
from torch import nn

from plasticity.core.errors import UserError
from plasticity.core.gpus import gpu_is_present
from plasticity.core.rng import torch_generator
from plasticity.measures.quantities import QUANTITIES, TRACE, TRACES
from plasticity.observe import telemetry
from plasticity.observe.telemetry import Observer, draw_traces, parameters_of
from plasticity.runs import Run, metrics
from plasticity.runs.cadence import Cadence
from plasticity.training import checkpoint, loop, stages
from plasticity.training.cuda_graphs import refusing_to_wait
from plasticity.training.hardware import Hardware
from plasticity.training.stages import Inputs, Stage

EVERY_THIRD = Cadence(iterations=6, each=2, per_decade=3, evaluations_per_decade=1)
"""Observed at 0, 1, 2, 5 and 6; evaluated at 0, 1 and 6. A tiny epoch has 2 iterations."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.prepare(tmp_path)


def stage_of(
    folder: Folder, run: Run, parent: Path | None = None, hardware: Hardware = HARDWARE
) -> Stage:
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run), parent)
    return stages.prepare(run, inputs, hardware, CODE, silent)


def silent(line: str) -> None:
    """A log that nobody reads."""


def value_of(table: pa.Table, iteration: int, quantity: str) -> float | None:
    """The one value of `quantity` at `iteration`."""
    rows = [
        row["value"]
        for row in table.to_pylist()
        if row["iteration"] == iteration and row["quantity"] == quantity
    ]
    (value,) = rows
    return value


# What


class Small(nn.Module):
    """Five prunable weights in two layers, and what is not to be measured."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, (1, 2))
        self.normalisation = nn.BatchNorm2d(1)
        self.linear = nn.Linear(3, 1)


def small(values: list[float]) -> dict[str, torch.Tensor]:
    return {
        "convolution.weight": torch.tensor(values[:2]).view(1, 1, 1, 2),
        "linear.weight": torch.tensor(values[2:]).view(1, 3),
    }


INITIAL = [1.0, -1.0, 2.0, 0.0, 0.5]
NOW = [3.0, 1.0, 0.0, -4.0, 0.5]
GRADIENT = [1.0, -2.0, 0.0, 2.0, 0.0]
FINAL = [0.0, 0.0, 0.0, -5.0, 0.0]


def observed_small(final: list[float] | None) -> pa.Table:
    """The network at its beginning, then with the weights `NOW`."""
    network = Small()
    network.load_state_dict(small(INITIAL), strict=False)
    traces = [("linear.weight", 1), ("convolution.weight", 0)]
    state = None if final is None else small(final)
    observer = Observer(network, small(INITIAL), state, traces, observations=2)
    observer.observe(0)
    network.load_state_dict(small(NOW), strict=False)
    for name, gradient in small(GRADIENT).items():
        network.get_parameter(name).grad = gradient
    network.convolution.bias.grad = torch.tensor([100.0])
    observer.observe(7, torch.tensor([8.0, 3.0, 4.0], dtype=torch.float64))
    return observer.table("some/run", 3)


class TestMeasures:
    def test_each_by_hand(self):
        table = observed_small(FINAL)
        at = {name: value_of(table, 7, name) for name in table["quantity"].to_pylist()}
        assert at == pytest.approx(
            {
                "weight_magnitude": 8.5 / 5,
                "nonzero_share": 4 / 5,
                "sign_change_share": 1 / 5,  # -1 to 1; not 2 to 0, and not 0 to -4
                "gradient_magnitude": 1.0,
                "gradient_norm": 3.0,
                "distance_to_initial": math.sqrt(4 + 4 + 4 + 16),
                "cosine_to_initial": 2.25 / math.sqrt(26.25 * 6.25),
                "distance_to_final": math.sqrt(9 + 1 + 1 + 0.25),
                "cosine_to_final": 4 / math.sqrt(26.25),
                "test_loss": 2.0,
                "test_accuracy": 0.75,
                f"{TRACE}linear.weight[1]": -4.0,
                f"{TRACE}convolution.weight[0]": 3.0,
            }
        )

    def test_there_is_no_gradient_and_no_evaluation_at_the_beginning(self):
        table = observed_small(FINAL)
        for name in ("gradient_magnitude", "gradient_norm", "test_loss", "test_accuracy"):
            assert value_of(table, 0, name) is None
        assert value_of(table, 0, "distance_to_initial") == 0
        assert value_of(table, 0, "cosine_to_initial") == pytest.approx(1, abs=1e-15)
        assert value_of(table, 0, "sign_change_share") == 0

    def test_there_is_no_distance_to_an_unknown_end(self):
        table = observed_small(None)
        for iteration in (0, 7):
            assert value_of(table, iteration, "distance_to_final") is None
            assert value_of(table, iteration, "cosine_to_final") is None

    def test_what_is_not_a_number_is_kept_as_such(self):
        values = observed_small([math.nan] * 5)["value"].to_pylist()
        assert sum(value is not None and math.isnan(value) for value in values) == 4

    def test_every_quantity_is_described(self):
        for name, quantity in QUANTITIES.items():
            assert quantity.unit, name
            assert quantity.description.startswith("The "), name

    @pytest.mark.parametrize("missing", ["name", "shape"])
    def test_states_of_another_network_are_refused(self, missing: str):
        other = small(FINAL)
        other["linear.weight"] = torch.zeros(2, 2)
        if missing == "name":
            del other["linear.weight"]
        with pytest.raises(UserError, match=r"final weights have no linear\.weight of shape"):
            Observer(Small(), small(INITIAL), other, [], observations=1)

    def test_weights_in_any_memory_order_are_the_same_weights(self):
        network = nn.Conv2d(3, 4, 3)
        state = {name: value.clone() for name, value in network.state_dict().items()}
        network.to(memory_format=torch.channels_last)
        assert not network.weight.is_contiguous()
        observer = Observer(network, state, None, [("weight", 40)], observations=1)
        observer.observe(0)
        table = observer.table("run", 0)
        assert value_of(table, 0, "distance_to_initial") == 0
        assert value_of(table, 0, f"{TRACE}weight[40]") == state["weight"].flatten()[40].item()

    @pytest.mark.gpu
    @pytest.mark.skipif(not gpu_is_present(), reason="needs a CUDA device")
    def test_nothing_waits_for_the_device(self):
        Hardware("cuda", "float32").take(print)  # before anything opens a GPU
        network = nn.Conv2d(3, 4, 3).cuda()
        state = network.state_dict()
        observer = Observer(network, state, state, [("weight", 40)], observations=2)
        tested = torch.ones(3, dtype=torch.float64, device="cuda")
        images = torch.ones(2, 3, 8, 8, device="cuda")
        with refusing_to_wait():
            network(images).sum().backward()
            observer.observe(0)
            observer.observe(1, tested)
        assert observer.table("run", 0).num_rows == 2 * (len(QUANTITIES) + 1)


# Of which weights


class TestTraces:
    def test_only_weights_of_convolutions_and_linear_layers_are_prunable(self):
        assert list(parameters_of(Small())) == ["convolution.weight", "linear.weight"]

    def test_they_are_spread_over_the_layers(self, folder: Folder):
        network = stage_of(folder, Run.parse(PRETRAIN.format(epochs=1))).train_state.network
        weights = parameters_of(network)
        traces = draw_traces(weights, 10, torch_generator(0, "traces"))
        names = [name for name, _ in traces]
        assert len(names) == len(set(names)) == 10
        assert names == sorted(names, key=list(weights).index)
        assert (names[0], names[-1]) == (next(iter(weights)), list(weights)[-1])

    def test_in_fewer_layers_no_weight_is_drawn_twice(self):
        weights = {"one": torch.ones(5), "other": torch.ones(7)}
        for seed in range(20):
            traces = draw_traces(weights, 10, torch_generator(seed, "traces"))
            assert len(set(traces)) == 10

    def test_they_depend_on_the_seed_alone(self):
        weights = {"one": torch.ones(1000), "other": torch.ones(1000)}
        drawn = [draw_traces(weights, 4, torch_generator(seed, "traces")) for seed in (0, 0, 1)]
        assert drawn[0] == drawn[1] != drawn[2]

    def test_a_pruned_network_is_followed_where_it_survives(self):
        dense = {"one": torch.ones(1000)}
        order = [p for _, p in draw_traces(dense, 1000, torch_generator(0, "traces"))]
        pruned = torch.zeros(1000)
        pruned[order[2:5]] = 1
        traces = draw_traces({"one": pruned}, 4, torch_generator(0, "traces"))
        assert [place for _, place in traces] == [*order[2:5], order[0]]


# The job


class TestObserve:
    @pytest.fixture
    def final(self, folder: Folder) -> dict[str, torch.Tensor]:
        """What 4 epochs, of 2 iterations each, end with."""
        outputs = folder.train(Run.parse(PRETRAIN.format(epochs=4)), "long")
        return checkpoint.load(outputs.checkpoint).network

    @pytest.mark.parametrize(
        "optimiser", ["adam-lr0.01-b16", "rmsprop-lr0.001-b16", "sgd-lr0.1-m0.9-wd0.001-b16"]
    )
    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    def test_training_does_not_notice(self, folder: Folder, optimiser: str, precision: str):
        hardware = Hardware("cpu", precision)
        run = Run.parse(f"digits-clutter/resnet-d1w2/seed0/half_{optimiser}_e3_init")
        outputs = folder.train(run, hardware=hardware)
        stage = stage_of(folder, run, hardware=hardware)
        telemetry.observe(stage, None, Cadence(6, 6, 1, 9), silent)
        network, optimiser_now = stage.train_state.network, stage.train_state.optimiser
        seen = checkpoint.capture(stage.identity, network, optimiser_now, [])
        real = checkpoint.load(outputs.checkpoint)
        for one, other in ((seen.network, real.network), (seen.optimiser, real.optimiser)):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)

    def test_it_ends_within_an_epoch_where_told(self, folder: Folder):
        run = Run.parse(PRETRAIN.format(epochs=4))
        each = stage_of(folder, run)
        states = []
        for _ in telemetry.iterations(each, range(9)):
            states.append({k: v.clone() for k, v in each.train_state.network.state_dict().items()})
        part = stage_of(folder, run)
        telemetry.observe(part, None, Cadence(5, 0, 1, 1), silent)
        for name, value in part.train_state.network.state_dict().items():
            assert torch.equal(value, states[5][name])

    def test_the_last_distance_is_that_to_the_end(
        self, folder: Folder, final: dict[str, torch.Tensor]
    ):
        stage = stage_of(folder, Run.parse(PRETRAIN.format(epochs=4)))
        table = telemetry.observe(stage, final, Cadence(8, 8, 1, 1), silent)
        distances = [value_of(table, i, "distance_to_final") for i in range(9)]
        assert distances[-1] == 0
        assert min(distances[:-1]) > 0
        assert value_of(table, 8, "cosine_to_final") == pytest.approx(1, abs=1e-12)

    def test_the_gradient_is_that_of_the_batch_just_trained_on(self, folder: Folder):
        run = Run.parse("digits-clutter/resnet-d1w2/seed0/half_sgd-lr0.1-wd0.01-b16_e2_init")
        stage = stage_of(folder, run)
        table = telemetry.observe(stage, None, Cadence(3, 3, 1, 1), silent)
        # The third update, made by hand.
        again = stage_of(folder, run)
        list(telemetry.iterations(again, [2]))
        images, labels = again.train.batch(next(again.order.rest_of_epoch(2, again.device)))
        network = again.train_state.network.train()
        network.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        norms = [weight.grad.norm() for weight in parameters_of(network).values()]
        expected = torch.stack(norms).norm().item()
        assert value_of(table, 3, "gradient_norm") == pytest.approx(expected, rel=1e-5)

    def test_evaluations_are_those_of_training(self, folder: Folder):
        run = Run.parse(PRETRAIN.format(epochs=3))
        measured, _ = metrics.read(folder.train(run).metrics)
        table = telemetry.observe(stage_of(folder, run), None, EVERY_THIRD, silent)
        for name in ("test_loss", "test_accuracy"):
            assert value_of(table, 6, name) == measured[name].to_pylist()[-1]
            assert value_of(table, 2, name) is None

    def test_the_table_is_tidy(self, folder: Folder):
        run = Run.parse(PRETRAIN.format(epochs=3))
        table = telemetry.observe(stage_of(folder, run), None, EVERY_THIRD, silent)
        assert table.schema == telemetry.SCHEMA
        assert set(table["run"].to_pylist()) == {str(run)}
        assert set(table["seed"].to_pylist()) == {0}
        assert list(dict.fromkeys(table["iteration"].to_pylist())) == [0, 1, 2, 5, 6]
        assert table.num_rows == 5 * (len(QUANTITIES) + TRACES)
        assert table.group_by(["iteration", "quantity"]).aggregate([]).num_rows == table.num_rows

    def test_a_stage_after_another_is_measured_from_its_own_beginning(self, folder: Folder):
        parent = folder.train(Run.parse(PRETRAIN.format(epochs=3)))
        run = Run.parse(TUNE.format(pretrain=3, tune=1))
        stage = stage_of(folder, run, parent.checkpoint)
        initial = {
            name: value.clone() for name, value in parameters_of(stage.train_state.network).items()
        }
        table = telemetry.observe(stage, None, Cadence(4, 4, 1, 1), silent)
        moved = [
            (weight - initial[name]).norm()
            for name, weight in parameters_of(stage.train_state.network).items()
        ]
        expected = torch.stack(moved).norm().item()
        assert value_of(table, 0, "distance_to_initial") == 0
        assert value_of(table, 4, "distance_to_initial") == pytest.approx(expected, rel=1e-5)

    def test_more_iterations_than_the_stage_has_are_refused(self, folder: Folder):
        stage = stage_of(folder, Run.parse(PRETRAIN.format(epochs=3)))
        assert stage.steps.end - stage.steps.begin == 6
        with pytest.raises(UserError, match=r"^iterations: 7 asked for.* has 6;"):
            telemetry.observe(stage, None, Cadence(7), silent)

    def test_the_log_tells_of_each_evaluation(self, folder: Folder):
        lines: list[str] = []
        stage = stage_of(folder, Run.parse(PRETRAIN.format(epochs=3)))
        telemetry.observe(stage, None, EVERY_THIRD, lines.append)
        assert lines[:3] == ["iteration 0/6", "iteration 1/6", "iteration 6/6"]
        assert lines[3].startswith("observed 5 of 6 iterations, 3 of them with an evaluation, in ")

    def test_it_asks_the_loop_of_training_for_all_steps(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ):
        trained: list[int] = []

        def counted(train_state, examples, batches, part, *rest: Callable[[], bool]) -> bool:
            before = part.batches
            finished = loop.train_on(train_state, examples, batches, part, *rest)
            trained.append(part.batches - before)
            return finished

        monkeypatch.setattr(telemetry, "train_on", counted)
        stage = stage_of(folder, Run.parse(PRETRAIN.format(epochs=3)))
        telemetry.observe(stage, None, EVERY_THIRD, silent)
        assert sum(trained) == 6


# On disk


class TestFiles:
    def test_what_is_written_is_read(self, tmp_path: Path):
        table = observed_small(FINAL)
        path = tmp_path / "run" / "telemetry.parquet"
        telemetry.write(path, table, {"run": "some/run", "seed": 3})
        found, about = telemetry.read(path)
        assert found.equals(table)
        assert found["value"].null_count == 4
        assert about == {"run": "some/run", "seed": 3}

    @pytest.mark.parametrize("damage", ["missing", "garbage", "cut", "other table", "no metadata"])
    def test_what_is_not_telemetry_is_refused_by_name(self, tmp_path: Path, damage: str):
        path = tmp_path / "telemetry.parquet"
        telemetry.write(path, observed_small(FINAL), {})
        if damage == "missing":
            path.unlink()
        elif damage == "garbage":
            path.write_bytes(b"nothing")
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:-10])
        elif damage == "other table":
            metrics.write(path, [metrics.EpochMetrics(1, 1, 2.0, 0.5, 2.0, 0.5, 1.0)], {})
        else:
            pq.write_table(observed_small(FINAL), path)
        with pytest.raises(UserError, match=r"telemetry\.parquet: not a readable telemetry file"):
            telemetry.read(path)
