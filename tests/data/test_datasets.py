"""Data sets: where they come from, their smaller variants, and their prepared files."""

import hashlib
import io
import json
import pickle
import re
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

from plasticity.core.errors import UserError
from plasticity.data import sources, storage
from plasticity.data.raw import RawData, shrink, variant
from plasticity.runs import datasets


def refusal(call, *arguments):
    with pytest.raises(UserError) as refused:
        call(*arguments)
    return str(refused.value)


# digits-clutter


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return datasets.parse("digits-clutter")(None, tmp_path_factory.mktemp("downloads"))


def test_digits_have_the_stated_shapes(digits):
    assert digits.train_images.shape == (1200, 1, 12, 12)
    assert digits.test_images.shape == (597, 1, 12, 12)
    assert digits.train_images.dtype == digits.test_images.dtype == np.uint8
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int64
    assert digits.classes == [str(digit) for digit in range(10)]
    assert set(digits.train_labels) == set(digits.test_labels) == set(range(10))


def test_digits_are_the_same_bytes_everywhere(digits):
    digest = hashlib.sha256()
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        digest.update(np.ascontiguousarray(getattr(digits, part)))
    # A change here changes every result on this data set.
    assert digest.hexdigest() == "5eb3d930cf440601d8408d672943382ffeda95f735bf9504e0113c5d051d2a1a"


def test_digits_are_made_the_same_each_time(digits, tmp_path):
    again = datasets.parse("digits-clutter")(None, tmp_path)
    assert np.array_equal(again.train_images, digits.train_images)
    assert np.array_equal(again.test_labels, digits.test_labels)


def test_digits_stand_in_noise(digits):
    """The noise ends at 0.6 of the range; what is brighter is digit, of which there is much."""
    bright = (digits.train_images > np.round(0.6 * 255)).mean()
    assert 0.05 < bright < 0.3
    assert digits.train_images.max() == 255


def test_digits_have_no_other_source(tmp_path):
    message = refusal(datasets.parse("digits-clutter"), tmp_path, tmp_path)
    assert message.startswith(f"sources.digits-clutter: {tmp_path}: ")
    assert "remove the key" in message


# A decoded data set


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("train_images", np.zeros((24, 3, 8, 8)), "the train images are float64"),
        ("train_images", np.zeros((24, 64), np.uint8), "the train images are uint8 [24, 64]"),
        (
            "test_images",
            np.zeros((7, 3, 8, 8), np.uint8),
            "the test images are uint8 [7, 3, 8, 8] for 8 labels",
        ),
        ("train_labels", np.arange(24), "the train labels are not all in 0 to 2"),
        ("test_labels", np.arange(8) % 3 - 1, "the test labels are not all in 0 to 2"),
    ],
)
def test_a_data_set_that_does_not_fit_together_is_refused(raw, part, value, message):
    fields = {**vars(raw), part: value}
    assert f"random numbers: {message}" in refusal(lambda: RawData(**fields))


def test_a_data_set_without_examples_is_refused(raw):
    empty = {"test_images": raw.test_images[:0], "test_labels": raw.test_labels[:0]}
    refusal(lambda: RawData(**{**vars(raw), **empty}))


# Variants


def test_a_data_set_without_a_variant_is_itself(raw):
    assert variant(raw, datasets.parse("cifar10")) == raw


def test_fewer_examples_are_some_of_all_with_their_labels(raw):
    small = variant(raw, datasets.parse("cifar10-n10"))
    assert len(small.train_images) == len(small.train_labels) == 10
    everything = {
        image.tobytes(): label
        for image, label in zip(raw.train_images, raw.train_labels, strict=True)
    }
    for image, label in zip(small.train_images, small.train_labels, strict=True):
        assert everything[image.tobytes()] == label
    assert small.test_images is raw.test_images


def test_a_larger_variant_begins_with_a_smaller_one(raw):
    small, large = (variant(raw, datasets.parse(f"cifar10-n{n}")) for n in (5, 17))
    assert np.array_equal(large.train_images[:5], small.train_images)
    assert np.array_equal(large.train_labels[:5], small.train_labels)


def test_all_examples_are_a_variant_too(raw):
    everything = variant(raw, datasets.parse("cifar10-n24"))
    assert sorted(everything.train_labels) == sorted(raw.train_labels)


