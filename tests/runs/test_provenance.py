"""Which code made a result, and whether it is outdated: components and their equivalences."""

import re

import pytest

from plasticity.runs.provenance import Code, outdated

RECORDED = {"training/loop.py": "a", "models/resnet.py": "m", "lineage": "x"}


def test_a_digest_is_short_and_of_all_components_in_any_order():
    code = Code(RECORDED)
    assert re.fullmatch(r"[0-9a-f]{16}", code.digest)
    assert Code(dict(reversed(RECORDED.items()))).digest == code.digest
    others = [{**RECORDED, "lineage": "y"}, {"lineage": "x"}, {**RECORDED, "more": "x"}, {}]
    assert len({code.digest, *(Code(other).digest for other in others)}) == 5


def test_nothing_is_outdated_where_nothing_changed():
    assert Code(RECORDED).changed_since(RECORDED) == []


@pytest.mark.parametrize(
    ("present", "names"),
    [
        ({**RECORDED, "training/loop.py": "b"}, ["training/loop.py"]),
        ({**RECORDED, "training/loop.py": "b", "lineage": "y"}, ["lineage", "training/loop.py"]),
        ({**RECORDED, "new.py": "n"}, ["new.py"]),
        ({"training/loop.py": "a", "lineage": "x"}, ["models/resnet.py"]),
        ({}, sorted(RECORDED)),
    ],
)
def test_what_differs_is_named(present, names):
    assert Code(present).changed_since(RECORDED) == names


def state(**components):
    """The components of a result, by short names; an empty digest stands for none."""
    return {"lineage": "x", **{name: digest for name, digest in components.items() if digest}}


@pytest.mark.parametrize(
    ("recorded", "present", "steps", "equal"),
    [
        (state(a="1"), state(a="2"), [{"a": ("1", "2")}], True),
        (state(a="1"), state(a="3"), [{"a": ("1", "2")}, {"a": ("2", "3")}], True),
        # Numbers moved from 2 to 3: what was as good as 2 is not as good as 3.
        (state(a="1"), state(a="3"), [{"a": ("1", "2")}], False),
        (state(a="1"), state(a="4"), [{"a": ("1", "2")}, {"a": ("3", "4")}], False),
        # A step is compared as a whole: half of it may move numbers.
        (state(a="1", b="1"), state(a="2", b="2"), [{"a": ("1", "2"), "b": ("1", "2")}], True),
        (state(a="1", b="1"), state(a="1", b="2"), [{"a": ("1", "2"), "b": ("1", "2")}], False),
        (state(a="2", b="1"), state(a="2", b="2"), [{"a": ("1", "2"), "b": ("1", "2")}], False),
        # Of a step counts what the result uses.
        (state(a="1"), state(a="2"), [{"a": ("1", "2"), "b": ("1", "2")}], True),
        # A file is added, and another one removed.
        (state(a="1"), state(a="2", b="1"), [{"a": ("1", "2"), "b": ("", "1")}], True),
        (state(a="1", b="1"), state(a="2"), [{"a": ("1", "2"), "b": ("1", "")}], True),
        (state(a="1", b="1"), state(a="2"), [{"a": ("1", "2")}], True),
        # Added as 1, changed to 2, for which numbers moved.
        (state(a="1"), state(a="2", b="2"), [{"a": ("1", "2"), "b": ("", "1")}], False),
        (state(a="1"), state(a="2", b="1"), [{"a": ("1", "2")}], False),
    ],
)
def test_results_of_equivalent_code_are_current(recorded, present, steps, equal):
    assert (outdated(recorded, present, tuple(steps)) == []) == equal
    assert "lineage" in outdated(recorded, {**present, "lineage": "y"}, tuple(steps))
