"""What Snakemake's options mean: words after them are no targets, and targets are all found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import conda
import pyarrow.parquet as pq
import pytest
from clone import TINY, Clone, counts

from plasticity.core import tables
from plasticity.data import splits

FIG01 = {"dataset": 1, "dataset_variant": 1, "split": 4, "pretrain": 2, "tune": 4}
"""Jobs for the runs of one figure: cold and warm of two seeds."""
FIG11 = {"dataset": 1, "dataset_variant": 1, "split": 2, "pretrain": 1, "tune": 3}
"""Of the other one: warm, and two starts that reset, of one seed."""
BOTH = {**FIG01, "tune": 6}
DRAWN = {"summarise_figure": 1, "figure": 1}
DRAWN_BOTH = {"summarise_figure": 2, "figure": 2}
STUDY = {"summarise_study": 1, "claims": 1}
ALL = {**BOTH, **DRAWN_BOTH, **STUDY, "all": 1}
MADE = {"dataset": 1, "dataset_variant": 1}

DATA = "results/data/digits-clutter-n64-r6/train.safetensors"
FILE = "results/figures/tiny/fig11.png"

TIDY = TINY.replace("keep: all", "keep: results")
CHANGED = "\nCHANGED = True\n"


@pytest.fixture(scope="module")
def tidy(made: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the study was run, and its checkpoints dropped."""
    clone = Clone(tmp_path_factory.mktemp("tidy"), made)
    (clone.path / "studies" / "tidy.yaml").write_text(TIDY)
    dropped = [*(clone.path / "results").rglob("checkpoint.safetensors")]
    for state in dropped:
        state.unlink()
    assert len(dropped) == 2
    return clone


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ALL),
        (["fig01"], {**FIG01, **DRAWN, "fig01": 1}),
        (["all", "fig11"], {**ALL, "fig11": 1}),
        (["claims"], {**BOTH, **DRAWN_BOTH, **STUDY}),
        # No job is made from the rule that stands for a figure; one of its files is another thing.
        (["--omit-from", "fig11"], ALL),
        (["--omit-from", FILE], {**BOTH, **DRAWN, "summarise_figure": 2, "summarise_study": 1}),
        (["--forcerun", "fig11"], {**ALL, "fig11": 1}),
        (["fig01", "--forcerun", "fig11"], {**BOTH, **DRAWN_BOTH, "fig01": 1, "fig11": 1}),
        (["--until", "split"], {"dataset": 1, "dataset_variant": 1, "split": 4}),
        (["--until", "fig11"], {**FIG11, **DRAWN, "fig11": 1}),
        (["--batch", "all=2/5"], {**FIG01, **DRAWN}),
        ([DATA, "--allowed-rules", "dataset", "dataset_variant"], MADE),
        (["--prioritize", "fig11"], {**ALL, "fig11": 1}),
    ],
)
def test_a_dry_run_plans_exactly(clone: Clone, arguments: list[str], expected: dict[str, int]):
    assert clone.planned(*arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["--omit-from", "fig11"], ["--forcerun", "fig11"], ["all", "fig01"]),
        *(["--prioritize", "fig11"], ["claims", "fig01"]),
    ],
)
def test_changed_code_trains_all_again_whatever_options_name(tidy: Clone, arguments: list[str]):
    """Where checkpoints were dropped, what is asked for decides which are made again."""
    with tidy.edited("plasticity/training/loop.py", add=CHANGED):
        planned = tidy.planned(*arguments, study="tidy")
    assert (planned["pretrain"], planned["tune"]) == (2, 6)


def test_until_names_what_is_wanted(tidy: Clone):
    with tidy.edited("plasticity/training/loop.py", add=CHANGED):
        planned = tidy.planned("--until", "tune", study="tidy")
    assert planned == {"pretrain": 2, "tune": 6}


def test_a_report_is_no_figure(tidy: Clone):
    """Its file stands among the figures, and is named after an option."""
    page = "results/figures/tiny/report.html"
    status, printed = tidy.snakemake("--report", page, study="tidy")
    assert status == 0, printed
    assert (tidy.path / page).exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("fig99", "unknown figure 'fig99'"),
        ("results/preview/tiny/fig99.png", "unknown figure 'fig99'"),
        (
            "results/claims/tiny-early.html",
            "unknown group 'early'; expected one of remedies_claim, early_phase",
        ),
        ("results/splits/digits-clutter-n64-r6/seed007/half.parquet", "is spelt 'seed7'"),
        ("results/data/cifar11/train.safetensors", "did you mean 'cifar10'?"),
        ("results/tune/x", "expected a run's folder"),
        ("early_phas", "unknown target 'early_phas'"),
    ],
)
def test_a_mistake_is_told_beside_a_right_target(clone: Clone, target: str, message: str):
    status, printed = clone.snakemake("-n", "fig01", target)
    assert status == 1
    assert message in printed
    assert "Traceback" not in printed
    assert not (clone.path / "results").exists()


# What is finished stays, whatever Snakemake is told by a profile, has on record, or leaves out

OUTER = """
configfile: "config.yaml"
configfile: "studies/tidy.yaml"

module inner:
    snakefile: "Snakefile"
    config: config{words}

use rule * from inner
"""
AS_MODULE = ("--snakefile", "outer.smk")
NO_PROFILE = ("--workflow-profile", "none")
RIGHT = ("--rerun-triggers", "mtime", "params")


