"""Gradient noise on the way of a run: what it measures, and that training does not notice."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from tiny import CODE, HARDWARE, Folder

from plasticity.core.errors import UserError
from plasticity.measures import noise as estimators
from plasticity.measures.rows import in_a_row
from plasticity.models import masks
from plasticity.observe import noise
from plasticity.observe.telemetry import iterations
from plasticity.runs import Run
from plasticity.runs.cadence import Cadence
from plasticity.training import checkpoint, stages
from plasticity.training.stages import Inputs, Stage

HALF = "digits-clutter/resnet-d1w2/seed0/half_adam-lr0.01-b8_e2_init"
FULL = f"{HALF}/full_{{optimiser}}_e1_keep"
ADAM = FULL.format(optimiser="adam-lr0.01-b8")
AT = Cadence(iterations=3, each=1, per_decade=1)
"""Observed at 0, 1 and 3."""


def silent(line: str) -> None:
    """A log that nobody reads."""


def prepared(folder: Folder, path: str, parent: Path) -> Stage:
    run = Run.parse(path)
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run), parent)
    return stages.prepare(run, inputs, HARDWARE, CODE, silent)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.prepare(tmp_path)


@pytest.fixture
def parent(folder: Folder) -> Path:
    """The end of pretraining on half of the examples."""
    path = folder.train(Run.parse(HALF)).checkpoint
    assert path is not None
    return path


def groups(folder: Folder, stage: Stage) -> dict[str, torch.Tensor]:
    earlier = torch.from_numpy(
        stages.splits.read(folder.split(Run.parse(HALF)), stage.order.subset.count)
    )
    return noise.parted(stage.order.subset.selected, earlier)


def value(table: pa.Table, iteration: int, group: str | None, quantity: str) -> float | None:
    """The one value of a quantity."""
    (found,) = [
        row["value"]
        for row in table.to_pylist()
        if (row["iteration"], row["group"], row["quantity"]) == (iteration, group, quantity)
    ]
    return found


def test_each_estimate_is_that_of_the_group_at_the_iteration(folder: Folder, parent: Path):
    stage = prepared(folder, ADAM, parent)
    known = groups(folder, stage)
    assert {name: len(indices) for name, indices in known.items()} == {
        "all": 64,
        "seen": 32,
        "new": 32,
    }
    final = {name: weight + 1.0 for name, weight in stage.train_state.network.state_dict().items()}
    table = noise.observe(stage, AT, known, 4, silent, final)
    assert table.schema == noise.SCHEMA
    again = prepared(folder, ADAM, parent)
    network = again.train_state.network
    points = []
    for iteration in iterations(again, range(4)):
        points.append(in_a_row(network.parameters()).double())
        if iteration == 2:
            continue
        for name, indices in known.items():
            examples = noise._probes(again, name, indices, 4)
            labels = torch.cat([labels for _, labels in examples])
            assert len(labels) == 32
            found = estimators.batch_gradients(network, examples)
            gram = estimators.gram(found.rows)
            expected = {
                "loss": float(found.losses.mean()),
                "noise_trace": estimators.trace(gram, 8),
                "squared_gradient": estimators.squared_norm(gram),
                "largest_eigenvalue_above": estimators.largest_eigenvalue_above(gram, 8),
                "largest_eigenvalue_below": estimators.largest_eigenvalue_below(gram, 8),
            }
            if iteration > 0:
                states = [again.train_state.optimiser.state[one] for one in network.parameters()]
                second = in_a_row([state["exp_avg_sq"] for state in states])
                scale = 1 / ((second / (1 - 0.999**iteration)).sqrt() + 1e-8)
                seen = estimators.gram(found.rows * scale)
                expected["preconditioned_noise_trace"] = estimators.trace(seen, 8)
                expected["preconditioned_squared_gradient"] = estimators.squared_norm(seen)
            for quantity, one in expected.items():
                assert value(table, iteration, name, quantity) == pytest.approx(one, rel=1e-4)
    update = points[3] - points[2]
    before = points[2] - points[1]
    length = sum(float((b - a).norm()) for a, b in itertools.pairwise(points))
    assert value(table, 3, None, "update_norm") == pytest.approx(float(update.norm()), rel=1e-4)
    turn = math.acos(float(update @ before / update.norm() / before.norm()))
    assert value(table, 3, None, "turn") == pytest.approx(turn, rel=1e-3)
    assert value(table, 3, None, "path_length") == pytest.approx(length, rel=1e-4)
    distance = float((points[3] - points[0]).norm())
    assert value(table, 3, None, "distance") == pytest.approx(distance, rel=1e-4)
    line = float(update.sum() / update.norm() / math.sqrt(len(update)))
    assert value(table, 3, None, "heading") == pytest.approx(line, abs=1e-4)
    first, *_ = masks.prunable(network)
    rate = 0.01 / float(network.get_parameter(first).detach().double().square().sum())
    assert value(table, 3, None, f"effective_rate/{first}") == pytest.approx(rate, rel=1e-4)


def test_what_is_not_there_yet_has_no_value(folder: Folder, parent: Path):
    stage = prepared(folder, ADAM, parent)
    table = noise.observe(stage, AT, groups(folder, stage), 4, silent)
    for quantity in ("update_norm", "turn", "heading"):
        assert value(table, 0, None, quantity) is None
    assert value(table, 1, None, "turn") is None
    assert value(table, 3, None, "heading") is None
    assert value(table, 0, "new", "preconditioned_noise_trace") is None
    assert value(table, 1, "new", "preconditioned_noise_trace") > 0
    described = {name.split("/")[0] for name in table["quantity"].to_pylist()}
    assert described == set(noise.QUANTITIES)
    assert table.group_by(["iteration", "group", "quantity"]).aggregate([]).num_rows == len(table)


def test_the_preconditioner_is_that_of_the_optimiser(folder: Folder, parent: Path):
    """After one step from rest v is g^2 (1 - 0.999): each entry is divided by its magnitude."""
    stage = prepared(folder, ADAM, parent)
    examples = next(stage.order.rest_of_epoch(0, stage.device))
    images, labels = stage.train.batch(examples)
    gradient = estimators.batch_gradients(stage.train_state.network, [(images, labels)]).rows[0]
    list(iterations(stage, [1]))
    scale = noise._adam_scale(stage.train_state.network, stage.train_state.optimiser)
    large = gradient.abs() > 1e-5
    assert large.sum() > 100
    assert torch.allclose((scale * gradient.abs())[large], torch.ones(()), rtol=0.01)


def test_pruned_weights_have_no_part_in_the_noise(folder: Folder, parent: Path):
    stage = prepared(folder, ADAM, parent)
    network = stage.train_state.network
    gone = [network.get_parameter(name) for name in masks.prunable(network)]
    state = dataclasses.replace(
        stage.train_state, masks=[(weight, torch.zeros_like(weight)) for weight in gone]
    )
    examples = noise._probes(stage, "all", stage.order.subset.selected, 4)
    found = dict(noise._of_gradients(state, examples))
    rows = estimators.batch_gradients(network, examples).rows
    kept = torch.cat(
        [
            torch.full((weight.numel(),), not any(weight is one for one in gone))
            for weight in network.parameters()
        ]
    )
    assert 0 < kept.sum() < len(kept)
    expected = estimators.trace(estimators.gram(rows[:, kept]), 8)
    assert found["noise_trace"].value == pytest.approx(expected)
    assert expected < 0.9 * estimators.trace(estimators.gram(rows), 8)


@pytest.mark.parametrize("optimiser", ["adam-lr0.01-b8", "sgd-lr0.1-m0.9-b8"])
def test_training_does_not_notice(folder: Folder, parent: Path, optimiser: str):
    path = FULL.format(optimiser=optimiser)
    real = checkpoint.load(folder.train(Run.parse(path), parent=parent).checkpoint)
    stage = prepared(folder, path, parent)
    noise.observe(stage, Cadence(8, 1, 3), groups(folder, stage), 4, silent)
    network = stage.train_state.network.state_dict()
    assert network.keys() == real.network.keys()
    assert all(torch.equal(network[name], real.network[name]) for name in network)


def test_what_a_network_draws_is_drawn_again_by_training(folder: Folder, parent: Path):
    stage = prepared(folder, ADAM, parent)
    drawn: list[torch.Tensor] = []
    stage.train_state.network.register_forward_pre_hook(
        lambda module, images: drawn.append(torch.rand(1))  # as dropout does
    )
    state = torch.get_rng_state()
    examples = noise._probes(stage, "all", stage.order.subset.selected, 4)
    list(noise._of_gradients(stage.train_state, examples))
    assert len(drawn) == 4
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_is_observed_as_far_as_it_came(folder: Folder, parent: Path):
    def seen(**ends: int) -> set[int]:
        stage = prepared(folder, ADAM, parent)
        known = {"all": stage.order.subset.selected}
        table = noise.observe(stage, AT, known, 4, silent, **ends)
        return set(table["iteration"].to_pylist())

    assert seen() == {0, 1, 3}
    assert seen(diverged=3) == {0, 1}
    assert seen(ended=3) == {0, 1, 3}
    assert seen(ended=2) == {0, 1}


@pytest.mark.parametrize(
    ("batches", "cadence", "message"),
    [
        (5, AT, "batches: 5 of 8 .* seen has 32 examples, which make 4; expected 4 to as many"),
        (3, AT, "batches: 3 of 8 .* expected 4"),
        (4, Cadence(9), "iterations: 9 asked for, but stage .* has 8;"),
    ],
)
def test_too_few_examples_or_steps_are_refused(
    folder: Folder, parent: Path, batches: int, cadence: Cadence, message: str
):
    stage = prepared(folder, ADAM, parent)
    known = groups(folder, stage)
    with pytest.raises(UserError, match=message):
        noise.observe(stage, cadence, {"seen": known["seen"]}, batches, silent)


def test_groups_of_the_same_examples_are_drawn_apart(folder: Folder, parent: Path):
    stage = prepared(folder, ADAM, parent)
    indices = stage.order.subset.selected
    (one, _), *_ = noise._probes(stage, "one", indices, 4)
    (other, _), *_ = noise._probes(stage, "other", indices, 4)
    (again, _), *_ = noise._probes(stage, "one", indices, 4)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_group_without_examples_is_left_out():
    found = noise.parted(torch.tensor([1, 3]), torch.tensor([3, 1, 0]))
    assert list(found) == ["all", "seen"]


def test_a_file_says_what_its_quantities_are(folder: Folder, parent: Path, tmp_path: Path):
    stage = prepared(folder, ADAM, parent)
    table = noise.observe(stage, Cadence(1), groups(folder, stage), 4, silent)
    noise.write(tmp_path / "noise.parquet", table, {"run": str(stage.run)})
    back, about = noise.read(tmp_path / "noise.parquet")
    assert back.equals(table)
    assert about["run"] == str(stage.run)
    assert about["quantities"]["noise_scale"]["unit"] == "examples"
    assert about["quantities"]["noise_trace"]["estimator"] == "noise.trace"
