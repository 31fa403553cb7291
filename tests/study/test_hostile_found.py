"""Hostile input: what was found, a mistake a test."""

import datetime
import math
import re
import time

import pytest
from hostile import (
    COLD,
    HUGE,
    PAPER,
    TEXTS,
    VALUES,
    WARM,
    deep,
    laughs,
    of_figure,
    overlaid,
    refusal,
    small,
)

from plasticity.core import files
from plasticity.core.errors import LONGEST, UserError, named, shown
from plasticity.runs import Run, SpellingError, layout
from plasticity.runs.bounds import LONGEST_RUN, LONGEST_STAGE
from plasticity.runs.values import Number, describe
from plasticity.study import Study
from plasticity.study.settings import Settings


@pytest.fixture(scope="module")
def study():
    return Study(small())


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        # A number that Python refuses to write ended in its own error.
        ({"seeds": [HUGE]}, "seeds.0: expected less than or equal to 999999999999999999, got a nu"),
        ({"lengths": {"tune": HUGE}}, "lengths.tune: expected less than or equal to 1000000, got"),
        (of_figure("fig02", grid={"epochs": [HUGE]}), "grid.epochs: holds a number of more than"),
        ({"optimisers": {"adam": {"batch": HUGE}}}, "adam.batch: expected a whole number of at"),
        ({"optimisers": {"adam": {"lr": HUGE}}}, "optimisers.adam.lr: expected a number above 0"),
        # A seed that no path can hold was refused without the reason.
        ({"seeds": [10**30]}, "seeds.0: expected less than or equal to 999999999999999999, got 10"),
        ({"optimisers": {"adam": {"batch": 10**30}}}, "and at most 999999999999999999, got 10000"),
        ({"threads": 10**9}, "threads: expected less than or equal to 1024, got 1000000000"),
        ({"slots_per_gpu": 10**9}, "slots_per_gpu: expected less than or equal to 64, got 10000"),
        (
            of_figure("fig05", grid={"width": [10**9]}),
            "of at least 1 and at most 2048",
        ),
        (
            of_figure("fig05", grid={"depth": [5000]}),
            "depth: expected a whole number of at least 1 and at",
        ),
        (
            {"model": "resnet-d1w1000000000"},
            "of at least 1 and at most 2048",
        ),
        (of_figure("fig03", grid={"gamma": [math.nan]}), "grid.gamma: holds nan; expected numbers"),
        (of_figure("fig03", grid={"gamma": [math.inf]}), "grid.gamma: holds inf; expected numbers"),
        # Hours by division: a rate may not be so small that another network's is zero.
        ({"images_per_second": 5e-324}, "images_per_second: expected greater than or equal to 0."),
        ({"images_per_second": math.inf}, "images_per_second: expected a finite number, got inf"),
        ({"images_per_second": True}, "images_per_second: expected a valid number, got True"),
        # Names became folders that no file system holds.
        ({"study": "a" * 300}, "expected at most 80 characters: folders and files get this name"),
        ({"optimisers": {"adam": {"lr": 1e-300}}}, "take numbers of fewer digits"),
        (of_figure("fig03", grid={"gamma": [5e-324]}), "its folder would have a name of 3"),
        # A stage may stand there thousands of times.
        (of_figure("fig04", grid={"splits": [100]}), "its path has more than 2400 characters"),
        (of_figure("fig04", grid={"splits": [10**15]}), "its path has more than 2400 characters"),
        # The whole product of the grid was made before anything was looked at.
        (
            of_figure("fig05", grid={"depth": list(range(1, 2000)), "width": list(range(1, 2000))}),
            "figures.fig05.runs.cold: 1999 x 1999 points of the grid and 5 seeds make 19,980,005 ",
        ),
        ({"seeds": list(range(200_001))}, "200,001 runs; expected at most 200,000 in all figures"),
        # A text was shown whole, however long, and with what a terminal or a page cannot hold.
        ({"dataset": "a" * 10**6}, "dataset: got 'aaa"),
        ({"model": "resnet18\ud800"}, r"'resnet18\ud800'"),
        (of_figure("fig02", title="a\0b"), "fig02.title: holds the character '\\x00', which"),
        (of_figure("fig02", labels={"cold": "a\ud800b"}), "labels.cold: holds the character"),
        ({"sources": {"cifar10": "\0"}}, "sources.cifar10: got '\\x00'; expected the path of a"),
        ({"sources": {"cifar10": ""}}, "sources.cifar10: got ''; expected the path of a"),
        ({"sources": {"cifar10": "a" * 300}}, "; expected the path of a file or folder"),
        ({"sources": {"a\nb": "/data"}}, "sources.'a\\nb': unknown data set 'a\\nb'"),
        # A list of ten billion words was written out.
        ({"seeds": laughs}, "seeds.0: expected a valid integer, got [[[[...], "),
        ({"device": laughs}, "device: expected 'cuda' or 'cpu', got [[[[...], "),
        ({"seeds": ["x"] * 1000}, "and 980 more"),
        ({"threads": datetime.date(2020, 1, 1)}, "threads: expected a valid integer, got the date"),
        ({"threads": "1e400"}, "threads: expected a valid integer, got the text '1e400'"),
    ],
)
def test_what_cannot_be_is_named(overlay, message):
    assert message in refusal(overlay)


