"""Networks, rules and starts as users write them, declared for one test at a time."""

from collections import deque

import pytest
import torch
from own_networks import NETWORKS
from registries import with_own_words
from torch.optim import SGD, Optimizer

from plasticity.interventions.options import LEARNING_RATE
from plasticity.runs import ModelFacts, OptimiserFacts, models, optimisers, starts


@pytest.fixture
def own_members():
    """All that stands below can be spelt."""
    with with_own_words(models, optimisers, starts):
        for network, modules in NETWORKS.items():
            models.member(network.__name__, facts=ModelFacts(modules=modules))(network)
        for rule in RULES:
            facts = OptimiserFacts(PASSES.get(rule, 1))
            optimisers.member(f"{rule.__name__}-lr{{lr}}", facts=facts, lr=LEARNING_RATE)(rule)
        for start in (jolt, trip):
            starts.member(start.__name__)(start)
        yield


# Rules


class Own(Optimizer):
    """A rule of one's own: `change` is called with each parameter that has a gradient."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            self.begin(group)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.change(parameter, self.state[parameter], group)

    def begin(self, group):
        pass


def counter(parameters, *, lr):
    """The number of steps in the state of each parameter."""

    class Counter(Own):
        def change(self, parameter, state, group):
            state["step"] = state.get("step", 0) + 1
            parameter.sub_(group["lr"] / state["step"] * parameter.grad)

    return Counter(parameters, lr)


def grouped(parameters, *, lr):
    """The number of steps in the group."""

    class Grouped(Own):
        def begin(self, group):
            group["step"] = group.get("step", 0) + 1

        def change(self, parameter, state, group):
            parameter.sub_(group["lr"] / group["step"] * parameter.grad)

    return Grouped(parameters, lr)


def attribute(parameters, *, lr):
    """The number of steps, and the last norms of gradients, in attributes."""

    class Attribute(Own):
        done = 0

        def __init__(self, parameters, lr):
            super().__init__(parameters, lr)
            self.norms = deque([1.0], maxlen=3)
            self.schedule = lambda done: 1 / done
            self.draw = torch.Generator().manual_seed(5)

        def begin(self, group):
            self.done += 1

        def change(self, parameter, state, group):
            self.norms.append(float(parameter.grad.norm()))
            scale = torch.rand((), generator=self.draw) / (1 + max(self.norms))
            parameter.sub_(group["lr"] * self.schedule(self.done) * scale * parameter.grad)

    return Attribute(parameters, lr)


def halved(parameters, *, lr):
    """Momentum in bfloat16."""

    class Halved(Own):
        def change(self, parameter, state, group):
            if not state:
                state["buffer"] = torch.zeros_like(parameter, dtype=torch.bfloat16)
            state["buffer"].mul_(0.9).add_(parameter.grad.bfloat16())
            parameter.sub_(group["lr"] * state["buffer"].float())

    return Halved(parameters, lr)


def listed(parameters, *, lr):
    """The last three gradients in a list, and the same list by another name."""

    class Listed(Own):
        def change(self, parameter, state, group):
            past = state.setdefault("past", [])
            state["again"] = past
            past.append(parameter.grad.clone())
            del state["again"][:-3]
            parameter.sub_(group["lr"] * sum(past) / len(past))

    return Listed(parameters, lr)


def fading(parameters, *, lr):
    """A rate that falls with each step."""

    class Fading(SGD):
        @torch.no_grad()
        def step(self, closure=None):
            super().step()
            for group in self.param_groups:
                group["lr"] *= 0.9

    return Fading(parameters, lr=lr)


def inner(parameters, *, lr):
    """Another optimiser in an attribute, whose state is its own."""

    class Outer(Own):
        def __init__(self, parameters, lr):
            super().__init__(parameters, lr)
            self.base = SGD(self.param_groups, lr=lr, momentum=0.9)

        def change(self, parameter, state, group):
            parameter.sub_(lr * parameter.grad)

    return Outer(parameters, lr)


def noting(parameters, *, lr):
    """An object in the state."""

    class Noting(Own):
        def change(self, parameter, state, group):
            state["note"] = object()
            parameter.sub_(lr * parameter.grad)

    return Noting(parameters, lr)


def closure(parameters, *, lr):
    """Which asks for a closure."""
    from torch.optim import LBFGS

    return LBFGS(parameters, lr=lr)


def failing(parameters, *, lr):
    """With a mistake."""

    class Failing(Own):
        def change(self, parameter, state, group):
            parameter.sub_(group["rate"] * parameter.grad)

    return Failing(parameters, lr)


def sharp(parameters, *, lr):
    """Descends by the gradient a little uphill, as sharpness-aware minimisation does."""

    class Sharp(SGD):
        @torch.no_grad()
        def step(self, closure):
            weights = [p for p in self.param_groups[0]["params"] if p.grad is not None]
            before = [weight.clone() for weight in weights]
            norm = torch.stack([weight.grad.norm() for weight in weights]).norm()
            for weight in weights:
                weight.add_(UPHILL * weight.grad / norm)
            closure()
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)
            super().step()

    return Sharp(parameters, lr=lr, momentum=0.9)


UPHILL = 0.05


def quasinewton(parameters, *, lr):
    """LBFGS of torch."""
    from torch.optim import LBFGS

    return LBFGS(parameters, lr=lr, max_iter=4, history_size=3)


def evaluating(parameters, *, lr):
    """Which evaluates the loss again if it can."""

    class Evaluating(SGD):
        def step(self, closure=None):
            if closure is None:
                raise RuntimeError("this rule needs a closure")
            return super().step(closure)

    return Evaluating(parameters, lr=lr)


def deaf(parameters, *, lr):
    """Which takes no closure, and says it does."""

    class Deaf(SGD):
        def step(self):
            super().step()

    return Deaf(parameters, lr=lr)


def viewing(parameters, *, lr):
    """Which trains views of the parameters."""
    return SGD([torch.nn.Parameter(parameter.detach().view(-1)) for parameter in parameters], lr=lr)


def rateless(parameters, *, lr):
    """Which has its rate elsewhere than in its groups."""

    class Rateless(Own):
        def __init__(self, parameters, lr):
            Optimizer.__init__(self, parameters, {"speed": lr})

        def change(self, parameter, state, group):
            parameter.sub_(group["speed"] * parameter.grad)

    return Rateless(parameters, lr)


STORABLE = (counter, grouped, attribute, halved, listed, fading, sharp, quasinewton, evaluating)
REFUSED = (inner, noting)
RULES = (*STORABLE, *REFUSED, closure, failing, deaf, viewing, rateless)
PASSES = {sharp: 2, quasinewton: 5, evaluating: 2, deaf: 2}


# Starts


def jolt(network, generator):
    """A little noise of torch's own generator."""
    for parameter in network.parameters():
        parameter.mul_(0.5).add_(torch.randn_like(parameter), alpha=0.01)


def trip(network, generator):
    """With a mistake."""
    network.module(99)
