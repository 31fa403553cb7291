"""What is told of changed code: to a job, to who asks why a result is made again, to tools."""

import json
import re
import subprocess
import sys

import pytest
from edited import ADAM, ROOT, TICKET, append, training

from plasticity.core.errors import UserError
from plasticity.pipeline import closure, digests
from plasticity.pipeline.why import explained
from plasticity.runs import metrics
from plasticity.runs.kinds import TUNE, Job
from plasticity.runs.provenance import FACTS

# A job and its plan


@pytest.fixture
def planned(package, monkeypatch):
    """The code of a package is told to jobs before it is changed."""
    monkeypatch.setenv(digests.PLANNED, "")
    digests.plan()
    digests.forget()
    return package


def test_a_job_goes_on_where_its_code_is_as_it_was_planned(planned):
    append(planned / "observe" / "telemetry.py")
    assert digests.require_unchanged(digests.code_of(Job(TUNE, ADAM))).components == training(ADAM)


def test_a_job_names_what_changed_since_it_was_planned(planned):
    append(planned / "training" / "loop.py")
    append(planned / "training" / "prune.py")
    expected = r"the code changed since this job was planned: training/loop\.py; run the same"
    with pytest.raises(UserError, match=expected):
        digests.require_unchanged(digests.code_of(Job(TUNE, ADAM)))
    with pytest.raises(UserError, match=r"training/loop\.py, training/prune\.py; "):
        digests.require_unchanged(digests.code_of(Job(TUNE, TICKET)))


def test_a_job_that_is_told_of_no_plan_goes_on(planned, monkeypatch):
    append(planned / "training" / "loop.py")
    monkeypatch.delenv(digests.PLANNED)
    assert digests.require_unchanged(digests.code_of(Job(TUNE, ADAM))).components == training(ADAM)


# Equivalences and the command line


def test_the_equivalences_are_steps_between_digests_of_known_form():
    lines = digests.EQUIVALENCES.read_text().splitlines()
    assert lines[0] == "step,component,earlier digest,digest"
    for line in lines[1:]:
        assert re.fullmatch(r"\d+,[\w./-]+\.py,([0-9a-f]{16})?,([0-9a-f]{16})?", line), line
    assert len(set(lines)) == len(lines)


@pytest.fixture
def table(tmp_path, monkeypatch):
    path = tmp_path / "equivalences.csv"
    monkeypatch.setattr(digests, "EQUIVALENCES", path)
    path.write_text("step,component,earlier digest,digest\n")
    digests.forget()
    yield path
    digests.forget()


def accept(table, *changes):
    with table.open("a") as file:
        file.writelines(f"1,{name},{one},{other}\n" for name, one, other in changes)
    digests.forget()


def test_results_of_equivalent_code_stay(package, table):
    first = training(ADAM)
    append(package / "training" / "loop.py")
    (package / "training" / "part.py").write_text("PART = 1\n")
    append(package / "training" / "loop.py", "from plasticity.training.part import PART")
    second = digests.code_of(Job(TUNE, ADAM))
    assert second.changed_since(first) == ["training/loop.py", "training/part.py"]
    loop, part = "training/loop.py", "training/part.py"
    accept(
        table,
        (part, "", second.components[part]),
        (loop, first[loop], second.components[loop]),
    )
    assert digests.code_of(Job(TUNE, ADAM)).changed_since(first) == []
    append(package / "training" / "loop.py")
    assert digests.code_of(Job(TUNE, ADAM)).changed_since(first) == [loop]


def test_why_a_result_is_made_again_is_told(package, table, tmp_path):
    path = tmp_path / "results" / "tune" / str(ADAM) / "metrics.parquet"
    about = {"run": str(ADAM), "components": {**training(ADAM), "gone.py": "0" * 16}}
    metrics.write(path, [], about)
    append(package / "training" / "loop.py")
    lines = list(explained(path))
    assert lines[-1] == "made again because of: gone.py, training/loop.py"
    (loop,) = [line for line in lines if line.startswith("training/loop.py")]
    digest = training(ADAM)["training/loop.py"]
    assert loop.split()[1:] == [about["components"]["training/loop.py"], digest, "CHANGED"]
    assert any(re.fullmatch(r"training/train\.py .* same", line) for line in lines)
    recorded = about["components"]["training/loop.py"]
    accept(table, ("gone.py", "0" * 16, ""), ("training/loop.py", recorded, digest))
    assert list(explained(path))[-1].startswith("of the present code")


def test_what_is_no_result_is_refused(tmp_path):
    metrics.write(tmp_path / "metrics.parquet", [], {"run": str(ADAM)})
    with pytest.raises(UserError, match="no result of a run"):
        list(explained(tmp_path / "metrics.parquet"))


def test_the_command_tells_the_digest_of_every_file():
    done = subprocess.run(
        [sys.executable, "-m", "plasticity.pipeline.digests"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == closure.every_file()
    assert found.keys() >= training(TICKET).keys() - {*FACTS}
