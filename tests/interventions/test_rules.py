"""Update rules: one or two steps on one number, by hand."""

import pytest
import torch
from torch import nn

from plasticity.core.errors import UserError
from plasticity.interventions.muon import orthogonal
from plasticity.models.network import build
from plasticity.runs import models, optimisers


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
        # As Adam, without decay; with it, first 1 * (1 - 0.1 * 0.1) and then 0.1 off.
        ("adamw-lr0.1", [0.5, -0.25], 0.8733663),
        ("adamw-lr0.1-wd0.1", [0.5], 0.89),
        # The share of the momentum is 0.9 * (1 - 0.96**0.004 / 2) = 0.4500735 and, a step later,
        # 0.4501469. Moments are Adam's, with the root 0.5: the gradient gives 0.1 * 0.5 / 0.5, as
        # its share cancels, the momentum 0.1 * 0.4501469 * 0.1 / (1 - 0.4500735 * 0.4501469).
        ("nadam-lr0.1", [0.5], 0.8943549),
        # The decay is part of the gradient, whose size cancels.
        ("nadam-lr0.1-wd0.1", [0.5], 0.8943549),
    ],
)
def test_steps_by_hand(spelling, gradients, expected):
    assert after(spelling, *gradients) == pytest.approx(expected, abs=2e-6)


def test_weight_decay_pulls_where_there_is_no_gradient():
    assert after("adam-lr0.1-wd0.1", 0.0) == pytest.approx(0.9, abs=1e-5)
    assert after("adam-lr0.1", 0.0) == 1.0


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "rmsprop", "sgd"])
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
    (adamw,) = optimisers.parse("adamw-lr0.1")([nn.Parameter(torch.zeros(1))]).param_groups
    assert (adamw["betas"], adamw["eps"], adamw["amsgrad"]) == ((0.9, 0.999), 1e-8, False)
    (nadam,) = optimisers.parse("nadam-lr0.1")([nn.Parameter(torch.zeros(1))]).param_groups
    assert (nadam["betas"], nadam["eps"]) == ((0.9, 0.999), 1e-8)
    assert nadam["momentum_decay"] == 0.004
    assert nadam["decoupled_weight_decay"] is False
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


SHAPES = [(8, 3, 3, 3), (8,), (6, 8, 3, 3), (6,), (9, 2, 2, 1), (2, 6), (2,)]
"""A network with two hidden kernels, the third and the fifth, a wide and a tall one."""


def steps(optimisers, parameters, seed=0):
    """Where `parameters` stand after four steps of `optimisers` along random gradients."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(4):
        for parameter, shape in zip(parameters, SHAPES, strict=True):
            parameter.grad = torch.randn(shape, generator=generator).view(parameter.shape)
        for optimiser in optimisers:
            optimiser.step()
    return [parameter.detach() for parameter in parameters]


def test_muon_is_that_of_torch_on_hidden_matrices_and_adamw_elsewhere():
    """Kernels are matrices [out, rest] there."""
    values = [torch.randn(shape, generator=torch.Generator().manual_seed(1)) for shape in SHAPES]
    ours = [nn.Parameter(value.clone()) for value in values]
    theirs = [nn.Parameter(value.clone()) for value in values]
    for number in (2, 4):
        theirs[number] = nn.Parameter(values[number].flatten(1))
        ours[number] = nn.Parameter(values[number].to(memory_format=torch.channels_last))
    found = steps([optimisers.parse("muon-lr0.05-wd0.1")(ours)], ours)
    hidden = [theirs[2], theirs[4]]
    others = [theirs[number] for number in (0, 1, 3, 5, 6)]
    muon = torch.optim.Muon(hidden, lr=0.05, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(others, lr=0.05, weight_decay=0.1, fused=True)
    expected = steps([muon, adamw], theirs)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other.view(one.shape), atol=1e-6)
        assert not torch.allclose(one, values[0].new_zeros(()), atol=1e-2)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_muon_makes_matrices_nearly_orthogonal(shape):
    """Singular vectors stay, singular values come near 1."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ orthogonal(matrix).float() @ v.T
    assert torch.allclose(found, torch.diag(found.diagonal()), atol=0.03)
    assert ((found.diagonal() > 0.65) & (found.diagonal() < 1.25)).all()
    assert s.max() / s.min() > 2


def test_muon_of_a_network_leaves_its_ends_to_adamw():
    network = build(models.parse("resnet-d1w2"), 10, 3, 8, 8)
    hidden, others = optimisers.parse("muon-lr0.1")(network.parameters()).param_groups
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    assert [id(one) for one in hidden["params"]] == [id(one) for one in kernels[1:-1]]
    assert len(hidden["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_muon_leaves_tokens_and_positions_to_adamw():
    """Their one row is no matrix of a layer, and they come before the first layer."""
    network = build(models.parse("vit-p4d2w8"), 10, 3, 8, 8)
    hidden, _ = optimisers.parse("muon-lr0.1")(network.parameters()).param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = [names[id(parameter)] for parameter in hidden["params"]]
    assert all(name.startswith(("numbered.1.", "numbered.2.")) for name in found)
    assert len(found) == 2 * 4  # of each block: two matrices of attention, and two linear layers


def test_muon_without_hidden_matrices_is_refused():
    with pytest.raises(UserError, match="no weights between its first and its last layer"):
        optimisers.parse("muon-lr0.1")([nn.Parameter(torch.zeros(2, 2))] * 1)
