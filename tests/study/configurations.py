"""The paper's configuration with changes, and what is refused in it."""

import copy
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from plasticity.core.errors import UserError
from plasticity.study import Study

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
OVERLAYS = sorted((ROOT / "studies").glob("*.yaml"))


def with_changes(changes):
    """The paper's configuration with an overlay, as Snakemake lays one over another."""
    config = copy.deepcopy(PAPER)
    update_config(config, changes)
    return config


def without(*keys):
    config = copy.deepcopy(PAPER)
    *above, last = keys
    place = config
    for key in above:
        place = place[key]
    del place[last]
    return config


def refusal(config):
    with pytest.raises(UserError) as refused:
        Study(config)
    return str(refused.value)


def of_figure(**settings):
    """An overlay of figure 2."""
    return {"figures": {"fig02": settings}}


def of_runs(cold):
    return of_figure(runs={"cold": cold})
