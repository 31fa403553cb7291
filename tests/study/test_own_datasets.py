"""Data sets of one's own in a configuration: what is accepted, and what is refused in words."""

from pathlib import Path

import numpy as np
import pytest
from configurations import of_figure, refusal, with_changes

from plasticity.core.errors import UserError
from plasticity.runs import datasets
from plasticity.study import Study


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    arrays = {
        "x_train": generator.integers(0, 256, (400, 6, 6), dtype=np.uint8),
        "y_train": np.arange(400) % 3,
        "x_test": generator.integers(0, 256, (40, 6, 6), dtype=np.uint8),
        "y_test": np.arange(40) % 3,
    }
    np.savez("blobs.npz", **arrays)
    yield tmp_path
    Study(with_changes({}))


def own(**changes):
    """The paper's figure 1 on three classes of one's own."""
    declared = {"blobs": {"arrays": "blobs.npz"}}
    return with_changes({"dataset": "blobs", "datasets": declared, "targets": ["fig01"], **changes})


def test_figures_are_planned_on_a_declared_set():
    study = Study(own())
    assert {str(run.dataset) for run in study.figure("fig01").runs} == {"blobs"}
    assert study.source("blobs") == "blobs.npz"
    assert study.key_of_source("blobs") == "datasets.blobs"
    assert datasets.parse("blobs-n100-r3").facts.train == 400
    assert "blobs" not in {*Study(with_changes({})).settings.datasets}
    with pytest.raises(UserError, match="unknown data set 'blobs'"):
        datasets.parse("blobs")


def test_a_figure_that_needs_more_classes_is_refused_where_it_is_asked_for():
    study = Study(own())
    assert "fig04" not in study.figures
    for ask in (study.figure, lambda name: study.asked([name]), study.runs_of):
        with pytest.raises(UserError, match=r"figures\.fig04.* but blobs has 3; take fewer"):
            ask("fig04")
    with pytest.raises(UserError, match=r"^figures\.fig04\.runs\..*leave it out of the targets"):
        Study(own(targets=["fig01", "fig04"])).asked([])
    study = Study(own(groups={"stages": ["fig01", "fig04"]}))
    assert "stages" not in study.groups
    with pytest.raises(UserError, match="deals out the classes"):
        study.group("stages")


def test_a_place_may_be_in_a_variable_or_at_home(monkeypatch, here):
    monkeypatch.setenv("HOME", str(here))
    assert Study(own(datasets={"blobs": {"arrays": "~/blobs.npz"}})).source("blobs") == str(
        here / "blobs.npz"
    )


def test_numbers_of_the_command_line_are_text():
    study = Study(own(datasets={"blobs": {"arrays": "blobs.npz", "resize": "3"}}))
    assert study.figure("fig01").runs[0].dataset.facts.size == (3, 3)
    assert study.settings.datasets["blobs"].resize == (3, 3)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "datasets.blobs: expected one of images, parquet, arrays; none is given"),
        ({"images": "a", "arrays": "b"}, "images and arrays are given"),
        ({"images": "a", "label": "b"}, "label is of no use with images; remove it"),
        ({"arrays": "a", "channels": 1}, "channels is of no use with arrays"),
        ({"arays": "a"}, "unknown key 'arays'; expected one of"),
        ({"arrays": "blobs.npz", "resize": 0}, "datasets.blobs.resize: expected pixels a side"),
        ({"arrays": "blobs.npz", "resize": [3]}, "datasets.blobs.resize: expected pixels a side"),
        ({"arrays": "blobs.npz", "resize": True}, "datasets.blobs.resize: expected pixels a side"),
        ({"arrays": "none.npz"}, "datasets.blobs: none.npz: no such file or folder"),
        ({"images": "blobs.npz"}, "datasets.blobs: blobs.npz: no such folder"),
        ("blobs.npz", "datasets.blobs: expected keys with values, got 'blobs.npz'"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(entry, words):
    message = refusal(own(datasets={"blobs": entry}))
    assert words in message, message
    assert "\n" not in message


def test_a_place_is_named_once():
    message = refusal(own(sources={"blobs": "blobs.npz"}))
    assert message == "sources.blobs: datasets.blobs names its place already"


def test_jobs_look_at_no_source():
    config = own()
    Study(config)
    Path("blobs.npz").unlink()
    assert Study(config, renew=False).figure("fig01").runs


def test_a_set_in_a_figure(here):
    study = Study(own(dataset="cifar10", **of_figure(dataset="blobs-n200-v50")))
    assert str(study.figure("fig02").runs[0].dataset) == "blobs-n200-v50"
