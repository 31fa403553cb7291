"""Extensions: what they declare is known while they are used; what is wrong in one is told."""

import re
import sys
from pathlib import Path

import pytest
from extension_files import no_extensions, start, written  # noqa: F401 (a fixture)

from plasticity.core.errors import UserError
from plasticity.measures.quantities import QUANTITIES
from plasticity.runs import Run, SpellingError, extensions, optimisers, starts

pytestmark = pytest.mark.usefixtures("no_extensions")
RUN = "cifar10/resnet18/seed0/full_adam-lr0.001_e1_init/full_adam-lr0.001_e1_{}"
QUANTITY = '''
from plasticity.measures.quantities import quantity


@quantity("weight")
def largest(snapshot):
    """The largest weight."""
    return snapshot.weights.abs().max()
'''


class Weights(list):
    """A network of one parameter, which is multiplied."""

    def parameters(self):
        return [self]

    def mul_(self, factor):
        self.append(factor)


def factor_of(word: str) -> float:
    weights = Weights()
    starts.parse(word)(weights, None)
    return weights[0]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an extension in a folder of its own, and helpers beside it."""
    monkeypatch.chdir(tmp_path)
    return written(
        tmp_path / "lab", {"ours.py": start() + QUANTITY, "helpers.py": "FACTOR = 1.0\n"}
    )


def test_what_is_declared_is_known_while_it_is_used(lab):
    extensions.use({"ours": "lab/ours.py"})
    assert factor_of("shrink0.5") == 0.5
    assert str(Run.parse(RUN.format("shrink0.5")).stage.start) == "shrink0.5"
    assert "largest" in QUANTITIES
    extensions.use({})
    with pytest.raises(SpellingError, match=r"unknown start 'shrink0\.5'"):
        starts.parse("shrink0.5")
    with pytest.raises(SpellingError, match=r"unknown start 'shrink0\.5'"):
        Run.parse(RUN.format("shrink0.5"))
    assert "largest" not in QUANTITIES
    extensions.use({"ours": "lab/ours.py"})
    assert factor_of("shrink0.5") == 0.5
    assert "largest" in QUANTITIES


def test_the_same_again_does_nothing_and_an_edit_is_seen(lab):
    extensions.use({"ours": "lab/ours.py"})
    (first,) = extensions.in_use()
    extensions.use({"ours": "./lab/../lab/ours.py"})
    assert extensions.in_use() == (first,)
    (lab / "helpers.py").write_text("FACTOR = 0.5\n")  # as long, and in the same second
    extensions.use({"ours": "lab/ours.py"})
    assert factor_of("shrink0.5") == 0.25


def test_a_study_sees_its_own_extensions_alone(lab):
    written(lab.parent / "other", {"ours.py": start("grow"), "helpers.py": "FACTOR = 0.1\n"})
    extensions.use({"ours": "lab/ours.py"})
    extensions.use({"ours": "other/ours.py"})
    assert [factor_of("grow1"), "shrink" in starts.members] == [0.1, False]
    extensions.use({"ours": "lab/ours.py"})
    assert [factor_of("shrink1"), "grow" in starts.members] == [1.0, False]


def test_helpers_of_one_name_are_told_apart(lab):
    written(lab.parent / "other", {"theirs.py": start("grow"), "helpers.py": "FACTOR = 0.1\n"})
    extensions.use({"ours": "lab/ours.py", "theirs": "other/theirs.py"})
    assert [factor_of("shrink1"), factor_of("grow1")] == [1.0, 0.1]
    assert "helpers" not in sys.modules


@pytest.mark.parametrize("helpers", [".helpers", "parts.inner", ".parts.inner", "plain.inner"])
def test_helpers_may_be_named_as_in_any_package(lab, helpers):
    """Also those of a folder without ``__init__.py``, and those that name others in turn."""
    inner = {
        "__init__.py": "",
        "inner.py": "from .other import FACTOR\n",
        "other.py": "FACTOR = 1\n",
    }
    written(lab / "parts", inner)
    written(lab / "plain", {"inner.py": "from helpers import FACTOR\n"})
    (lab / "ours.py").write_text(start(helpers=helpers))
    extensions.use({"ours": "lab/ours.py"})
    assert factor_of("shrink0.5") == 0.5


def test_the_library_is_one_where_an_extension_stands_beside_a_copy_of_it(lab):
    written(lab / "plasticity", {"__init__.py": "", "runs.py": "starts = None\n"})
    extensions.use({"ours": "lab/ours.py"})
    assert factor_of("shrink0.5") == 0.5


@pytest.fixture
def installed(lab, monkeypatch):
    """A package that can be imported, with what the extension in it imports."""
    helpers = {"helpers.py": "FACTOR = 0.3\n", "__init__.py": "", "sub/__init__.py": ""}
    written(
        lab / "their_package", {"sub/words.py": start("grow", "their_package.helpers"), **helpers}
    )
    monkeypatch.syspath_prepend(lab)
    yield "their_package.sub.words"
    for name in [one for one in sys.modules if one.startswith("their_package")]:
        del sys.modules[name]


def test_a_module_that_can_be_imported(installed):
    extensions.use({"theirs": installed})
    assert factor_of("grow1") == 0.3
    extensions.use({})
    assert "grow" not in starts.members
    extensions.use({"others": installed})
    assert factor_of("grow1") == 0.3


def test_a_module_that_fails_is_refused_by_its_place(lab, installed):
    (lab / "their_package" / "helpers.py").write_text("\nimport nothing_here\n")
    words = r"^extensions\.theirs: \S*their_package/helpers\.py, line 2: .*; install nothing_here"
    with pytest.raises(UserError, match=words):
        extensions.use({"theirs": installed})


def test_a_module_that_was_imported_before(installed):
    __import__(installed)
    extensions.use({"theirs": installed})
    assert factor_of("grow1") == 0.3
    extensions.use({})
    assert "grow" not in starts.members


# What is wrong

DECLARED = "from plasticity.runs import optimisers, starts\n\n\n"
KEEP = DECLARED + "@starts.member('keeping')\ndef keep(network, generator):\n    'Kept.'\n"
ADAM = (
    "from plasticity.interventions.options import LEARNING_RATE\n" + DECLARED +
    "@optimisers.member('adam-lr{rate}', rate=LEARNING_RATE)\ndef mine(parameters, *, rate):\n"
    "    'Mine.'\n"
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "\nimport nothing_here\n",
            "line 2: .*ModuleNotFoundError.*; install nothing_here, or corr",
        ),
        ("\n\ndef f(:\n", "line 3: .*SyntaxError: invalid syntax"),
        ("\n1 / 0\n", "line 2: .*ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "line 2: .*SystemExit: 3"),
        ("import broken\n", r"broken\.py, line 1: .*NameError"),
        (
            DECLARED + "@starts.member('x')\ndef x(n, g):\n    pass\n",
            "line 4: .*x has no docstring",
        ),
        (KEEP, r"start keep is declared twice: \S*lab/bad\.py:4 and \S*starts/keep\.py:\d+"),
        (ADAM, r"'adam-lr.* is declared twice: \S*lab/bad\.py:5 and \S*rules/adam\.py:\d+"),
        (
            QUANTITY.replace("largest", "test_loss"),
            r"quantity test_loss is declared twice: \S*bad\.py:5 and \S*quantities\.py:\d+",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_place(lab, text, words):
    before = [*starts.members, *optimisers.members, *QUANTITIES]
    written(lab, {"bad.py": text, "broken.py": "print(nothing)\n"})
    with pytest.raises(UserError, match=rf"^extensions\.bad: .*lab/.*{words}"):
        extensions.use({"ours": "lab/ours.py", "bad": "lab/bad.py"})
    assert [*starts.members, *optimisers.members, *QUANTITIES] == before
    assert extensions.in_use() == ()


def test_a_word_of_two_extensions_is_refused_with_both_places(lab):
    written(lab, {"second.py": start()})
    for _ in range(2):  # imported, and known
        words = r"second.*start shrink is declared twice: \S*lab/second\.py:7 and \S*lab/ours\.py:7"
        with pytest.raises(UserError, match=words):
            extensions.use({"ours": "lab/ours.py", "second": "lab/second.py"})
        extensions.use({"second": "lab/second.py"})


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (
            "lab/none.py",
            r"'lab/none\.py': no such file \(looked for '/.*/lab/none\.py'\); name a Py",
        ),
        ("lab/ours", "no such file .*ends in .py"),
        ("lab_of_mine", "no module 'lab_of_mine' can be imported here"),
        ("json.nothing", r"no module 'json\.nothing' can be imported here; install it or add"),
        ("no\0.py", "no such file"),
        (".relative", "no such file"),
        ("two words", "no such file"),
    ],
)
def test_a_place_without_an_extension_is_refused(lab, place, words):
    with pytest.raises(UserError, match=rf"^extensions\.ours: .*{words}"):
        extensions.use({"ours": place})


def test_only_names_with_places_are_taken_from_a_configuration():
    found = {"ours": "a.py", "Bad": "b.py", "none": None, "list": [1], 3: "c.py"}
    assert extensions.given({"extensions": found}) == {"ours": "a.py"}
    assert [extensions.given(one) for one in ({}, {"extensions": None}, {"extensions": [1]})] == [
        {}
    ] * 3


# What results say


def test_results_name_the_extensions_that_they_used(lab):
    extensions.use({"ours": "lab/ours.py"})
    assert extensions.recorded({"training/loop.py": "0" * 16}) == {}
    about = extensions.recorded({"extensions/ours/ours.py": "1" * 16, "training/loop.py": "0" * 16})
    found = about["extensions"]["ours"]
    assert found["place"] == "lab/ours.py"
    assert re.fullmatch("[0-9a-f]{16}", found["digest"])
    other = extensions.recorded({"extensions/ours/ours.py": "2" * 16})
    assert other["extensions"]["ours"]["digest"] != found["digest"]


def test_those_of_a_result_are_found_from_elsewhere(lab, tmp_path_factory, monkeypatch):
    """From the folder that the workflow worked in."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    path = lab.parent / "results" / "tune" / "metrics.parquet"
    extensions.use_recorded({"extensions": {"ours": {"place": "lab/ours.py", "digest": ""}}}, path)
    assert factor_of("shrink0.5") == 0.5
    extensions.use_recorded({}, path)  # those of others stay
    assert factor_of("shrink0.5") == 0.5