def test_more_examples_than_there_are_are_refused(raw):
    message = refusal(variant, raw, datasets.parse("cifar10-n25"))
    assert "data set cifar10-n25: there are only 24 training examples" in message


def test_fewer_pixels_are_means_of_blocks():
    image = np.array([[0, 4, 10, 20], [8, 12, 30, 41], [255, 255, 0, 0], [255, 255, 1, 1]])
    images = image.astype(np.uint8)[None, None]
    small = shrink(images, 2, datasets.parse("svhn-r2"))
    # Means 6, 25.25, 255 and 0.5; a half is rounded to even.
    assert small.tolist() == [[[[6, 25], [255, 0]]]]
    assert small.dtype == np.uint8


def test_both_parts_and_all_channels_shrink(raw):
    small = variant(raw, datasets.parse("cifar10-r4"))
    assert small.train_images.shape == (24, 3, 4, 4)
    assert small.test_images.shape == (8, 3, 4, 4)
    block = raw.test_images[5, 2, 6:8, 0:2]
    assert small.test_images[5, 2, 3, 0] == np.round(block.mean())


@pytest.mark.parametrize("pixels", [3, 5, 16])
def test_pixels_that_do_not_divide_are_refused(raw, pixels):
    message = refusal(variant, raw, datasets.parse(f"cifar10-r{pixels}"))
    assert f"data set cifar10-r{pixels}: images of 8 x 8 pixels" in message
    assert "-r takes a divisor of 8" in message


def test_images_that_are_not_square_are_refused():
    images = np.zeros((2, 1, 4, 8), np.uint8)
    assert "4 x 8 pixels" in refusal(shrink, images, 2, datasets.parse("svhn-r2"))


def test_examples_and_pixels_together(raw):
    small = variant(raw, datasets.parse("cifar10-n5-r2"))
    assert small.train_images.shape == (5, 3, 2, 2)
    assert small.test_images.shape == (8, 3, 2, 2)


# Prepared files


def test_a_prepared_data_set_reads_back(prepared, raw):
    for part in ("train", "test"):
        found = storage.read(prepared[part])
        assert np.array_equal(found.images, getattr(raw, f"{part}_images"))
        assert np.array_equal(found.labels, getattr(raw, f"{part}_labels"))
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
        assert found.header.name == "random"
        assert found.header.source == raw.source
        assert found.header.classes == raw.classes
    assert storage.read(prepared["train"]).header == storage.read(prepared["test"]).header


def test_a_prepared_data_set_reads_back_as_a_whole(prepared, raw):
    found = storage.read_raw(prepared["train"], prepared["test"])
    for name, value in vars(raw).items():
        assert np.array_equal(getattr(found, name), value)


def test_labels_read_without_the_images(prepared, raw):
    labels, header = storage.read_labels(prepared["train"])
    assert np.array_equal(labels, raw.train_labels)
    assert header.classes == raw.classes


def test_the_header_holds_the_statistics_of_the_training_images(prepared, raw):
    header = storage.read(prepared["test"]).header
    scaled = raw.train_images / 255
    assert header.mean == pytest.approx(scaled.mean(axis=(0, 2, 3)), rel=1e-12)
    assert header.deviation == pytest.approx(scaled.std(axis=(0, 2, 3)), rel=1e-12)


def test_the_header_holds_a_checksum_of_both_parts(prepared, raw, tmp_path):
    train, test = (storage.read(prepared[part]).header for part in ("train", "test"))
    assert train == test
    assert re.fullmatch(r"[0-9a-f]{64}", train.checksum)
    other = replace(raw, test_labels=raw.test_labels[::-1].copy())
    storage.write(other, "random", tmp_path / "train", tmp_path / "test")
    assert storage.read(tmp_path / "train").header.checksum != train.checksum


@given(arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 4)))
def test_channel_statistics_are_those_of_numpy(images):
    mean, deviation = storage.channel_statistics(images)
    scaled = images / 255
    assert mean == pytest.approx(scaled.mean(axis=(0, 2, 3)), rel=1e-12)
    # The variance is a difference of squares: its root has half of the digits.
    assert deviation == pytest.approx(scaled.std(axis=(0, 2, 3)), rel=1e-12, abs=1e-7)


