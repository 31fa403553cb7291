"""What docs/mechanism.md shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from nets import data, normalised

import plasticity

PAGE = Path(__file__).parents[2] / "docs" / "mechanism.md"


def test_the_block_for_a_notebook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    images, labels = data(500)
    run = SimpleNamespace(network=normalised(), train=SimpleNamespace(images=images, labels=labels))
    monkeypatch.setattr(plasticity, "load", lambda path: run, raising=False)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    exec(compile(block, str(PAGE), "exec"), {})
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == [
        *("tr", "largest", "largest"),
        *("[Noisy(size=0.05,", "effective"),
    ]
    assert all(torch.equal(value, before[name]) for name, value in run.network.state_dict().items())
