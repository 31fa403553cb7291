"""Update rules: one or two steps on one number, by hand."""

import pytest
import torch
from torch import nn

from plasticity.runs import optimisers


def after(spelling, *gradients, start=1.0):
    """Where a parameter stands that began at `start` and saw these gradients."""
    parameter = nn.Parameter(torch.tensor([start]))
    optimiser = optimisers.parse(spelling)([parameter])
    for gradient in gradients:
        parameter.grad = torch.tensor([gradient])
        optimiser.step()
    return parameter.item()


@pytest.mark.parametrize(
    ("spelling", "gradients", "expected"),
    [
        # 1 - 0.1 * 0.5
        ("sgd-lr0.1", [0.5], 0.95),
        ("sgd-lr0.1", [0.5, -0.25], 0.975),
        # The velocity is 0.5, then 0.9 * 0.5 + 0.5 = 0.95: 1 - 0.05 - 0.095.
        ("sgd-lr0.1-m0.9", [0.5], 0.95),
        ("sgd-lr0.1-m0.9", [0.5, 0.5], 0.855),
        # The gradient is 0.5 + 0.1 * 1.
        ("sgd-lr0.1-wd0.1", [0.5], 0.94),
        ("sgd-lr0.1-m0.9-wd0.1", [0.5], 0.94),
        # The moments are 0.05 and 0.00025, corrected 0.5 and 0.25: 1 - 0.1 * 0.5 / 0.5.
        ("adam-lr0.1", [0.5], 0.9),
        # Then 0.9 * 0.05 - 0.1 * 0.25 = 0.02 and 0.999 * 0.00025 + 0.001 * 0.0625 = 0.00031225,
        # corrected by 0.19 and 0.001999: 0.9 - 0.1 * 0.1052632 / 0.3952250.
        ("adam-lr0.1", [0.5, -0.25], 0.8733663),
        # The decay is part of the gradient, whose size cancels (in AdamW this would be 0.89).
        ("adam-lr0.1-wd0.1", [0.5], 0.9),
        # The mean square is 0.01 * 0.25, its root 0.05: 1 - 0.01 * 0.5 / 0.05.
        ("rmsprop-lr0.01", [0.5], 0.9),
        # Then 0.99 * 0.0025 + 0.01 * 0.0625 = 0.0031, its root 0.0556776: 0.9 + 0.01 * 0.25 / it.
        ("rmsprop-lr0.01", [0.5, -0.25], 0.9449014),
        # With the decay the gradient is 0.5 + 1 * 1, whose size cancels, then 0.5 + 1 * 0.9 = 1.4:
        # 0.99 * 0.0225 + 0.01 * 1.96 = 0.041875, its root 0.2046338: 0.9 - 0.01 * 1.4 / it.
        ("rmsprop-lr0.01-wd1", [0.5, 0.5], 0.8315852),
    ],
)
def test_steps_by_hand(spelling, gradients, expected):
    assert after(spelling, *gradients) == pytest.approx(expected, abs=2e-6)


def test_weight_decay_pulls_where_there_is_no_gradient():
    assert after("adam-lr0.1-wd0.1", 0.0) == pytest.approx(0.9, abs=1e-5)
    assert after("adam-lr0.1", 0.0) == 1.0


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_options_reach_torch(name):
    term = optimisers.term(name, {"lr": 0.25, "weight_decay": 0.5, "batch": 7})
    (group,) = term([nn.Parameter(torch.zeros(1))]).param_groups
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.5)
    assert term.options["batch"] == 7


def test_momentum_reaches_torch():
    (group,) = optimisers.parse("sgd-lr0.1-m0.75")([nn.Parameter(torch.zeros(1))]).param_groups
    assert group["momentum"] == 0.75
    assert group["nesterov"] is False
    assert group["dampening"] == 0


def test_the_constants_are_those_of_the_docstrings():
    (adam,) = optimisers.parse("adam-lr0.1")([nn.Parameter(torch.zeros(1))]).param_groups
    assert adam["betas"] == (0.9, 0.999)
    assert adam["eps"] == 1e-8
    assert adam["amsgrad"] is False
    (rmsprop,) = optimisers.parse("rmsprop-lr0.1")([nn.Parameter(torch.zeros(1))]).param_groups
    assert rmsprop["alpha"] == 0.99
    assert rmsprop["eps"] == 1e-8
    assert rmsprop["momentum"] == 0
    assert rmsprop["centered"] is False


def test_an_optimiser_starts_without_state():
    assert not optimisers.parse("adam-lr0.1")([nn.Parameter(torch.zeros(1))]).state


def test_a_generator_of_parameters_will_do():
    network = nn.Linear(2, 3)
    optimiser = optimisers.parse("adam-lr0.1")(network.parameters())
    assert [p.shape for p in optimiser.param_groups[0]["params"]] == [(3, 2), (3,)]