@pytest.fixture
def finished(tidy: Clone, tmp_path: Path) -> Iterator[Clone]:
    """A copy of the finished study of which no test may lose a result."""
    clone = Clone(tmp_path / "copy", tidy)
    (clone.path / "outer.smk").write_text(OUTER.format(words=""))
    before = results(clone)
    yield clone
    assert results(clone) == before


def about(path: Path) -> dict[str, object]:
    return tables.read_about(path, splits.WHAT, splits.ADVICE)


def results(clone: Clone) -> dict[Path, bytes]:
    found = (clone.path / "results").glob("[tp]*e*/**/metrics.parquet")
    return {path: path.read_bytes() for path in found}


@pytest.mark.parametrize("words", [NO_PROFILE, (*NO_PROFILE, *AS_MODULE, *RIGHT), AS_MODULE])
def test_with_any_profile_or_as_a_module_nothing_finished_is_made_again(
    finished: Clone, words: tuple[str, ...]
):
    status, printed = finished.snakemake(*words, study="tidy")
    assert status == 0, printed
    assert "Nothing to be done" in printed


def test_as_a_module_it_refuses_triggers_that_would_delete_results(finished: Clone):
    status, printed = finished.snakemake(*NO_PROFILE, *AS_MODULE, study="tidy")
    assert status == 1
    assert "Error: rerun-triggers: code, input, mtime, params, software-env: with" in printed


@pytest.mark.parametrize("words", [("--no-hooks",), AS_MODULE])
def test_runs_whose_parents_were_dropped_are_kept_though_data_are_newer(
    finished: Clone, words: tuple[str, ...]
):
    for path in (finished.path / "results/splits").rglob("*.parquet"):
        tables.write(path, pq.read_table(path), splits.SCHEMA, {**about(path), "new": 1})
    status, printed = finished.snakemake(*words, study="tidy")
    assert status == 1
    assert "add --config retrain=true to make those again too" in printed


def test_jobs_run_the_code_of_their_own_copy(finished: Clone, tmp_path: Path):
    """Not that of another one, to which ``PYTHONPATH`` points."""
    other = tmp_path / "other" / "plasticity"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise AssertionError('of another copy')")
    path = "results/summary/tiny/figures/fig01/runs.parquet"
    words = ("--forcerun", path, path)
    status, printed = finished.snakemake(
        *words, study="tidy", environment={"PYTHONPATH": str(other.parent)}
    )
    assert status == 0, printed
    assert "rule summarise_figure:" in printed


def test_a_module_with_a_prefix_is_refused(finished: Clone):
    words = '\n    prefix: "elsewhere"'
    (finished.path / "outer.smk").write_text(OUTER.format(words=words))
    status, printed = finished.snakemake(*AS_MODULE, study="tidy")
    assert status == 1
    assert "Error: prefix, replace_prefix: the files of this workflow stand below" in printed


def test_without_records_what_counts_is_the_header_of_a_result(finished: Clone):
    shutil.rmtree(finished.path / ".snakemake")
    cheap = {**DRAWN_BOTH, **STUDY, "all": 1}
    assert finished.planned(study="tidy") == cheap
    with finished.edited("plasticity/training/loop.py", add=CHANGED):
        planned = finished.planned(study="tidy")
    assert (planned["pretrain"], planned["tune"]) == (2, 6)
    assert "dataset" not in planned
    planned = finished.planned("--config", "precision=bfloat16", study="tidy")
    assert (planned["pretrain"], planned["tune"]) == (2, 6)
    with finished.edited("plasticity/data/splits.py", add=CHANGED):
        assert finished.planned(study="tidy")["split"] == 4


def test_files_that_are_merely_touched_are_not_of_the_present_code(finished: Clone):
    """Nor of the present settings; and what was of this code before is so still."""
    train, draw = "plasticity/training/loop.py", "plasticity/analysis/figures/warm_start.py"
    with finished.edited(train, add=CHANGED), finished.edited(draw, add=CHANGED):
        before = finished.snakemake("-n", study="tidy")[1]
        for rule in ("pretrain", "tune"):
            told = before.split(f"rule {rule}:")[1].split("wildcards")[0]
            assert "changed: training/loop.py" in told
        status, printed = finished.snakemake("--touch", study="tidy")
        assert status == 0, printed
        assert finished.planned(study="tidy") == counts(before)
        assert (counts(before)["pretrain"], counts(before)["tune"]) == (2, 6)
    assert finished.planned(study="tidy") == {}
    with finished.edited(draw, add=CHANGED):
        assert finished.planned(study="tidy")["figure"] == 1


def test_conda_environments_make_nothing_again(finished: Clone, tmp_path: Path):
    """And nothing is made again without them of what they made."""
    environment, words = conda.install(tmp_path / "conda"), ("--sdm", "conda")
    status, printed = finished.snakemake(*words, study="tidy", environment=environment)
    assert status == 0, printed
    assert "Environment for" in printed
    assert "Nothing to be done" in printed
    forced = ("--forcerun", "summarise_study", "all")
    status, printed = finished.snakemake(*words, *forced, study="tidy", environment=environment)
    assert status == 0, printed
    assert "Activating conda environment" in printed
    assert finished.planned(study="tidy") == {}
