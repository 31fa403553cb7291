"""Whether a prepared data set is still that of its source: what Snakemake and the user are told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from somebody import let_in, somebody_else
from test_checks import study
from test_invocation import asking

from plasticity.core.errors import UserError
from plasticity.data import origin, storage
from plasticity.data.raw import RawData
from plasticity.pipeline.invocation import Invocation
from plasticity.pipeline.origins import told_of_source
from plasticity.runs import datasets, layout

CIFAR = datasets.parse("cifar10").facts
RESULT = "results/tune/cifar10-n40/resnet-d1w2/seed0/full_adam-lr0.01_e1_init/metrics.parquet"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two sources, `one/data` and `other/data`."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "other"):
        place = Path(name, "data")
        place.mkdir(parents=True)
        for part in ("train", "test"):
            (place / f"{part}.parquet").write_text(f"{part} of {name}")
    return tmp_path


def told(source: str | None, *on_record: str, retrain: bool = False) -> str:
    sources = {"cifar10": source} if source else {}
    known = next((text[1:-1] for text in on_record if text.startswith("'source ")), None)
    return told_of_source(study(sources=sources, retrain=retrain), "cifar10", known)


def prepare(source: str | None = "one/data", *, old: bool = False) -> tuple[str, ...]:
    """Prepare the data set from `source`; gives what Snakemake then has on record."""
    text = told(source)
    images, labels = np.zeros((2, 3, 8, 8), np.uint8), np.zeros(2, np.int64)
    data = RawData(images, labels, images, labels, ["a"], "made")
    files = dict(origin.files_of(source and Path(source), CIFAR))
    storage.write(data, "cifar10", **layout.dataset("cifar10"), files=None if old else files)
    return ("'0123'", f"'{text}'", "None")


def trained() -> None:
    """Leave a finished result on a variant of the data set."""
    Path(RESULT).parent.mkdir(parents=True)
    Path(RESULT).touch()


def test_an_unchanged_source_is_what_is_on_record():
    record = prepare()
    trained()
    assert f"'{told('one/data', *record)}'" in record
    assert told("one/data", "'source of before'") == "source of before"


@pytest.mark.parametrize("how", ["moved", "touched", "renamed", "gone"])
def test_what_holds_the_same_trains_nothing_anew(how: str):
    record, place = prepare(), "one/data"
    trained()
    if how == "moved":
        place = shutil.move("one/data", "elsewhere")
    elif how == "touched":
        os.utime("one/data/train.parquet", (1, 1))
    elif how == "renamed":
        Path("one/data/train.parquet").rename("one/data/train-00000-of-00001.parquet")
    else:
        shutil.rmtree("one")
    assert f"'{told(place, *record)}'" in record


@pytest.mark.parametrize("how", ["named", "replaced", "left out"])
def test_other_data_are_told_where_results_rest_on_the_earlier(how: str):
    record, place = prepare(), "one/data"
    trained()
    if how == "replaced":
        times = Path("one/data/test.parquet").stat()
        Path("one/data/test.parquet").write_text("TEST OF one", encoding="utf-8")
        os.utime("one/data/test.parquet", ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        place = "other/data" if how == "named" else None
    with pytest.raises(UserError, match="holds other data than what results/data/cifar10 was") as e:
        told(place, *record)
    message = str(e.value)
    assert message.startswith(
        f"sources.cifar10: {place or 'no source is named, which means the o'}"
    )
    assert "test.parquet" in message
    assert RESULT in message
    assert "--directory" in message
    assert "delete" not in message
    again = told(place, *record, retrain=True)
    assert again.startswith("source ")
    assert f"'{again}'" not in record


def test_of_a_folder_that_was_added_to_the_first_advice_is_to_take_that_out_again():
    """Notes do not count; what the hub's layout does not name is not read either."""
    record = prepare()
    trained()
    Path("one/data/README.md").touch()
    assert f"'{told('one/data', *record)}'" in record
    for number in range(5):
        Path(f"one/data/train{number}.parquet").touch()
    with pytest.raises(UserError) as e:
        told("one/data", *record)
    message = str(e.value)
    assert (
        "(added: train0.parquet, train1.parquet, train2.parquet and 2 more), and results such"
        in message
    )
    assert message.index("Take them out again") < message.index("retrain=true")
    Path("one/data/test.parquet").unlink()
    with pytest.raises(UserError, match=r"\(without test.*; added: train0.*Name the earlier"):
        told("one/data", *record)


