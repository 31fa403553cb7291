"""What Snakemake is told of code: it differs from what is on record where a result is outdated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plasticity.data import splits, storage
from plasticity.data.raw import RawData
from plasticity.pipeline import digests, jobs
from plasticity.pipeline.jobs import told_of_code
from plasticity.runs import data_selections, datasets, layout
from plasticity.runs.provenance import Code

CODE = Code({"training/loop.py": "a"})
OTHER = Code({"training/loop.py": "b"})
TEXT = f"code {CODE.digest}"


def test_of_what_is_to_be_made_it_is_told_the_digest():
    assert told_of_code(CODE, None, None) == TEXT
    assert told_of_code(OTHER, None, None) != TEXT


@pytest.mark.parametrize(
    "known", [TEXT, f"code {OTHER.digest}", "code 0123456789abcdef, changed: training/loop.py"]
)
def test_of_the_present_code_it_is_told_what_it_knows(known):
    """Whatever that was: a digest of equivalent code, or why the result was made again once."""
    assert told_of_code(CODE, [], known) == known


def test_without_a_record_it_is_told_the_digest():
    assert told_of_code(CODE, [], None) == TEXT


def test_of_other_code_it_is_told_which_changed():
    told = told_of_code(CODE, ["models/resnet.py", "training/loop.py"], f"code {OTHER.digest}")
    assert told == f"{TEXT}, changed: models/resnet.py, training/loop.py"


def test_of_other_code_it_is_never_told_what_it_knows():
    """As where a file was put back from elsewhere."""
    told = f"{TEXT}, changed: training/loop.py"
    assert told_of_code(CODE, ["training/loop.py"], told) == f"{told}, again"
    assert told_of_code(CODE, ["training/loop.py"], TEXT) == told


# Data


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A data set and a split of it, made by the present code, in a folder to work in."""
    monkeypatch.chdir(tmp_path)
    labels = np.arange(20) % 10
    images = np.zeros((20, 1, 4, 4), dtype=np.uint8)
    raw = RawData(images, labels, images, labels, [*"0123456789"], "made up")
    paths = layout.dataset("digits-clutter").values()
    made_by = digests.dataset(datasets.parse("digits-clutter")).components
    for path in (*paths, SPLIT):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    storage.write(raw, "digits-clutter", *paths, components=made_by)
    half = data_selections.parse("half")
    splits.write(SPLIT, half, labels, raw.classes, 0, digests.split(half).components)


SPLIT = "results/splits/digits-clutter/seed0/half.parquet"


def test_data_say_which_code_made_them(prepared):
    assert jobs.dataset("digits-clutter").changed == []
    assert jobs.split(SPLIT).changed == []
    # The files of one are not those of a variant.
    assert (
        "workflow/scripts/dataset_variant.py"
        in replace(
            jobs.variant("digits-clutter-n10"), path=layout.dataset("digits-clutter")["train"]
        ).changed
    )


def test_data_of_other_code_are_outdated_and_those_of_equivalent_code_are_not(
    prepared, monkeypatch
):
    (component,) = {"data/splits.py"} & jobs.split(SPLIT).code.components.keys()
    data, split = jobs.dataset("digits-clutter"), jobs.split(SPLIT)
    other = Code({**split.code.components, component: "0" * 16})
    assert replace(split, code=other).changed == [component]
    step = {component: (split.code.components[component], "0" * 16)}
    assert replace(split, code=replace(other, equivalences=(step,))).changed == []
    assert component not in data.code.components
