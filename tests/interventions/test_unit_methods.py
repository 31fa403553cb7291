"""Methods on units: their formulas by hand, and that nothing but the units meant is changed."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.interventions.method import Pass, Step
from plasticity.interventions.methods.continual_backprop import contribution
from plasticity.interventions.methods.redo import dormant
from plasticity.interventions.units import drawn_anew
from plasticity.models.network import Foreign, initialise
from plasticity.models.units import unit_layers
from plasticity.runs import methods, models
from plasticity.training.methods import Methods

SIZE = (3, 1, 8, 8)


def network_of(spelling):
    network = models.parse(spelling)(*SIZE)
    initialise(network, torch_generator(0, "test"))
    return network


def batch():
    generator = torch_generator(0, "batch")
    images = torch.rand(6, *SIZE[1:], generator=generator)
    return images, torch.arange(6) % 3


def trained(network, optimiser, steps=2):
    """After some steps, so that there are moments, the step to come."""
    images, labels = batch()
    for _ in range(steps):
        optimiser.zero_grad()
        cross_entropy(network(images), labels).backward()
        optimiser.step()
    return Step(network, optimiser, images, labels)


def passed(step, method):
    """The pass of `step`, with what `method` watches."""
    with torch.no_grad(), Methods((method,), (0,)).watching() as seen:
        logits = step.network(step.images)
    given = (step.network, step.optimiser, step.images, step.labels, logits)
    return Pass(*given, logits.sum(), again=lambda: None, activations=dict(seen))


def everything(step):
    """A copy of all weights, buffers and moments, by name."""
    found = {name: value.clone() for name, value in step.network.state_dict().items()}
    for name, parameter in step.network.named_parameters():
        for number, slot in enumerate(step.moments(parameter)):
            found[f"{name} moment {number}"] = slot.clone()
    return found


def require_only(layers, chosen, step, before):
    """The chosen units begin anew, and not one other bit is changed."""
    after = everything(step)
    rows, zeros = {}, {}
    for name, value in before.items():
        rows[name] = torch.zeros(value.shape, dtype=torch.bool)
        zeros[name] = rows[name].clone()
    for layer, units in zip(layers, chosen, strict=True):
        for name, _ in layer.rows():
            rows[name][units] = True
            for moment in (f"{name} moment 0", f"{name} moment 1"):
                if moment in zeros:
                    zeros[moment][units] = True
        for name in (f"{layer.outgoing}.weight{m}" for m in ("", " moment 0", " moment 1")):
            if name in zeros:
                layer.columns(zeros[name])[units] = True
    for name, value in after.items():
        assert (value[zeros[name]] == 0).all(), name
        same = ~(rows[name] | zeros[name])
        assert torch.equal(value[same], before[name][same]), name
        anew = rows[name] & ~zeros[name]
        if name.endswith(("running_mean", "running_var")) or "normalisation" in name:
            assert torch.isin(value[anew], torch.tensor([0.0, 1.0])).all()
        elif "moment" not in name and anew.any():
            assert (value[anew] != before[name][anew]).all(), name
            assert value[anew].abs().max() <= 1 / math.sqrt(before[name][0].numel()) or (
                name.endswith("bias")
            )


# ReDo


def test_a_unit_at_tau_times_the_mean_of_its_layer_is_dormant():
    activity = torch.tensor([0.0, 0.1, 0.2, 0.7])
    assert dormant(activity, 0.4).tolist() == [True, True, False, False]
    assert dormant(activity, 0.0).tolist() == [True, False, False, False]
    assert dormant(torch.zeros(3), 0.1).all()
    assert not dormant(torch.full((3,), torch.nan), 0.1).any()


@pytest.mark.parametrize("rule", ["adam", "sgd"])
@torch.no_grad()
def test_dormant_units_begin_anew_and_nothing_else_does(rule):
    network = network_of("mlp-d2w5")
    with torch.enable_grad():
        optimiser = (
            torch.optim.Adam(network.parameters())
            if rule == "adam"
            else torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        )
        step = trained(network, optimiser)
    first, second = unit_layers(network)
    network.module(1)[1].bias[1] = -100
    network.module(2)[0].bias[3:] = -100
    method = methods.parse("redo0.02every2steps")(network, network)
    hidden = network.module(1)(step.images)
    means = [hidden.abs().mean(0), network.module(2)(hidden).abs().mean(0)]
    expected = [[n for n in range(5) if one[n] <= 0.02 * one.mean()] for one in means]
    assert 1 in expected[0]
    assert len(expected[0]) < 5
    assert {3, 4} <= {*expected[1]}
    before = everything(step)
    counts = [slots["step"].item() for slots in optimiser.state.values() if "step" in slots]
    method.event(step)
    require_only((first, second), expected, step, before)
    assert counts == [slots["step"].item() for slots in optimiser.state.values() if "step" in slots]


@torch.no_grad()
def test_normalisation_of_a_dormant_unit_begins_anew():
    network = network_of("resnet-d1w4")
    with torch.enable_grad():
        step = trained(network, torch.optim.Adam(network.parameters(), 0.01))
    normalisation = network.module(3)[0].normalisation1
    normalisation.bias[2] = -100
    before = everything(step)
    methods.parse("redo0every1epochs")(network, network).event(step)
    chosen = [[], [2], [], []]
    require_only(unit_layers(network), chosen, step, before)
    assert normalisation.bias[2] == 0
    assert normalisation.weight[2] == 1
    assert normalisation.running_mean[2] == 0
    assert normalisation.running_var[2] == 1


@torch.no_grad()
def test_behind_batch_normalisation_nothing_is_dormant():
    network = network_of("resnet-d1w4")
    with torch.enable_grad():
        step = trained(network, torch.optim.Adam(network.parameters(), 0.001), 5)
    before = everything(step)
    methods.parse("redo0.1every1000steps")(network, network).event(step)
    require_only(unit_layers(network), [[], [], [], []], step, before)


def test_each_draw_is_another_one_also_of_networks_that_are_built_anew():
    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))

    foreign = Foreign(make())
    foreign.build_anew = lambda: Foreign(make())
    for network in (foreign, network_of("mlp-d1w5")):
        layers = unit_layers(network)
        one, other = drawn_anew(network, layers), drawn_anew(network, layers)
        assert one.keys() == other.keys()
        assert all(not torch.equal(one[name], other[name]) for name in one)


# Continual backprop


@torch.no_grad()
def test_contribution_is_activity_times_outgoing_weights():
    network = Foreign(
        nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.Tanh(), nn.Flatten(),
            nn.Linear(2 * 16, 3),
        )
    )  # fmt: skip
    images, _ = batch()
    first, second = unit_layers(network)
    hidden = network.network[:2](images)
    outgoing = network.network[2].weight.abs()
    by_hand = [hidden[:, u].abs().mean() * outgoing[:, u].sum() for u in range(3)]
    torch.testing.assert_close(contribution(first, hidden, len(hidden)), torch.stack(by_hand))
    flat = network.network[2:5](hidden)
    weights = network.network[5].weight
    by_hand = [
        sum(flat[:, c].abs().mean() * weights[:, c].abs().sum() for c in range(16 * u, 16 * u + 16))
        for u in range(2)
    ]
    torch.testing.assert_close(contribution(second, flat, len(flat)), torch.stack(by_hand))


@torch.no_grad()
def test_utility_age_and_what_is_due_follow_the_algorithm():
    """Beside a plain transcript of it, one unit after the other."""
    network = network_of("mlp-d1w4")
    rate, maturity, decay = 0.15, 2, 0.8
    with torch.enable_grad():
        step = trained(network, torch.optim.Adam(network.parameters(), 0.01))
    (layer,) = layers = unit_layers(network)
    method = methods.parse(f"cbp{rate}-mature{maturity}-decay{decay}")(network, network)
    utility, age, due, replaced = [0.0] * 4, [0] * 4, 0.0, []
    for _ in range(12):
        before = everything(step)
        made = passed(step, method)
        activity = made.activations[layer.outgoing].input.abs().mean(0).tolist()
        weights = layer.outgoing_weight.abs().sum(0).tolist()
        method.change_weights(made)
        age = [one + 1 for one in age]
        for u in range(4):
            utility[u] = decay * utility[u] + (1 - decay) * activity[u] * weights[u]
        corrected = [utility[u] / (1 - decay ** age[u]) for u in range(4)]
        mature = [u for u in range(4) if age[u] > maturity]
        due += rate * len(mature)
        worst = sorted(mature, key=lambda u: corrected[u])[: math.floor(due + 1e-6)]
        due -= len(worst)
        for u in worst:
            utility[u], age[u] = 0.0, 0
        replaced.append(worst)
        assert method.age[0].tolist() == age
        assert method.utility[0].tolist() == pytest.approx(utility, rel=1e-4)
        assert method.due[0].item() == pytest.approx(due, abs=1e-4)
        require_only(layers, [worst], step, before)
        method.event(step)
        layer.outgoing_weight.add_(torch.randn_like(layer.outgoing_weight), alpha=0.3)
        for slot in step.moments(layer.outgoing_weight):
            slot.add_(1)
    assert replaced[:2] == [[], []]
    assert sum(map(len, replaced)) > 2


@torch.no_grad()
def test_a_rate_of_one_replaces_all_that_are_mature():
    network = network_of("mlp-d1w4")
    with torch.enable_grad():
        step = trained(network, torch.optim.SGD(network.parameters(), 0.01))
    method = methods.parse("cbp1-mature1")(network, network)
    method.change_weights(passed(step, method))
    before = everything(step)
    method.change_weights(passed(step, method))
    require_only(unit_layers(network), [[0, 1, 2, 3]], step, before)


def test_draws_come_again_as_often_as_a_unit_matures():
    term = methods.parse("cbp0.0001-mature50")
    assert term.facts.every_of(**term.own) == (50, "steps")
    assert str(methods.parse("cbp0.0001")) == "cbp0.0001"
    term = methods.parse("redo0.5every2epochs")
    assert term.facts.every_of(**term.own) == (2, "epochs")


def test_a_network_without_units_is_named():
    network = Foreign(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    for spelling in ("redo0.1every1000steps", "cbp0.0001"):
        with pytest.raises(UserError, match="network Sequential: no hidden units are known"):
            methods.parse(spelling)(network, network)


def test_activations_in_half_precision_add_up_in_float32():
    network = network_of("mlp-d1w4")
    (layer,) = unit_layers(network)
    given = torch.full((3000, 4), 1 + 2**-7, dtype=torch.bfloat16)
    assert layer.magnitudes(given, 3000).unique().tolist() == [1 + 2**-7]


def test_channels_that_are_mixed_by_a_view_are_refused():
    """Of 4 x 4 images 16 channels are 16 rows an image: no column reads a unit alone."""

    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 16, 3, padding=1), nn.Linear(16, 3)

        def forward(self, images):
            return self.fc(self.conv(images).relu().view(-1, 16))[: images.size(0)]

    network = Foreign(Mixing())
    (layer,) = unit_layers(network)
    with pytest.raises(UserError, match=r"network\.fc is given 48 rows for 3 images, .* flatten"):
        layer.magnitudes(torch.ones(48, 16), 3)
    assert layer.magnitudes(torch.ones(3, 16), 3).shape == (16, 1, 1)
