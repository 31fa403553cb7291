"""What methods remember: it goes on with the stage, or is refused in words."""

from copy import deepcopy

import pytest
import torch
from killed import killed_everywhere, whole
from own_methods import declared, own_methods  # noqa: F401 (a fixture)
from test_cuda_graphs import Taped
from tiny import Folder, equal

from plasticity.core.errors import UserError
from plasticity.interventions.method import Method
from plasticity.runs import Run
from plasticity.training import cuda_graphs

PLACE = "digits-clutter/resnet-d1w2/seed0"
pytestmark = pytest.mark.usefixtures("own_methods")


def goes_on(folder: Folder, run: Run) -> bool:
    return equal(whole(folder, run), killed_everywhere(folder, run))


def test_a_buffer_of_the_network_is_the_same_one_afterwards(folder: Folder):
    class Mine(Method):
        def __init__(self, network):
            names = [name for name, _ in network.named_buffers() if name.endswith("running_mean")]
            self.mean = network.get_buffer(names[0])

        def change_weights(self, at):
            for parameter in at.network.parameters():
                parameter.mul_(1 - 0.01 * self.mean.abs().mean())

    assert goes_on(folder, declared("meaned", Mine))


def test_one_network_by_two_names_stays_one(folder: Folder):
    class Mine(Method):
        def __init__(self, network):
            self.slow = deepcopy(network).requires_grad_(False)
            self.again = self.slow

        def change_weights(self, at):
            pairs = zip(self.again.parameters(), at.network.parameters(), strict=True)
            for mine, theirs in pairs:
                mine.lerp_(theirs, 0.5)
            for mine, theirs in zip(self.slow.parameters(), at.network.parameters(), strict=True):
                theirs.lerp_(mine, 0.1)

    assert goes_on(folder, declared("twofold", Mine))


def test_a_network_with_tied_weights(folder: Folder):
    class Mine(Method):
        def __init__(self, network):
            one = torch.nn.Linear(2, 2, bias=False)
            other = torch.nn.Linear(2, 2, bias=False)
            other.weight = one.weight
            self.pair = torch.nn.Sequential(one, other).requires_grad_(False)

        def change_weights(self, at):
            self.pair[1].weight.add_(0.01)
            for parameter in at.network.parameters():
                parameter.mul_(1 - 0.01 * self.pair[0].weight.abs().mean())

    assert goes_on(folder, declared("tying", Mine))


def test_a_network_that_is_made_late(folder: Folder):
    class Mine(Method):
        def __init__(self, network):
            self.slow = None

        def change_weights(self, at):
            self.slow = deepcopy(at.network)

    with pytest.raises(UserError, match="method Mine: slow was made after the stage began"):
        whole(folder, declared("late", Mine))


def test_passes_that_are_not_declared(folder: Folder):
    class Mine(Method):
        def __init__(self, network):
            pass

        def change_gradients(self, at):
            at.again()

    with pytest.raises(UserError, match="makes a further pass in its steps, and declares none"):
        whole(folder, declared("hidden", Mine, acts="gradient"))


def test_a_second_network_that_is_not_declared(folder: Folder):
    class Mine(Method):
        def __init__(self, network):
            self.slow = deepcopy(network)

        def evaluated(self):
            return self.slow

    with pytest.raises(UserError, match="method undeclared: has a network to evaluate"):
        whole(folder, declared("undeclared", Mine))


def test_a_tensor_that_lies_elsewhere_is_not_recorded(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    """On a GPU a count on the CPU would be frozen in the recording, as a number would."""

    class Mine(Method):
        def __init__(self, network):
            self.steps = torch.zeros(())

        def change_weights(self, at):
            self.steps += 1

    run = declared("elsewhere", Mine)
    held = cuda_graphs.held_in_python
    # As if the device were a GPU: what lies on the CPU counts by its value.
    monkeypatch.setattr(
        cuda_graphs,
        "held_in_python",
        lambda optimiser, device, *rest: held(optimiser, torch.device("meta"), *rest)[1][
            "method 0/steps"
        ],
    )
    with pytest.raises(UserError, match="execution: SGD or Mine counts its steps"):
        whole(folder, run, "taped", hardware=Taped())