def test_a_constant_channel_has_no_deviation():
    images = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None, None], (3, 256, 5, 5))
    mean, deviation = storage.channel_statistics(images)
    assert mean == pytest.approx(np.arange(256) / 255)
    assert deviation == pytest.approx(np.zeros(256), abs=1e-7)


def test_images_in_another_memory_order_are_stored_right(tmp_path, raw):
    turned = RawData(**{**vars(raw), "train_images": raw.train_images.transpose(0, 1, 3, 2)})
    storage.write(turned, "turned", tmp_path / "train", tmp_path / "test")
    assert np.array_equal(storage.read(tmp_path / "train").images, turned.train_images)


def test_two_preparations_give_the_same_bytes(prepared, raw, tmp_path):
    storage.write(raw, "random", tmp_path / "train", tmp_path / "test")
    assert (tmp_path / "train").read_bytes() == prepared["train"].read_bytes()
    assert (tmp_path / "test").read_bytes() == prepared["test"].read_bytes()


def test_any_reader_of_safetensors_can_read_it(prepared, raw):
    tensors = load_file(prepared["train"])
    assert np.array_equal(tensors["images"], raw.train_images)


@pytest.mark.parametrize("read", [storage.read, storage.read_labels])
@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100, b"PAR1 is another format"])
def test_a_file_of_another_kind_is_named(tmp_path, read, content):
    path = tmp_path / "train.safetensors"
    path.write_bytes(content)
    assert refusal(read, path).startswith(f"{path}: not a readable data set")


@pytest.mark.parametrize("read", [storage.read, storage.read_labels])
def test_a_missing_file_is_named(tmp_path, read):
    assert refusal(read, tmp_path / "none").startswith(f"{tmp_path / 'none'}: not a readable")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(prepared, share):
    data = prepared["train"].read_bytes()
    prepared["train"].write_bytes(data[: int(len(data) * share)])
    message = refusal(storage.read, prepared["train"])
    assert message.startswith(f"{prepared['train']}: not a readable data set")
    assert "delete it and run again to prepare it anew" in message


def flip(path, position, change=0xFF):
    data = bytearray(path.read_bytes())
    data[position] ^= change
    path.write_bytes(data)


@pytest.mark.parametrize("position", [-1, -100, -2000, -4600])
def test_a_flipped_byte_of_images_or_labels_is_named(prepared, position):
    flip(prepared["train"], position)
    message = refusal(storage.read, prepared["train"])
    assert message == (
        f"{prepared['train']}: damaged, its checksum is wrong; "
        "delete it and run again to prepare it anew"
    )


def test_a_flipped_byte_of_the_header_is_named(prepared):
    """Or it changed nothing that is read, such as white space."""
    path, good = prepared["train"], prepared["train"].read_bytes()
    before = storage.read(path)
    unseen = set()
    for position in range(8, 8 + int.from_bytes(good[:8], "little"), 5):
        path.write_bytes(good)
        flip(path, position, 1)
        try:
            after = storage.read(path)
        except (UserError, KeyError):  # a KeyError: see the part of another name
            continue
        unseen |= {name for name, v in vars(after.header).items() if v != vars(before.header)[name]}
    assert unseen == set(), "these changed and were accepted"


def test_images_of_another_type_are_refused(prepared):
    """One byte of the header turns uint8 into int8; the checksum of the bytes stays the same."""
    data = prepared["train"].read_bytes()
    assert data.count(b'"U8"') == 1
    prepared["train"].write_bytes(data.replace(b'"U8"', b'"I8"'))
    assert str(prepared["train"]) in refusal(storage.read, prepared["train"])


def test_a_full_disk_leaves_what_was_there(prepared, raw, full_disk):
    before = prepared["train"].read_bytes()
    with full_disk(1000):
        message = refusal(lambda: storage.write(raw, "other", **prepared))
    assert message.startswith(f"{prepared['train']}: cannot be written")
    assert prepared["train"].read_bytes() == before


# Parquet as the hub lays it out


def png(image):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_hub(path, images, labels, image_column="img", label_column="label"):
    cells = [{"bytes": png(image), "path": None} for image in images]
    pq.write_table(pa.table({image_column: cells, label_column: labels}), path)


