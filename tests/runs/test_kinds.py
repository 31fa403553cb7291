"""The table of job kinds: what it names is there, and rules of the workflow agree with it."""

import inspect
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

from plasticity.runs import Run, kinds, layout
from plasticity.runs.kinds import CONNECTIVITY, KINDS, MASK, OF_RULES, PRETRAIN, TUNE, Job
from plasticity.study import settings

ROOT = Path(__file__).parents[2]
RULES = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
PLACE = "cifar10/resnet20/seed0/"
STATE = Run.parse(f"{PLACE}full_sgd-lr0.1_i100_init")
TICKET = Run.parse(f"{STATE}/full_sgd-lr0.1_till2_ticket2-noise1")
WHOLE = Run.parse(f"{PLACE}full_sgd-lr0.1_e30_init/full_sgd-lr0.1_e15_keep")


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_what_a_kind_names_is_there(kind):
    assert inspect.ismodule(resolve_name(kind.module))
    assert inspect.isfunction(resolve_name(kind.header))
    assert (ROOT / "workflow" / "scripts" / kind.script).exists()
    assert kind.roots == (kind.script, kind.module)


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_its_rules_make_its_files(kind):
    for rule in kind.rules:
        assert re.search(rf"rule (\w+ as )?{rule}\b", RULES)
    for name in kind.files:
        assert f'"results/{kind}/{{run}}/{name}"' in RULES


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_its_rule_has_its_inputs_and_is_told_its_code(kind):
    """Also one that takes over the rest from the rule of another kind."""
    name = next(name for name, value in vars(kinds).items() if value is kind)
    block = re.split(rf"rule (?:\w+ as )?{kind.rules[0]}\b", RULES)[1].split("\nrule ")[0]
    assert f"inputs_of(kinds.{name})" in block.split("\nuse rule ")[0]
    assert f"code_of(kinds.{name})" in block.split("\nuse rule ")[0]


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_a_file_tells_its_job(kind):
    run = TICKET.ticket if kind is MASK else WHOLE
    for name in kind.files:
        assert layout.job_of(f"results/{kind}/{run}/{name}") == Job(kind, run)


def test_the_names_of_all_rules_are_taken():
    rules = RULES + (ROOT / "Snakefile").read_text()
    named = {*re.findall(r"^ *rule (\w+):", rules, re.M), *re.findall(r" as (\w+) with:", rules)}
    assert named == settings.RESERVED


def test_a_rule_makes_jobs_of_one_kind():
    assert len(OF_RULES) == sum(len(kind.rules) for kind in KINDS.values())


def test_what_a_job_is_given():
    assert Job(TUNE, WHOLE).inputs == {"parent": Job(PRETRAIN, WHOLE.parent)}
    assert Job(PRETRAIN, WHOLE).inputs == {
        "parent": Job(PRETRAIN, WHOLE.parent),
        "rung": Job(PRETRAIN, WHOLE.rung),
    }
    assert Job(TUNE, TICKET).inputs == {
        "parent": Job(PRETRAIN, STATE),
        "mask": Job(MASK, TICKET.ticket),
    }
    assert Job(MASK, TICKET.ticket).inputs == {"state": Job(PRETRAIN, TICKET.pruned_from)}
    assert Job(CONNECTIVITY, WHOLE).inputs == {
        "parent": Job(PRETRAIN, WHOLE.parent),
        "one": Job(PRETRAIN, WHOLE),
        "other": Job(PRETRAIN, WHOLE.reordered_run),
    }


def test_one_file_tells_that_a_job_is_done_and_another_may_be_handed_on():
    assert layout.done(Job(PRETRAIN, WHOLE)) == f"results/pretrain/{WHOLE}/metrics.parquet"
    assert layout.handed_on(Job(PRETRAIN, WHOLE)) == layout.checkpoint(WHOLE)
    assert layout.handed_on(Job(MASK, TICKET.ticket)) == layout.mask(TICKET.ticket)
