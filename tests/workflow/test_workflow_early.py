"""The early phase in the workflow: exact job sets, a tiny group from end to end, and its reruns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from clone import Clone

from plasticity.core import tensors

SMALL = """
study: small
dataset: digits-clutter-n64-r6
model: resnet-d1w2
device: cpu
precision: float32
threads: 1
seeds: [0]
lengths: {pretrain: 2, tune: 3, total: 3}
optimisers:
  adam: {lr: 0.01, batch: 16}
  early: {lr: 0.1, batch: 16, drops: [2]}
targets: [fig01]
groups: {early_phase: [early_tickets, early_telemetry, early_data, early_connectivity]}
telemetry: {iterations: 10, each: 3, per_decade: 5, evaluations_per_decade: 1}
connectivity: {points: 3, examples: 32}
figures:
  early_tickets: {model: resnet20-w2, grid: {level: [1, 2], k: [5]}}
  early_telemetry: {model: resnet20-w2}
  early_data:
    model: resnet20-w2
    grid: {view: [rotation], epochs: [1], k: [5]}
    runs:
      start: full+augment_{early}_e{total}_ticket2
      rewound: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket2
      pretrained: full+{view}_{early}_e{epochs}_init/full+augment_{early}_{budget}{total}_ticket1
  early_connectivity: {model: resnet20-w2, grid: {k: [5]}}