@pytest.mark.parametrize("how", ["pointer", "loop", "one", "one/data", "one/data/train.parquet"])
def test_a_source_out_of_reach_does_not_count_where_data_are_prepared(how: str, here: Path):
    record = prepare()
    trained()
    let_in(here)
    place = Path("one/data/train.parquet")
    if how == "pointer":
        place.write_text("version https://git-lfs.github.com/spec/v1\noid", encoding="utf-8")
    elif how == "loop":
        shutil.rmtree("one/data")
        Path("one/data").symlink_to("data")
    else:
        place.write_text("a change that nobody can see", encoding="utf-8")
        Path(how).chmod(0o000)
    with somebody_else():
        assert f"'{told('one/data', *record)}'" in record
        assert told("one/data") == "source unknown"
    if Path(how).exists():
        Path(how).chmod(0o755)


def test_what_cannot_be_read_of_a_source_is_said_by_the_job(here: Path):
    let_in(here)
    Path("one/data/train.parquet").chmod(0o000)
    with somebody_else():
        assert told("one/data").startswith("source ")
        with pytest.raises(
            UserError, match=r"^one/data/train\.parquet: permission denied; make it"
        ):
            origin.files_of(Path("one/data"), CIFAR)
    Path("one").chmod(0o000)
    with somebody_else(), pytest.raises(UserError, match=r"^sources: one/data: cannot be read"):
        origin.files_of(Path("one/data"), CIFAR)
    Path("one").chmod(0o755)


def test_other_data_are_prepared_anew_where_nothing_rests_on_them():
    record = prepare()
    again = told("other/data", *record)
    assert f"'{again}'" not in record
    # What is on record may be what was told when a job failed.
    assert told("other/data", f"'{again}'") == f"{again}, again"


def test_results_on_other_data_sets_do_not_count():
    record = prepare()
    place = Path(RESULT.replace("cifar10", "cifar100"))
    place.parent.mkdir(parents=True)
    place.touch()
    Path("results/tune/no data set").mkdir()
    assert told("other/data", *record)


def test_without_snakemake_s_record_the_header_still_counts():
    prepare()
    assert told("one/data")
    with pytest.raises(
        UserError, match="delete the folder results/data/cifar10, to prepare it ane"
    ):
        told("other/data")


def test_originals_are_one_source_wherever_they_lie():
    record = prepare(None)
    trained()
    Path("cifar-10-python.tar.gz").touch()
    for source in (None, "cifar-10-python.tar.gz", str(Path().resolve())):
        assert f"'{told(source, *record)}'" in record


def test_where_nothing_was_recorded_there_is_nothing_to_compare():
    prepare(old=True)
    trained()
    assert told("other/data", "'source of before'") == "source of before"
    Path(layout.dataset("cifar10")["train"]).write_text("damaged", encoding="utf-8")
    assert told("other/data") == "source unknown"


def test_a_source_that_is_not_there_is_left_to_the_job():
    assert told("nowhere").startswith("source ")


def test_only_the_main_process_looks_and_once(monkeypatch: pytest.MonkeyPatch):
    looked = []
    monkeypatch.setattr(origin, "files_of", lambda *given: looked.append(given) or {})
    main = Invocation(study(sources={"cifar10": "one/data"}), asking("fig01"))
    job = Invocation(study(sources={"cifar10": "one/data"}), asking("fig01"), is_main=False)
    assert job.told_of_source("cifar10") == "source"
    assert looked == []
    assert main.told_of_source("cifar10") == main.told_of_source("cifar10")
    assert len(looked) == 1
