"""Budgets: hand-counted jobs, epochs, images and bytes; what is measured; the rules for it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml
from clone import ROOT, Clone
from own_members import own_members  # noqa: F401 (a fixture)
from tiny import HARDWARE, PRETRAIN, Folder

from plasticity.core.errors import UserError
from plasticity.observe import calibration
from plasticity.observe.calibration import calibrate, network_cost
from plasticity.pipeline import digests
from plasticity.runs import Run, datasets, kinds, layout, models, optimisers
from plasticity.runs.costs import (
    Calibration,
    NetworkCost,
    Throughput,
    read_networks,
    write_networks,
)
from plasticity.runs.workload import Workload
from plasticity.study import Study, budget
from plasticity.study.settings import Settings

CONFIG = """
study: small
dataset: cifar10-n1000-r16
model: resnet-d1w4
device: cuda
precision: bfloat16
threads: 1
slots_per_gpu: 1
keep: rungs
seeds: [0]
lengths: {pretrain: 35, tune: 12}
optimisers:
  adam: {rule: adam, lr: 0.01}
targets: [lengths, stages]
figures:
  lengths:
    title: ""
    caption: ""
    draw: warm_start
    runs:
      cold: full_{adam}_e{tune}_init
      warm: half_{adam}_e{pretrain}_init/full_{adam}_e{tune}_keep
  stages:
    title: ""
    caption: ""
    draw: warm_start
    runs:
      cold: full_{adam}_e{tune}_init
      staged: stage{i}of2r1_{adam}_e{tune}_{start}*2/full_{adam}_e{tune}_keep
  drift:
    title: ""
    caption: ""
    draw: warm_start
    runs:
      drift: drift0.5_{adam}_e{pretrain}_init
