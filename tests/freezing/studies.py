"""The studies that a freeze runs from end to end, and the numbers that they leave."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from freezing import contents
from freezing.checkouts import SETTINGS, Checkout, say
from freezing.contents import Items

TINY = """
study: frozen
dataset: digits-clutter-n64-r6
model: resnet-d1w2
device: cpu
precision: float32
threads: 1
keep: all
seeds: [0, 1]
lengths: {pretrain: 12, tune: 3, stage: 2, total: 3}    # 12, so that the rung of 10 is used
optimisers:
  adam: {lr: 0.01, batch: 16}
  rmsprop: {lr: 0.001, batch: 16}
  sgd: {lr: 0.1, batch: 16}
  momentum: {lr: 0.05, batch: 16}
  early: {lr: 0.1, batch: 16, weight_decay: 0.0005, drops: [2]}
targets:
  - fig01
  - fig03
  - fig04
  - fig06
  - fig08
  - fig09
  - fig10
  - fig11
  - early_tickets
  - early_telemetry
  - early_perturbations
  - early_data
  - early_sparse
  - early_connectivity
groups:
  early_phase:
    - early_tickets
    - early_telemetry
    - early_perturbations
    - early_data
    - early_sparse
    - early_connectivity
telemetry: {iterations: 10, each: 3, per_decade: 5, evaluations_per_decade: 1}
connectivity: {points: 3, examples: 32}
figures:
  fig03: {grid: {gamma: [0.5]}, seeds: [0]}
  fig04:
    grid: {splits: [2], ratio: [0.5]}
    seeds: [0]
    runs:
      imbalanced: stage{i}of2r{ratio}_{adam}_e{stage}_{start}*2/full_{adam}_e{tune}_keep
  fig06: {grid: {module: [6], top: [3+4+5+6], bottom: [1+2]}, seeds: [0]}
  fig08: {grid: {epochs: [1]}, seeds: [0]}
  fig09: {grid: {epochs: [1]}, seeds: [0]}
  fig10: {grid: {epochs: [2]}, seeds: [0]}
  fig11: {seeds: [0]}
  early_tickets: {model: resnet-d1w2, grid: {level: [1, 2], k: [5]}}
  early_telemetry: {model: resnet20-w2, seeds: [0]}
  early_perturbations:
    model: resnet-d1w2
    seeds: [0]
    grid:
      k: [5]
      mix: [signs-k-magnitudes-fresh, signs-init-magnitudes-k]
      scope: [global, filter]
      noise: [0.5]
    runs:
      start: full+augment_{early}_e{total}_ticket1
      unchanged: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1
      mixed: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1-{mix}
      shuffled: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1-shuffle-{scope}
      signshuffled: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1-signshuffle-{scope}
      noisy: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1-noise{noise}
      random: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1-random
  early_data:
    model: resnet-d1w2
    seeds: [0]
    grid: {view: [randomlabels, rotation, blur2], epochs: [1], k: [5]}
    runs:
      start: full+augment_{early}_e{total}_ticket1
      rewound: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1
      pretrained: full+{view}+augment_{early}_e{epochs}_init/full+augment_{early}_{budget}{total}_ticket1
  early_sparse:
    model: resnet-d1w2
    seeds: [0]
    grid: {view: [rotation], epochs: [1], k: [5]}
    runs:
      start: full+augment_{early}_e{total}_ticket1
      rewound: full+augment_{early}_i{k}_init/full+augment_{early}_till{total}_ticket1
      pretrained: full+augment_{early}_e{total}_ticket1/full+{view}+augment_{early}_e{epochs}_rewind/full+augment_{early}_{budget}{total}_keep
  early_connectivity: {model: resnet-d1w2, seeds: [0], grid: {k: [5]}}
"""  # noqa: E501
"""Every kind of data, optimiser, length and start, and what is observed, on 64 digits."""

NAME = "frozen"
TABLES = f"results/summary/{NAME}"


@dataclass(frozen=True)
class Execution:
    """A study that is run in a folder of its own: its targets are made one list after the other.

    `study` is a file of `studies/`; without one it is the tiny study, with the checkpoints kept
    that `keep` says.
    """

    name: str
    targets: tuple[tuple[str, ...], ...]
    study: str | None = None
    keep: str = "all"


FULL = (
    Execution("tiny, all kept", (("all",), ("early_phase",))),
    Execution("tiny, rungs kept", (("all",), ("early_phase",)), keep="rungs"),
    Execution("demo", (("all",), ("early_phase",)), study="demo"),
)

# Drawing takes longer than training here, so that most runs are made for the tables alone.
QUICK = (
    Execution(
        "tiny, all kept",
        (
            (
                f"{TABLES}/runs.parquet",
                f"{TABLES}/figures/early_telemetry/observations.parquet",
                f"{TABLES}/figures/early_connectivity/observations.parquet",
                "fig01",
                "early_tickets",
            ),
        ),
    ),
    Execution("tiny, rungs kept", ((f"{TABLES}/figures/fig01/runs.parquet",),), keep="rungs"),
)


def asked() -> str:
    """A checksum of what is run and how, which must be the same where freezes are compared."""
    return hashlib.sha256(repr((TINY, FULL, QUICK, SETTINGS)).encode()).hexdigest()[:16]


def numbers(checkout: Checkout, execution: Execution) -> dict[str, Items]:
    """Run a study and return the items of each file that it left."""
    folder = checkout.scratch / execution.name.replace(", ", "-").replace(" ", "-")
    folder.mkdir()
    if execution.study:
        overlay = checkout.project / "studies" / f"{execution.study}.yaml"
    else:
        overlay = folder / f"{NAME}.yaml"
        overlay.write_text(TINY.replace("keep: all", f"keep: {execution.keep}"))
    for targets in execution.targets:
        began = time.monotonic()
        place = ("--cores", "2", "--directory", folder, "--configfile", overlay)
        checkout.output("-m", "snakemake", *targets, *place)
        told(f"{execution.name}: {' '.join(targets)[:60]}", began)
    return contents.of_results(folder / "results")


def told(what: str, began: float) -> None:
    """Say on standard error what was done since `began`."""
    say(f"{what}: {time.monotonic() - began:.0f} s")
