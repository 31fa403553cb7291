"""Parquet in the hub's layout: shards that belong together, columns, names of classes."""

import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from refusal import refusal

from plasticity.data.hub import from_parquet


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def cells(count, seed=0, shape=(8, 8, 3)):
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return [{"bytes": png(image), "path": None} for image in images]


def write(path, images, labels, names=None):
    table = pa.table({"img": images, "label": labels})
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        table = table.replace_schema_metadata(about)
    pq.write_table(table, path)


@pytest.fixture
def hub(tmp_path):
    """A folder with the training part in three shards of 4 examples."""
    for shard in range(3):
        write(tmp_path / f"train-0000{shard}-of-00003.parquet", cells(4, shard), [0, 1, 2, 0])
    write(tmp_path / "test-00000-of-00001.parquet", cells(4, 9), [0, 1, 2, 3])
    return tmp_path


def read(folder):
    return from_parquet("Own", folder)


# Shards


def test_own_data_are_read(hub):
    found = read(hub)
    assert found.train_images.shape == (12, 3, 8, 8)
    assert found.classes == ["0", "1", "2", "3"], "also those of the test alone"
    assert found.notes == ()


@pytest.mark.parametrize(("lost", "words"), [((1,), ";"), ((0, 2), ", nor are 1 others;")])
def test_a_missing_shard_is_named(hub, lost, words):
    for number in lost:
        (hub / f"train-0000{number}-of-00003.parquet").unlink()
    message = refusal(read, hub)
    assert f"train-0000{lost[0]}-of-00003.parquet is not in it{words} fetch" in message


@pytest.mark.parametrize(
    "name",
    [
        "train-00001-of-00003 (1).parquet",
        "train-00001-of-00003-copy.parquet",
        "train.parquet",
        "train_metadata.parquet",
        "train-00000-of-00002.parquet",
        "train_small-00000-of-00003.parquet",
    ],
)
def test_what_does_not_belong_to_the_shards_is_refused(hub, name):
    shutil.copy(hub / "train-00001-of-00003.parquet", hub / name)
    message = refusal(read, hub)
    assert name in message
    assert "does not belong to" in message


@pytest.mark.parametrize("number", ["1", "00003"])
def test_more_shards_than_are_counted_are_refused(hub, number):
    write(hub / f"train-{number}-of-00003.parquet", cells(4, 7), [0, 1, 2, 0])
    assert "4 files are train-...-of-00003.parquet" in refusal(read, hub)


def test_shards_with_checksums_in_their_names_are_read(hub):
    for path in list(hub.glob("*.parquet")):
        path.rename(path.with_name(f"{path.stem}-a09b74b3ef9c3b56.parquet"))
    assert len(read(hub).train_labels) == 12


def test_two_files_of_the_same_bytes_are_refused(hub):
    for path in list(hub.glob("train*")):
        path.rename(hub / f"train_{path.name[10]}.parquet")
    assert len(read(hub).train_labels) == 12
    shutil.copy(hub / "train_1.parquet", hub / "train_1b.parquet")
    message = refusal(read, hub)
    assert "train_1.parquet and train_1b.parquet are the same" in message


def test_a_gap_in_numbers_is_noted(hub):
    for path in list(hub.glob("train*")):
        path.rename(hub / f"train_{path.name[10]}.parquet")
    (hub / "train_1.parquet").unlink()
    assert read(hub).notes == ("the numbers of train_0 to train_2 have gaps: files may be missing",)


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_an_empty_shard_whose_columns_have_no_type_is_passed_over(hub, empty):
    nothing = pa.table({"img": pa.nulls(0), "label": pa.nulls(0)})
    pq.write_table(nothing, hub / f"train-0000{empty}-of-00003.parquet")
    assert len(read(hub).train_labels) == 8


def test_a_pointer_of_git_lfs_says_what_to_do(hub):
    path = hub / "test-00000-of-00001.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    message = refusal(read, hub)
    assert message.startswith(f"{path}: ")
    assert f"run 'git lfs pull' in {hub}" in message