"""
COST = NetworkCost(multiply_adds=10, state=1000, epoch=10)
PLACE = "cifar10-n1000-r16/resnet-d1w4/seed0"
HALF = PLACE + "/half_adam-lr0.01_e{}_init"
COLD = layout.done(kinds.Job(kinds.TUNE, Run.parse(f"{PLACE}/full_adam-lr0.01_e12_init")))
WARM = layout.done(kinds.Job(kinds.TUNE, Run.parse(HALF.format(35) + "/full_adam-lr0.01_e12_keep")))
PRETRAINED = [
    file
    for epochs in (10, 20, 35)
    for run in [Run.parse(HALF.format(epochs))]
    for file in (layout.done(kinds.Job(kinds.PRETRAIN, run)), layout.checkpoint(run))
]


def small(**changes: object) -> Study:
    return Study({**yaml.safe_load(CONFIG), **changes})


def budgets(present: tuple[str, ...] = (), **changes: object) -> dict[str, budget.Budget]:
    """The budget of every figure at 100 images a second (1,000 in evaluation), and together."""
    study = small(**changes)
    figures = {name: [figure] for name, figure in study.figures.items()}
    wanted = {name: study.jobs_of(some) for name, some in figures.items()}
    wanted["together"] = study.jobs_of(study.targets)
    found = {Workload.of(job.run) for some in wanted.values() for job in some}
    rates = budget.Rates(dict.fromkeys(found, Throughput(100, 1000)), dict.fromkeys(found, COST))
    return {
        name: rates.budget(name, some, lambda path: path in present)
        for name, some in wanted.items()
    }


class TestCounts:
    def test_rungs_are_jobs_of_their_own_and_no_epoch_counts_twice(self):
        found = budgets()["lengths"]
        assert (found.pretrain, found.tune) == ((3, 0), (2, 0))  # at 10, 20 and 35 epochs
        assert found.epochs == 35 + 12 + 12
        # 500 and 1,000 examples in whole batches of 128; 10,000 test images after every epoch.
        assert found.images == 35 * 384 + 24 * 896
        assert found.seconds == pytest.approx(found.images / 100 + 59 * 10_000 / 1000)
        assert found.stored == {
            "all": 3 * 1000 + (10 + 20 + 35) * 10,
            "rungs": 2 * 1000 + (10 + 20) * 10,
            "results": 0,
        }

    def test_each_of_several_stages_has_its_rungs(self):
        found = budgets()["stages"]
        assert (found.pretrain, found.tune) == ((4, 0), (2, 0))  # 10 and 12 epochs of either stage
        # 334 and 667 of 1,000 examples.
        assert found.images == 12 * 256 + 12 * 640 + 24 * 896

    def test_a_transition_passes_over_everything_and_has_no_rungs(self):
        found = budgets()["drift"]
        assert (found.pretrain, found.tune, found.epochs) == ((0, 0), (1, 0), 35)
        assert found.images == 35 * 896

    def test_together_counts_what_figures_share_once(self):
        found = budgets()["together"]
        assert (found.pretrain, found.tune) == ((7, 0), (3, 0))

    def test_what_is_done_is_not_left(self):
        found = budgets((COLD,))["lengths"]
        assert (found.pretrain, found.tune, found.epochs) == ((3, 0), (2, 1), 35 + 12)
        found = budgets((COLD, WARM, *PRETRAINED))["lengths"]
        assert (found.pretrain, found.tune) == ((3, 3), (2, 2))
        assert (found.epochs, found.images, found.seconds) == (0, 0, 0)
        assert set(found.stored.values()) == {0}

    def test_a_rung_that_is_there_is_continued(self):
        found = budgets(tuple(PRETRAINED[:2]))["lengths"]
        assert (found.pretrain, found.epochs) == ((3, 1), 10 + 15 + 12 + 12)
        assert found.stored["all"] == 2 * 1000 + (20 + 35) * 10

    def test_a_dropped_checkpoint_is_made_again_only_for_what_is_left(self):
        metrics = tuple(PRETRAINED[::2])
        found = budgets((COLD, WARM, *metrics))["lengths"]
        assert (found.pretrain, found.tune, found.epochs) == ((3, 3), (2, 2), 0)
        found = budgets((COLD, *metrics))["lengths"]
        assert (found.pretrain, found.tune, found.epochs) == ((3, 0), (2, 1), 35 + 12)
        # The last checkpoint alone is all that the warm run needs.
        found = budgets((COLD, *metrics, PRETRAINED[-1]))["lengths"]
        assert (found.pretrain, found.tune, found.epochs) == ((3, 3), (2, 1), 12)


class TestWorkloads:
    def test_text_and_back(self):
        workload = Workload.of(Run.parse("svhn/resnet18/seed0/full_sgd-lr0.1-m0.9-b64_e1_init"))
        assert str(workload) == "10x3x32/resnet18/sgd-lr0.001-m0.9-b64"
        assert Workload.parse(str(workload)) == workload
        with pytest.raises(ValueError, match="not classes, channels, pixels, model, optimiser"):
            Workload.parse("resnet18")

    def test_rates_do_not_matter_batches_pixels_and_classes_do(self):
        def of(dataset: str, optimiser: str) -> Workload:
            return Workload.of(Run.parse(f"{dataset}/resnet18/seed0/full_{optimiser}_e1_init"))

        assert of("cifar10", "adam-lr0.1") == of("svhn", "adam-lr0.7")
        assert of("cifar10-n100", "adam-lr0.1") == of("cifar10", "adam-lr0.7")
        different = {
            of("cifar10", "adam-lr0.1"),
            of("cifar10", "adam-lr0.1-b64"),
            of("cifar10", "rmsprop-lr0.1"),
            of("cifar10-r16", "adam-lr0.1"),
            of("cifar100", "adam-lr0.1"),
        }
        assert len(different) == 5


class TestScaling:
    def test_by_multiply_adds(self):
        one, two = (
            Workload.on(datasets.parse("cifar10"), models.parse(model), optimisers.parse("sgd-lr1"))
            for model in ("resnet18", "resnet-d1w16")
        )
        networks = {one: COST, two: NetworkCost(multiply_adds=5, state=1, epoch=1)}
        assert budget.scaled(100.0, COST, networks) == {
            one: Throughput(100.0, 300.0),
            two: Throughput(200.0, 600.0),
        }

    @pytest.mark.usefixtures("own_members")
    def test_a_rule_of_several_passes_a_step_takes_as_many_times_as_long(self):
        once, often = (
            Workload.on(datasets.parse("cifar10"), models.parse("resnet18"), optimisers.parse(rule))
            for rule in ("sgd-lr1", "quasinewton-lr1")
        )
        found = budget.scaled(100.0, COST, {once: COST, often: COST})
        assert found[often] == Throughput(found[once].training / 5, found[once].evaluation)

    def test_the_network_that_is_told_of_is_counted_too(self):
        # The model of the study, which no figure trains here.
        figures = yaml.safe_load(CONFIG)["figures"]
        for figure in figures.values():
            figure["model"] = "resnet-d1w8"
        models_of = [str(one.model) for one in budget.networks_of(small(figures=figures))]
        assert models_of == ["resnet-d1w8"]
        study = small(figures=figures, images_per_second=12000)
        assert [str(one.model) for one in budget.networks_of(study)] == [
            "resnet-d1w4",
            "resnet-d1w8",
        ]

    def test_a_model_over_a_grid_has_no_throughput(self):
        settings = small().settings.model_copy(update={"model": "resnet-d{depth}w4"})
        with pytest.raises(
            UserError, match=r"images_per_second: .* but model is 'resnet-d\{depth\}w4'"
        ):
            budget.reference_of(settings, budget.workloads_of(small()))

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (0, "images_per_second: expected greater than or equal to 0.001, got 0"),
            (-5.0, "images_per_second: expected greater than or equal to 0.001, got -5.0"),
            ("fast", "images_per_second: expected a valid number, got the text 'fast'"),
            (True, "images_per_second: expected a valid number, got True"),
            (float("inf"), "images_per_second: expected a finite number, got inf"),
        ],
    )
    def test_no_such_throughput(self, value: object, message: str):
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            Settings.read({**yaml.safe_load(CONFIG), "images_per_second": value})


class TestReport:
    def report(self, calibrated: bool, **changes: object) -> str:
        study = small(**changes)
        workloads = budget.networks_of(study)
        measured = Calibration(
            dict.fromkeys(workloads, Throughput(0.1, 0.1)),
            "NVIDIA",
            "bfloat16",
            2,
            "2026-01-02 03:04",
        )
        networks = dict.fromkeys(workloads, NetworkCost(10, 3_000_000_000, 1))
        return budget.report(study, networks, measured if calibrated else None, lambda path: False)

    def test_a_measured_one(self):
        text = self.report(calibrated=True)
        assert max(map(len, text.splitlines())) <= 100
        assert re.search(r"^lengths +3 +0 +2 +0 +59 +0\.03 +1,736 +6\.00$", text, re.M)
        assert re.search(r"^together +7 +0 +3 +0 +95 ", text, re.M)
        assert "GPU-hours" in text
        assert "measured on NVIDIA\n  in bfloat16 with 2 CPU threads on 2026-01-02 03:04" in text
        assert "by the setting keep: all 21.0, rungs 12.0, results 0" in text
        assert "Files in all, for a quota: about " in text

    def test_a_given_one(self):
        text = self.report(calibrated=False, images_per_second=12000, device="cpu", keep="results")
        assert max(map(len, text.splitlines())) <= 100
        assert "CPU-hours" in text
        assert "images_per_second 12,000 in training resnet-d1w4 on" in text
        assert re.search(r"^lengths .* 0$", text, re.M)

    def test_neither(self):
        with pytest.raises(UserError, match="images_per_second: missing"):
            self.report(calibrated=False)


class TestNetworkCosts:
    def test_multiply_adds_by_hand(self):
        stem, first = 64 * 9 * 1 * 2, 64 * 2 * 9 * 2 * 2
        # Half the resolution, twice the channels: two convolutions of 3 x 3, one of 1 x 1.
        halving = 16 * (9 * 2 * 4 + 9 * 4 * 4 + 2 * 4)
        workload = Workload.parse("2x1x8/resnet-d1w2/adam-lr0.001-b16")
        expected = stem + first + 3 * halving + 16 * 2
        assert network_cost(workload).multiply_adds == expected

    @pytest.mark.parametrize(
        "optimiser",
        [
            *("adam-lr0.01", "rmsprop-lr0.01", "sgd-lr0.01", "sgd-lr0.01-m0.9"),
            *("adamw-lr0.01", "nadam-lr0.01", "muon-lr0.01"),
        ],
    )
    def test_a_checkpoint_is_as_large_as_counted(self, tmp_path: Path, optimiser: str):
        lineage = PRETRAIN.format(epochs=3).replace("adam-lr0.01", optimiser)
        run = Run.parse(lineage)
        code = digests.code_of(kinds.Job(kinds.PRETRAIN, run))
        outputs = Folder.prepare(tmp_path).train(run, code=code)
        assert outputs.checkpoint is not None
        size = outputs.checkpoint.stat().st_size
        workload = Workload(1, 8, 2, run.model, run.stage.optimiser)
        assert network_cost(workload).checkpoint(epochs=3) == pytest.approx(size, rel=0.01)

    def test_to_a_file_and_back(self, tmp_path: Path):
        networks = {Workload.parse("10x3x32/resnet18/sgd-lr0.001"): COST}
        write_networks(tmp_path / "networks.json", networks)
        assert read_networks(tmp_path / "networks.json") == networks
        (tmp_path / "networks.json").write_text("[]")
        with pytest.raises(UserError, match=r"networks\.json: not what was measured"):
            read_networks(tmp_path / "networks.json")


class TestCalibration:
    def test_throughput_on_the_cpu(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        # Time on the processor, which is the same whatever else this machine is doing.
        monkeypatch.setattr(calibration.time, "perf_counter", time.process_time)
        names = ["2x1x8/resnet-d1w2/adam-lr0.001-b16", "2x1x8/resnet-d1w32/adam-lr0.001-b16"]
        small, large = map(Workload.parse, names)
        lines: list[str] = []
        found = calibrate([small, large], HARDWARE, lines.append, seconds=0.2)
        assert 1 < found.throughput[large].training < found.throughput[small].training
        assert found.throughput[small].training < found.throughput[small].evaluation
        lines = [line for line in lines if not line.startswith("warning: ")]  # of a slow machine
        assert [line.split(":")[0] for line in lines] == [f"1/2  {small}", f"2/2  {large}"]
        found.write(tmp_path / "calibration.json")
        assert Calibration.read(tmp_path / "calibration.json") == found

    def test_what_is_slow_is_measured_by_one_step(self):
        workload = Workload.parse("2x1x8/resnet-d1w2/sgd-lr0.001-b16")
        lines: list[str] = []
        found = calibrate([workload], HARDWARE, lines.append, seconds=1e-9)
        assert found.throughput[workload].training > 0
        assert lines[0].startswith("warning: 16 images take ")

    def test_evaluation_is_measured_once_for_all_optimisers(self):
        names = ["2x1x8/resnet-d1w2/sgd-lr0.001-b16", "2x1x8/resnet-d1w2/adam-lr0.001-b16"]
        one, two = map(Workload.parse, names)
        found = calibrate([one, two], HARDWARE, lambda line: None, seconds=0.05).throughput
        assert found[one].evaluation == found[two].evaluation

    def test_a_damaged_file(self, tmp_path: Path):
        (tmp_path / "calibration.json").write_text("{}")
        with pytest.raises(UserError, match=r"calibration\.json: not what was measured"):
            Calibration.read(tmp_path / "calibration.json")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone"))


class TestWorkflow:
    @pytest.mark.parametrize("name", ["fewer", "demo"])
    def test_all_jobs_are_those_of_a_dry_run(self, clone: Clone, name: str):
        """Of the demo, and of the paper's study with two of its seeds, which all have the same."""
        overlay = clone.path / "studies" / f"{name}.yaml"
        if name == "fewer":
            overlay.write_text("seeds: [0, 1]")
        config = yaml.safe_load((ROOT / "config.yaml").read_text())
        _overlay(config, yaml.safe_load(overlay.read_text()))
        study = Study(config)
        jobs = budget.trainings(study.jobs_of(study.targets))
        planned = clone.planned(study=name)
        pretrain = planned["pretrain"] + planned.get("pretrain_rung", 0)
        found = [job.kind for job in jobs]
        assert (found.count(kinds.PRETRAIN), found.count(kinds.TUNE)) == (pretrain, planned["tune"])

    def test_without_a_gpu(self, clone: Clone):
        status, printed = clone.snakemake("budget", study=None)
        assert status != 0
        assert "Either name it, with --config images_per_second=12000 (images a" in printed
        assert "Traceback" not in printed
        assert not (clone.path / "results").exists()

    def test_given_then_measured(self, clone: Clone):
        # Somebody trained one of the pretrained networks elsewhere.
        run = Run.parse("digits-clutter-n64-r6/resnet-d1w2/seed0/half_adam-lr0.01-b16_e2_init")
        for file in (layout.done(kinds.Job(kinds.PRETRAIN, run)), layout.checkpoint(run)):
            (clone.path / file).parent.mkdir(parents=True, exist_ok=True)
            (clone.path / file).touch()
        status, printed = clone.snakemake("budget", "--config", "images_per_second=50")
        assert status == 0, printed
        assert re.search(r"^together +2 +1 +6 +0 +20 ", printed, re.M)
        assert "images_per_second 50.0 in training resnet-d1w2 on" in printed
        assert not (clone.path / "results/calibration/tiny/throughput.json").exists()
        assert printed.index("Budget of the study") > printed.index("rule budget")
        log = (clone.path / "results/logs/budget/tiny.log").read_text()
        assert log.strip() in printed

        status, printed = clone.snakemake("budget")
        assert status == 0, printed
        assert "Throughput was measured on" in printed
        assert clone.planned("budget") == {"budget": 1}
        made = {path.name for path in (clone.path / "results").iterdir()}
        assert made == {"calibration", "logs", "pretrain"}


def _overlay(config: dict[str, object], other: dict[str, object]) -> None:
    """Lay `other` over `config` key by key, as Snakemake does."""
    for key, value in other.items():
        inner = config.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            _overlay(inner, value)
        else:
            config[key] = value
