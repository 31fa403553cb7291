"""States that are saved on the way of a stage, which is not ended there, leave no trace in it."""

import pytest
from killed import whole
from own_methods import KINDS, own_methods  # noqa: F401 (a fixture)
from tiny import Folder, equal

from plasticity.runs import Run

WAYS = [
    *(f"adam-lr0.01-b16+{spelt}" for spelt in KINDS),
    *("sgd-lr0.05-m0.9-b16-warm1", "adam-lr0.01-b16-cosine", "sgd-lr0.05-b16-drop1"),
]


@pytest.mark.usefixtures("own_methods")
@pytest.mark.parametrize("rule", WAYS)
@pytest.mark.parametrize("data", ["full", "drift0.5"])
def test_a_stage_goes_on_after_each_save(folder: Folder, rule: str, data: str):
    run = Run.parse(f"digits-clutter/resnet-d1w2/seed0/{data}_{rule}_e2_init")
    saved = whole(folder, run, "saved", resume_every=0.0)
    assert [epoch.epoch for epoch in saved.history] == [1, 2]
    assert equal(saved, whole(folder, run))


def test_a_target_is_not_reached_by_a_part_of_an_epoch(folder: Folder):
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01-b16-warm1_until80x9_init")
    assert equal(whole(folder, run, "saved", resume_every=0.0), whole(folder, run))
