"""What one invocation asks for, and what its jobs are given, without Snakemake."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from test_checks import CPU, PLACE, WARM, study

from plasticity.core.errors import UserError
from plasticity.pipeline import inputs, jobs
from plasticity.pipeline.invocation import Invocation, misspelt_targets
from plasticity.runs import Run, layout
from plasticity.runs.kinds import MASK, PRETRAIN, TELEMETRY, TUNE, Job
from plasticity.study.settings import Settings

RUN = Run.parse(WARM)
DATA = {
    "train": "results/data/digits-clutter-n64-r6/train.safetensors",
    "test": "results/data/digits-clutter-n64-r6/test.safetensors",
    "split": "results/splits/digits-clutter-n64-r6/seed0/full.parquet",
}
PARENT = {"parent": layout.checkpoint(RUN.parent)}
KEPT = study(keep="results")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in; what is there is of the present code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "made", lambda job, settings: jobs.Made([], settings.precision))


def make(*names: str) -> None:
    """Leave these files."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@dataclass
class Asking:
    """A session that was asked for `wanted` and has `recorded` what it was told."""

    wanted: list[str]
    recorded: dict[str, str] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)

    def settle_triggers(self) -> None:
        """They are right."""

    def targets(self) -> list[str]:
        assert self.wanted != NOT_YET, "nobody is to ask for targets yet"
        return self.wanted

    def told(self, path: str, of: str = "code") -> str | None:
        return self.recorded.get(path)

    def make_again(self, paths: Iterable[str]) -> None:
        self.again += [p for p in paths if Path(p).exists() and p not in self.recorded]


NOT_YET = ["not yet"]


def asking(*targets: str) -> Asking:
    return Asking(list(targets))


def test_targets_are_asked_for_late():
    invocation = Invocation(CPU, asking(*NOT_YET))
    assert invocation.inputs(Job(TUNE, RUN)) == {**DATA, **PARENT}  # it was never made


def test_a_mistake_in_any_target_shows_in_the_first_job():
    invocation = Invocation(CPU, asking("fig01", "fig99"))
    with pytest.raises(UserError, match="unknown figure 'fig99'"):
        invocation.job(TUNE, WARM)


def test_the_process_of_a_job_asks_for_nothing():
    invocation = Invocation(KEPT, asking(*NOT_YET), is_main=False)
    assert invocation.job(TUNE, WARM) == Job(TUNE, RUN)
    make(layout.done(Job(TUNE, RUN)))
    assert invocation.inputs(Job(TUNE, RUN)) == DATA
    assert invocation.needed == frozenset()


def test_a_misspelt_run_is_told():
    with pytest.raises(UserError, match=r"is spelt 'adam-lr0.01-b16'"):
        Invocation(CPU, asking()).job(TUNE, WARM.replace("lr0.01-b16_e3", "lr1e-2-b16_e3"))


def test_a_run_that_prunes_nothing_has_no_mask():
    with pytest.raises(UserError, match="no mask of its own; it prunes nothing"):
        Invocation(CPU, asking()).job(MASK, WARM)


def test_a_finished_run_is_given_no_dropped_parent():
    invocation = Invocation(KEPT, asking("fig01"))
    tuned, told = Job(TUNE, RUN), Job(PRETRAIN, RUN.parent)
    make(layout.done(tuned), layout.done(told))
    assert invocation.inputs(tuned) == DATA


def test_a_finished_run_of_other_code_is_given_its_parent_again(monkeypatch: pytest.MonkeyPatch):
    def made(job: Job, settings: Settings) -> jobs.Made:
        return jobs.Made([] if job.kind is PRETRAIN else ["a file"], settings.precision)

    monkeypatch.setattr(jobs, "made", made)
    invocation = Invocation(KEPT, asking("fig01"))
    tuned, told = Job(TUNE, RUN), Job(PRETRAIN, RUN.parent)
    make(layout.done(tuned), layout.done(told))
    assert invocation.inputs(tuned) == {**DATA, **PARENT}
    # Nobody asks for it here, so that Snakemake alone decides.
    other = Invocation(
        KEPT, asking(f"results/tune/{PLACE}/full_adam-lr0.01-b16_e3_init/metrics.parquet")
    )
    assert other.inputs(tuned) == DATA


@pytest.mark.parametrize(
    ("made", "again"),
    [
        (jobs.Made([], "float32"), False),
        (jobs.Made(["a file"], "float32"), True),
        (jobs.Made([], "bfloat16"), True),
    ],
)
def test_an_outdated_result_is_made_again_though_snakemake_has_no_record_of_it(
    monkeypatch: pytest.MonkeyPatch, made: jobs.Made, again: bool
):
    monkeypatch.setattr(jobs, "made", lambda job, settings: made)
    tuned = Job(TUNE, RUN)
    path = layout.done(tuned)
    make(path)
    for session in (asking("fig01"), Asking(["fig01"], recorded={path: "code 0"})):
        Invocation(CPU, session).inputs(tuned)
        assert session.again == ([path] if again and not session.recorded else [])
    # What is a job's own process decides nothing.
    session = asking(*NOT_YET)
    Invocation(CPU, session, is_main=False).inputs(tuned)
    assert session.again == []


