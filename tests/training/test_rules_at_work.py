"""Built-in rules at work in a stage: killed anywhere, from a rung, on a sub-network."""

from copy import deepcopy
from pathlib import Path

import own_members as own
import pytest
import torch
from chain import Chain
from killed import killed_everywhere, whole
from own_members import own_members  # noqa: F401 (a fixture)
from tiny import Folder, equal
from torch import nn
from torch.nn.functional import cross_entropy

from plasticity.core.errors import UserError
from plasticity.runs import Run
from plasticity.training.examples import Batch, Examples
from plasticity.training.hardware import Hardware
from plasticity.training.loop import EpochProgress, TrainState, train_on

PLACE = "digits-clutter/resnet-d1w2/seed0"
NEW = ["adamw-lr0.01-wd0.01-b16", "nadam-lr0.01-wd0.01-b16", "muon-lr0.02-wd0.01-b16"]


def run_of(rule: str, epochs: int = 3) -> Run:
    return Run.parse(f"{PLACE}/half_{rule}_e{epochs}_init")


@pytest.mark.parametrize("rule", NEW)
def test_a_rule_goes_on_as_if_it_had_not_stopped(folder: Folder, rule: str):
    assert equal(whole(folder, run_of(rule)), killed_everywhere(folder, run_of(rule)))


@pytest.mark.parametrize("rule", NEW)
def test_a_rule_goes_on_from_a_rung(folder: Folder, rule: str):
    rung = folder.train(run_of(rule, 10), "rung").checkpoint
    longer = run_of(rule, 12)
    assert equal(whole(folder, longer), whole(folder, longer, "continued", rung=rung))


@pytest.mark.parametrize("rule", NEW)
def test_pruned_weights_stay_at_zero(tmp_path: Path, rule: str):
    """Whatever a rule makes of a gradient that is masked, such as a matrix that is full again."""
    chain = Chain(Folder.prepare(tmp_path))
    ticket = Run.parse(f"{PLACE}/half_{rule}_e2_ticket1-p0.5")
    state = whole(chain.folder, ticket, mask=chain.mask(ticket))
    assert not all(mask.all() for mask in state.mask.values())
    for name, mask in state.mask.items():
        assert torch.equal(state.network[name] != 0, mask)


# Rules that evaluate the loss several times a step


class Scaled(nn.Module):
    """Linear after batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.line = nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.line(self.norm(images.flatten(1)))


def some_examples() -> Examples:
    images = torch.randint(
        256, (12, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    middle = torch.full((1, 1, 1, 1), 128.0)
    return Examples(images, torch.arange(12) % 2, middle, middle)


def trained(rule, network: nn.Module, passes: int, batches: list[torch.Tensor]) -> torch.Tensor:
    """Make a step of `rule` on each of `batches`; the sums that were measured on the way."""
    part = EpochProgress.begin(torch.device("cpu"))
    state = TrainState(network, rule, "float32", passes=passes)
    train_on(state, some_examples(), map(Batch, batches), part)
    return part.sums


BATCHES = [torch.arange(0, 6), torch.arange(6, 12), torch.arange(3, 9)]


def test_a_step_by_the_gradient_uphill_by_hand():
    """With the running statistics and the loss of the pass at the weights themselves."""
    network, examples = Scaled(), some_examples()
    by_hand = deepcopy(network)
    sums = trained(own.sharp(network.parameters(), lr=0.1), network, 2, BATCHES)
    weights, losses = list(by_hand.parameters()), 0.0
    velocities = [torch.zeros_like(weight) for weight in weights]
    for batch in BATCHES:
        images, labels = examples.batch(Batch(batch))
        loss = cross_entropy(by_hand(images), labels)
        gradients = torch.autograd.grad(loss, weights)
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        uphill = deepcopy(by_hand)
        with torch.no_grad():
            for weight, gradient in zip(uphill.parameters(), gradients, strict=True):
                weight += own.UPHILL * gradient / norm
        there = torch.autograd.grad(
            cross_entropy(uphill(images), labels), list(uphill.parameters())
        )
        velocities = [0.9 * v + g for v, g in zip(velocities, there, strict=True)]
        with torch.no_grad():
            for weight, velocity in zip(weights, velocities, strict=True):
                weight -= 0.1 * velocity
        losses += 6 * loss.item()
    for name, value in by_hand.state_dict().items():
        assert torch.allclose(network.state_dict()[name], value, atol=1e-6), name
    assert sums[0].item() == pytest.approx(losses, abs=1e-5)
    assert sums[2] == 18


def test_a_quasi_newton_step_is_that_of_torch():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    by_hand, examples = deepcopy(network), some_examples()
    trained(own.quasinewton(network.parameters(), lr=0.5), network, 5, BATCHES)
    rule = torch.optim.LBFGS(by_hand.parameters(), lr=0.5, max_iter=4, history_size=3)
    for batch in BATCHES:
        images, labels = examples.batch(Batch(batch))

        def closure(images=images, labels=labels):
            rule.zero_grad()
            loss = cross_entropy(by_hand(images), labels)
            loss.backward()
            return loss

        rule.step(closure)
    for one, other in zip(network.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("rule", ["sharp", "quasinewton"])
def test_several_passes_leave_pruned_weights_at_zero(tmp_path: Path, rule: str):
    test_pruned_weights_stay_at_zero(tmp_path, f"{rule}-lr0.05-b16")


@pytest.mark.parametrize("execution", ["graph", "compiled"])
def test_several_passes_are_not_recorded(execution: str):
    usual = Hardware("cuda", "float32")
    assert usual.stepping(1) is usual
    assert (usual.carried_out, usual.stepping(2).carried_out) == ("graph", "eager")
    with pytest.raises(UserError, match=f"^execution: {execution} records .*; train with"):
        Hardware("cuda", "float32", execution=execution).stepping(2)
