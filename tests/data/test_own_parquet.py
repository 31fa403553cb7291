"""Parquet files of one's own: the hub's layouts, columns that are found or named, and labels."""

import json

import numpy as np
import own
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own import declare, read
from refusal import refusal

from plasticity.data import hub
from plasticity.runs import datasets


def layout(place, *names):
    for seed, name in enumerate(names):
        own.parquet(place / name, 4 + seed, seed)
    return place


@pytest.mark.parametrize(
    "names",
    [
        ("train.parquet", "test.parquet"),
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("plain_text/train/0000.parquet", "plain_text/validation/0000.parquet"),
        ("train/part-0.parquet", "val/part-0.parquet"),
    ],
)
def test_layouts(tmp_path, names):
    data = read(declare("parquet", layout(tmp_path, *names, ".cache/train.parquet")))
    assert len(data.train_labels) == 4
    assert np.array_equal(data.test_images, own.pictures(5, 1).transpose(0, 3, 1, 2))
    assert bool(data.notes) == ("val" in names[1])
    if "val" not in names[1]:  # built-in sets are found there too
        assert len(datasets.parse("cifar10")(tmp_path, tmp_path).test_labels) == 5


def test_shards_lie_together_and_a_part_by_choice(tmp_path):
    shards = [f"data/train-0000{number}-of-00002.parquet" for number in range(2)]
    layout(tmp_path, *shards, "data/test.parquet", "data/validation.parquet")
    wanted = declare("parquet", tmp_path, test="validation", resize=4)
    data = read(wanted)
    assert (len(data.train_labels), len(data.test_labels)) == (9, 7)
    assert data.train_images.shape[1:] == (3, 4, 4)
    assert sorted(hub.listed(wanted)) == ["train", "validation"]
    (tmp_path / shards[1]).unlink()
    assert "train-00001-of-00002.parquet is not in it" in refusal(hub.scan, wanted)


def test_two_configurations_are_told(tmp_path):
    layout(tmp_path, "one/train.parquet", "one/test.parquet", "two/train.parquet")
    assert "its folders one, two each hold parts" in refusal(hub.read, declare("parquet", tmp_path))


@pytest.mark.parametrize("kind", ["text", "category", "named"])
def test_labels_as_text(tmp_path, kind):
    for part, labels in (("train", ["dog", "cat", "dog", "cow"]), ("test", ["cow", "cat"])):
        column = pa.array(labels)
        if kind == "category":
            column = column.dictionary_encode()
        own.parquet(tmp_path / f"{part}.parquet", len(labels), 0, column)
    data = read(declare("parquet", tmp_path))
    assert data.classes == ["cat", "cow", "dog"]
    assert data.train_labels.tolist() == [2, 0, 2, 1]
    own.parquet(tmp_path / "test.parquet", 1, 0, ["emu"])
    message = refusal(hub.read, declare("parquet", tmp_path))
    assert "have the label 'emu', which no training example has" in message
    own.parquet(tmp_path / "test.parquet", 1, 0, [1])
    assert "train labels are text and the test" in refusal(hub.scan, declare("parquet", tmp_path))


FEATURES = {"fine": {"names": ["a", "b", "c"], "_type": "ClassLabel"}, "n": {"_type": "Value"}}


@pytest.mark.parametrize(
    ("columns", "features", "options", "classes"),
    [
        ({"labels": [0, 1]}, {}, {}, 2),
        ({"breed": [0, 1]}, {}, {}, 2),
        ({"fine": [2, 1], "n": [7, 8]}, FEATURES, {}, 3),
        ({"fine_label": [2, 1], "coarse_label": [0, 1]}, {}, {"label": "coarse_label"}, 2),
        ({"fine_label": [2, 1], "coarse_label": [0, 1]}, {}, {}, None),
        ({"label": [0, 1]}, {}, {"label": "lable"}, None),
    ],
)
def test_columns(tmp_path, columns, features, options, classes):
    for part in ("train", "test"):
        path = own.parquet(tmp_path / f"{part}.parquet", 2, **columns)
        about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        table = pq.read_table(path).rename_columns(["picture", *columns])
        pq.write_table(table.replace_schema_metadata(about), path)
    wanted = declare("parquet", tmp_path, **options)
    if classes:
        assert len(read(wanted).classes) == classes
    else:
        for call in (hub.read, hub.scan):
            message = refusal(call, wanted)
            assert "has the columns picture, " in message
            assert f"parquet: {tmp_path}, label: ..." in message
