"""Image folders: layouts, sizes, kinds of images, and what is refused."""

import shutil

import numpy as np
import own
import pytest
from own import declare, read
from PIL import Image
from refusal import refusal

from plasticity.data import folders


def test_a_folder_a_class(tmp_path):
    data = read(declare("images", own.folder(tmp_path)))
    assert data.classes == ["ant", "bee"]
    assert data.train_labels.tolist() == [0] * 6 + [1] * 6
    assert np.array_equal(data.test_images[4:], own.pictures(4, 11).transpose(0, 3, 1, 2))
    assert data.notes == ()


@pytest.mark.parametrize("parts", [("train", "val"), ("Training", "Testing"), ("train", "valid")])
def test_parts_by_other_names(tmp_path, parts):
    data = read(declare("images", own.folder(tmp_path, zip(parts, (6, 4), strict=True))))
    assert len(data.test_labels) == 8
    assert bool(data.notes) == (parts[1] != "Testing")


def test_a_part_by_choice_and_a_folder_within_another(tmp_path):
    own.folder(tmp_path / "birds", [("train", 6), ("test", 4), ("val", 3)])
    assert len(read(declare("images", tmp_path)).test_labels) == 8
    data = read(declare("images", tmp_path, test="validation"))
    assert len(data.test_labels) == 6
    assert data.notes == ("the part test is not used",)


def test_what_programs_leave_is_no_part_no_class_and_no_data(tmp_path):
    """Such as an archive made on a Mac brings beside and into its folders."""
    own.folder(tmp_path / "birds")
    for place in ("__MACOSX/birds/train", "birds/train/__MACOSX", "birds/train/ant/__pycache__"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "0.png").write_bytes(b"no image")
    (tmp_path / "birds/train/ant/Thumbs.db").touch()
    data = read(declare("images", tmp_path))
    assert data.classes == ["ant", "bee"]
    assert len(data.train_labels) == 12
    assert data.notes == ()


def test_images_that_are_not_square_and_in_other_folders_and_kinds(tmp_path):
    own.folder(tmp_path, shape=(4, 9, 3))
    own.write(tmp_path / "train/ant/images/deep.JPEG", own.pictures(1, shape=(4, 9, 3))[0])
    (tmp_path / "train/ant/boxes.txt").write_text("1 2 3 4")
    (tmp_path / "train/ant/.DS_Store").touch()
    data = read(declare("images", tmp_path))
    assert data.train_images.shape == (13, 3, 4, 9)
    assert "1 files are no images, such as" in data.notes[0]


def test_modes_become_colour_or_grey(tmp_path):
    own.folder(tmp_path)
    grey = own.pictures(1, shape=(6, 6))[0]
    own.write(tmp_path / "train/ant/0.png", grey)
    clear = own.pictures(1, shape=(6, 6, 4))[0]
    Image.fromarray(clear).save(tmp_path / "train/ant/1.png")
    data = read(declare("images", tmp_path))
    assert np.array_equal(data.train_images[0], np.repeat(grey[None], 3, axis=0))
    assert np.array_equal(data.train_images[1], clear[..., :3].transpose(2, 0, 1))
    assert np.array_equal(read(declare("images", tmp_path, channels=1)).train_images[0, 0], grey)


def test_the_first_image_turned_by_its_camera(tmp_path):
    own.folder(tmp_path, shape=(9, 4, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    first = Image.fromarray(own.pictures(1, shape=(4, 9, 3))[0])
    first.save(tmp_path / "train/ant/0.png", exif=exif)
    assert read(declare("images", tmp_path)).train_images.shape[2:] == (9, 4)


def test_sizes_that_differ_need_a_size(tmp_path):
    own.folder(tmp_path)
    own.write(tmp_path / "train/ant/3.png", own.pictures(1, shape=(8, 5, 3))[0])
    message = refusal(folders.read, declare("images", tmp_path))
    assert message == (
        f"{tmp_path / 'train/ant/3.png'} is an image of (8, 5) pixels among others of (6, 6); "
        "bring all to one size, such as datasets.own.resize: 32"
    )
    data = read(declare("images", tmp_path, resize=[4, 5]))
    assert data.train_images.shape == (12, 3, 4, 5)
    expected = Image.fromarray(own.pictures(6)[0]).resize((5, 4), Image.Resampling.BILINEAR)
    assert np.array_equal(data.train_images[0], np.asarray(expected).transpose(2, 0, 1))


def tiny_imagenet(place):
    """Its layout: a list says the classes of validation, and test images have none."""
    own.folder(place, [("train", 3)], ("n01", "n02"))
    for number, image in enumerate(own.pictures(2, 5)):
        own.write(place / f"val/images/val_{number}.JPEG", image)
        own.write(place / f"test/images/test_{number}.JPEG", image)
    list_ = place / "val/val_annotations.txt"
    list_.write_text("val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n")
    return place


def test_tiny_imagenet(tmp_path):
    wanted = declare("images", tiny_imagenet(tmp_path))
    data = read(wanted)
    assert data.test_labels.tolist() == [0, 1]
    assert data.notes == ("the images in test have no labels: val is tested on",)
    assert [*folders.listed(wanted)][-1] == "val/val_annotations.txt"
    (tmp_path / "val/val_annotations.txt").write_text("val_7.JPEG\tn02\n")
    assert "names no image below" in refusal(folders.read, wanted)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("nowhere", "no such folder; expected one with folders train/ and test/"),
        ("no test", "there is no test part among train"),
        ("no train", "there is no train part among test"),
        ("loose", "images such as 0.png lie in it itself; expected a folder a class"),
        ("empty", "no images are in it; expected a folder a class"),
        ("other class", "has the class wasp, which"),
        ("damaged", "holds no readable image (damaged, or of an unknown format)"),
        ("asked", "datasets.own.test: night: "),
    ],
)
def test_what_is_not_understood_is_told(tmp_path, damage, words):
    place, options = own.folder(tmp_path / "birds"), {}
    if damage.startswith("no"):
        shutil.rmtree({"no test": place / "test", "no train": place / "train"}.get(damage, place))
    elif damage in ("loose", "empty"):
        shutil.rmtree(place / "test")
        own.write(place / "test" / f"0.{'png' if damage == 'loose' else 'gif'}", own.pictures(1)[0])
        if damage == "empty":
            (place / "test/0.gif").rename(place / "test/readme.txt")
    elif damage == "other class":
        (place / "test/ant").rename(place / "test/wasp")
    elif damage == "damaged":
        (place / "train/bee/2.png").write_text("damaged")
    else:
        options = {"test": "night"}
    assert words in refusal(folders.read, declare("images", place, **options))
