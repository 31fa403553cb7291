"""Shared fixtures: the numbers beside each figure, and runs with their metrics."""

import early_figure_tables
import figure_tables
import pytest
from made_metrics import ABOUT, COLD, RESET, WARM, history

from plasticity.analysis.summary.runs import Measured
from plasticity.runs import Run, metrics

DRAWINGS = figure_tables.DRAWINGS | early_figure_tables.DRAWINGS


@pytest.fixture
def rows_of(tmp_path):
    """The numbers of the drawing of that name, of three seeds."""

    def by_name(name):
        outputs = figure_tables.draw(name, tmp_path, DRAWINGS[name]((0, 1, 2)), ["csv"])
        return figure_tables.numbers(outputs)

    return by_name


@pytest.fixture
def write(tmp_path):
    """Writes the metrics of a run; returns the run and what is read back."""

    def written(template, seed, test, train=None, first=1, **about):
        run = Run.parse(template.format(seed=seed))
        path = tmp_path / str(run) / "metrics.parquet"
        ends = 9 * (run.stage.length.epochs or len(test))
        facts = {**ABOUT, "run": str(run), "ends": ends, **about}
        metrics.write(path, history(test, train, first), facts)
        return run, Measured.read(path)

    return written


@pytest.fixture
def tuned(write):
    """Cold runs of seeds 0, 1 and 2, warm ones of 0, 1 and 3, one reset."""
    return dict(
        [
            write(COLD, 0, [0.1, 0.2, 0.3, 0.4, 0.80]),
            write(COLD, 1, [0.1, 0.2, 0.3, 0.9, 0.70]),
            write(COLD, 2, [0.1, 0.2, 0.3, 0.4, 0.90]),
            write(WARM, 0, [0.5, 0.5, 0.5, 0.5, 0.75], [0.5, 1.0, 0.5, 0.5, 1.0]),
            write(WARM, 1, [0.5, 0.5, 0.5, 0.5, 0.50], [0.5] * 5),
            write(WARM, 3, [0.5, 0.5, 0.5, 0.5, 0.10], [0.5] * 5),
            write(RESET, 1, [0.5, 0.5, 0.5, 0.5, 0.60], [1.0] * 5),
        ]
    )
