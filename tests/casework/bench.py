"""Where a case runs: a temporary folder, Snakemake, and what its files say afterwards."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from clone import ROOT
from safetensors import safe_open

PRELUDE = '''"""Words of a case."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from plasticity.data import sources
from plasticity.data.raw import RawData
from plasticity.interventions.options import LEARNING_RATE
from plasticity.runs import (
    DatasetFacts as _facts, ModelFacts, Number, OptimiserFacts, StartFacts,
    datasets, models, optimisers, starts,
)
'''


@dataclass(frozen=True)
class Step:
    """One command: the `words` for Snakemake, whether it `fails`, what is said and never said.

    In words ``{case}`` stands for the folder of the case, ``{cases}`` for that of all cases. With
    another `place` it runs in a folder of that name; after it, the metrics in `same` are compared.
    """

    words: tuple[str, ...]
    fails: bool = False
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    place: str = "here"
    same: tuple[str, str] | None = None


class Bench:
    """A temporary folder for the `case` in `folder`, with its `addition`, if any, as extension.

    In which texts are `rewritten`, pairs of one that must be there and what is in its place.
    """

    def __init__(
        self,
        scratch: Path,
        folder: Path,
        case: str,
        addition: str | None,
        rewritten: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.scratch, self.folder, self.case = scratch, folder, folder / case
        self.overlay: Path | None = None
        if addition:
            declared = (self.case / f"{addition}_addition.py").read_text()
            facts = re.sub(r'facts=\{"modules": (\d+)\}', r"facts=ModelFacts(modules=\1)", declared)
            # The cases are of a version that gave networks no height and width.
            facts = facts.replace(
                "(classes: int, channels: int)",
                "(classes: int, channels: int, height: int, width: int)",
            )
            for before, after in rewritten:
                assert before in facts
                facts = facts.replace(before, after)
            (scratch / "of_the_case.py").write_text(PRELUDE + facts)
            self.overlay = scratch / "extension.yaml"
            self.overlay.write_text(f"extensions: {{case: {scratch / 'of_the_case.py'}}}\n")

    def run(self, step: Step) -> tuple[int, str]:
        """The exit status of a `step`, and what it printed, logged and left."""
        place = self.scratch / step.place
        place.mkdir(exist_ok=True)
        words = [word.format(case=self.case, cases=self.folder) for word in step.words]
        if self.overlay:  # behind the study's, which every step has
            words.insert(words.index("--configfile") + 2, str(self.overlay))
        command = [
            *(Path(sys.executable).with_name("snakemake"), "--snakefile"),
            *(ROOT / "Snakefile", "--directory", place, "--cores", "1", *words),
        ]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            cwd=self.scratch,
        )
        logs = [log.read_text() for log in sorted(place.glob("results/logs/**/*.log"))]
        found = [*logs, *self._stored(place), *self._measured(place)]
        if step.same:
            one, other = (self.scratch / name for name in step.same)
            found.append(f"same bits: {_without_times(one) == _without_times(other)}")
        return done.returncode, "\n".join([done.stdout, *found])

    def _stored(self, place: Path) -> Iterator[str]:
        """What was made of images, and whether that is what Pillow makes of them."""
        for path in sorted(place.glob("results/data/*/train.safetensors")):
            with safe_open(path, framework="np") as file:
                images = file.get_tensor("images")
                header = json.loads(file.metadata()["plasticity"])["header"]
            yield f"stored {images.shape} share of 255: {(images == 255).mean():.3f}"
            yield f"mean {images.mean():.1f}, classes: {', '.join(header['classes'])}"
            if (shards := sorted(self.case.glob("data/train*.parquet"))) and len(shards) == 1:
                right = [
                    _decoded(cell["bytes"]) for cell in pq.read_table(shards[0])[0].to_pylist()
                ]
                equal = sum(map(np.array_equal, right, images))
                yield f"as Pillow decodes: {equal} of {len(right)}"

    def _measured(self, place: Path) -> Iterator[str]:
        losses = [
            pq.read_table(path)["train_loss"].to_pylist()
            for path in place.glob("results/*/**/metrics.parquet")
        ]
        bad = sum(not np.isfinite(loss) for one in losses for loss in one if loss is not None)
        yield f"{len(losses)} runs measured, losses that are no numbers: {bad}"


def _decoded(data: bytes) -> np.ndarray:
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _without_times(path: Path) -> object:
    return pq.read_table(path).drop_columns("seconds").to_pydict() if path.exists() else str(path)
