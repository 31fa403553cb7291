"""`early_data`, `early_sparse`: sub-networks pretrained without the labels, by its length."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.core.errors import UserError

LEVELS = (*style.REFERENCES, "rewound")
"""The roles that the others are compared with."""
VIEWS = {"randomlabels": "random labels", "augment": ""}
"""Views that are not called as they are spelt; augmentation, which is not what differs, is not
called at all."""


def draw(tables: Tables) -> Drawing:
    """A line a view by epochs of pretraining; bands for sub-networks trained with labels only."""
    runs = tables.runs
    pretrained = runs[~runs["role"].isin(LEVELS)]
    style.require_points(
        pretrained, f"pretrained sub-networks, in roles besides {', '.join(LEVELS)}"
    )
    untold = pretrained.loc[pretrained["pretrain_epochs"].isna(), "run"]
    if len(untold):
        raise UserError(
            "this figure draws runs by their epochs of pretraining, and the pretraining of "
            f"{untold.iloc[0]} is given in iterations; give it in epochs (e)"
        )
    # What comes after pretraining may be all epochs, or what pretraining left of them.
    by = ["role", "pretrain_views", "length", "pretrain_epochs"]
    table = style.over_seeds(pretrained, by, "test_accuracy")

    picture = style.picture(7.8, 4.2)
    axes = picture.subplots()
    levels = [style.levels(axes, runs, tables.labels), *_set_back(axes, tables)]
    lengths = table["length"].nunique()
    series = table.groupby(by[:3], sort=False, dropna=False)
    for position, ((role, views, length), line) in enumerate(series, start=1):
        label = f"{tables.labels[str(role)]}: {in_words(str(views or ''))}"
        if lengths > 1:
            label += f", then {length}"
        dashes = style.DASHES[(position - 1) // len(style.OTHERS) % len(style.DASHES)]
        line = line.sort_values("pretrain_epochs")
        style.points(axes, line, "pretrain_epochs", position, label=label, linestyle=dashes)
    style.single_seeds(axes, pretrained, "pretrain_epochs")
    epochs = sorted(table["pretrain_epochs"].unique())
    axes.set_xscale("log")
    axes.set_xticks(epochs, [f"{epoch:g}" for epoch in epochs])
    axes.minorticks_off()
    numbers = pd.concat([part for part in (*levels, table) if len(part)], ignore_index=True)
    axes.set(xlabel="Epochs of pretraining", ylabel=style.LAST_ACCURACY)
    style.finish(axes, tables.title, numbers)
    axes.legend(**style.entries([axes]), loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Drawing(picture, numbers)


def in_words(views: str) -> str:
    """What a stage saw, such as ``4x blurred, rotation`` for ``blur4+rotation+augment``."""
    words = []
    for view in views.split("+"):
        blur = re.fullmatch(r"blur(\d+)", view)
        words.append(f"{blur[1]}x blurred" if blur else VIEWS.get(view, view))
    return ", ".join(word for word in words if word) or "true labels"


def _set_back(axes: Axes, tables: Tables) -> Iterator[pd.DataFrame]:
    """Draw a band for each iteration that sub-networks trained with labels were set back to."""
    runs = tables.runs[tables.runs["role"] == "rewound"]
    for position, begins in enumerate(sorted(runs["begins"].unique())):
        color, dashes = style.BEGINS[position % len(style.BEGINS)]
        labels = {"rewound": style.set_back(tables.labels["rewound"], begins)}
        here = runs[runs["begins"] == begins]
        level = style.band(axes, here, labels, "rewound", color, linestyle=dashes)
        yield level.assign(begins=begins)
