"""Prepared files of data sets."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusal import refusal
from safetensors.numpy import load_file

from plasticity.core.errors import UserError
from plasticity.data import storage
from plasticity.data.raw import RawData

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
    expected = scaled.std(axis=(0, 2, 3))
    # The variance is a difference of squares: its root has half of the digits.
    assert deviation == pytest.approx(np.where(expected < 0.001, 1.0, expected), rel=1e-9)


def test_the_deviation_of_a_constant_channel_counts_as_1():
    """Rounding would leave something like 1e-9 or the root of a negative number for some levels."""
    images = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None, None], (3, 256, 5, 5))
    mean, deviation = storage.channel_statistics(images)
    assert mean == pytest.approx(np.arange(256) / 255)
    assert deviation.tolist() == [1.0] * 256


@pytest.mark.parametrize(("bright", "constant"), [(0, True), (1, False), (500, False)])
def test_a_channel_that_is_nearly_constant_counts_as_constant(tmp_path, raw, bright, constant):
    images = np.full((1000, 3, 8, 8), 7, np.uint8)
    images[:, 0] = np.random.default_rng(0).integers(0, 256, (1000, 8, 8))
    images[0, 1, 0, 0] = 8  # one pixel of 64,000 by one level
    images[:bright, 2] = 255
    fields = {**vars(raw), "train_images": images, "train_labels": np.arange(1000) % 3}
    header = storage.write(RawData(**fields), "dull", tmp_path / "train", tmp_path / "test")
    assert header.constant_channels == ([1, 2] if constant else [1])
    assert storage.read(tmp_path / "test").header == header


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


def test_the_header_explains_itself(prepared):
    from safetensors import safe_open

    with safe_open(prepared["train"], framework="np") as file:
        about = json.loads(file.metadata()["plasticity"])["header"]
    assert about["name"] == "random"
    assert about["source"] == "random numbers"
    assert about["files"] is None
    assert about["classes"] == ["ant", "bee", "cow"]


def test_the_header_tells_the_files_of_the_source(tmp_path, raw):
    header = storage.write(raw, "random", tmp_path / "train", tmp_path / "test", {"a.npz": "0f"})
    assert header.files == {"a.npz": "0f"}
    assert storage.read(tmp_path / "train").header.files == {"a.npz": "0f"}