@pytest.fixture
def hub(tmp_path, raw):
    """A folder as the hub's CIFAR-10 has it, with the training part in two files."""
    folder = tmp_path / "hub"
    folder.mkdir()
    for shard, some in enumerate((slice(0, 10), slice(10, None))):
        path = folder / f"train-0000{shard}-of-00002.parquet"
        write_hub(path, raw.train_images[some], raw.train_labels[some])
    write_hub(folder / "test-00000-of-00001.parquet", raw.test_images, raw.test_labels)
    return folder


def test_the_hub_s_files_give_the_same_images_in_order(hub, raw, tmp_path):
    found = datasets.parse("cifar10")(hub, tmp_path / "downloads")
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(found, part), getattr(raw, part))
    assert found.train_labels.dtype == np.int64
    assert found.classes[:2] == ["airplane", "automobile"]
    assert found.source == "parquet files in hub"
    assert not (tmp_path / "downloads").exists()


@pytest.mark.parametrize(
    ("name", "image_column", "label_column", "classes"),
    [
        ("cifar10", "image", "label", 10),
        ("cifar100", "img", "fine_label", 3),
        ("cifar100", "image", "label", 3),
        ("svhn", "image", "label", 10),
    ],
)
def test_the_hub_s_names_of_columns(tmp_path, raw, name, image_column, label_column, classes):
    for part in ("train", "test"):
        images, labels = getattr(raw, f"{part}_images"), getattr(raw, f"{part}_labels")
        write_hub(tmp_path / f"{part}.parquet", images, labels, image_column, label_column)
    found = datasets.parse(name)(tmp_path, tmp_path)
    assert np.array_equal(found.test_images, raw.test_images)
    assert np.array_equal(found.train_labels, raw.train_labels)
    assert len(found.classes) == classes


def test_grey_images_become_colour(tmp_path, raw):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(raw.test_images[0, 0], "L").save(buffer, "PNG")
    for part in ("train", "test"):
        table = pa.table({"img": [{"bytes": buffer.getvalue()}], "label": [0]})
        pq.write_table(table, tmp_path / f"{part}.parquet")
    found = datasets.parse("cifar10")(tmp_path, tmp_path)
    assert np.array_equal(found.test_images[0], np.repeat(raw.test_images[0, :1], 3, axis=0))


def load_hub(folder):
    return refusal(datasets.parse("cifar10"), folder, folder / "downloads")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_part_is_named(hub, part):
    for path in hub.glob(f"{part}*"):
        path.unlink()
    assert f"sources: {hub}: no {part}*.parquet in it" in load_hub(hub)


@pytest.mark.parametrize("column", ["img", "label"])
def test_a_missing_column_is_named(hub, column):
    path = hub / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(column), path)
    message = load_hub(hub)
    assert message.startswith(f"{path}: has the columns ")
    assert f"expected one of {'img, image' if column == 'img' else 'label'}" in message


def replace_cell(path, row, cell):
    table = pq.read_table(path)
    cells = table["img"].to_pylist()
    cells[row] = cell
    pq.write_table(table.set_column(0, "img", [cells]), path)


@pytest.mark.parametrize("damage", ["text", "truncated", "empty", "null", "header", "chunk"])
def test_an_image_that_cannot_be_decoded_is_named(hub, damage, raw):
    path, good = hub / "test-00000-of-00001.parquet", png(raw.test_images[3])
    cell = {
        "text": {"bytes": b"not an image", "path": None},
        "truncated": {"bytes": good[:100], "path": None},
        "empty": {"bytes": b"", "path": None},
        "null": None,
        # Two lengths in the file that are too short: each ends another way in Pillow.
        "header": {"bytes": good[:11] + b"\x05" + good[12:], "path": None},
        "chunk": {"bytes": good[:36] + b"\x01" + good[37:], "path": None},
    }[damage]
    replace_cell(path, 3, cell)
    assert load_hub(hub).startswith(f"{path}: row 3 holds no readable image")


def test_images_of_different_sizes_are_refused(hub):
    path = hub / "test-00000-of-00001.parquet"
    replace_cell(path, 3, {"bytes": png(np.zeros((3, 9, 9), np.uint8)), "path": None})
    assert str(path) in load_hub(hub)


def test_a_part_without_rows_is_refused(hub, raw):
    path = hub / "test-00000-of-00001.parquet"
    write_hub(path, raw.test_images, raw.test_labels)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert "test" in load_hub(hub)


