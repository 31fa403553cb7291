"""Sources of data are known by what they hold, and not by where they are."""

import os
import shutil

import pytest
from refusal import refusal

from plasticity.data import origin
from plasticity.data.origin import Checksums, files_of, same
from plasticity.runs import DatasetFacts, datasets

OWN = DatasetFacts(80, 40, 10, 3, 8)
CIFAR = datasets.parse("cifar10").facts


@pytest.fixture
def hub(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    for name in ("train-0", "train-1", "test", "validation"):
        (folder / f"{name}.parquet").write_text(name)
    return folder


def test_only_what_is_read_of_the_hub_s_layout_counts(hub):
    before = files_of(hub, CIFAR)
    assert sorted(before) == ["test.parquet", "train-0.parquet", "train-1.parquet"]
    (hub / "README.md").write_text("new")
    (hub / "validation.parquet").write_text("new")
    assert files_of(hub, OWN) == before


def test_a_folder_of_one_s_own_counts_as_a_whole(tmp_path):
    (tmp_path / "cat").mkdir()
    for name in ("1", "2"):
        (tmp_path / "cat" / f"{name}.png").write_text(name)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "file").touch()
    before = files_of(tmp_path, OWN)
    assert list(before) == ["cat/1.png", "cat/2.png"]
    (tmp_path / "cat" / "1.png").rename(tmp_path / "1.png")
    assert not same(files_of(tmp_path, OWN), before)


@pytest.fixture
def images(tmp_path):
    """A folder of images, a class a folder."""
    for name in ("license plate/1.png", "license plate/2.png", "tree/1.png", "classes.txt"):
        place = tmp_path / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    return tmp_path / "images"


def test_what_no_reader_reads_may_come_go_and_change(images):
    (images / "README.md").write_text("of before")
    before = files_of(images, OWN)
    (images / "README.md").write_text("changed")
    for name in ("LICENSE", "tree/Thumbs.db", "__MACOSX/1.png", "notes.txt", "index.json", "b.npy"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_text("new")
    assert same(before, files_of(images, OWN))
    (images / "README.md").unlink()
    assert same(before, files_of(images, OWN))


@pytest.mark.parametrize("name", ["tree/3.png", "license plate/3.PNG", "README.png"])
def test_another_image_is_another_source(images, name):
    before = files_of(images, OWN)
    (images / name).write_text("new")
    assert not same(before, files_of(images, OWN))


@pytest.mark.parametrize("name", ["license plate/1.png", "classes.txt"])
@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_file_that_is_gone_or_changed_is_another_source(images, name, how):
    before = files_of(images, OWN)
    (images / name).unlink() if how == "gone" else (images / name).write_text("another")
    assert not same(before, files_of(images, OWN))


def test_one_file_of_a_folder_may_be_renamed_and_have_a_note_beside_it(tmp_path):
    (tmp_path / "data.npz").write_text("data")
    before = files_of(tmp_path, OWN)
    (tmp_path / "data.npz").rename(tmp_path / "digits.npz")
    (tmp_path / "cache.json").write_text("new")
    assert same(before, files_of(tmp_path, OWN))
    (tmp_path / "more.npz").write_text("more")
    assert not same(before, files_of(tmp_path, OWN))


def test_nothing_is_as_good_as_the_originals(hub):
    assert same({}, {})
    assert not same({}, files_of(hub, CIFAR))
    assert not same(files_of(hub, CIFAR), {})


def test_originals_are_all_alike(tmp_path):
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_text("anything: it is verified when it is read")
    for source in (None, archive, tmp_path):
        assert files_of(source, CIFAR) == {}
    assert files_of(archive, OWN) != {}


def test_a_place_that_is_not_there_is_told(tmp_path):
    message = refusal(files_of, tmp_path / "none", OWN)
    assert message.startswith(f"sources: {tmp_path / 'none'}: no such file or folder")


def test_a_pointer_of_git_lfs_is_told(hub):
    (hub / "test.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid")
    assert "run 'git lfs pull'" in refusal(files_of, hub, OWN)


def test_moved_touched_or_renamed_is_the_same(hub, tmp_path):
    before = files_of(hub, OWN)
    moved = tmp_path / "elsewhere"
    shutil.copytree(hub, moved)
    os.utime(moved / "test.parquet", (1, 1))
    (moved / "train-0.parquet").rename(moved / "train-00000-of-00002.parquet")
    (moved / "train-1.parquet").rename(moved / "train-00001-of-00002.parquet")
    assert same(files_of(moved, OWN), before)
    one, other = tmp_path / "a.npz", tmp_path / "b.npz"
    one.write_text("x")
    other.write_text("x")
    assert same(files_of(one, OWN), files_of(other, OWN))


def test_swapped_or_changed_is_not_the_same(hub):
    before = files_of(hub, OWN)
    times = (hub / "test.parquet").stat()
    (hub / "test.parquet").write_text("Test")  # as long as before, and not younger
    os.utime(hub / "test.parquet", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not same(files_of(hub, OWN), before)
    (hub / "test.parquet").write_text("train-0")
    (hub / "train-0.parquet").write_text("test")
    assert not same(files_of(hub, OWN), before), "the same files as other parts"


def test_a_file_that_stays_is_read_once(hub, tmp_path, monkeypatch):
    place = tmp_path / "checksums.json"
    before = files_of(hub, OWN, Checksums(place))

    def read(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(origin, "_checksum", read)
    assert files_of(hub, OWN, Checksums(place)) == before
    (hub / "test.parquet").write_text("another")
    with pytest.raises(AssertionError, match="was read"):
        files_of(hub, OWN, Checksums(place))


@pytest.mark.parametrize("remembered", ["", "[]", "1", "{", '{"/a": 1}'])
def test_what_is_remembered_may_be_lost(hub, tmp_path, remembered):
    place = tmp_path / "checksums.json"
    place.write_text(remembered)
    assert files_of(hub, OWN, Checksums(place)) == files_of(hub, OWN)


def test_nothing_is_remembered_where_there_is_no_folder(hub, tmp_path):
    files_of(hub, OWN, Checksums(tmp_path / "none" / "checksums.json"))
    assert not (tmp_path / "none").exists()
