"""Data sets that a configuration declares: words, scans that are kept, and what a source holds."""

import json
import os
from pathlib import Path

import own
import pytest
from own import declare
from refusal import refusal

from plasticity.data import declared, folders, origin
from plasticity.data.origin import Checksums
from plasticity.runs import Run, datasets
from plasticity.runs.own_data import OwnData

PATH = "own-n8-r3/resnet-d1w2/seed0/half_adam-lr0.01-b4_e1_init"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    declared.use([], renew=True)


@pytest.fixture
def birds(here):
    return declare("images", own.folder(here / "birds"))


def use(*wanted, renew=True):
    declared.use(wanted, renew=renew)


def test_a_declared_set_is_a_word_for_one_study(birds):
    use(birds)
    facts = datasets.parse("own").facts
    assert (facts.train, facts.test, facts.classes, facts.size) == (12, 8, 2, (6, 6))
    assert str(Run.parse(PATH)) == PATH
    data = datasets.parse("own")(Path(birds.place), Path("downloads"))
    assert data.classes == ["ant", "bee"]
    member = datasets.parse("own").member
    use(birds)
    assert datasets.parse("own").member is member, "nothing changed"
    use()
    assert "unknown data set 'own-n8-r3'" in refusal(Run.parse, PATH)


def test_runs_do_not_remember_what_a_word_meant(birds, here):
    use(birds)
    assert Run.parse(PATH).dataset.facts.classes == 2
    own.folder(here / "birds", classes=("cow",))
    use(birds)
    assert Run.parse(PATH).dataset.facts.classes == 3


def test_a_scan_is_kept_until_a_file_changes(birds, here, monkeypatch):
    use(birds)
    monkeypatch.setattr(folders, "scan", None)  # would raise TypeError
    use(birds)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    own.write(here / "birds/train/ant/new.png", own.pictures(1)[0])
    use(birds)
    assert datasets.parse("own").facts.train == 13


def test_a_job_reads_what_was_scanned_and_looks_at_no_source(birds, here):
    assert "plan this study again" in refusal(lambda: use(birds, renew=False))
    use(birds)
    (here / "birds").rename(here / "gone")
    use()
    use(birds, renew=False)
    assert datasets.parse("own").facts.train == 12
    other = declare("images", here / "birds", resize=3)
    assert "something else of this name" in refusal(lambda: use(other, renew=False))


def test_a_source_that_is_gone_is_known_as_it_was_scanned(birds, here):
    use(birds)
    (here / "birds").rename(here / "gone")
    use(birds)
    assert datasets.parse("own").facts.train == 12
    Path("results/data/own.scan.json").unlink()
    assert "no such folder" in refusal(lambda: use(birds))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"declared": {}}'])
def test_a_damaged_record_is_made_again(birds, text):
    use(birds)
    declared.place_of("own").write_text(text)
    use(birds)
    assert json.loads(declared.place_of("own").read_text())["scan"]["train"] == 12


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar10", "the library has a data set of this name"),
        ("cifar10-n500", "the end of this name is that of a smaller variant"),
        ("my_birds", "'my_birds' cannot stand in a path"),
    ],
)
def test_names_that_cannot_be_words(here, name, words):
    wanted = OwnData.of(name, {"images": "birds"})
    message = refusal(lambda: use(wanted))
    assert message.startswith(f"datasets.{name}: {words}")


# What a source holds


def files(wanted, checksums=None):
    use(wanted)
    return declared.files_of(wanted.source, datasets.parse("own").facts, checksums)


def test_what_is_read_and_how_is_what_a_set_is_known_by(birds, here):
    before = files(birds)
    assert sorted(before) == [
        *("option reader", "test/ant", "test/bee", "train/ant", "train/bee"),
    ]
    (here / "birds/train/notes.txt").touch()
    (here / "birds").rename(here / "moved")
    assert files(declare("images", here / "moved")) == before
    assert not origin.same(files(declare("images", here / "moved", resize=6)), before)
    path = here / "moved/train/ant/1.png"
    times = path.stat()
    own.write(path, own.pictures(1, 77)[0])  # in its place, and not younger
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = files(declare("images", here / "moved"), Checksums(Path("results/known.json")))
    assert [name for name in before if before[name] != after[name]] == ["train/ant"]


def test_files_that_stay_are_read_once(birds, monkeypatch):
    place = Path("results/data/.checksums.json")
    before = files(birds, Checksums(place))
    monkeypatch.setattr(origin, "_checksum", None)  # would raise TypeError
    assert files(birds, Checksums(place)) == before
