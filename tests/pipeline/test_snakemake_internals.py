"""What the workflow reaches for in Snakemake is still there, and does what it is said to do.

These fail when Snakemake or its plugin changes: then `plasticity/pipeline/snakemake_internals.py`
has to follow, or can go.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest
import snakemake_executor_plugin_slurm as slurm
from snakemake import cli, dag, script  # noqa: F401 (dag cannot be imported first)
from snakemake.settings.enums import RerunTrigger
from snakemake.settings.types import DAGSettings, ExecutionSettings

from plasticity.core.errors import UserError
from plasticity.pipeline import snakemake_internals
from plasticity.pipeline.snakemake_internals import Session


def test_a_script_is_checked_once_a_rule(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dag.ScriptProcessor, "process_job", dag.ScriptProcessor.process_job)
    cache = SimpleNamespace(exists=lambda source: True)
    processor = dag.ScriptProcessor(SimpleNamespace(workflow=SimpleNamespace(sourcecache=cache)))
    rules = [Mock(script="x.py", basedir=None) for _ in range(2)]
    some = [SimpleNamespace(rule=r, is_script=True, wildcards=None, params=None) for r in rules * 3]
    with patch.object(script, "get_source", return_value=(None,) * 5) as looked:
        for job in some:
            processor.process_job(job)
        assert looked.call_count == 6
        snakemake_internals.check_scripts_once()
        for job in some:
            processor.process_job(job)
        assert looked.call_count == 6 + 2


LIMITED = """
rule all:
    shell: "true"

onstart:
    from plasticity.pipeline.snakemake_internals import lift_rate_limit
    print("limited", workflow.scheduler.job_rate_limiter is not None)
    lift_rate_limit(workflow.scheduler)
    print("limited", workflow.scheduler.job_rate_limiter is not None)
"""


def test_snakemake_limits_the_rate_of_local_jobs_until_that_is_lifted(tmp_path: Path):
    (tmp_path / "Snakefile").write_text(LIMITED)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores=1", "--snakefile", "Snakefile"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in (done.stdout + done.stderr).splitlines() if "limited" in line]
    assert told == ["limited True", "limited False"]


def test_folders_for_logs_of_slurm_are_shortened(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm, "get_job_wildcards", slurm.get_job_wildcards)
    long, short = (SimpleNamespace(wildcards=["x" * length]) for length in (3000, 3))
    assert len(slurm.get_job_wildcards(long)) == 3000
    snakemake_internals.shorten_slurm_logs()
    assert len(slurm.get_job_wildcards(long)) <= 200
    assert slurm.get_job_wildcards(short) == "xxx"
    # The executor asks for the name where it was put.
    assert "get_job_wildcards(job)" in inspect.getsource(slurm)


# What a session knows and decides

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("targets", "besides", "expected"),
    [
        ([], [], ["all"]),
        (["fig01"], [], ["fig01"]),
        ([], ["fig11"], ["all", "fig11"]),
        ([], ["tune", "fig11"], ["all", "fig11"]),
        (["fig01"], ["tune"], ["fig01"]),
    ],
)
def test_what_is_made_because_it_is_named(
    targets: list[str], besides: list[str], expected: list[str]
):
    rules = [SimpleNamespace(name=n, has_wildcards=lambda: True) for n in ("tune", "pretrain")]
    settings = SimpleNamespace(targets=targets, forcerun=[], until=besides)
    scheduling = SimpleNamespace(prioritytargets=[])
    workflow = SimpleNamespace(rules=rules, dag_settings=settings, scheduling_settings=scheduling)
    assert Session(workflow, ROOT / "Snakefile").targets() == expected


def triggers(*names: str) -> frozenset[RerunTrigger]:
    return frozenset(RerunTrigger[name] for name in names)


def session_with(chosen: frozenset[RerunTrigger], snakefile: Path) -> Session:
    workflow = SimpleNamespace(
        dag_settings=DAGSettings(rerun_triggers=chosen), main_snakefile=str(snakefile)
    )
    return Session(workflow, ROOT / "Snakefile")


@pytest.mark.parametrize("chosen", [RerunTrigger.all(), triggers("MTIME", "PARAMS")])
def test_age_and_parameters_alone_decide(chosen: frozenset[RerunTrigger]):
    """Where no profile says so, too."""
    session = session_with(chosen, ROOT / "Snakefile")
    session.settle_triggers()
    assert session.workflow.dag_settings.rerun_triggers == triggers("MTIME", "PARAMS")


@pytest.mark.parametrize(
    ("chosen", "snakefile"),
    [
        (triggers("MTIME"), ROOT / "Snakefile"),
        (triggers("MTIME", "PARAMS", "INPUT"), ROOT / "Snakefile"),
        (RerunTrigger.all(), ROOT / "config.yaml"),  # some other workflow, of which this is a part
    ],
)
def test_other_triggers_are_refused(chosen: frozenset[RerunTrigger], snakefile: Path):
    session = session_with(chosen, snakefile)
    with pytest.raises(UserError, match=r"^rerun-triggers: .* --rerun-triggers mtime params"):
        session.settle_triggers()
    assert session.workflow.dag_settings.rerun_triggers == chosen


def test_what_is_on_record_is_read_back():
    params = {"a": ["'float32'", repr("code 1, changed: a's b.py")], "b": ["'run'"]}
    workflow = SimpleNamespace(persistence=SimpleNamespace(params=params.get))
    session = Session(workflow, ROOT / "Snakefile")
    assert session.told("a") == "code 1, changed: a's b.py"
    assert session.told("b") is None
    assert session.told("c") is None


def test_files_without_a_record_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("recorded", "unrecorded"):
        Path(name).touch()
    workflow = SimpleNamespace(
        persistence=SimpleNamespace(params={"recorded": []}.get),
        dag=SimpleNamespace(forcefiles=set()),
    )
    Session(workflow, ROOT / "Snakefile").make_again(["recorded", "unrecorded", "absent"])
    assert workflow.dag.forcefiles == {"unrecorded"}


@pytest.mark.parametrize("touches", [True, False])
def test_touched_files_keep_their_records(touches: bool):
    workflow = SimpleNamespace(
        is_main_process=True,
        local_exec=True,
        touch=touches,
        cores=1,
        global_resources={"gpu": SimpleNamespace(value=None)},
        execution_settings=ExecutionSettings(),
    )
    assert workflow.execution_settings.keep_metadata
    Session(workflow, ROOT / "Snakefile").keep_records()
    assert workflow.execution_settings.keep_metadata != touches
