"""Linear mode connectivity: the line between two states, and the barrier on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from tiny import CODE, HARDWARE, PRETRAIN, Folder
from torch import nn
from torch.optim import SGD

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.observe import connectivity
from plasticity.observe.connectivity import (
    Line,
    barrier,
    barrier_of,
    estimate_statistics,
    interpolate,
)
from plasticity.runs import Run, metrics
from plasticity.training import checkpoint, stages
from plasticity.training.batches import shuffled
from plasticity.training.examples import Batch, Examples
from plasticity.training.loop import TrainState, evaluate
from plasticity.training.stages import Inputs, Stage

State = dict[str, torch.Tensor]
LINE = Line(points=5, batches=3, batch=16, train_examples=40)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, State]:
    """The tiny data with a network of its kind, and the state that 20 epochs end with."""
    folder = Folder.prepare(tmp_path_factory.mktemp("line"))
    run = Run.parse(PRETRAIN.format(epochs=20))
    outputs = folder.train(run)
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))
    stage = stages.prepare(run, inputs, HARDWARE, CODE, lambda line: None)
    return stage, checkpoint.load(outputs.checkpoint).network


def line_between(stage: Stage, one: State, other: State, line: Line = LINE) -> pa.Table:
    network, train, test = stage.train_state.network, stage.train, stage.test
    return barrier(network, one, other, train, test, line, torch_generator(0), "float32")


def with_last_channels_turned(state: State) -> State:
    """The same function, with the channels before the output layer in another order.

    Those that speak the most for one class take the places of those that speak for the other.
    """
    head = state["numbered.5.weight"]
    order = (head[0] - head[1]).argsort()
    turned = torch.empty_like(order)
    turned[order] = order.flip(0)
    state = {name: value.clone() for name, value in state.items()}
    for name, value in state.items():
        if name == "numbered.5.weight":
            state[name] = value[:, turned]
        elif name.startswith(
            ("numbered.4.0.convolution2", "numbered.4.0.normalisation2", "numbered.4.0.shortcut")
        ):
            state[name] = value[turned] if value.dim() else value
    return state


class TestBarrier:
    def test_identical_ends_have_none(self, trained: tuple[Stage, State]):
        stage, state = trained
        table = line_between(stage, state, state)
        assert table.schema == connectivity.LINE
        assert table["alpha"].to_pylist() == [0, 0.25, 0.5, 0.75, 1]
        for name in connectivity.LINE.names[1:]:
            assert len(set(table[name].to_pylist())) == 1
        assert barrier_of(table) == barrier_of(table, "train") == 0

    def test_its_ends_are_evaluated_as_in_training(self, trained: tuple[Stage, State]):
        stage, state = trained
        initial = {k: v.clone() for k, v in stage.train_state.network.state_dict().items()}
        line = replace(LINE, train_examples=10_000)
        table = line_between(stage, state, initial, line)
        generator = torch_generator(0)
        drawn = shuffled(torch.arange(64), 16, generator)
        batches = drawn[:3]
        for row, end in ((0, state), (-1, initial)):
            train_state = train_state_with(stage, end)
            estimate_statistics(train_state, stage.train, batches)
            for part, examples in (("train", stage.train), ("test", stage.test)):
                loss, hits, count, *_ = evaluate(train_state, examples).tolist()
                assert table[f"{part}_loss"].to_pylist()[row] == pytest.approx(loss / count)
                assert table[f"{part}_accuracy"].to_pylist()[row] == hits / count

    def test_the_same_function_in_other_places_is_far_away(self, trained: tuple[Stage, State]):
        stage, state = trained
        table = line_between(stage, state, with_last_channels_turned(state))
        accuracies = table["test_accuracy"].to_pylist()
        assert accuracies[0] == accuracies[-1] > 0.9
        assert barrier_of(table) > 0.3

    def test_the_given_network_is_left_as_it_was(self, trained: tuple[Stage, State]):
        stage, state = trained
        network = stage.train_state.network.train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        momenta = [m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        ends = state, with_last_channels_turned(state)
        copies = [{name: value.clone() for name, value in end.items()} for end in ends]
        line_between(stage, *ends)
        after = network.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert network.training
        assert momenta == [m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for end, copy in zip(ends, copies, strict=True):
            assert all(torch.equal(end[name], copy[name]) for name in end)

    def test_the_same_generator_gives_the_same_table(self, trained: tuple[Stage, State]):
        stage, state = trained
        other = with_last_channels_turned(state)
        assert line_between(stage, state, other).equals(line_between(stage, state, other))

    def test_statistics_that_the_states_carry_do_not_count(self, trained: tuple[Stage, State]):
        stage, state = trained
        other = {k: v + 1 if "running" in k else v for k, v in state.items()}
        assert barrier_of(line_between(stage, state, other)) == 0

    def test_the_training_error_is_taken_over_so_many(self, trained: tuple[Stage, State]):
        stage, state = trained
        table = line_between(stage, state, state, replace(LINE, train_examples=7))
        share = table["train_accuracy"].to_pylist()[0]
        assert share * 7 == pytest.approx(round(share * 7))

    def test_states_of_another_network_are_refused(self, trained: tuple[Stage, State]):
        stage, state = trained
        lacking = {k: v for k, v in state.items() if k != "numbered.5.bias"}
        with pytest.raises(UserError, match=r"^the other end .* no numbered\.5\.bias of shape"):
            line_between(stage, state, lacking)
        with pytest.raises(UserError, match=r"^the one end .* no numbered\.5\.bias of shape"):
            line_between(stage, {**state, "numbered.5.bias": torch.zeros(3)}, state)

    def test_too_few_examples_are_refused(self, trained: tuple[Stage, State]):
        stage, state = trained
        with pytest.raises(UserError, match=r"^batches: 5 of 16 .* 64 training examples"):
            line_between(stage, state, state, replace(LINE, batches=5))

    @pytest.mark.parametrize("field", list(Line.__dataclass_fields__))
    @pytest.mark.parametrize("value", [0, -1, 2.5, "4", True, None])
    def test_what_is_no_count_is_refused_by_name(self, field: str, value: object):
        with pytest.raises(ValueError, match=f"^{field}: .*expected a whole number"):
            Line(**{field: value})

    def test_a_line_has_two_ends(self):
        assert Line(points=2).alphas == [0, 1]
        with pytest.raises(ValueError, match=r"^points: 1, "):
            Line(points=1)


def made_up(test_accuracy: list[float], train_accuracy: list[float]) -> pa.Table:
    count = len(test_accuracy)
    return pa.table(
        {
            "alpha": [i / (count - 1) for i in range(count)],
            "train_loss": [1.0] * count,
            "train_accuracy": train_accuracy,
            "test_loss": [1.0] * count,
            "test_accuracy": test_accuracy,
        },
        schema=connectivity.LINE,
    )


class TestHeight:
    def test_it_is_the_highest_error_less_the_mean_of_the_ends(self):
        table = made_up([0.9, 0.5, 0.6, 0.8], [1, 1, 0.9, 1])
        assert barrier_of(table) == pytest.approx(0.5 - 0.15)
        assert barrier_of(table, "train") == pytest.approx(0.1)

    def test_rows_may_come_in_any_order(self):
        table = made_up([0.9, 0.5, 0.6, 0.8], [1, 1, 1, 1])
        assert barrier_of(table.take([2, 0, 3, 1])) == barrier_of(table)

    def test_where_the_middle_is_better_the_worse_end_counts(self):
        assert barrier_of(made_up([0.8, 0.95, 0.9], [1, 1, 1])) == pytest.approx(0.05)


def train_state_with(stage: Stage, state: State) -> TrainState:
    """A train_state of its own with the parameters of `state`."""
    network = stage.run.model(2, 1, 8, 8)
    network.load_state_dict(state)
    network.to(memory_format=torch.channels_last)
    return TrainState(network, SGD(network.parameters(), lr=0.0), "float32")


class TestInterpolation:
    @pytest.mark.parametrize(("alpha", "end"), [(0.0, 0), (1.0, 1)])
    def test_ends_come_out_exactly(self, trained: tuple[Stage, State], alpha: float, end: int):
        stage, state = trained
        initial = {k: v.clone() for k, v in stage.train_state.network.state_dict().items()}
        network = train_state_with(stage, initial).network
        interpolate(network, state, initial, alpha)
        for name, parameter in network.named_parameters():
            assert torch.equal(parameter, (state, initial)[end][name])

    def test_every_parameter_is_mixed_and_zeros_stay(self):
        network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        one = {name: torch.ones_like(p) for name, p in network.named_parameters()}
        other = {name: torch.full_like(p, 5) for name, p in network.named_parameters()}
        one["0.weight"][0, 1] = other["0.weight"][0, 1] = 0
        interpolate(network, one, other, 0.25)
        for name, parameter in network.named_parameters():
            assert set(parameter.flatten().tolist()) == ({0, 2} if name == "0.weight" else {2})


class TestStatistics:
    @pytest.fixture
    def batches(self) -> list[torch.Tensor]:
        return list(torch.randperm(64, generator=torch_generator(1))[:48].view(3, 16))

    def test_they_are_the_means_over_the_batches(
        self, trained: tuple[Stage, State], batches: list[torch.Tensor]
    ):
        stage, state = trained
        train_state = train_state_with(stage, state)
        estimate_statistics(train_state, stage.train, batches)
        stem = train_state.network.module(1)
        with torch.no_grad():
            hidden = [stem.convolution(stage.train.batch(Batch(b))[0]) for b in batches]
        means = torch.stack([h.mean((0, 2, 3)) for h in hidden]).mean(0)
        variances = torch.stack([h.var((0, 2, 3)) for h in hidden]).mean(0)
        assert torch.allclose(stem.normalisation.running_mean, means, rtol=1e-5, atol=1e-6)
        assert torch.allclose(stem.normalisation.running_var, variances, rtol=1e-5)

    def test_they_are_the_bits_of_the_cumulative_average_of_torch(
        self, trained: tuple[Stage, State], batches: list[torch.Tensor]
    ):
        stage, state = trained
        train_state, reference = (
            train_state_with(stage, state),
            train_state_with(stage, state).network,
        )
        estimate_statistics(train_state, stage.train, batches)
        for layer in reference.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_running_stats()
                layer.momentum = None
        reference.train()
        with torch.no_grad():
            for indices in batches:
                reference(stage.train.batch(Batch(indices))[0])
        ours, theirs = train_state.network.state_dict(), reference.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

    def test_only_statistics_change(
        self, trained: tuple[Stage, State], batches: list[torch.Tensor]
    ):
        stage, state = trained
        train_state = train_state_with(stage, state)
        estimate_statistics(train_state, stage.train, batches)
        for name, parameter in train_state.network.named_parameters():
            assert torch.equal(parameter, state[name])
            assert parameter.grad is None
        layers = [m for m in train_state.network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert {layer.momentum for layer in layers} == {0.1}

    def test_a_network_without_normalisation_has_none(self):
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        one = torch.ones(1, 1, 1, 1)
        images = torch.zeros(8, 1, 2, 2, dtype=torch.uint8)
        examples = Examples(images, torch.zeros(8, dtype=torch.int64), one, one)
        state = {name: value.clone() for name, value in network.state_dict().items()}
        line = Line(points=2, batches=1, batch=8)
        made = barrier(
            network, state, state, examples, examples, line, torch_generator(0), "float32"
        )
        assert barrier_of(made) == 0


class TestFiles:
    def test_what_is_written_is_read(self, tmp_path: Path):
        line = made_up([0.9, 0.5, 0.8], [1, 0.5, 1])
        columns = {name: line[name] for name in line.column_names}
        table = pa.table(
            {"run": ["a"] * 3, "seed": [0] * 3, **columns, "reason": [None] * 3},
            connectivity.SCHEMA,
        )
        path = tmp_path / "line.parquet"
        connectivity.write(path, table, {"ends": ["a", "b"]})
        found, about = connectivity.read(path)
        assert found.equals(table)
        assert about == {"ends": ["a", "b"]}

    def test_another_table_is_refused_by_name(self, tmp_path: Path):
        path = tmp_path / "line.parquet"
        metrics.write(path, [metrics.EpochMetrics(1, 1, 2.0, 0.5, 2.0, 0.5, 1.0)], {})
        with pytest.raises(UserError, match=r"line\.parquet: not a readable connectivity file"):
            connectivity.read(path)
