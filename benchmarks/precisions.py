"""Whether runs end with the same accuracy in another precision: paired over seeds, with intervals.

    python -m benchmarks.precisions --precisions float32 bfloat16 --seeds 10
    python -m benchmarks.precisions --device cuda --precisions float32 tfloat32 bfloat16

For each seed a run from scratch and a warm start are trained in each precision, from the same
initialisation on the same batches. The table tells their mean accuracies, and by how much those in
the first precision are higher, with the 95% interval of a paired t test. The gap, from scratch less
warm start, is compared in the same way: it is what the studies are about.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import circumstances, tell
from plasticity.analysis import stats
from plasticity.data import splits, storage
from plasticity.runs import Run, datasets, metrics
from plasticity.runs.compute import Precision
from plasticity.runs.provenance import Code
from plasticity.training.hardware import Hardware
from plasticity.training.stages import Inputs
from plasticity.training.train import Outputs, train_stage

ROLES = {
    "from scratch": "full_{optimiser}_e{tune}_init",
    "warm start": "half_{optimiser}_e{pretrain}_init/full_{optimiser}_e{tune}_keep",
}


class Trainer:
    """Trains runs below a folder, each stage once in each precision."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder = folder
        self.given = given
        parts = given.data or folder
        self.parts = parts / "train.safetensors", parts / "test.safetensors"
        if not given.data:
            term = datasets.parse(given.dataset)
            storage.write(term.member.function(None, folder), given.dataset, *self.parts)

    def accuracy(self, run: Run, precision: Precision) -> float:
        """The final test accuracy of `run`, as a share."""
        table, _ = metrics.read(self._train(run, precision).metrics)
        return float(table["test_accuracy"][-1].as_py())

    def _train(self, run: Run, precision: Precision) -> Outputs:
        place = self.folder / precision / str(run)
        outputs = Outputs(place / "metrics.parquet", place / "checkpoint.safetensors")
        if not outputs.metrics.exists():
            parent = self._train(run.parent, precision).checkpoint if run.parent else None
            inputs = Inputs(*self.parts, self._split(run), parent)
            hardware = Hardware(self.given.device, precision, self.given.threads)
            train_stage(run, inputs, outputs, hardware, Code({}), lambda line: None)
        return outputs

    def _split(self, run: Run) -> Path:
        path = self.folder / f"{run.stage.data}-{run.seed}.parquet"
        if not path.exists():
            labels, header = storage.read_labels(self.parts[0])
            splits.write(path, run.stage.data, labels, header.classes, run.seed)
        return path


def accuracies(given: argparse.Namespace) -> dict[tuple[str, str], np.ndarray]:
    """Final test accuracies in points, float [seeds], by role and precision."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(Path(folder), given)
        found: dict[tuple[str, str], list[float]] = {}
        for seed in range(given.seeds):
            for role, stages in ROLES.items():
                text = stages.format(**vars(given))
                run = Run.parse(f"{given.dataset}/{given.model}/seed{seed}/{text}")
                for precision in given.precisions:
                    value = 100 * trainer.accuracy(run, precision)
                    found.setdefault((role, precision), []).append(value)
                    print(role, seed, precision, f"{value:.2f}", file=sys.stderr, flush=True)
    by_precision = {key: np.array(values) for key, values in found.items()}
    scratch, warm = ROLES
    for precision in given.precisions:
        by_precision["gap", precision] = (
            by_precision[scratch, precision] - by_precision[warm, precision]
        )
    return by_precision


def compared(given: argparse.Namespace) -> Iterator[dict[str, object]]:
    """A row for each role and each precision but the first, which it is compared with."""
    found = accuracies(given)
    first, *others = given.precisions
    for role in (*ROLES, "gap"):
        for other in others:
            gap = stats.paired_gap(found[role, first], found[role, other])
            yield {
                "what": role,
                "seeds": gap.n,
                f"in {first} / points": f"{found[role, first].mean():.2f}",
                "in": other,
                "there / points": f"{found[role, other].mean():.2f}",
                "difference": f"{gap.mean:.2f}",
                "95% interval": f"{gap.low:.2f} to {gap.high:.2f}",
            }


def main() -> None:
    """Train what the command line asks for, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--seeds", type=int, default=10, help="pairs of runs")
    parser.add_argument("--dataset", default="digits-clutter", help="as runs spell it")
    parser.add_argument("--data", type=Path, help="a folder with it prepared, else it is made")
    parser.add_argument("--model", default="resnet-d1w8", help="as runs spell it")
    parser.add_argument("--optimiser", default="adam-lr0.002-b64", help="as runs spell it")
    parser.add_argument("--pretrain", type=int, default=10, help="epochs of pretraining")
    parser.add_argument("--tune", type=int, default=12, help="epochs of tuning")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU")
    parser.add_argument("--output", type=Path, help="also write the table: .md or .csv")
    given = parser.parse_args()
    tell(list(compared(given)), circumstances("torch"), given.output)


if __name__ == "__main__":
    main()
