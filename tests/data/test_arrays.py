"""Arrays of NumPy's: every common layout is read, and the others are refused in words."""

import numpy as np
import own
import pytest
from own import declare, read
from refusal import refusal

from plasticity.data import arrays

TRAIN, TEST = own.pictures(6), own.pictures(4, 1)
LABELS = np.array([0, 1, 2, 0, 1, 2]), np.array([2, 1, 0, 1])
PLAIN = {"x_train": TRAIN, "y_train": LABELS[0], "x_test": TEST, "y_test": LABELS[1]}


def saved(place, **given):
    """An npz file of `PLAIN` with some in other shapes."""
    path = place / "own.npz"
    np.savez(path, **{**PLAIN, **given})
    return declare("arrays", path)


def expect_plain(data):
    assert np.array_equal(data.train_images, TRAIN.transpose(0, 3, 1, 2))
    assert np.array_equal(data.test_images, TEST.transpose(0, 3, 1, 2))
    assert data.train_labels.tolist() == LABELS[0].tolist()
    assert data.test_labels.tolist() == LABELS[1].tolist()


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images_train", "labels_train", "images_val", "labels_val"),
        ("trainImages", "trainLabels", "testImages", "testLabels"),
        ("train-data", "train-targets", "test-data", "test-targets"),
    ],
)
def test_names(tmp_path, names):
    np.savez(tmp_path / "own.npz", **dict(zip(names, PLAIN.values(), strict=True)))
    expect_plain(read(declare("arrays", tmp_path / "own.npz")))


@pytest.mark.parametrize("how", ["npy", "npz", "two", "compressed"])
def test_files(tmp_path, how):
    for name, array in PLAIN.items():
        if how == "npy":
            np.save(tmp_path / f"{name}.npy", array)
        elif how == "npz":  # arr_0 in a file of its own
            np.savez(tmp_path / f"own-{name.replace('_', '-')}.npz", array)
    if how == "two":
        for part in ("train", "test"):
            named = {"images": PLAIN[f"x_{part}"], "labels": PLAIN[f"y_{part}"]}
            np.savez(tmp_path / f"{part}.npz", **named)
    if how == "compressed":
        np.savez_compressed(tmp_path / "own.npz", **PLAIN)
    expect_plain(read(declare("arrays", tmp_path)))


@pytest.mark.parametrize(
    "images",
    [
        lambda one: one.transpose(0, 3, 1, 2),
        lambda one: one.astype(np.int32),
        lambda one: one.astype(np.float64),
        lambda one: (one / 255).astype(np.float32),
        lambda one: one / 255,
        np.asfortranarray,
    ],
)
def test_images(tmp_path, images):
    expect_plain(read(saved(tmp_path, x_train=images(TRAIN), x_test=images(TEST))))


@pytest.mark.parametrize(
    "labels",
    [
        lambda one: one[:, None],
        lambda one: one.astype(np.float32),
        lambda one: one.astype(np.uint8),
        lambda one: np.eye(3)[one],
        lambda one: np.eye(3, dtype=bool)[one],
        lambda one: np.array(["ant", "bee", "cow"])[one],
        lambda one: np.array([b"ant", b"bee", b"cow"])[one],
    ],
)
def test_labels(tmp_path, labels):
    data = read(saved(tmp_path, y_train=labels(LABELS[0]), y_test=labels(LABELS[1])))
    expect_plain(data)
    assert data.classes in (["0", "1", "2"], ["ant", "bee", "cow"])


def test_labels_that_count_from_1(tmp_path):
    data = read(saved(tmp_path, y_train=LABELS[0] + 1, y_test=LABELS[1] + 1))
    expect_plain(data)
    assert data.classes == ["1", "2", "3"]


def test_classes_are_called_as_an_array_says(tmp_path):
    data = read(saved(tmp_path, class_names=np.array(["x", "y", "z"])))
    assert data.classes == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("shape", "options", "found"),
    [
        ((8, 12), {}, (1, 8, 12)),
        ((5, 8, 9), {}, (5, 8, 9)),
        ((8, 9, 5), {}, (5, 8, 9)),
        ((3, 8, 3), {"axes": "nhwc"}, (3, 3, 8)),
        ((3, 8, 3), {"axes": "nchw"}, (3, 8, 3)),
        ((8, 12), {"resize": 6}, (1, 6, 6)),
    ],
)
def test_shapes(tmp_path, shape, options, found):
    saved(tmp_path, x_train=own.pictures(6, 0, shape), x_test=own.pictures(4, 1, shape))
    data = read(declare("arrays", tmp_path / "own.npz", **options))
    assert data.train_images.shape[1:] == found


def test_images_and_labels_that_are_named(tmp_path):
    saved(tmp_path, coarse_train=LABELS[0] // 2, coarse_test=LABELS[1] // 2)
    data = read(declare("arrays", tmp_path / "own.npz", label="coarse"))
    assert len(data.classes) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"x_train": TRAIN - 127.5}, "its values go from"),
        ({"x_train": TRAIN / 255 * 9}, "and are no whole numbers"),
        ({"x_train": np.full((6, 6, 6, 3), np.nan)}, "its values go from nan to nan"),
        ({"x_train": TRAIN / 255}, "those of the other in 0 .. 255; expected one range"),
        ({"x_train": own.pictures(6, 0, (3, 8, 3))}, "say datasets.own.axes: nchw, or nhwc"),
        ({"x_train": TRAIN.reshape(6, -1)}, "has the shape [6, 108]; expected images"),
        ({"x_train": TRAIN[:5]}, "expected a label for each image"),
        ({"y_train": LABELS[0] + 0.5}, "expected whole numbers or names"),
        ({"y_train": np.ones((6, 3))}, "its rows are not one-hot"),
        ({"y_train": LABELS[0] - 1}, "the labels go down to -1; expected numbers from 0"),
        ({"y_test": np.array(["a", "b", "c", "d"])}, "train labels are numbers and the test"),
        ({"y_train": np.array([{}] * 6)}, "holds Python objects"),
        ({"images_train": TRAIN}, "x_train and images_train could both be meant"),
    ],
)
def test_what_is_not_understood_is_told(tmp_path, given, words):
    message = refusal(arrays.read, saved(tmp_path, **given))
    assert words in message
    assert "own" in message


@pytest.mark.parametrize("damage", ["nowhere", "text", "truncated", "no parts", "one part", "name"])
def test_a_file_that_is_none_is_told(tmp_path, damage):
    path = tmp_path / "own.npz"
    saved(tmp_path)
    words = "not a readable file of arrays"
    if damage == "nowhere":
        path.unlink()
        words = "no such file or folder; expected arrays of images and labels of both parts"
    elif damage == "text":
        path.write_text("text")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif damage == "no parts":
        np.savez(path, x=TRAIN, y=LABELS[0])
        words = "holds x [6, 6, 6, 3], y [6]; expected arrays of images and labels of both parts"
    elif damage == "one part":
        np.savez(path, x_train=TRAIN, y_train=LABELS[0])
        words = "there is no test part among train"
    else:
        path = path.rename(tmp_path / "own.pkl")
        words = "expected an npz file, or a folder of npy files"
    assert words in refusal(arrays.read, declare("arrays", path))
