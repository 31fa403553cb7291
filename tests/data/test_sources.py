"""Where data sets come from: parquet in the hub's layout, and original archives."""

import gzip
import hashlib
import io
import pickle
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusal import refusal

from plasticity.data import sources, storage
from plasticity.runs import datasets

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
    message = load_hub(hub)
    assert message.startswith(f"sources.cifar10: {hub}: there is no {part} part among t")
    assert "expected train*.parquet and test*.parquet" in message


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


def test_a_pointer_of_git_lfs_is_no_truncated_archive(cifar10, tmp_path):
    cifar10.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert "run 'git lfs pull'" in refusal(datasets.parse("cifar10"), cifar10, tmp_path)


# Grey images in four archives


def idx(array):
    """`array`, uint8, as the archives of MNIST hold one."""
    head = bytes([0, 0, 8, array.ndim])
    return gzip.compress(head + np.array(array.shape, ">i4").tobytes() + array.tobytes())


GREY = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}


@pytest.mark.parametrize("word", GREY)
@pytest.mark.parametrize("below", ["", "{}/raw"])
def test_the_archives_of_mnist_are_read(tmp_path, monkeypatch, word, below):
    original = getattr(sources._torchvision_datasets(), GREY[word])
    folder = tmp_path / "archives" / below.format(GREY[word])
    folder.mkdir(parents=True)
    arrays = {}
    for part, name, count in (("train", "train", 6), ("t10k", "test", 4)):
        arrays[name] = (
            colour(count, name == "test")[:, 0, :28, :28],
            np.arange(count, dtype=np.uint8),
        )
        for array, what in zip(arrays[name], ("images-idx3", "labels-idx1"), strict=True):
            (folder / f"{part}-{what}-ubyte.gz").write_bytes(idx(array))
    real = dict(original.resources)
    assert sorted(real) == sorted(path.name for path in folder.iterdir())
    checksums = [(name, md5((folder / name).read_bytes())) for name in real]
    monkeypatch.setattr(original, "resources", checksums)
    found = datasets.parse(word)(tmp_path / "archives", tmp_path / "downloads")
    assert np.array_equal(found.train_images[:, 0], arrays["train"][0])
    assert found.test_labels.tolist() == [0, 1, 2, 3]
    assert len(found.classes) == datasets.parse(word).facts.classes
    assert found.classes[0] == {"mnist": "0", "fashion-mnist": "T-shirt/top"}[word]
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-3])
    message = refusal(datasets.parse(word), tmp_path / "archives", tmp_path)
    assert message.startswith(f"{path}: its MD5 checksum is ")


def test_mnist_in_the_hub_s_layout_has_one_channel(tmp_path, raw):
    for part in ("train", "test"):
        images, labels = getattr(raw, f"{part}_images"), getattr(raw, f"{part}_labels")
        folder = tmp_path / "mnist"
        folder.mkdir(exist_ok=True)
        write_hub(
            folder / f"{part}-00000-of-00001.parquet", images[:, :1].repeat(3, 1), labels, "image"
        )
    found = datasets.parse("mnist")(tmp_path, tmp_path)
    assert np.array_equal(found.train_images, raw.train_images[:, :1])
    assert found.classes == [str(digit) for digit in range(10)]