# What fails later, and functions that a configuration names

FAILING = '''
def picture(tables):
    """A mistake."""
    return tables["nothing"]


NUMBER = 3
'''


def test_an_error_in_its_code_is_told_by_its_place(lab):
    (lab / "ours.py").write_text(start() + FAILING)
    extensions.use({"ours": "lab/ours.py"})
    lines: list[str] = []
    line = (start() + FAILING).splitlines().index('    return tables["nothing"]') + 1
    words = (
        rf"^extensions\.ours: \S*lab/ours\.py, line {line}: failed \(KeyError: 'nothing'\); corr"
    )
    with pytest.raises(UserError, match=words), extensions.explained(lines.append):
        extensions.function("ours.picture")({})
    assert 'return tables["nothing"]' in lines[0]
    assert "Traceback" not in lines[0]
    with pytest.raises(KeyError), extensions.explained(lines.append):  # the library's own
        _ = {}["nothing"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("theirs.picture", "unknown extension 'theirs'; expected one of extensions: ours"),
        ("ours.none", r"lab/ours\.py has no function 'none'"),
        ("ours.NUMBER", r"lab/ours\.py has no function 'NUMBER'"),
    ],
)
def test_a_function_that_is_not_there_is_refused(lab, text, words):
    (lab / "ours.py").write_text(start() + FAILING)
    extensions.use({"ours": "lab/ours.py"})
    with pytest.raises(ValueError, match=words):
        extensions.function(text)
