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


@pytest.mark.parametrize(
    ("one", "other", "pairs", "equal"),
    [
        ("a", "b", [("a", "b")], True),
        ("b", "a", [("a", "b")], True),
        ("a", "c", [("a", "b"), ("b", "c")], True),
        # Numbers moved from b to c: what was as good as b is not as good as c.
        ("a", "c", [("a", "b")], False),
        ("a", "d", [("a", "b"), ("c", "d")], False),
        ("", "b", [("", "b")], True),
        ("a", "", [("a", "")], True),
        # Added as a, changed to b, for which numbers moved, and removed.
        ("a", "b", [("", "a"), ("b", "")], False),
        ("", "c", [("", "a"), ("a", "c")], True),
    ],
)
def test_equivalent_digests_count_as_equal(one, other, pairs, equal):
    def components(digest):
        return {"lineage": "x", **({"training/loop.py": digest} if digest else {})}

    known = {"training/loop.py": frozenset(pairs)}
    found = outdated(components(one), components(other), known)
    assert found == ([] if equal else ["training/loop.py"])
    assert outdated(components(one), {**components(other), "lineage": "y"}, known)[0] == "lineage"


def test_an_equivalence_holds_for_its_component_only():
    known = {"models/resnet.py": frozenset({("a", "b")})}
    assert outdated(RECORDED, {**RECORDED, "training/loop.py": "b"}, known) == ["training/loop.py"]
