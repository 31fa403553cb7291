"""Which runs of a table are compared: roles in a figure, stages, and whether they may be."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from plasticity.core.errors import UserError


def stages_of(path: str) -> str:
    """The stages of the `path` of a run, without data set, model and seed."""
    return "/".join(path.split("/")[3:])


def with_roles(
    runs: pd.DataFrame, curves: pd.DataFrame, roles: Mapping[str, list[str]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A figure's `runs` and `curves` with a column `role`; `roles` gives the runs of each.

    The runs come in the order of the roles, and one that plays two roles comes twice. In the
    curves the role has no value where the epochs are those of pretraining.
    """
    played = pd.DataFrame(
        [("tune", role, run) for role, paths in roles.items() for run in paths],
        columns=["kind", "role", "run"],
    )
    return (
        played.drop(columns="kind").merge(runs, on="run", how="left"),
        curves.merge(played, on=["run", "kind"], how="left"),
    )


def require_comparable(runs: pd.DataFrame) -> None:
    """Raise `UserError` where `runs`, about to be compared, differ in data set or arithmetic."""
    for column in ("data_checksum", "precision", "device"):
        values = runs.groupby(column)["run"].first()
        if len(values) > 1:
            found = "; ".join(f"{value}: {run}" for value, run in values.items())
            raise UserError(
                f"runs that are to be compared differ in {column} ({found}); delete the results of "
                "one kind and run again"
            )
