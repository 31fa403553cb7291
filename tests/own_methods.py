"""Methods as users write them, one of each kind, declared for one test at a time."""

from copy import deepcopy

import pytest
import torch
from registries import with_own_words

from plasticity.interventions.method import Method
from plasticity.runs import Integer, MethodFacts, Number, Run, methods


@pytest.fixture
def own_methods():
    """All that stands below can be spelt."""
    with with_own_words(methods):
        strength, every = {"strength": Number(above=0)}, {"every": Integer(at_least=1)}
        for word, function, facts, options in (
            ("quiet{strength}", quiet, MethodFacts(acts="loss"), strength),
            ("noise{strength}", noise, MethodFacts(acts="gradient"), strength),
            ("twice{strength}", twice, MethodFacts(acts="gradient", passes=1), strength),
            ("fade{strength}", fade, MethodFacts(acts="weights"), strength),
            (
                "forget{every}",
                forget,
                MethodFacts(acts="units", every=lambda *, every: (every, "steps")),
                every,
            ),
            (
                "follow{every}",
                follow,
                MethodFacts(acts="second", every=lambda *, every: (every, "epochs")),
                every,
            ),
        ):
            methods.member(word, facts=facts, **options)(function)
        yield


def declared(word, method, **facts):
    """A run with `method`, spelt by a `word` that no other test has, as runs are kept by name.

    `method` makes it of the network of the stage.
    """

    def mine(network, initial):
        """Of this test."""
        return method(network)

    mine.__name__ = word
    methods.member(word, facts=MethodFacts(**{"acts": "weights", **facts}))(mine)
    return Run.parse(f"digits-clutter/resnet-d1w2/seed0/full_sgd-lr0.1-b16+{word}_e2_init")


KINDS = ("quiet0.1", "noise0.01", "twice0.05", "fade0.001", "forget3", "follow1")
"""A spelling of each."""


def quiet(network, initial, *, strength):
    """Small activations of the first module."""

    class Quiet(Method):
        def watched(self):
            return {"first": network.module(1)}

        def loss(self, at):
            return strength * at.activations["first"].output.float().square().mean()

    return Quiet()


def noise(network, initial, *, strength):
    """Gaussian noise on gradients."""

    class Noise(Method):
        def change_gradients(self, at):
            for parameter in at.network.parameters():
                parameter.grad.add_(torch.randn_like(parameter.grad), alpha=strength)

    return Noise()


def twice(network, initial, *, strength):
    """The gradient a little further along itself."""

    class Twice(Method):
        def change_gradients(self, at):
            before = [one.detach().clone() for one in at.network.parameters()]
            for parameter in at.network.parameters():
                parameter.sub_(parameter.grad, alpha=strength)
            at.again(slice(0, 8))
            for parameter, value in zip(at.network.parameters(), before, strict=True):
                parameter.copy_(value)

    return Twice()


def fade(network, initial, *, strength):
    """Weights are pulled towards those at initialisation, more with every step."""

    class Fade(Method):
        def __init__(self):
            self.initial = [one.detach().clone() for one in initial.parameters()]
            self.steps = torch.zeros((), device=self.initial[0].device)

        def change_weights(self, at):
            self.steps += 1
            for parameter, value in zip(at.network.parameters(), self.initial, strict=True):
                parameter.lerp_(value, (strength * self.steps).clamp(max=1))

    return Fade()


def forget(network, initial, *, every):
    """One unit of the head, in turn, is drawn anew, and its moments are those of a new one."""

    class Forget(Method):
        def __init__(self):
            self.head = list(network.module(len(network.numbered_modules)).parameters())
            self.unit = torch.zeros((), dtype=torch.int64, device=self.head[0].device)

        def event(self, at):
            for parameter in self.head:
                row = self.unit % len(parameter)
                parameter[row] = 0.1 * torch.randn_like(parameter[row])
                for slot in at.moments(parameter):
                    slot[row] = 0
            self.unit += 1

    return Forget()


def follow(network, initial, *, every):
    """A second network follows the first, which starts from it again now and then."""

    class Follow(Method):
        def __init__(self):
            self.slow = deepcopy(network).requires_grad_(False)

        def change_weights(self, at):
            for mine, theirs in zip(
                self.slow.state_dict().values(), at.network.state_dict().values(), strict=True
            ):
                if mine.is_floating_point():
                    mine.lerp_(theirs, 0.2)

        def event(self, at):
            for mine, theirs in zip(self.slow.parameters(), at.network.parameters(), strict=True):
                theirs.copy_(mine)

        def evaluated(self):
            return self.slow

    return Follow()
