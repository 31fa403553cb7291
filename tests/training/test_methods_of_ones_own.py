"""Methods that people bring, each in one short file: trained, ended and resumed, and recorded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from clone import ROOT
from extension_files import no_extensions, written  # noqa: F401 (a fixture)
from killed import killed_everywhere, whole
from test_cuda_graphs import Taped
from tiny import Folder, equal

from plasticity.runs import Run, extensions

pytestmark = pytest.mark.usefixtures("no_extensions")
MOST = 30
"""Lines of such a file, without empty ones."""

REVIVE = '''
"""Units that are silent."""

import torch

from plasticity.interventions.method import Method
from plasticity.runs import Integer, MethodFacts, methods


class Revive(Method):
    def __init__(self, network):
        self.layer = network.module(1).convolution
        self.active = torch.ones_like(self.layer.weight[:, 0, 0, 0])

    def watched(self):
        return {"units": self.layer}

    def change_weights(self, at):
        self.active.lerp_(at.activations["units"].output.relu().mean((0, 2, 3)), 0.1)

    def event(self, at):
        weight, unit = self.layer.weight, self.active.argmin()
        for one in (weight, *at.moments(weight)):
            one[unit] = torch.randn_like(one[unit]) / 3 if one is weight else 0


@methods.member(
    "revive{every}",
    facts=MethodFacts(acts="units", every=lambda *, every: (every, "steps")),
    every=Integer(at_least=1),
)
def revive(network, initial, *, every):
    """The unit of the first layer that was least active of late is drawn anew."""
    return Revive(network)
'''


def documented(function: str) -> str:
    """The block of the documentation that declares the method `function`."""
    page = (ROOT / "docs/howto-extend.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n# \S+\n(.*?)```", page, re.DOTALL)
    (found,) = [block for block in blocks if f"\ndef {function}(" in block]
    return str(found)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        (documented("smalllogits"), "smalllogits0.1"),
        (documented("teacher"), "teacher0.5"),
        (REVIVE, "revive2"),
    ],
    ids=["in the loss", "with a second network", "on units"],
)
def test_one_short_file_is_all_that_a_method_takes(tmp_path: Path, text: str, spelling: str):
    assert len([line for line in text.splitlines() if line.strip()]) <= MOST
    written(tmp_path / "lab", {"ours.py": text})
    extensions.use({"ours": str(tmp_path / "lab/ours.py")})
    folder = Folder.prepare(tmp_path)
    begin = "digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01-b16{}_i6_init"
    run = Run.parse(begin.format(f"+{spelling}"))
    straight, plain = whole(folder, run), whole(folder, Run.parse(begin.format("")))
    assert any(
        not torch.equal(straight.network[name], plain.network[name]) for name in plain.network
    )
    assert equal(straight, killed_everywhere(folder, run))
    assert equal(straight, whole(folder, run, "taped", hardware=Taped()))