@pytest.mark.parametrize("labels", [["cat"] * 8, [None] + [0] * 7, [10] + [0] * 7])
def test_labels_that_are_no_classes_are_refused(hub, raw, labels):
    write_hub(hub / "test-00000-of-00001.parquet", raw.test_images, labels)
    assert "label" in load_hub(hub)


def test_a_damaged_parquet_file_is_named(hub):
    path = hub / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    assert load_hub(hub).startswith(f"{path}: not a readable parquet file")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_a_missing_folder_is_named(tmp_path, name):
    place = tmp_path / "nowhere"
    message = refusal(datasets.parse(name), place, tmp_path)
    assert message.startswith(f"sources: {place}: no such file or folder")
    assert "remove the key to download it" in message


def test_an_empty_folder_is_named(tmp_path):
    message = load_hub(tmp_path)
    assert message.startswith(f"sources: {tmp_path}: cifar-10-python.tar.gz is not in it")


# Original archives, with small ones in the place of torchvision's


def md5(data):
    return hashlib.md5(data).hexdigest()


def archive_of(files, folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def colour(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def cifar_batch(images, labels, key):
    return pickle.dumps({"data": images.reshape(len(images), -1), key: labels})


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A CIFAR-10 of 5 x 2 + 3 images, of which torchvision believes that it is the real one."""
    images, tests = colour(10, 0), colour(3, 1)
    files = {
        f"data_batch_{number + 1}": cifar_batch(
            images[2 * number : 2 * number + 2], [number, number + 5], "labels"
        )
        for number in range(5)
    }
    files["test_batch"] = cifar_batch(tests, [7, 8, 9], "labels")
    names = [f"class {label}" for label in range(10)]
    files["batches.meta"] = pickle.dumps({"label_names": names})
    original = sources._torchvision_datasets().CIFAR10
    data = archive_of(files, original.base_folder)
    checksums = {name: md5(content) for name, content in files.items()}
    trains = [[name, checksums[name]] for name, _ in original.train_list]
    monkeypatch.setattr(original, "tgz_md5", md5(data))
    monkeypatch.setattr(original, "train_list", trains)
    monkeypatch.setattr(original, "test_list", [["test_batch", checksums["test_batch"]]])
    meta = {**original.meta, "md5": checksums["batches.meta"]}
    monkeypatch.setattr(original, "meta", meta)
    place = tmp_path / "archives"
    place.mkdir()
    (place / original.filename).write_bytes(data)
    return place / original.filename


@pytest.mark.parametrize("given_as", ["file", "folder"])
def test_the_archive_of_cifar10_is_read(cifar10, given_as, tmp_path):
    source = cifar10 if given_as == "file" else cifar10.parent
    found = datasets.parse("cifar10")(source, tmp_path / "downloads")
    assert np.array_equal(found.train_images, colour(10, 0))
    assert np.array_equal(found.test_images, colour(3, 1))
    assert found.train_labels.tolist() == [0, 5, 1, 6, 2, 7, 3, 8, 4, 9]
    assert found.test_labels.tolist() == [7, 8, 9]
    assert found.classes[3] == "cat"
    assert found.source == "the original archive of CIFAR10"


def test_reading_an_archive_leaves_its_folder_alone(cifar10, tmp_path):
    datasets.parse("cifar10")(cifar10, tmp_path / "downloads")
    assert list(cifar10.parent.iterdir()) == [cifar10]
    assert not (tmp_path / "downloads").exists()


def test_an_archive_of_another_name_is_read(cifar10, tmp_path):
    renamed = cifar10.rename(cifar10.with_name("cifar.tgz"))
    assert len(datasets.parse("cifar10")(renamed, tmp_path).train_images) == 10


@pytest.mark.parametrize("given_as", ["file", "folder"])
def test_a_truncated_archive_is_refused_by_its_checksum(cifar10, given_as, tmp_path):
    expected = md5(cifar10.read_bytes())
    cifar10.write_bytes(cifar10.read_bytes()[:-1000])
    source = cifar10 if given_as == "file" else cifar10.parent
    message = refusal(datasets.parse("cifar10"), source, tmp_path / "downloads")
    assert message == (
        f"{cifar10}: its MD5 checksum is {md5(cifar10.read_bytes())}, expected {expected}: "
        "the file is truncated or altered; fetch it again"
    )
    assert list(cifar10.parent.iterdir()) == [cifar10]
    assert not (tmp_path / "downloads").exists()


def test_an_archive_is_prepared_and_reads_back(cifar10, tmp_path):
    found = datasets.parse("cifar10")(cifar10, tmp_path)
    storage.write(found, "cifar10", tmp_path / "train", tmp_path / "test")
    assert np.array_equal(storage.read(tmp_path / "test").images, colour(3, 1))


def test_the_archive_of_cifar100_is_read(tmp_path, monkeypatch):
    files = {
        "train": cifar_batch(colour(4, 0), [0, 99, 1, 2], "fine_labels"),
        "test": cifar_batch(colour(2, 1), [3, 4], "fine_labels"),
        "meta": pickle.dumps({"fine_label_names": [f"class {label}" for label in range(100)]}),
    }
    original = sources._torchvision_datasets().CIFAR100
    data = archive_of(files, original.base_folder)
    monkeypatch.setattr(original, "tgz_md5", md5(data))
    monkeypatch.setattr(original, "train_list", [["train", md5(files["train"])]])
    monkeypatch.setattr(original, "test_list", [["test", md5(files["test"])]])
    monkeypatch.setattr(original, "meta", {**original.meta, "md5": md5(files["meta"])})
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(data)
    found = datasets.parse("cifar100")(tmp_path, tmp_path / "downloads")
    assert np.array_equal(found.train_images, colour(4, 0))
    assert found.train_labels.tolist() == [0, 99, 1, 2]
    assert found.classes[99] == "class 99"


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    """An SVHN of 4 + 2 images, in whose files the digit 0 has the label 10."""
    from scipy.io import savemat

    original = sources._torchvision_datasets().SVHN
    splits = {}
    for part, labels in (("train", [1, 10, 3, 9]), ("test", [10, 2])):
        url, name, _ = original.split_list[part]
        path = tmp_path / "archives" / name
        path.parent.mkdir(exist_ok=True)
        images = colour(len(labels), part == "test").transpose(2, 3, 1, 0)
        savemat(path, {"X": images, "y": np.array(labels, dtype=np.uint8)[:, None]})
        splits[part] = [url, name, md5(path.read_bytes())]
    monkeypatch.setattr(original, "split_list", splits)
    return tmp_path / "archives"


def test_the_files_of_svhn_are_read(svhn, tmp_path):
    for source in (svhn, svhn / "train_32x32.mat"):
        found = datasets.parse("svhn")(source, tmp_path / "downloads")
        assert np.array_equal(found.train_images, colour(4, 0))
        assert np.array_equal(found.test_images, colour(2, 1))
        assert found.train_labels.tolist() == [1, 0, 3, 9]
        assert found.test_labels.tolist() == [0, 2]
        assert found.classes == [str(digit) for digit in range(10)]


def test_a_missing_file_of_svhn_is_named(svhn, tmp_path):
    (svhn / "test_32x32.mat").unlink()
    message = refusal(datasets.parse("svhn"), svhn / "train_32x32.mat", tmp_path)
    assert message.startswith(f"sources: {svhn}: test_32x32.mat is not in it")


def test_a_download_that_fails_names_the_way_out(tmp_path, monkeypatch):
    original = sources._torchvision_datasets().CIFAR10
    # A port of this machine on which nothing listens.
    monkeypatch.setattr(original, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    message = refusal(datasets.parse("cifar10"), None, tmp_path / "downloads")
    assert message.startswith(f"CIFAR10: could not be downloaded to {tmp_path / 'downloads'}")
    assert "sources: {cifar10: /path/to/archive-or-parquet-folder}" in message


def test_the_header_explains_itself(prepared):
    from safetensors import safe_open

    with safe_open(prepared["train"], framework="np") as file:
        about = json.loads(file.metadata()["plasticity"])["header"]
    assert about["name"] == "random"
    assert about["source"] == "random numbers"
    assert about["classes"] == ["ant", "bee", "cow"]


def test_kinds_of_source_are_told_apart(tmp_path):
    """Another kind may hold other images under the same name, and is prepared anew."""
    place = tmp_path / "jpeg"
    place.mkdir()
    (place / "train-0.parquet").touch()
    assert sources.origin(None) == sources.origin("/data/cifar-10-python.tar.gz") == "original"
    assert sources.origin(str(place)) == "parquet files in jpeg"
