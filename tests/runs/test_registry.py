"""Registries: how words are declared, what is refused in a declaration, and their facts."""

import ast
import builtins
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from plasticity.core.errors import UserError
from plasticity.runs import (
    DatasetFacts,
    Integer,
    OptimiserFacts,
    Registry,
    SpellingError,
    StartFacts,
    TransformFacts,
    data_selections,
    datasets,
    models,
    optimisers,
    starts,
    transforms,
)
from plasticity.runs.grammar import Template

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class ToyFacts:
    """What toys tell of themselves."""

    loud: bool = False


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A registry without members, whose home is an empty package."""
    home = f"toys{abs(hash(tmp_path))}"  # a package is imported once
    (tmp_path / home).mkdir()
    (tmp_path / home / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("toy", ToyFacts, home, "[-n{count}]", count=Integer(default=1))


def test_a_member_is_spellable_at_once(toys):
    with pytest.raises(SpellingError, match="unknown toy 'top-s2'"):
        toys.parse("top-s2")

    @toys.member("top-s{speed}[-c{colour}]", speed=Integer(), colour=Integer(default=0))
    def top(where, *, speed, colour):
        """A top."""
        return where, speed, colour

    assert toys.parse("top-s2-c3-n4").options == {"speed": 2, "colour": 3, "count": 4}
    assert str(toys.term("top", {"speed": 2, "count": 4})) == "top-s2-n4"


def test_a_term_calls_its_function_without_the_common_options(toys):
    @toys.member("top-s{speed}", speed=Integer())
    def top(where, *, speed):
        """A top."""
        return where, speed

    assert toys.parse("top-s2-n4")("here") == ("here", 2)


@pytest.mark.parametrize(
    ("template", "kinds", "message"),
    [
        ("top-s{speed", {"speed": Integer()}, "has the fields"),
        ("top[-s{speed}", {"speed": Integer(default=0)}, "optional parts are written [key{field}]"),
        ("top[{speed}]", {"speed": Integer(default=0)}, "optional parts are written [key{field}]"),
        ("top[-s{speed}]x", {"speed": Integer(default=0)}, "optional parts are written"),
        ("top[-s]", {}, "optional parts are written [key{field}]"),
        ("top-s{speed}", {"pace": Integer()}, "has the fields"),
        ("top[-s{speed}]", {"speed": Integer()}, "optional speed needs a default"),
    ],
)
def test_a_bad_template_is_refused(template, kinds, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Template(template, kinds)


def test_a_bad_template_is_an_error_where_it_is_declared(toys):
    def top(*, speed):
        """A top."""

    with pytest.raises(ValueError, match="optional parts are written"):
        toys.member("top[-s{speed}", speed=Integer(default=0))(top)


def test_a_parameter_that_is_not_declared_is_an_error(toys):
    def top(*, speed):
        """A top."""

    with pytest.raises(ValueError, match=r"toy top takes \{'speed'\}, declares set\(\)"):
        toys.member("top")(top)


def test_a_member_needs_a_docstring(toys):
    def top():
        pass

    with pytest.raises(ValueError, match="toy top has no docstring"):
        toys.member("top")(top)


def test_a_member_is_declared_once(toys):
    def top():
        """A top."""

    toys.member("top")(top)
    with pytest.raises(ValueError, match="toy top is declared twice"):
        toys.member("top")(top)


def test_options_are_checked_by_name(toys):
    @toys.member("top-s{speed}", speed=Integer(at_least=1))
    def top(*, speed):
        """A top."""

    with pytest.raises(ValueError, match=r"^speed: missing, expected a whole number of at least 1"):
        toys.term("top", {})
    with pytest.raises(ValueError, match=r"^speed: expected a whole number of at least 1, got 0"):
        toys.term("top", {"speed": 0})
    with pytest.raises(ValueError, match=r"^pace: no such option .* \(its options: speed, count\)"):
        toys.term("top", {"speed": 1, "pace": 2})
    with pytest.raises(SpellingError, match="unknown toy 'pot': expected one of top"):
        toys.term("pot", {})


def test_a_name_may_be_short_for_another_member_with_its_options(toys):
    @toys.member("top-s{speed}", speed=Integer())
    def top(*, speed):
        """A top."""

    @toys.member("humming-top", short_for="top-s9")
    def humming():
        """A top that hums."""

    assert str(toys.parse("humming-top")) == "humming-top"
    assert str(toys.parse("top-s8")) == "top-s8"
    with pytest.raises(SpellingError, match="'top-s9' is spelt 'humming-top'"):
        toys.parse("top-s9")


def test_the_short_name_is_also_meant_where_common_options_follow(toys):
    @toys.member("top-s{speed}", speed=Integer())
    def top(*, speed):
        """A top."""

    @toys.member("humming-top", short_for="top-s9")
    def humming():
        """A top that hums."""

    with pytest.raises(SpellingError, match="'top-s9-n4' is spelt 'humming-top-n4'"):
        toys.parse("top-s9-n4")


# The home

HOMES = {
    registry.home: registry
    for registry in (data_selections, datasets, models, optimisers, starts, transforms)
}


def test_a_file_that_is_put_into_the_home_is_found(toys, tmp_path):
    (tmp_path / toys.home / "drum.py").write_text(
        "import builtins\n\n@builtins.toys.member('drum')\ndef drum():\n    'A drum.'\n"
    )
    builtins.toys = toys
    try:
        assert str(toys.parse("drum-n3")) == "drum-n3"
    finally:
        del builtins.toys


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def drum(:", r"drum\.py: cannot be read \(.*line 1.*\); correct it"),
        ("import nothing_of_this_name", "cannot be read \\(ModuleNotFoundError: No module named"),
        (
            "import builtins\n\n@builtins.toys.member('drum')\ndef drum():\n    pass\n",
            r"drum\.py: cannot be read \(toy drum has no docstring\); correct it, or take the file",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_by_name(toys, tmp_path, text, words):
    (tmp_path / toys.home / "drum.py").write_text(text)
    builtins.toys = toys
    try:
        with pytest.raises(UserError, match=words):
            toys.parse("drum-n3")
    finally:
        del builtins.toys


@pytest.mark.parametrize("home", HOMES)
def test_a_home_has_a_file_a_member_and_nothing_in_its_first_file(home):
    folder = ROOT.joinpath(*home.split("."))
    files = {path.stem: ast.parse(path.read_text()) for path in folder.glob("*.py")}
    (docstring,) = files.pop("__init__").body
    assert "To add one, put a file here" in docstring.value.value
    modules = {name: m.function.__module__ for name, m in HOMES[home].members.items()}
    assert modules == {name: f"{home}.{name}" for name in files}


# Facts


def test_facts_are_attributes_with_defaults(toys):
    @toys.member("top")
    def top():
        """A top."""

    @toys.member("drum", facts=ToyFacts(loud=True))
    def drum():
        """A drum."""

    assert not toys.parse("top-n4").facts.loud
    assert toys.parse("drum").facts.loud


def test_a_misspelt_fact_is_refused_where_it_is_declared():
    with pytest.raises(TypeError, match="prune"):

        @starts.member("halve", facts=StartFacts(prune=True))
        def halve(network, generator):
            """Every weight halved."""

    assert "halve" not in starts.members


def test_facts_of_another_registry_are_refused(toys):
    def top():
        """A top."""

    with pytest.raises(ValueError, match=r"expected facts=ToyFacts\(...\), got StartFacts"):
        toys.member("top", facts=StartFacts())(top)


def test_a_data_set_without_facts_is_refused():
    def stars(source, downloads):
        """Stars."""

    words = (
        r"data set stars: facts are missing: give facts=DatasetFacts\(train=\.\.\., test=\.\.\., "
    )
    with pytest.raises(ValueError, match=words):
        datasets.member("stars")(stars)
    with pytest.raises(TypeError, match="'test'"):
        datasets.member("stars", facts=DatasetFacts(train=9, classes=2, channels=1, pixels=4))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"changes": "weights"}, "changes: got 'weights', expected one of"),
        ({"changes": "batches"}, "draws: expected where batches are changed"),
        ({"changes": "images", "draws": (2,)}, "draws: expected where batches are changed"),
        ({"changes": "labels", "classes": 4}, "only what changes batches"),
        ({"changes": "images", "test": True}, "only what changes batches"),
    ],
)
def test_facts_of_a_transform_go_together(facts, message):
    with pytest.raises(ValueError, match=message):
        TransformFacts(**facts)


@pytest.mark.parametrize("passes", [0, -1, 1.5, True, "2"])
def test_a_number_of_passes_that_is_none_is_refused(passes):
    with pytest.raises(ValueError, match=r"passes: got .*, expected a whole number of at least 1"):
        OptimiserFacts(passes=passes)
