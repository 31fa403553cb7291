"""Checks made before anything is run, without Snakemake."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from clone import ROOT, TINY
from own_members import own_members  # noqa: F401 (a fixture)
from snakemake.utils import update_config
from somebody import let_in, somebody_else

from plasticity.core import gpus
from plasticity.core.errors import UserError
from plasticity.pipeline import checks
from plasticity.pipeline.checks import Due, Start
from plasticity.study import Study

PLACE = "digits-clutter-n64-r6/resnet-d1w2/seed0"
WARM = f"{PLACE}/half_adam-lr0.01-b16_e2_init/full_adam-lr0.01-b16_e3_keep"
TUNE = Due("tune", (f"results/tune/{WARM}/metrics.parquet",), ("train", "test", "split", "parent"))
LEFT = Due("tune", TUNE.outputs, ("train", "test", "split"))
CALIBRATE = Due("calibrate", ("results/calibration/tiny/throughput.json",))


def study(**changes: object) -> Study:
    """The tiny study with `changes`."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    update_config(config, yaml.safe_load(TINY))
    return Study({**config, **changes})


CPU, CUDA = study(), study(device="cuda")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, on a machine without a GPU."""
    monkeypatch.chdir(tmp_path)
    see(monkeypatch, 0)
    return tmp_path


def see(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let so many GPUs be visible."""
    monkeypatch.setattr(gpus, "visible_gpus", lambda: [f"GPU-{i}" for i in range(number)])
    monkeypatch.setattr(gpus, "gpu_is_present", lambda: number > 0)


@pytest.mark.parametrize("writable", [True, False])
def test_results_must_be_a_folder(here: Path, writable: bool):
    checks.require_results(writable=writable)
    (here / "results").mkdir()
    checks.require_results(writable=writable)
    (here / "results").rmdir()
    (here / "results").touch()
    with pytest.raises(UserError, match=r"^results: not a folder that can be written"):
        checks.require_results(writable=writable)


@pytest.mark.parametrize("name", ["results", "results/pretrain"])
@pytest.mark.parametrize("writable", [True, False])
def test_results_that_link_to_what_is_gone_are_named(here: Path, name: str, writable: bool):
    """As on a scratch disk that was purged; a link that leads somewhere is as good as a folder."""
    link, scratch = here / name, here / "scratch"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(scratch)
    with pytest.raises(UserError, match=rf"^{name}: not a folder .* \(a link to {scratch}\); make"):
        checks.require_results(writable=writable)
    scratch.mkdir()
    checks.require_results(writable=writable)


@pytest.mark.parametrize("writable", [True, False])
def test_links_of_a_user_s_own_among_results_are_harmless(here: Path, writable: bool):
    (here / "results").mkdir()
    (here / "results" / "to-my-scratch").symlink_to("gone")
    (here / "results" / "notes.txt").touch()
    checks.require_results(writable=writable)
    (here / "results" / "pretrain").touch()
    with pytest.raises(UserError, match=r"^results/pretrain: not a folder that can be written"):
        checks.require_results(writable=writable)


@pytest.mark.parametrize("mode", [0o000, 0o600, 0o300])
def test_results_that_may_not_be_looked_into_are_named(here: Path, mode: int):
    (here / "results" / "pretrain").mkdir(parents=True)
    let_in(here)
    (here / "results").chmod(0o777)
    with somebody_else():
        checks.require_results(writable=False)
    (here / "results").chmod(mode)
    with somebody_else(), pytest.raises(UserError, match=r"^results: not a folder that can be"):
        checks.require_results(writable=False)
    (here / "results").chmod(0o755)


def test_a_folder_with_braces_is_refused(here: Path):
    checks.require_folders(here)
    checks.require_folders("/home/a: b's $x/é")
    with pytest.raises(UserError, match=r"^/home/a\{b\}/c: .* braces in its path; rename that"):
        checks.require_folders("/home/a{b}/c")


