"""Methods on tensors small enough to do it by hand, and what must hold of them."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.interventions.method import Pass, Step
from plasticity.models.network import Foreign, Network, build, initialise
from plasticity.runs import SpellingError, methods, models


def network_of(*layers):
    network = Network()
    network.numbered = nn.ModuleList(layers)
    return network


def linear(weight, bias=None):
    """A linear layer with these numbers."""
    weight = torch.tensor(weight)
    layer = nn.Linear(*reversed(weight.shape), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


def a_resnet(model="resnet-d1w2"):
    network = build(models.parse(model), 3, 1, 8, 8)
    initialise(network, torch_generator(0, "initialisation"))
    return network


def step_of(network):
    """A step on two grey images, whose `again` nobody asks for."""
    images, labels = torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)
    return {"network": network, "optimiser": None, "images": images, "labels": labels}


def pass_of(network, again=lambda: None):
    return Pass(**step_of(network), logits=torch.zeros(2, 3), loss=torch.zeros(()), again=again)


def made(spelling, network, initial=None):
    return methods.parse(spelling)(network, deepcopy(network) if initial is None else initial)


def term(spelling, network, initial=None):
    return made(spelling, network, initial).loss(pass_of(network)).item()


@torch.no_grad()
def stepped(spelling, network, initial=None, steps=1):
    """The parameters after so many steps of a method alone."""
    method = made(spelling, network, initial)
    for _ in range(steps):
        method.change_weights(pass_of(network))
    return [one.detach().clone() for one in network.parameters()]


@torch.no_grad()
def moved(network, by=0.1):
    """Another network, every parameter of which stands elsewhere."""
    other = deepcopy(network)
    torch.manual_seed(0)
    for parameter in other.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=by)
    return other


# On the loss


def test_l2_init_and_wasserstein_by_hand():
    initial = network_of(linear([[1.0, 2.0]], bias=[0.0]), linear([[3.0]], bias=[-1.0]))
    now = network_of(linear([[2.5, 0.5]], bias=[0.5]), linear([[3.0]], bias=[1.0]))
    # 1.5^2 + 1.5^2 + 0.5^2 + 0 + 2^2
    assert term("l2init0.1", now, initial) == pytest.approx(0.875)
    # Sorted: 0.5 from 1 and 2.5 from 2; vectors of one entry as before.
    assert term("wasserstein0.1", now, initial) == pytest.approx(0.475)


def test_wasserstein_has_the_gradient_of_sorted_weights():
    initial, now = a_resnet(), moved(a_resnet())
    made("wasserstein0.1", now, initial).loss(pass_of(now)).backward()
    found = [one.grad.clone() for one in now.parameters()]
    now.zero_grad()
    pairs = zip(now.parameters(), initial.parameters(), strict=True)
    total = sum((a.flatten().sort()[0] - b.flatten().sort()[0]).square().sum() for a, b in pairs)
    (0.1 * total).backward()
    expected = [one.grad for one in now.parameters()]
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


def test_wasserstein_is_zero_for_weights_that_changed_places_and_at_most_l2_init():
    initial = a_resnet()
    now = deepcopy(initial)
    with torch.no_grad():
        for parameter in now.parameters():
            order = torch.randperm(parameter.numel(), generator=torch_generator(0, "order"))
            parameter.copy_(parameter.flatten()[order].view(parameter.shape))
    assert term("l2init1", now, initial) > 1
    assert term("wasserstein1", now, initial) == 0
    other = moved(initial)
    assert 0 < term("wasserstein1", other, initial) < term("l2init1", other, initial)


def test_spectral_by_hand():
    layers = linear([[3.0, 0.0], [0.0, 1.0]], bias=[5.0, 5.0]), linear([[0.0, -0.5]])
    # 9 - 1 and 0.25 - 1; then 3 - 1 and 0.5 - 1.
    assert term("spectral0.1", network_of(*layers)) == pytest.approx(0.1 * (64 + 0.75**2))
    assert term("spectral0.1-k1", network_of(*layers)) == pytest.approx(0.1 * (4 + 0.25))


def test_the_singular_value_is_found_and_followed():
    network = a_resnet()
    method = made("spectral1", network)
    for network_now in (network, moved(network, by=0.3)):
        with torch.no_grad():
            for live, value in zip(network.parameters(), network_now.parameters(), strict=True):
                live.copy_(value)
        for _ in range(500):
            found = method.loss(pass_of(network)).item()
        largest = [
            torch.linalg.svdvals(one.detach().flatten(1))[0]
            for one in network.parameters()
            if one.ndim > 1
        ]
        assert len(largest) == 1 + 4 * 2 + 3 + 1
        assert found == pytest.approx(sum((s.item() ** 2 - 1) ** 2 for s in largest), rel=1e-4)


def test_a_layer_of_zeros_is_found_once_it_has_weights():
    network = network_of(linear([[0.0, 0.0], [0.0, 0.0]]))
    method = made("spectral1", network)
    assert method.loss(pass_of(network)).item() == 1
    with torch.no_grad():
        network.numbered[0].weight.copy_(2 * torch.eye(2))
    assert method.loss(pass_of(network)).item() == pytest.approx(9)


def test_parseval_by_hand():
    tall = linear([[1.0], [2.0]])  # in two groups of one row: 1 - 2 and 4 - 2
    wide = linear([[1.0, 1.0], [0.0, 2.0]])  # [[2, 2], [2, 4]] - 2 I
    network = network_of(tall, wide, linear([[7.0, 7.0]]))
    assert term("parseval0.1", network) == pytest.approx(0.1 * (1 + 4 + 0 + 4 + 4 + 4))
    assert term("parseval0.1-s1", network) == pytest.approx(0.1 * (0 + 9 + 1 + 4 + 4 + 9))


def test_parseval_is_zero_for_orthogonal_rows():
    network = a_resnet()
    assert term("parseval1-s3", network) > 1
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                for rows in weight.view(len(weight), -1).split(weight[0].numel()):
                    rows.copy_(nn.init.orthogonal_(torch.empty(rows.shape), gain=math.sqrt(3)))
    assert term("parseval1-s3", network) == pytest.approx(0, abs=1e-9)


# On gradients


def test_sharpness_aware_by_hand():
    network = network_of(linear([[3.0, 4.0]]))
    weight = network.numbered[0].weight
    start = weight.detach().clone()
    weight.grad = torch.tensor([[0.6, 0.8]]) * 5
    seen = []

    def again():
        seen.append(weight.detach().clone())
        weight.grad = 2 * weight.detach()

    with torch.no_grad():
        made("sam0.5", network).change_gradients(pass_of(network, again))
    (there,) = seen
    assert torch.allclose(there, start + torch.tensor([[0.3, 0.4]]))
    assert torch.equal(weight.grad, 2 * there)
    assert torch.equal(weight, start)


def test_sharpness_aware_stands_where_there_is_no_gradient():
    network = network_of(linear([[3.0, 4.0]]), linear([[1.0]]))
    first, unused = (layer.weight for layer in network.numbered)
    first.grad = torch.zeros_like(first)
    with torch.no_grad():
        made("sam0.5", network).change_gradients(pass_of(network))
    assert first.tolist() == [[3, 4]]
    assert unused.grad is None


# On weights


def test_clipping_by_hand():
    """The bound of four inputs is 1/2; of the layer whose initial weights are larger, theirs."""
    initial = network_of(
        linear([[0.1, 0.2, 0.3, 0.4]], bias=[0.0]), nn.BatchNorm1d(1), linear([[1.5], [-0.2]])
    )
    now = network_of(
        linear([[0.9, -0.9, 0.6, 0.4]], bias=[2.0]), nn.BatchNorm1d(1), linear([[1.7], [-9.0]])
    )
    with torch.no_grad():
        now.numbered[1].weight.fill_(7)
    first, bias, scale, _, last = stepped("clip1", deepcopy(now), initial)
    assert first.tolist() == [[0.5, -0.5, 0.5, pytest.approx(0.4)]]
    assert bias.tolist() == [0.5]
    assert scale.tolist() == [7]
    assert last.tolist() == [[1.5], [-1.5]]
    assert stepped("clip2", now, initial)[1].tolist() == [1]


@pytest.mark.parametrize("model", ["resnet-d1w2", "vit-p4d1w8"])
def test_clipping_leaves_a_new_network_and_never_exceeds_the_bounds(model):
    network = a_resnet(model)
    before = [one.detach().clone() for one in network.parameters()]
    after = stepped("clip1", network)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    far = moved(network, by=10.0)
    stepped("clip1", far, network)
    for layer, then in zip(far.modules(), network.modules(), strict=True):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = max(1 / math.sqrt(layer.weight[0].numel()), then.weight.abs().max().item())
            assert layer.weight.abs().max().item() == pytest.approx(bound)


def test_shrinking_and_perturbing_by_hand():
    network = network_of(linear([[2.0, -4.0]], bias=[8.0]))
    assert [one.tolist() for one in stepped("shrinkperturb0.25x0", network, steps=2)] == [
        [[1.125, -2.25]],
        [4.5],
    ]


def test_perturbations_have_their_size_and_frozen_weights_stand():
    network = network_of(nn.Linear(100, 100), nn.Linear(100, 100).requires_grad_(False))
    before = [one.detach().clone() for one in network.parameters()]
    torch.manual_seed(0)
    weight, bias, *frozen = stepped("shrinkperturb0x0.01", network)
    assert (weight - before[0]).std().item() == pytest.approx(0.01, rel=0.05)
    assert not torch.equal(bias, before[1])
    assert all(torch.equal(a, b) for a, b in zip(frozen, before[2:], strict=True))
    network.numbered[1].weight.data.fill_(3)
    assert stepped("clip1", network)[2].max() == 3


# A second network


def trained_for(method, network, steps, add=1):
    """The evaluated numbers after steps that add to each parameter and each statistic."""
    with torch.no_grad():
        for _ in range(steps):
            for value in network.state_dict().values():
                value.add_(add)
            method.change_weights(pass_of(network))
    return [value.clone() for value in method.evaluated().state_dict().values()]


def numbers(*values):
    """A network of one linear layer, one number, and normalisation with its statistics."""
    network = network_of(linear([[values[0]]]), nn.BatchNorm1d(1))
    network.numbered[1].running_mean.fill_(values[1])
    return network


def test_an_average_by_hand():
    """0.5 m + 0.5 w from zeros: w is 1, 2, 3 less the start; corrected by 1 - 0.5^3."""
    network = numbers(0.0, 10.0)
    weight, _, _, mean, _, count = trained_for(made("ema0.5", network), network, 3)
    by_hand = (0.25 * 1 + 0.5 * 2 + 1 * 3) / 1.75
    assert weight.item() == pytest.approx(by_hand)
    assert mean.item() == pytest.approx(10 + by_hand)
    assert count == 3


def test_an_average_of_one_step_is_this_and_of_constant_weights_these():
    network = a_resnet()
    method = made("ema0.9999", network)
    first = trained_for(method, network, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, network.state_dict().values(), strict=True))
    later = trained_for(method, network, 50, add=0)
    assert all(torch.equal(a, b) for a, b in zip(first, later, strict=True))


def test_hare_and_tortoise_by_hand():
    network = numbers(0.0, 10.0)
    method = made("hare0.75every2", network)
    # The tortoise: 0.25; 0.75 * 0.25 + 0.25 * 2.
    weight, _, _, mean, _, count = trained_for(method, network, 2)
    assert (weight.item(), mean.item(), count.item()) == (0.6875, 10.6875, 2)
    assert network.numbered[0].weight.item() == 2
    with torch.no_grad():
        method.event(Step(**step_of(network)))
    tortoise = method.evaluated()
    assert tortoise is not network
    for name, value in network.state_dict().items():
        assert torch.equal(value, tortoise.state_dict()[name])
    assert network.numbered[0].weight.item() == 0.6875
    with torch.no_grad():
        network.numbered[0].weight.add_(1)  # which the other does not notice
    assert tortoise.numbered[0].weight.item() == 0.6875
    assert not any(one.requires_grad for one in tortoise.parameters())


# What cannot be


@pytest.mark.parametrize("word", ["spectral1", "parseval1", "clip1"])
def test_weights_that_are_computed_or_not_there_are_refused(word):
    computed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    with pytest.raises(UserError, match=r"^layer .*network\.0 of .* nor a method .* l2init0\.01$"):
        made(word, Foreign(nn.Sequential(computed, nn.Linear(2, 2))))
    with pytest.raises(UserError, match=r"^network Foreign has no weights .* l2init0\.01$"):
        made(word, Foreign(nn.Sequential(nn.LayerNorm(2))))


def test_parseval_needs_a_layer_before_the_last():
    with pytest.raises(UserError, match=r"^method parseval: .* take a deeper network"):
        made("parseval1", network_of(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        ("l2init0", "a number above 0"),
        ("wasserstein-1", "a number above 0"),
        ("spectral0.1-k0", "of at least 1"),
        ("spectral0.1-k2", "is spelt 'spectral0.1'"),
        ("parseval0.1-s2", "is spelt 'parseval0.1'"),
        ("parseval0.1-s0", "a number above 0"),
        ("clip0", "a number above 0"),
        ("clip1e400", "a number above 0"),
        ("shrinkperturb1x0", "below 1"),
        ("shrinkperturb0.1x-1", "of at least 0"),
        ("shrinkperturb0x0", "one of the two above 0"),
        ("shrinkperturb0.1", "unknown method"),
        ("shrinkperturb5e-5x1e-5", "is spelt 'shrinkperturb0.00005x0.00001'"),
        ("hare1every10", "below 1"),
        ("hare0.999every0", "of at least 1"),
        ("hare0.999every1.5", "unknown method"),
        ("ema1", "below 1"),
        ("ema0", "above 0"),
        ("sam0", "a number above 0"),
        ("samm0.1", "did you mean"),
    ],
)
def test_what_is_not_spelt_so_is_refused_in_words(spelling, words):
    with pytest.raises(SpellingError) as refused:
        methods.parse(spelling)
    assert words in str(refused.value)
