"""The digest of what judges claims counts the constants of its rule."""

import re
import shutil

import pytest
from judged import ROOT

from plasticity.pipeline import closure, digests


@pytest.mark.parametrize(
    ("home", "constant"),
    [
        ("claims/verdict", "LEVEL"),
        ("claims/paper", "CLOSED"),
        ("claims/early", "DENSITY"),
        ("reported", "SMALLEST_GAP"),
    ],
)
def test_the_digest_counts_the_rule(tmp_path, monkeypatch, home, constant):
    before = digests.claims()
    package = shutil.copytree(ROOT / "plasticity", tmp_path / "plasticity")
    monkeypatch.setattr(closure, "PACKAGE", package)
    digests.forget()
    assert digests.claims() == before
    path = package / "analysis" / f"{home}.py"
    path.write_text(
        re.sub(rf"^({constant} = .*)$", r"\1 + 1", path.read_text(), flags=re.MULTILINE)
    )
    digests.forget()
    assert digests.claims() != before
    digests.forget()