"""
PLACE = "digits-clutter-n64-r6/resnet20-w2/seed0"
RULE = "sgd-lr0.1-m0.9-wd0.0001-b16-drop2"
TICKET = f"{PLACE}/full+augment_{RULE}_i5_init/full+augment_{RULE}_till3_ticket"


def copy(path: Path) -> Clone:
    clone = Clone(path)
    (path / "studies" / "small.yaml").write_text(SMALL)
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nothing was run."""
    return copy(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the group was made, and its checkpoints dropped."""
    clone = copy(tmp_path_factory.mktemp("study"))
    status, printed = clone.snakemake("early_phase", study="small")
    assert status == 0, printed
    return clone


def test_levels_and_points_to_rewind_to_share_the_dense_run(clone: Clone):
    # States: the dense run, that of update 5, and level 1 of both, from which level 2 is pruned;
    # what is measured of these is measured there. Level 2 is measured by tuning, twice.
    assert clone.planned("early_tickets", study="small") == {
        **{"dataset": 1, "dataset_variant": 1, "split": 1},
        **{"pretrain": 4, "prune": 4, "tune": 2},
        **{"summarise_figure": 1, "figure": 1, "early_tickets": 1},
    }


def test_the_papers_group(clone: Clone):
    """Fifteen levels for each of six points to rewind to; four rungs and the dense run."""
    planned = clone.planned("early_tickets", study=None)
    assert planned["prune"] == 5 * 6 * 15
    assert planned["pretrain"] == 5 * (5 + 5 + 6 * 14)
    assert planned["tune"] == 5 * 6


def test_the_group_makes_its_figures_tables_and_claims(study: Clone):
    results = study.path / "results"
    made = sorted(path.name for path in (results / "figures/small").glob("*.png"))
    assert made == [
        *("early_connectivity.png", "early_data.png"),
        *("early_telemetry.png", "early_tickets.png"),
    ]
    claims = pd.read_parquet(results / "claims/small-early_phase.parquet").set_index("id")
    assert len(claims) == 7
    assert (claims["verdict"] == "undecided").all()  # one seed
    assert claims.loc["rewind", "n"] == 1
    tickets = pd.read_csv(results / "figures/small/early_tickets.csv")
    assert sorted(tickets["density"].dropna().unique()) == pytest.approx([64, 80, 100], abs=0.1)
    seen = pd.read_parquet(results / "summary/small/figures/early_telemetry/observations.parquet")
    assert seen["iteration"].unique().tolist() == [0, 1, 2, 3, 4, 6, 10]
    assert seen["quantity"].nunique() == 21


def test_nothing_is_left_to_do(study: Clone):
    """Though all states were dropped; masks stay, and say what they are."""
    assert study.planned("early_phase", study="small") == {}
    assert not list((study.path / "results").rglob("checkpoint.safetensors"))
    header = tensors.read_header(study.path / f"results/masks/{TICKET}2/mask.safetensors")
    assert header["run"] == f"{TICKET}1"
    assert header["density"] == pytest.approx(0.64, abs=0.001)
    assert len(header["densities"]) > 20


def test_a_perturbation_of_a_finished_ticket_trains_itself_alone(study: Clone):
    """From the mask that is there, and the state to rewind to, which was dropped."""
    path = f"results/tune/{TICKET}2-noise1/metrics.parquet"
    assert study.planned(path, study="small") == {"pretrain": 1, "tune": 1}


def test_another_level_brings_back_the_one_before(study: Clone):
    path = f"results/tune/{TICKET}3/metrics.parquet"
    assert study.planned(path, study="small") == {"pretrain": 2, "prune": 1, "tune": 1}


def test_a_change_of_pruning_prunes_and_trains_all_levels_again(study: Clone):
    with study.edited("plasticity/models/masks.py", add="\n\nNEW = 1\n"):
        planned = study.planned("early_tickets", study="small")
    assert (planned["pretrain"], planned["prune"], planned["tune"]) == (4, 4, 2)


def test_another_cadence_observes_anew_and_trains_nothing_but_the_end(study: Clone):
    more = ("--config", "telemetry={iterations: 10, each: 5, per_decade: 5}")
    status, printed = study.snakemake("-n", "early_telemetry", *more, study="small")
    assert status == 1  # `--config` gives texts for numbers
    assert "telemetry.each" in printed
    overlay = study.path / "studies" / "more.yaml"
    overlay.write_text("telemetry: {each: 5}\n")
    both = ("--configfile", "studies/small.yaml", "studies/more.yaml")
    status, printed = study.snakemake("-n", "early_telemetry", *both, study=None)
    assert status == 0, printed
    assert "rule telemetry:" in printed


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (
            "targets: [early_tickets]\nfigures: {early_tickets: {grid: {k: [12]}}}",
            "figures.early_tickets.runs.rewound: stage 'full+augment_sgd-lr0.1-m0.9-wd0.0001-b16-"
            "drop2_till3_ticket1' goes on till epoch 3, which is after 12 updates",
        ),
        ("groups: {early_phase: [fig99]}", "groups.early_phase: unknown figure 'fig99'"),
        ("groups: {fig01: [fig02]}", "groups.fig01: a figure has the same name; rename one"),
        ("groups: {prune: [fig02]}", "groups.prune: a rule has this name"),
        ("telemetry: {iterations: 0}", "telemetry.iterations: 0, expected a whole number from 1"),
        ("connectivity: {points: 2}", "connectivity.points: expected"),
        ("figures: {early_telemetry: {observe: weights}}", "figures.early_telemetry.observe: exp"),
        (
            "figures: {early_tickets: {grid: {level: [0]}}}",
            "level: expected a whole number of at least 1",
        ),
    ],
)
def test_a_mistake_is_told_in_one_message(clone: Clone, overlay: str, message: str):
    (clone.path / "studies" / "wrong.yaml").write_text(overlay)
    both = ("--configfile", "studies/small.yaml", "studies/wrong.yaml")
    status, printed = clone.snakemake("-n", *both, study=None)
    assert status == 1
    assert message in printed
    assert "Traceback" not in printed


def test_a_state_beyond_the_end_of_a_run_that_is_asked_for(clone: Clone):
    path = f"results/tune/{TICKET.replace('i5', 'i50')}1/metrics.parquet"
    status, printed = clone.snakemake("-n", path, study="small")
    assert status == 1
    assert "the stage before it has made 50 already" in printed
    assert "Traceback" not in printed
