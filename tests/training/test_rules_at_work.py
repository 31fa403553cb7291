"""Built-in rules at work in a stage: killed anywhere, from a rung, on a sub-network."""

from pathlib import Path

import pytest
import torch
from chain import Chain
from killed import killed_everywhere, whole
from tiny import Folder, equal

from plasticity.runs import Run

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
    for name, mask in state.mask.items():
        assert not mask.all()
        assert torch.equal(state.network[name] != 0, mask)
