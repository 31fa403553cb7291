"""A tiny study from end to end: everything that it makes, and what is made again after a change."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from clone import SOURCES, TINY, Clone
from snakemake.utils import update_config

from plasticity.study import Study, budget
from plasticity.study.pending import pending

PLACE = "digits-clutter-n64-r6/resnet-d1w2/seed0"
PRETRAIN = "half_adam-lr0.01-b16_e2_init"


@pytest.fixture(scope="module")
def study(made: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the tiny study was run."""
    return Clone(tmp_path_factory.mktemp("study"), made)


def test_it_makes_figures_tables_and_a_page(study: Clone):
    results = study.path / "results"
    for figure in ("fig01", "fig11"):
        for suffix in ("svg", "pdf", "png", "csv"):
            assert (results / f"figures/tiny/{figure}.{suffix}").stat().st_size > 100
    runs = pd.read_parquet(results / "summary/tiny/runs.parquet")
    assert len(runs) == 2 * 2 + 2
    gaps = pd.read_parquet(results / "summary/tiny/gaps.parquet")
    assert gaps["n"].tolist() == [2, 1, 1]
    assert "Generalisation gaps" in (results / "summary/tiny/gaps.html").read_text()
    assert not list(results.rglob("resume.safetensors"))
    assert not list(results.rglob(".*.partial"))


def test_each_job_leaves_a_log_of_its_progress(study: Clone):
    log = study.path / f"results/logs/pretrain/{PLACE}/{PRETRAIN}.log"
    assert "epoch 2/2" in log.read_text()


def test_again_there_is_nothing_to_do(study: Clone):
    status, printed = study.snakemake()
    assert status == 0
    assert "Nothing to be done" in printed


def test_a_budget_counts_the_files_that_are_left(study: Clone):
    config = yaml.safe_load((study.path / "config.yaml").read_text(encoding="utf-8"))
    update_config(config, yaml.safe_load(TINY))
    planned = Study(config)
    wanted = pending(planned.jobs_of(planned.targets), present=lambda path: False)
    counted = budget.FileCount.of(wanted, planned.settings.keep)
    results = study.path / "results"
    places = [results / name for name in ("pretrain", "tune", "splits")]
    places += [results / "logs" / place.name for place in places]
    there = [path for place in places for path in (place, *place.rglob("*"))]
    files = [path.relative_to(results) for path in there if path.is_file()]
    logs = sum(path.parts[0] == "logs" for path in files)
    assert (counted.results, counted.logs) == (len(files) - logs, logs)
    # And `results` itself, and the folder of all logs.
    assert counted.folders == sum(path.is_dir() for path in there) + 2


def test_without_logs_there_is_still_nothing_to_do(study: Clone, tmp_path: Path):
    """They may be folded into an archive, or deleted."""
    (study.path / "results" / "logs").rename(tmp_path / "logs")
    assert study.planned() == {}
    (tmp_path / "logs").rename(study.path / "results" / "logs")


def test_no_result_depends_on_times_on_comments_or_on_jobs_a_gpu(study: Clone):
    """Every source is touched, a comment added, and another number of jobs allowed on a GPU."""
    for name in SOURCES:
        for file in [study.path / name, *(study.path / name).rglob("*")]:
            file.touch()
    with study.edited("plasticity/training/loop.py", add="\n# a remark\n"):
        assert study.planned("--config", "slots_per_gpu=3") == {}


def test_a_changed_drawing_redraws(study: Clone):
    with study.edited("plasticity/analysis/figures/warm_start.py", add="\nCHANGED = True\n"):
        assert study.planned() == {"figure": 1, "claims": 1, "all": 1}


def test_a_changed_engine_trains_again(study: Clone):
    with study.edited("plasticity/training/loop.py", add="\nCHANGED = True\n"):
        planned = study.planned()
    assert (planned["pretrain"], planned["tune"]) == (2, 6)
    assert "dataset" not in planned


def test_a_changed_script_runs_again(study: Clone):
    with study.edited("workflow/scripts/train.py", add="\nprint('changed')\n"):
        planned = study.planned()
    assert (planned["pretrain"], planned["tune"]) == (2, 6)


def test_a_new_start_trains_nothing_again(study: Clone):
    remedy = study.path / "plasticity/interventions/starts/halve.py"
    remedy.write_text(
        '"""Half of every weight."""\n\n'
        "from plasticity.runs import starts\n\n\n"
        '@starts.member("halve")\n'
        "def halve(network, generator):\n"
        '    """Halve every parameter."""\n'
        "    for parameter in network.parameters():\n"
        "        parameter.mul_(0.5)\n"
    )
    try:
        assert study.planned() == {}
        run = f"results/tune/{PLACE}/{PRETRAIN}/full_adam-lr0.01-b16_e3_halve/metrics.parquet"
        assert study.planned(run) == {"tune": 1}
    finally:
        remedy.unlink()


def test_another_clone_measures_the_same_numbers(study: Clone, tmp_path: Path):
    run = f"results/tune/{PLACE}/full_adam-lr0.01-b16_e3_init/metrics.parquet"
    other = Clone(tmp_path)
    status, printed = other.snakemake(run)
    assert status == 0, printed
    one, two = (pq.read_table(place / run) for place in (study.path, other.path))
    assert one.drop_columns("seconds").equals(two.drop_columns("seconds"))
    assert one.schema.metadata == two.schema.metadata


def test_results_that_cannot_be_written_are_named(study: Clone):
    run = f"results/tune/{PLACE}/{PRETRAIN}/full_adam-lr0.01-b16_e3_reset5/metrics.parquet"
    place = (study.path / run).parent
    place.mkdir(parents=True)
    # A folder where the temporary file should stand: nobody can write it, not even root.
    (place / ".metrics.parquet.partial").mkdir()
    status, printed = study.snakemake(run)
    assert status != 0
    assert f"error: {run}: cannot be written" in printed


def test_the_report_holds_every_figure(study: Clone):
    status, printed = study.snakemake("--report", "report.html")
    assert status == 0, printed
    report = (study.path / "report.html").read_text()
    for word in ("fig01", "fig11", "generalisation gaps", "Pretraining on half of the data"):
        assert word in report
