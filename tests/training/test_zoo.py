"""The networks of timm and torchvision that the documentation shows, from its own block."""

import re
from pathlib import Path

import pytest
import torch
from chain import Chain

from plasticity.core import torchvision_import
from plasticity.runs import Run, models
from plasticity.training import checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
RULE = "adam-lr0.01-b16"


@pytest.fixture
def zoo(monkeypatch):
    """The words of the block can be spelt."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setattr(models, "_members", dict(models.members))
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "lab/zoo.py", "exec"), {"__name__": "zoo"})
    yield
    monkeypatch.undo()
    models.parse.cache_clear()
    models.read.cache_clear()


@pytest.mark.parametrize(
    ("model", "modules"),
    [
        ("timm-vit", ["patch_embed", "blocks", "norm", "head"]),
        ("torchvision-mobilenet", ["features", "classifier"]),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_a_network_of_a_library_is_trained_and_drawn_anew(chain: Chain, model: str, modules):
    torchvision_import.mend()
    library = model.partition("-")[0]
    pytest.importorskip(library)
    first = Run.parse(f"digits-clutter/{model}/seed0/half_{RULE}_e1_init")
    before = checkpoint.load(chain.state(first)).network
    run = Run.parse(f"{first}/full_{RULE}_e1_reset{len(modules)}")
    network = chain.prepared(run).train_state.network
    assert [one.name for one in network.numbered_modules] == modules
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert changed <= network.head