@pytest.mark.parametrize("place", [None, "file.parquet"])
def test_what_is_no_folder_is_told(tmp_path, place):
    if place:
        (tmp_path / place).touch()
    message = refusal(read, place and tmp_path / place)
    assert message.startswith(f"sources.own: {tmp_path / place if place else 'none is named'}")
    assert "train*.parquet and test*.parquet" in message


# Columns


def test_images_in_a_binary_column_are_read(hub):
    data = [cell["bytes"] for cell in cells(4, 9)]
    expected = read(hub).test_images
    write(hub / "test-00000-of-00001.parquet", data, [0, 1, 2, 3])
    assert np.array_equal(read(hub).test_images, expected)


@pytest.mark.parametrize(
    "column",
    [
        [[[1, 2], [3, 4]]] * 4,
        ["a.png"] * 4,
        [1.5] * 4,
        [{"path": "a.png"}] * 4,
        [{"bytes": "text"}] * 4,
    ],
)
def test_a_column_that_holds_no_encoded_images_is_told(hub, column):
    path = hub / "test-00000-of-00001.parquet"
    write(path, column, [0, 1, 2, 3])
    message = refusal(read, hub)
    assert message.startswith(f"{path}: column img is ")
    assert "expected images as encoded bytes" in message


@pytest.mark.parametrize("every", [True, False])
def test_a_path_in_the_place_of_an_image_is_told(hub, every):
    path, column = hub / "test-00000-of-00001.parquet", cells(4)
    for row in range(0 if every else 2, 4):
        column[row] = {"bytes": None, "path": "images/cat.png"}
    write(path, column, [0, 1, 2, 3])
    message = refusal(read, hub)
    assert message.startswith(f"{path}: row {0 if every else 2} names the file images/cat.png")
    assert "push_to_hub" in message


# 16 bits


def wide(*peaks):
    images = [np.full((8, 8), peak, np.uint16) for peak in peaks]
    return [{"bytes": png(image), "path": None} for image in images]


def test_each_image_is_judged_for_itself(hub):
    mixed = [cells(1)[0], *wide(65_535), cells(1, 0, (8, 8))[0], *wide(256)]
    write(hub / "test-00000-of-00001.parquet", mixed, [0, 1, 2, 3])
    images = read(hub).test_images
    assert images[1].min() == 255
    assert images[3].max() == 1
    assert 0 < images[0].mean() < 255


def test_16_bits_that_would_all_be_black_are_refused(hub):
    write(hub / "test-00000-of-00001.parquet", wide(0, 255, 3, 9), [0, 1, 2, 3])
    assert "go up to 255 of 65535 and would all be black" in refusal(read, hub)


@pytest.mark.parametrize(("peak", "noted"), [(0, True), (4095, True), (4096, False)])
def test_images_of_perhaps_12_bits_are_noted(hub, peak, noted):
    write(hub / "test-00000-of-00001.parquet", wide(0, 0, peak, 0), [0, 1, 2, 3])
    assert bool(read(hub).notes) == noted


# Names of classes


def test_classes_are_called_as_the_files_say(hub):
    write(hub / "test-00000-of-00001.parquet", cells(4, 9), [0, 1, 2, 3], list("defgh"))
    for name in ("Own", "CIFAR10", "CIFAR100"):
        assert from_parquet(name, hub).classes == list("defgh")


def test_files_that_name_classes_differently_are_refused(hub):
    write(hub / "test-00000-of-00001.parquet", cells(4, 9), [0, 1, 2, 3], list("defg"))
    write(hub / "train-00001-of-00003.parquet", cells(4, 1), [0, 1, 2, 0], list("edfg"))
    assert "name the classes differently" in refusal(read, hub)


@pytest.mark.parametrize("about", [b"{", b"[]", b'{"info": {"features": {"label": {}}}}'])
def test_other_metadata_name_no_classes(hub, about):
    path = hub / "test-00000-of-00001.parquet"
    table = pq.read_table(path).replace_schema_metadata({b"huggingface": about})
    pq.write_table(table, path)
    assert read(hub).classes == ["0", "1", "2", "3"]
