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

from plasticity.pipeline import snakemake_internals


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