def test_lists_within_lists_are_not_written_out():
    with pytest.raises(UserError, match=re.escape("device: expected 'cuda' or 'cpu', got [[[[...")):
        Study({**PAPER, "device": deep})


def test_a_key_that_is_called_like_a_type_is_named_whole():
    assert refusal({"lengths": {"int": 0}}).startswith("lengths.int: ")


def test_only_some_of_many_names_are_listed():
    message = refusal({"lengths": {f"x{number}": 1 for number in range(999)}}, of_figure(
        "fig02", runs={"cold": "full_{nobody}_e{tune}_init"}
    ))  # fmt: skip
    assert (
        "unknown word in braces 'nobody'; expected one of pretrain, tune, stage, total, x0"
        in message
    )
    assert "x45, ..." in message
    assert "x47" not in message


def test_typography_is_no_mistake():
    title = "η\N{THIN SPACE}=\N{NO-BREAK SPACE}0\N{ZERO WIDTH JOINER}, \N{RIGHT-TO-LEFT MARK}א"
    place = "/data/Bilder\N{NO-BREAK SPACE}für später/*{a}~"
    study = Study(overlaid(of_figure("fig01", title=title), {"sources": {"svhn": place}}))
    assert study.figures["fig01"].settings.title == title
    assert study.source("svhn") == place


def test_a_key_that_is_no_text_is_named():
    assert refusal({"lengths": {1: 2}}).startswith("lengths.1: expected a valid string, got 1")


def test_seeds_are_compared_in_no_time():
    """A hundred thousand runs are a large study, not a mistake."""
    seeds = list(range(100_000))
    began = time.process_time()
    assert Settings.read(overlaid({"seeds": seeds})).seeds == seeds
    assert time.process_time() - began < 30


def test_a_remedy_whose_role_is_there_already_is_named():
    runs = {"warm-last": "half_{adam}_e{pretrain}_init/full_{adam}_e{tune}_reset5"}
    message = refusal(of_figure("fig01", runs=runs), {"remedies": {"last": "reset6"}})
    assert message.startswith(
        "remedies.last: with it the role 'warm' of figures.fig01 is called 'war"
    )


