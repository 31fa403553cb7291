"""Data sets: digits-clutter, decoded data, and smaller variants."""

import hashlib

import numpy as np
import pytest
from refusal import refusal

from plasticity.data import storage
from plasticity.data.raw import RawData, remarks, shrink, variant
from plasticity.runs import DatasetFacts, Registry, Term, datasets

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
        ("test_labels", np.arange(8) % 3 - 1, "the test labels are not all in 0 to 2: they go fr"),
        ("train_labels", np.arange(24)[:, None] % 3, "the train labels have the shape [24, 1]; ex"),
        ("test_labels", np.eye(8, 3, dtype=int), "the test labels have the shape [8, 3]; expect"),
        ("test_labels", np.int64(1), "the test labels have the shape []"),
        ("test_labels", np.arange(8) % 3 / 1, "the test labels are floating-point numbers; expe"),
        ("test_labels", np.array(["ant"] * 8), "the test labels are text; expected whole numbers"),
        ("test_labels", [None] * 8, "the test labels are objects; expected whole numbers"),
        ("test_labels", np.arange(8) > 3, "the test labels are true/false; expected whole numb"),
        ("test_labels", np.full(8, 2**64 - 1, np.uint64), "they go from 18446744073709551615 to"),
        (
            "test_images",
            np.zeros((8, 3, 8, 9), np.uint8),
            "[3, 8, 8] and the test images [3, 8, 9]",
        ),
        (
            "test_images",
            np.zeros((8, 1, 8, 8), np.uint8),
            "[3, 8, 8] and the test images [1, 8, 8]",
        ),
        ("classes", ["ant", "bee", "ant"], "two classes have one name"),
    ],
)
def test_a_data_set_that_does_not_fit_together_is_refused(raw, part, value, message):
    fields = {**vars(raw), part: value}
    found = refusal(lambda: RawData(**fields))
    assert found.startswith("random numbers: ")
    assert message in found


def test_labels_that_count_from_1_are_told(raw):
    fields = {**vars(raw), "train_labels": raw.train_labels + 1}
    assert "they seem to count from 1: subtract 1" in refusal(lambda: RawData(**fields))


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.uint64, np.int8])
def test_whole_numbers_of_any_size_are_labels(raw, kind):
    found = RawData(**{**vars(raw), "train_labels": raw.train_labels.astype(kind)})
    assert found.train_labels.dtype == np.int64
    assert np.array_equal(found.train_labels, raw.train_labels)


def test_a_data_set_without_examples_is_refused(raw):
    empty = {"test_images": raw.test_images[:0], "test_labels": raw.test_labels[:0]}
    refusal(lambda: RawData(**{**vars(raw), **empty}))


# Compared with what is declared


def declared(**facts):
    """The name of a data set that declares what `raw` is, but for some `facts`."""
    known = {"train": 24, "test": 8, "classes": 3, "channels": 3, "pixels": 8}
    registry = Registry("data set", DatasetFacts, "")

    def own():
        """Own data."""

    registry.member("own", facts=DatasetFacts(**{**known, **facts}))(own)
    return Term(registry._members["own"], ())


def test_what_is_as_declared_needs_no_remark(raw):
    assert remarks(raw, declared()) == []


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"channels": 1}, "images of 3 channels and 8 x 8 pixels, declared are 1 channels"),
        ({"channels": 8}, "channels come first: images.transpose(0, 3, 1, 2)"),
        ({"train": 23}, "24 train examples, and 23 are declared; remove what is there twice"),
        ({"test": 7}, "8 test examples, and 7 are declared"),
        ({"classes": 2}, "3 classes, and 2 are declared"),
    ],
)
def test_what_contradicts_the_facts_is_refused(raw, facts, message):
    assert message in refusal(remarks, raw, declared(**facts))


