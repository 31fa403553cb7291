"""A data set whose source changes while results rest on it."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clone import counts

from plasticity.data import storage

TARGET = "results/data/cifar10/train.safetensors"


def lay_out(folder, seed):
    """A few images in the hub's layout, black, with labels by `seed`."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        labels = np.random.default_rng(seed).integers(0, 10, 20)
        cells = [{"bytes": buffer.getvalue(), "path": None}] * 20
        pq.write_table(pa.table({"img": cells, "label": labels}), folder / f"{part}.parquet")
    return folder


@pytest.fixture(scope="module")
def told(clone, tmp_path_factory):
    """What Snakemake says of the data set, given a source and more words."""

    def run(source, *words):
        configuration = ("--config", f"sources={{cifar10: {source}}}", *words)
        return clone.snakemake(TARGET, *configuration)

    return run


def test_a_source_that_changes_is_noticed_and_no_result_is_lost(clone, told, tmp_path):
    one, other = (lay_out(tmp_path / name / "data", seed) for seed, name in enumerate("ab"))
    status, printed = told(one)
    assert status == 0, printed
    log = (clone.path / "results/logs/data/cifar10.log").read_text()
    assert "note: channel 2 is constant: its deviation counts as 1" in log
    assert "note: 20 train examples, and 50,000 are declared" in log

    moved = shutil.move(one, tmp_path / "moved")
    assert "Nothing to be done" in told(moved)[1]
    # Nothing rests on it yet: the same name holds other images.
    status, printed = told(other, "-n")
    assert counts(printed) == {"dataset": 1}, printed
    assert told(other)[0] == 0
    found = storage.read(clone.path / TARGET)
    assert found.labels.tolist() == pq.read_table(other / "train.parquet")["label"].to_pylist()
    assert "Nothing to be done" in told(other)[1]

    result = clone.path / "results/tune/cifar10/resnet18/seed0/full_adam-lr0.01_e1_init"
    result.mkdir(parents=True)
    (result / "metrics.parquet").touch()
    # Whatever Snakemake heeds, and whatever it has on record.
    for words in ((), ("--rerun-triggers", "mtime"), ("-n",)):
        status, printed = told(moved, *words)
        assert status != 0
        assert "holds other data than what results/data/cifar10 was prepared from" in printed
        assert f"results such as {result.relative_to(clone.path)}" in printed
    assert (result / "metrics.parquet").exists()
    status, printed = told(moved, "retrain=true", "-n")
    assert counts(printed) == {"dataset": 1}, printed
    shutil.rmtree(clone.path / ".snakemake" / "metadata")
    assert "holds other data" in told(moved)[1]
    assert "Nothing to be done" in told(other)[1]
