"""Methods at work beside update rules: to the same bits however a stage is trained."""


import pytest
from killed import killed_everywhere, whole
from own_methods import KINDS, own_methods  # noqa: F401 (a fixture)
from test_cuda_graphs import Taped
from tiny import Folder, equal

from plasticity.runs import Run

PLACE = "digits-clutter/resnet-d1w2/seed0"
pytestmark = pytest.mark.usefixtures("own_methods")


def run_of(*stages: str) -> Run:
    return Run.parse("/".join([PLACE, *stages]))


@pytest.mark.parametrize("methods", [*KINDS, "l2init0.1+noise0.01+fade0.001+forget2+follow1"])
@pytest.mark.parametrize("rule", ["adam-lr0.01-b16", "sgd-lr0.05-m0.9-b16"])
def test_killed_and_recorded_it_ends_in_the_same_bits(folder: Folder, rule: str, methods: str):
    run = run_of(f"full_{rule}+{methods}_e2_init")
    straight = whole(folder, run)
    assert equal(straight, killed_everywhere(folder, run))
    recorded = whole(folder, run, "taped", hardware=Taped())
    assert equal(straight, recorded)
    assert straight.weights.keys() == straight.network.keys()
