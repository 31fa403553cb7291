"""What Snakemake's options mean: words after them are no targets, and targets are all found."""

from __future__ import annotations

import pytest
from clone import TINY, Clone

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
def tidy(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the study was run, and its checkpoints dropped."""
    clone = Clone(tmp_path_factory.mktemp("tidy"))
    (clone.path / "studies" / "tidy.yaml").write_text(TIDY)
    status, printed = clone.snakemake(study="tidy")
    assert status == 0, printed
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
        ("results/claims/tiny-early.html", "unknown group 'early'; expected one of early_phase"),
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
