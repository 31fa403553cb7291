"""Digests of what uses extensions: they move with its own files, and with nothing else."""

from pathlib import Path

import pytest
from edited import ADAM, append, moved, training
from extension_files import no_extensions, start, written  # noqa: F401 (a fixture)

from plasticity.core.errors import UserError
from plasticity.pipeline import closure, digests
from plasticity.pipeline.why import explained
from plasticity.runs import Run, extensions, metrics
from plasticity.runs.kinds import TELEMETRY, TUNE, Job

pytestmark = pytest.mark.usefixtures("package", "no_extensions")
PLACES = {"ours": "lab/ours.py"}
PATH = "cifar10/resnet18/seed0/full_adam-lr0.001_e1_init/full_adam-lr0.001_e1_{}"
QUANTITY = '''
from plasticity.measures.quantities import quantity


@quantity("weight")
def largest(snapshot):
    """The largest weight."""
    return snapshot.weights.abs().max()
'''


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose extension has helpers, which have others in turn."""
    monkeypatch.chdir(tmp_path)
    files = {
        "ours.py": start(helpers="parts.inner"),
        "parts/__init__.py": "HERE = 1\n",
        "parts/inner.py": "from .deep import FACTOR\n",
        "parts/deep.py": "import other\n\nFACTOR = 1.0\n",
        "other.py": "import numpy\n\nimport plasticity.models.resnet20\n",
        "unused.py": "NOTHING = 1\n",
    }
    return written(tmp_path / "lab", files)


def of_start(word: str = "shrink0.5") -> dict[str, str]:
    return training(Run.parse(PATH.format(word)))


FILES = ("ours.py", "parts/__init__.py", "parts/inner.py", "parts/deep.py", "other.py")


def test_all_that_a_member_imports_from_its_own_folder_counts(lab):
    extensions.use(PLACES)
    before = of_start()
    plain = training(Run.parse(PATH.format("keep")))
    assert {name for name in before if name.startswith("extensions/")} == {
        f"extensions/ours/{name}" for name in FILES
    }
    assert "models/resnet20.py" in before.keys() - plain.keys()
    for name in FILES:
        append(lab / name)
        assert moved(before, of_start()) == [f"extensions/ours/{name}"]
        before = of_start()
    append(lab / "unused.py")
    assert of_start() == before


def test_who_does_not_use_it_does_not_notice(lab):
    before = training(ADAM)
    extensions.use(PLACES)
    append(lab / "ours.py")
    assert training(ADAM) == before
    assert not [n for n in training(Run.parse(PATH.format("keep"))) if n.startswith("ext")]


def test_a_folder_that_was_moved_is_the_same(lab):
    extensions.use(PLACES)
    before = of_start()
    lab.rename(lab.with_name("moved"))
    extensions.use({"ours": "moved/ours.py"})
    assert of_start() == before


def test_files_of_one_name_are_two_components(lab):
    helpers = {"parts/__init__.py": "", "parts/inner.py": "FACTOR = 2\n"}
    written(lab.with_name("other"), {"ours.py": start("grow", "parts.inner"), **helpers})
    extensions.use({**PLACES, "theirs": "other/ours.py"})
    one, other = of_start(), of_start("grow1")
    assert {n for n in other if n.startswith("ext")} == {
        f"extensions/theirs/{name}" for name in ("ours.py", "parts/inner.py")
    }
    assert not {n for n in one if n.startswith("extensions/theirs")}


def test_another_extension_of_the_same_words_is_other_code(lab):
    """In one process, as notebooks have it."""
    extensions.use(PLACES)
    before = of_start()
    written(
        lab.with_name("other"), {"ours.py": start("shrink", "more"), "more.py": "FACTOR = 1.0\n"}
    )
    extensions.use({"ours": "other/ours.py"})
    assert {"extensions/ours/ours.py", "extensions/ours/more.py"} <= {*moved(before, of_start())}


def test_a_module_counts_with_those_of_its_own_package(lab, monkeypatch):
    package = lab / "their_words"
    words = {"__init__.py": "ONE = 1\n", "sub/words.py": start("grow", "their_words.more")}
    more = {"more.py": "from .sub import least\nFACTOR = 1.0\n", "sub/least.py": "LEAST = 0\n"}
    written(package, {**words, **more, "spare.py": "SPARE = 1\n"})
    monkeypatch.syspath_prepend(lab)
    extensions.use({"theirs": "their_words.sub.words"})
    assert {name for name in of_start("grow1") if name.startswith("ext")} == {
        f"extensions/theirs/{name}"
        for name in ("__init__.py", "sub/words.py", "more.py", "sub/least.py")
    }


def test_a_quantity_counts_for_telemetry_alone(lab):
    run = Run.parse(PATH.format("keep"))
    without = digests.components(Job(TELEMETRY, run), {"each": 1})
    (lab / "ours.py").write_text(QUANTITY)
    extensions.use(PLACES)
    found = digests.components(Job(TELEMETRY, run), {"each": 1})
    assert moved(without, found) == ["extensions/ours/ours.py"]
    assert "extensions/ours/ours.py" not in digests.components(Job(TUNE, run))


def test_a_job_refuses_an_extension_that_changed_since_it_was_planned(lab, monkeypatch):
    monkeypatch.setenv(digests.PLANNED, "")
    extensions.use(PLACES)
    digests.plan()
    assert closure.every_file().keys() >= {f"extensions/ours/{name}" for name in FILES}
    job = Job(TUNE, Run.parse(PATH.format("shrink0.5")))
    digests.require_unchanged(digests.code_of(job))
    append(lab / "parts" / "deep.py")
    extensions.use(PLACES)
    words = r"changed since this job was planned: extensions/ours/parts/deep\.py; run the same"
    with pytest.raises(UserError, match=words):
        digests.require_unchanged(digests.code_of(Job(TUNE, Run.parse(PATH.format("shrink0.5")))))


def test_why_a_result_is_made_again_is_told_without_a_configuration(lab):
    extensions.use(PLACES)
    run = Run.parse(PATH.format("shrink0.5"))
    components = training(run)
    about = {"run": str(run), "components": components, **extensions.recorded(components)}
    path = lab.parent / "results" / "tune" / str(run) / "metrics.parquet"
    metrics.write(path, [], about)
    extensions.use({})
    append(lab / "other.py")
    assert list(explained(path))[-1] == "made again because of: extensions/ours/other.py"


WRAPPED = """
from helpers import halved, logged
from plasticity.runs import starts


@starts.member("wrapped")
@logged
def wrapped(network, generator):
    'All weights smaller.'
    for parameter in network.parameters():
        parameter.mul_(0.5)


starts.member("halved")(halved)
"""
HELPERS = """
def logged(function):
    def call(network, generator):
        'As it says.'
        return function(network, generator)

    call.__name__ = function.__name__
    call.__wrapped__ = function
    return call


def halved(network, generator):
    'All weights halved.'
"""


@pytest.mark.parametrize("word", ["wrapped", "halved"])
def test_a_function_that_is_written_or_wrapped_elsewhere_counts_with_its_declaration(lab, word):
    written(lab, {"ours.py": WRAPPED, "helpers.py": HELPERS})
    extensions.use(PLACES)
    before = of_start(word)
    for name in ("ours.py", "helpers.py"):
        assert f"extensions/ours/{name}" in before
        append(lab / name)
        extensions.use(PLACES)
        assert f"extensions/ours/{name}" in moved(before, of_start(word))