@pytest.fixture
def sacct(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a sacct of the test's own in the place of any other."""
    monkeypatch.setenv("PATH", str(here))

    def install(body: str) -> None:
        (here / "sacct").write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (here / "sacct").chmod(0o755)

    return install


ASKED = SimpleNamespace(status_command="sacct")


def test_a_cluster_without_accounts_is_told_at_the_start(
    sacct: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    sacct("echo Slurm accounting storage is disabled >&2; exit 1")
    with pytest.raises(
        UserError, match=r"\(Slurm accounting storage is disabled\); .* add"
    ) as told:
        checks.require_accounts(ASKED)
    assert "`slurm-status-command: squeue`" in str(told.value)
    monkeypatch.setattr(checks, "PATIENCE", 0.1)
    sacct("exec /bin/sleep 5")
    with pytest.raises(UserError, match="timed out"):
        checks.require_accounts(ASKED)


def test_accounts_are_asked_only_where_they_count(sacct: Callable[[str], None]):
    checks.require_accounts(ASKED)  # without sacct
    sacct("exit 1")
    for settings in (None, SimpleNamespace(), SimpleNamespace(status_command="squeue")):
        checks.require_accounts(settings)
    sacct("exit 0")
    checks.require_accounts(ASKED)


def test_a_source_is_looked_at_only_where_a_data_set_is_made():
    strange = study(sources={"digits-clutter": "/dev/zero"})
    checks.require_sources(strange, [TUNE])
    due = Due("dataset", ("results/data/digits-clutter/train.safetensors",))
    checks.require_sources(CPU, [due])
    with pytest.raises(UserError, match=r"^sources\.digits-clutter: /dev/zero: neither"):
        checks.require_sources(strange, [due])


def test_prepared_data_are_not_given_up_for_a_source_that_is_gone(here: Path):
    gone = study(sources={"digits-clutter": "gone"})
    due = Due("dataset", ("results/data/digits-clutter/train.safetensors",))
    checks.require_sources(gone, [due])  # nothing is there to be lost: the job says so
    due.output.parent.mkdir(parents=True)
    due.output.touch()
    with pytest.raises(UserError, match=r"^sources\.digits-clutter: gone: no such file .* put it"):
        checks.require_sources(gone, [due])


def test_training_needs_the_device_of_the_study(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=f"^{re.escape(gpus.NO_GPU)}$"):
        checks.require_device(CUDA, [TUNE], Start())
    for allowed in (
        (CPU, [TUNE], Start()),
        (CUDA, [Due("prune"), Due("split")], Start()),
        (CUDA, [TUNE], Start(is_local=False)),
        (CUDA, [TUNE], Start(touches=True)),
    ):
        checks.require_device(*allowed)
    see(monkeypatch, 1)
    checks.require_device(CUDA, [TUNE], Start())


def test_the_throughput_of_a_gpu_needs_one(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"^the budget needs the throughput of a GPU"):
        checks.require_throughput(CUDA, [CALIBRATE], Start())
    checks.require_throughput(CPU, [CALIBRATE], Start())
    checks.require_throughput(CUDA, [TUNE], Start())
    see(monkeypatch, 1)
    checks.require_throughput(CUDA, [CALIBRATE], Start())


def test_a_run_without_its_dropped_parent_is_named():
    checks.require_parents(CPU, [TUNE])
    with pytest.raises(UserError, match=f"^1 finished runs, such as {LEFT.output}, are to be"):
        checks.require_parents(CPU, [TUNE, LEFT])


def test_a_rung_may_be_missing():
    run = f"{PLACE}/half_adam-lr0.01-b16_e12_init"
    checks.require_parents(CPU, [Due("pretrain", (f"results/pretrain/{run}/metrics.parquet",))])


@pytest.mark.parametrize(
    ("visible", "start", "slots", "advised"),
    [
        (1, Start(cores=2), 1, 1),
        (1, Start(cores=2, gpus=2), 1, 1),
        (1, Start(cores=2, gpus=0), 1, 1),
        (1, Start(cores=8), 2, 2),
        (2, Start(cores=8), 1, 2),
        (1, Start(cores=2, gpus=1), 1, None),
        (1, Start(cores=2), 2, None),
        (1, Start(cores=8, gpus=8), 4, None),  # four jobs in all
        (1, Start(cores=2, is_local=False), 1, None),
        (1, Start(cores=2, touches=True), 1, None),
    ],
)
def test_which_limit_is_advised(
    monkeypatch: pytest.MonkeyPatch, visible: int, start: Start, slots: int, advised: int | None
):
    see(monkeypatch, visible)
    small = study(device="cuda", slots_per_gpu=slots)
    advice = checks.advice_on_limit(small, [TUNE] * 4, start)
    if advised is None:
        assert advice is None
    else:
        assert advice is not None
        assert advice.endswith(f"run it again with --resources gpu={advised}")
    assert checks.advice_on_limit(CPU, [TUNE] * 4, start) is None


def test_threads_bound_how_many_start_at_once(monkeypatch: pytest.MonkeyPatch):
    see(monkeypatch, 1)
    wide = [Due("tune", TUNE.outputs, TUNE.inputs, threads=2)] * 4
    assert checks.advice_on_limit(CUDA, wide, Start(cores=3)) is None
    assert checks.advice_on_limit(CUDA, wide, Start(cores=4))


def test_what_was_refused_may_be_tried_again(here: Path):
    note = (here / TUNE.output).with_name("refused.txt")
    note.parent.mkdir(parents=True)
    note.touch()
    told: list[str] = []
    checks.before_start(CPU, [TUNE], Start(touches=True), told.append)
    assert note.exists()
    checks.before_start(CPU, [TUNE, Due("all")], Start(), told.append)
    assert not note.exists()
    assert told == []


def test_before_a_start_advice_is_told_and_mistakes_end_it(monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    with pytest.raises(UserError, match="this study trains on a GPU"):
        checks.before_start(CUDA, [TUNE], Start(cores=2), told.append)
    see(monkeypatch, 1)
    checks.before_start(CUDA, [TUNE] * 2, Start(cores=2), told.append)
    assert len(told) == 1


@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("execution", ["graph", "compiled"])
def test_steps_of_several_passes_are_not_recorded(here: Path, execution: str):
    run = f"{PLACE}/half_sharp-lr0.01-b16_e2_init"
    due = [TUNE, Due("pretrain", (f"results/pretrain/{run}/metrics.parquet",))]
    checks.require_execution(study(device="cuda"), due)
    checks.require_execution(study(device="cuda", execution=execution), due[:1])
    with pytest.raises(UserError, match=rf"^execution: {execution} .* \(optimiser 'sharp-lr0.01"):
        checks.require_execution(study(device="cuda", execution=execution), due)