def test_a_large_study_is_no_mistake():
    config = overlaid({"lengths": {"tune": 10_000}, "targets": ["fig01"], "seeds": [10**9]})
    assert str(Study(config).runs[0]).endswith("seed1000000000/full_adam-lr0.001_e10000_init")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"results/tune/{COLD}/xmetrics.parquet", "and in it metrics.parquet"),
        (f"results/tune/{COLD}/checkpoint.safetensors", "and in it metrics.parquet"),
        (f"elsewhere/tune/{COLD}/metrics.parquet", "expected a path below results/pretrain/ or"),
        (f"results/logs/{COLD}/metrics.parquet", "expected a path below results/pretrain/ or"),
        (f"/results/tune/{COLD}/metrics.parquet", "expected a path below results/pretrain/ or"),
        (f"results/tune/../{COLD}/metrics.parquet", "unknown data set '..'"),
    ],
)
def test_a_file_of_no_run_is_refused(path, message):
    with pytest.raises(SpellingError, match=re.escape(message)):
        layout.job_of(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("results/splits/cifar10/seed007/half.parquet", "seed 'seed007' is spelt 'seed7'"),
        ("results/splits/cifar10/seed7/hal.parquet", "did you mean 'half'?"),
        ("results/splits/../seed7/half.parquet", None),
        ("results/splits/cifar11/seed7/half.parquet", "unknown data set 'cifar11'"),
        ("results/splits/cifar10/half.parquet", "expected results/splits/<dataset>/seed<k>/"),
        ("results/data/cifar10-n0/train.safetensors", "at least 1, got 0"),
        ("results/data", "unknown data set ''"),
        ("results/data/cifar10/train.safetensors", None),
        ("results/splits/cifar10/seed7/half.parquet", None),
        ("results/logs/data/x.log", None),
    ],
)
def test_data_and_splits_are_spelt_as_runs_are(study, path, message):
    if message is None:
        assert study.asked([path]).jobs == tuple(dict.fromkeys(study.jobs_of(study.targets)))
    else:
        with pytest.raises(UserError, match=f"^{re.escape(path)}: .*{re.escape(message)}"):
            study.asked([path])


@pytest.mark.parametrize(
    ("part", "wrong", "message"),
    [
        ("e500", "e99999999999999999999", "of at least 1 and at most 1000000"),
        ("e500", "e1000001", "of at least 1 and at most 1000000"),
        ("seed0", "seed1" + "0" * 30, "of at least 0 and at most 999999999999999999"),
        ("adam-lr0.001", f"adam-lr0.{'0' * 300}1", f"expected at most {LONGEST_STAGE}"),
        (
            "resnet18",
            "resnet-d1w1000000000",
            "of at least 1 and at most 2048",
        ),
        ("full", "stage1of1000000r1", "at most 1000, got 1000000"),
        ("cifar10", "a" * 10**6, f"more than {LONGEST_RUN} characters"),
    ],
)
def test_a_path_beyond_all_bounds_is_refused(part, wrong, message):
    with pytest.raises(SpellingError, match=re.escape(message)) as refused:
        Run.parse(COLD.replace(part, wrong))
    assert len(str(refused.value)) < 3 * LONGEST


def test_a_run_of_too_many_stages_is_refused():
    stage = "/full_adam-lr0.001_e500_keep"
    assert Run.parse(COLD + stage * 60)
    with pytest.raises(SpellingError, match="no room on disk; take fewer stages"):
        Run.parse(COLD + stage * 100)


def test_a_long_text_is_no_number_in_no_time():
    began = time.process_time()
    assert re.fullmatch(Number.pattern, "1" * 100_000 + "x") is None
    assert describe("1" * 100_000 + "x").startswith("the text '111")
    assert time.process_time() - began < 10


@pytest.mark.parametrize("value", [*VALUES, *TEXTS], ids=lambda value: type(value).__name__)
def test_everything_can_be_shown(value):
    for text in (shown(value), named(value), describe(value)):
        assert text.isprintable()
        assert 0 < len(text) <= LONGEST + 20


def test_what_is_short_is_shown_as_python_writes_it():
    for value in (COLD, WARM, 3, -0.5, None, True, [0, 1, 2], {"lr": 0.1, "rule": "adam"}):
        assert shown(value) == repr(value)
    assert named("figures") == "figures"


def test_every_word_in_use_is_within_the_bounds():
    """The limits of names on disk leave room for all that a study spells."""
    for run in Study(PAPER).runs:
        assert len(str(run)) < LONGEST_RUN / 4
        assert max(map(len, map(str, run.stages))) < LONGEST_STAGE / 2


def test_a_device_or_a_pipe_is_no_source(tmp_path):
    with pytest.raises(UserError, match=r"sources.svhn: /dev/zero: neither a file nor a folder"):
        files.require_readable("/dev/zero", "sources.svhn")
    files.require_readable(tmp_path, "sources.svhn")
    files.require_readable(tmp_path / "not there: another message", "sources.svhn")
    (tmp_path / "link").symlink_to("link")
    files.require_readable(tmp_path / "link", "sources.svhn")