def test_what_has_no_header_is_made_again_where_it_has_no_record():
    made = [
        *("results/figures/tiny/fig01.svg", "results/claims/tiny.html"),
        *("results/summary/tiny/runs.parquet", "results/summary/tiny/gaps.html"),
        *(f"results/summary/tiny/figures/{name}/gaps.parquet" for name in ("fig01", "early_phase")),
        "results/summary/tiny/figures/early_telemetry/observations.parquet",
        "results/claims/tiny-early_phase.parquet",
    ]
    make(*made)
    session = asking("fig01")
    Invocation(CPU, session).require_targets()
    assert sorted(session.again) == sorted(made)
    session = Asking(["fig01"], recorded=dict.fromkeys(made, ""))
    Invocation(CPU, session).require_targets()
    assert session.again == []


def test_with_retrain_every_run_is_given_its_parent():
    tuned = Job(TUNE, RUN)
    make(layout.done(tuned), layout.done(Job(PRETRAIN, RUN.parent)))
    invocation = Invocation(study(keep="results", retrain=True), asking("fig01"))
    assert invocation.inputs(tuned) == {**DATA, **PARENT}


def test_what_observes_is_given_states_and_pruning_no_data():
    invocation = Invocation(CPU, asking())
    assert invocation.inputs(Job(TELEMETRY, RUN))["final"] == layout.checkpoint(RUN)
    ticket = Run.parse("cifar10/resnet20/seed0/full_sgd-lr0.1_e2_ticket1")
    assert invocation.inputs(Job(MASK, ticket)) == {"state": layout.checkpoint(ticket.pruned_from)}


def test_what_a_figure_is_drawn_from():
    figure = CPU.figures["fig01"]
    assert list(inputs.tables(CPU, figure)) == ["runs", "curves"]
    metrics = inputs.metrics(CPU, figure.runs)
    assert len(metrics["tuned"]) == 4
    assert len(metrics["pretrained"]) == 2
    early = CPU.figures["early_telemetry"]
    assert list(inputs.tables(CPU, early)) == ["runs", "curves", "observations"]
    assert inputs.observing(CPU, early) == dict(CPU.settings.telemetry)
    assert inputs.observing(CPU, figure) == {}
    assert len(inputs.observations(early)) == len(early.runs)
    assert inputs.observations(figure) == []


def test_claims_are_judged_from_tables_and_pictures():
    given = inputs.claims(CPU, [CPU.figures["early_telemetry"]], "early")
    assert given["runs"] == "results/summary/tiny/figures/early/runs.parquet"
    assert given["pictures"] == ["results/figures/tiny/early_telemetry.png"]
    assert given["observations"] == [
        "results/summary/tiny/figures/early_telemetry/observations.parquet"
    ]


# Targets


def test_what_nothing_is_called_is_told():
    invocation = Invocation(CPU, asking("early_phas"))
    with pytest.raises(
        UserError, match=r"^targets: unknown target 'early_phas'; .*mean 'early_phase'\?$"
    ):
        invocation.refuse("early_phas")
    with pytest.raises(UserError, match=r"unknown figure 'fig99'"):
        Invocation(CPU, asking("fig99")).refuse("fig99")


@pytest.mark.parametrize(
    "target",
    [
        *("fig99", "results", "Snakefile", "results/tune", f"results/tune/{WARM}"),
        f"results/tune/{WARM}/checkpoint.safetensors",
        f"results/pretrain/{WARM}/metrics.parque",
        f"results/masks/{WARM}/metrics.parquet",
        *("results/data", "results/data/cifar11/train.safetensors", "results/data/cifar10/x"),
        *("results/data/cifar10-n/train.safetensors", "results/splits/cifar10/half.parquet"),
        "results/splits/cifar10/seed7/half",
    ],
)
def test_what_no_rule_makes_is_told(target: str):
    assert re.fullmatch(misspelt_targets(), target)


@pytest.mark.parametrize(
    "target",
    [
        *(f"results/{kind}/{WARM}/metrics.parquet" for kind in ("tune", "pretrain")),
        *("results/tune/x/metrics.parquet", f"results/masks/{WARM}/mask.safetensors"),
        f"results/telemetry/{WARM}/observations.parquet",
        "results/data/cifar10/train.safetensors",
        "results/data/cifar10-n64-r6/test.safetensors",
        *("results/splits/cifar11/seed7/half.parquet", "results/figures/tiny/fig99.svg"),
        *("etc/x", "results/logs/tune/x.log", "results/tuned/x"),
    ],
)
def test_what_a_rule_makes_or_nobody_knows_is_left_to_snakemake(target: str):
    assert not re.fullmatch(misspelt_targets(), target)