@pytest.mark.parametrize("side", [28, 3])
def test_channels_that_come_last_are_told(raw, side):
    """Of grey images of 28 x 28 x 1 pixels each line would be a channel."""
    images = np.zeros((24, side, 28, 1), np.uint8)
    tests = images[:8]
    turned = RawData(**{**vars(raw), "train_images": images, "test_images": tests})
    message = refusal(remarks, turned, declared(channels=1, pixels=28))
    assert message.startswith(f"random numbers, as own: images of {side} channels")
    assert message.endswith("channels come first: images.transpose(0, 3, 1, 2)")


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({"train": 50_000}, "24 train examples, and 50,000 are declared"),
        ({"classes": 4}, "3 classes, and 4 are declared"),
        ({"pixels": 32}, "8 x 8 pixels, and 32 x 32 are declared"),
    ],
)
def test_what_may_be_meant_is_remarked(raw, facts, note):
    assert remarks(raw, declared(**facts)) == [note]


def test_strange_data_are_remarked(raw):
    images = {f"{part}_images": raw.test_images for part in ("train", "test")}
    labels = {f"{part}_labels": np.zeros(8, int) for part in ("train", "test")}
    found = remarks(RawData(**{**vars(raw), **images, **labels}), declared(train=8))
    assert found == [
        "the test examples are those of training",
        "2 classes have no training example: bee, cow",
    ]


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


def test_what_is_held_out_is_the_end_of_the_same_shuffle(raw):
    held, more = (variant(raw, datasets.parse(f"cifar10-v{n}")) for n in (5, 9))
    assert np.array_equal(more.validation_images[4:], held.validation_images)
    assert len(held.train_labels) == 19
    everything = variant(raw, datasets.parse("cifar10-n24"))
    for what in ("images", "labels"):
        joined = [getattr(held, f"{part}_{what}") for part in ("train", "validation")]
        assert np.array_equal(np.concatenate(joined), getattr(everything, f"train_{what}"))
    assert held.test_images is raw.test_images
    assert raw.validation_images is None


def test_fewer_examples_have_the_same_held_out(raw):
    small, held = (variant(raw, datasets.parse(f"cifar10-{n}v5")) for n in ("n7-r4-", ""))
    assert np.array_equal(small.validation_labels, held.validation_labels)
    assert np.array_equal(small.train_labels, held.train_labels[:7])
    assert small.validation_images.shape == (5, 3, 4, 4)


@pytest.mark.parametrize("name", ["cifar10-v24", "cifar10-n20-v5"])
def test_no_example_is_trained_on_and_held_out(raw, name):
    message = refusal(variant, raw, datasets.parse(name))
    assert "there are only 24 training examples; ask for fewer with -" in message


def test_what_is_held_out_is_prepared_beside_the_test_part(raw, tmp_path):
    held = variant(raw, datasets.parse("cifar10-v5"))
    places = tmp_path / "train", tmp_path / "test"
    header = storage.write(held, "cifar10-v5", *places)
    test, validation = storage.read_evaluated(places[1])
    assert np.array_equal(test.images, raw.test_images)
    assert np.array_equal(validation.images, held.validation_images)
    assert np.array_equal(validation.labels, held.validation_labels)
    assert storage.read_evaluated(places[0])[1] is None
    assert storage.write(variant(raw, datasets.parse("cifar10-n19")), "", *places) != header


def test_images_in_both_parts_are_remarked(raw):
    tests = raw.test_images.copy()
    tests[2] = raw.train_images[7]
    found = remarks(RawData(**{**vars(raw), "test_images": tests}), declared())
    assert found == ["1 of 8 test images are in training too, pixel by pixel"]


def test_sizes_that_are_not_square_are_as_declared(raw):
    wide = {
        f"{part}_images": getattr(raw, f"{part}_images")[:, :, :4] for part in ("train", "test")
    }
    data = RawData(**{**vars(raw), **wide})
    assert remarks(data, declared(pixels=4, width=8)) == []
    assert remarks(data, declared(pixels=4)) == ["4 x 8 pixels, and 4 x 4 are declared"]
