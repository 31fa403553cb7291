"""Names of files."""

import re
from pathlib import Path

from clone import ROOT
from hypothesis import given
from hypothesis import strategies as st

from plasticity.runs import layout


@given(st.text(max_size=300))
def test_a_shortened_name_fits(name: str):
    assert len(layout.shortened(name).encode()) <= 200


@given(st.text(max_size=50))
def test_a_short_name_stays(name: str):
    assert layout.shortened(name) == name


def test_two_long_names_stay_different():
    one, other = ("a" * 250 + end for end in "xy")
    assert layout.shortened(one) != layout.shortened(other)
    assert layout.shortened(one).startswith("a" * 183 + "-")


def test_all_folders_are_known():
    texts = [Path(layout.__file__), *ROOT.glob("workflow/rules/*.smk")]
    named = {
        name
        for path in texts
        for name in re.findall(r"(?:results|RESULTS\})/(\w+)", path.read_text(encoding="utf-8"))
    }
    assert "splits" in named
    assert named <= {*layout.FOLDERS}
