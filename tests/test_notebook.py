"""`plasticity.load`: a finished run with its network, its data and its history."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from clone import ROOT
from extension_files import no_extensions, written  # noqa: F401 (a fixture)
from tiny import CODE, HARDWARE, Folder

import plasticity
from plasticity.core.errors import UserError
from plasticity.data import declared, splits, storage
from plasticity.runs import Run, extensions, layout
from plasticity.runs.own_data import OwnData
from plasticity.runs.provenance import Code
from plasticity.training.stages import Inputs, prepare
from plasticity.training.train import Outputs, train_stage

RUN = "digits-clutter/resnet-d1w2/seed0/half+randomlabels+augment_adam-lr0.01-b16_e2_init"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with results as the workflow lays them out."""
    folder = Folder.prepare(tmp_path / "made")
    (tmp_path / "results/data/digits-clutter").mkdir(parents=True)
    for part in ("train", "test"):
        shutil.copy(folder.path / f"{part}.safetensors", tmp_path / "results/data/digits-clutter")
    return tmp_path


def inputs_of(home: Path, run: Run) -> Inputs:
    train, test = (home / place for place in layout.dataset(run.dataset).values())
    split = home / layout.split(run)
    if not split.exists():
        labels, header = storage.read_labels(train)
        splits.write(split, run.stage.data, labels, header.classes, run.seed)
    return Inputs(train, test, split)


def trained(home: Path, path: str, kind: str = "pretrain", code: Code = CODE) -> Path:
    run = Run.parse(path)
    folder = home / "results" / kind / path
    state = folder / "checkpoint.safetensors" if kind == "pretrain" else None
    outputs = Outputs(folder / "metrics.parquet", state)
    train_stage(run, inputs_of(home, run), outputs, HARDWARE, code, lambda line: None)
    return folder


@pytest.mark.parametrize("name", ["", "metrics.parquet", "checkpoint.safetensors"])
def test_a_run_is_loaded_with_what_its_stage_saw(home: Path, name: str):
    loaded = plasticity.load(trained(home, RUN) / name)
    stage = prepare(Run.parse(RUN), inputs_of(home, loaded.run), HARDWARE, CODE, lambda line: None)
    assert str(loaded.run) == loaded.about["run"] == RUN
    chosen = stage.order.subset.selected
    images = (stage.train.images[chosen].float() - stage.train.mean) / stage.train.std
    assert torch.equal(loaded.train.images, images)
    assert torch.equal(loaded.train.labels, stage.train.labels[chosen])
    assert len(loaded.train.labels) == 32
    with torch.no_grad():
        right = loaded.network(loaded.test.images).argmax(1) == loaded.test.labels
    assert float(right.double().mean()) == loaded.history["test_accuracy"].iloc[-1]
    assert not loaded.network.training
    assert loaded.history["epoch"].tolist() == [1, 2]


def test_a_data_set_of_ones_own_is_known_by_its_scan(home: Path, monkeypatch):
    (home / "results/data/digits-clutter").rename(home / "results/data/birds")
    scan = {"train": 64, "test": 32, "classes": 2, "channels": 1, "height": 8, "width": 8}
    own = OwnData.of("birds", {"images": "somewhere", "resize": 8})
    monkeypatch.chdir(home)
    record = declared.Record(asdict(own), {}, scan)
    declared.place_of("birds").write_text(json.dumps(asdict(record)))
    declared.use([own], renew=False)
    folder = trained(home, RUN.replace("digits-clutter", "birds"))
    declared.use([], renew=False)
    monkeypatch.chdir("/")
    loaded = plasticity.load(folder)
    assert loaded.run.dataset.facts.own == own
    assert loaded.network(loaded.test.images).shape == (32, 2)
    other = replace(record, scan=scan | {"train": 65})
    (home / declared.place_of("birds")).write_text(json.dumps(asdict(other)))
    assert plasticity.load(folder).run.dataset.facts.train == 65
    declared.use([], renew=False)
    (home / declared.place_of("birds")).unlink()
    with pytest.raises(UserError, match=r"birds.scan.json: records what the data set 'birds' is"):
        plasticity.load(folder)


def test_a_tuned_run_has_no_network(home: Path):
    loaded = plasticity.load(str(trained(home, RUN, "tune")))
    assert loaded.network is None
    assert len(loaded.history) == 2


def test_a_run_brings_the_extensions_that_it_used(home: Path, monkeypatch, no_extensions):  # noqa: F811
    text = (
        "from plasticity.runs import ModelFacts, models\nfrom plasticity.models.network import "
        "Network\nfrom torch import nn\n\n\n@models.member('line', facts=ModelFacts(modules=1))\n"
        "def line(classes, channels, height, width):\n    'A linear layer.'\n"
        "    network = Network()\n"
        "    layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))\n"
        "    network.numbered = nn.ModuleList([layers])\n    return network\n"
    )
    written(home, {"lab/ours.py": text})
    monkeypatch.chdir(home)
    extensions.use({"ours": "lab/ours.py"})
    code = Code({"extensions/ours/ours.py": "0" * 16})
    folder = trained(home, RUN.replace("resnet-d1w2", "line"), code=code)
    extensions.use({})
    monkeypatch.chdir("/")
    loaded = plasticity.load(folder)
    assert loaded.run.model.member.name == "line"
    assert loaded.network(loaded.test.images).shape == (32, 2)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda folder: folder / "nothing.parquet",
            r"nothing\.parquet: no finished run; expected met",
        ),
        (lambda folder: folder.parent, "no finished run"),
        (lambda folder: folder / "other.txt", r"other\.txt: no finished run"),
    ],
)
def test_what_is_no_run_is_refused(home: Path, spoil, words):
    folder = trained(home, RUN)
    (folder / "other.txt").touch()
    with pytest.raises(UserError, match=words):
        plasticity.load(spoil(folder))


def test_other_data_are_refused_and_the_history_is_there(home: Path, raw):
    folder = trained(home, RUN)
    places = {part: home / place for part, place in layout.dataset("digits-clutter").items()}
    storage.write(raw, "digits-clutter", **places)
    loaded = plasticity.load(folder)
    with pytest.raises(UserError, match="holds other data than those that"):
        _ = loaded.train
    places["test"].unlink()
    with pytest.raises(UserError, match="are not there; put the folder results/data"):
        _ = loaded.test
    assert len(loaded.history) == 2


def test_the_package_alone_is_light():
    code = "import sys, plasticity; plasticity.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
