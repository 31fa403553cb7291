"""Digests of code: they change with what a result depends on, and with nothing else."""

import re
import sys
from dataclasses import replace

import pytest
from edited import ADAM, RESET, REWOUND, ROOT, SGD, TICKET, append, edit, file_of, moved, training

from plasticity.pipeline import closure, digests, tokens
from plasticity.runs import (
    Integer,
    Length,
    Run,
    datasets,
    optimisers,
    starts,
)
from plasticity.runs.kinds import CONNECTIVITY, KINDS, MASK, TELEMETRY, TUNE, Job
from plasticity.runs.provenance import FACTS, Code

BOTH = (TUNE, MASK)


# What does not count


def test_digests_are_short_and_the_same_each_time(package):
    first = training(ADAM)
    digests.forget()
    assert training(ADAM) == first
    assert all(re.fullmatch(r"[0-9a-f]{16}", digest) for digest in first.values())
    assert re.fullmatch(r"[0-9a-f]{16}", Code(first).digest)


def test_a_copy_elsewhere_has_the_same_digests(package, monkeypatch):
    copied = training(ADAM)
    monkeypatch.setattr(closure, "PACKAGE", ROOT / "plasticity")
    digests.forget()
    assert training(ADAM) == copied


def test_comments_docstrings_and_layout_do_not_count(package):
    before = training(ADAM)
    edit(package / "models" / "resnet.py", lambda code: "# a comment\n" + code)
    edit(package / "models" / "resnet.py", lambda code: code.replace('"""', '"""Other. ', 1))
    edit(package / "models" / "resnet.py", lambda code: code.replace("\n\n", "\n\n\n"))
    assert training(ADAM) == before


# What training depends on

TRAINS = {
    *("core/rng.py", "data/splits.py", "data/storage.py", "data/raw.py"),
    *("models/network.py", "models/resnet.py", "models/masks.py", "runs/metrics.py"),
    *("training/checkpoint.py", "training/cuda_graphs.py", "training/hardware.py"),
    *("training/loop.py", "training/stages.py", "training/train.py", "workflow/scripts/train.py"),
    "scripts/train.py",
}
SILENT = {
    *("core/errors.py", "core/files.py", "core/gpus.py", "core/logs.py", "core/shutdown.py"),
    *("runs/run.py", "runs/layout.py", "runs/values.py", "runs/workload.py", "pipeline/digests.py"),
    *("analysis/summary/runs.py", "analysis/figures/style.py", "observe/telemetry.py"),
    *(
        "training/prune.py",
        "data/sources.py",
        "measures/quantities.py",
        "workflow/scripts/prune.py",
    ),
}


def test_training_has_the_components_that_move_numbers():
    found = training(ADAM)
    assert found.keys() >= TRAINS
    assert not SILENT & found.keys()
    words = [ADAM.model, *(getattr(ADAM.stage, name) for name in ("data", "optimiser", "start"))]
    assert found.keys() >= {file_of(word) for word in words}


def test_each_component_is_a_file_or_a_fact():
    for kind in KINDS.values():
        files = digests.components(Job(kind, TICKET), {"each": 1}).keys() - {*FACTS}
        places = [ROOT / name if "workflow" in name else closure.PACKAGE / name for name in files]
        assert all(place.is_file() for place in places)
        assert files <= closure.every_file().keys()


@pytest.mark.parametrize("name", sorted(TRAINS))
def test_a_change_moves_its_own_component_alone(package, name):
    before = training(ADAM)
    append(package.parent / name if "workflow" in name else package / name)
    assert moved(before, training(ADAM)) == [name]


def test_a_change_to_other_files_moves_nothing(package):
    """Not to figures, tables, the study, or what a run is called."""
    before = training(ADAM)
    used = before.keys()
    others = [p for p in package.rglob("*.py") if closure.name_of(p) not in used]
    empty = [p for p in others if not tokens.significant(p.read_text())]
    assert {*others} >= {package / name for name in SILENT if "workflow" not in name}
    for path in {*others} - {*empty}:
        path.write_text(f"{path.read_text()}\n\nprint('changed')\n")
    digests.forget()
    assert training(ADAM) == before


@pytest.mark.parametrize("name", ["models/masks.py", "training/prune.py", "training/loop.py"])
def test_sub_networks_depend_on_how_they_are_pruned(package, name):
    before = training(TICKET)
    append(package / name)
    assert moved(before, training(TICKET)) == [name]


def test_the_code_of_a_package_counts_for_all_that_is_in_it(package):
    before = training(ADAM)
    append(package / "training" / "__init__.py")
    assert moved(before, training(ADAM)) == ["training/__init__.py"]


def test_a_module_that_is_newly_imported_counts(package):
    before = training(ADAM)
    (package / "training" / "trick.py").write_text("import plasticity.measures.quantities\n")
    edit(package / "training" / "loop.py", lambda code: f"import plasticity.training.trick\n{code}")
    expected = ["measures/quantities.py", "training/loop.py", "training/trick.py"]
    assert moved(before, training(ADAM)) == expected


def test_an_import_for_the_type_checker_alone_is_not_followed(package):
    before = training(ADAM)
    append(
        package / "training" / "loop.py",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n"
        "    from plasticity.measures import quantities\n",
    )
    assert moved(before, training(ADAM)) == ["training/loop.py"]


# Words of a registry


def test_a_word_in_use_counts_and_another_does_not(package):
    for run, words in ((ADAM, [ADAM.stage.optimiser]), (TICKET, TICKET.stage.transforms)):
        for word in words:
            before = training(run)
            append(package / file_of(word))
            assert moved(before, training(run)) == [file_of(word)]


def test_a_ticket_depends_on_the_words_of_what_its_mask_comes_from():
    """On the plain ticket and the dense run, where its own start is another one."""
    plain = TICKET.ticket.stage.start
    dense = TICKET.ticket.dense.stage.start
    assert training(TICKET).keys() >= {file_of(plain), file_of(dense)}


def test_earlier_stages_count():
    """A checkpoint is not tracked by its age, so what made it is part of what is made from it."""
    other = Run.parse(str(RESET).replace("half_adam-lr0.001", "half_sgd-lr0.1"))
    assert {"lineage", "options"} <= {*moved(training(RESET), training(other))}
    assert training(other).keys() >= {file_of(SGD.stage.optimiser)}


OWN = '''
from plasticity.runs import Number, optimisers
from plasticity.measures import quantities


@optimisers.member("{name}-lr{{lr}}", lr=Number(above=0))
def {name}(parameters, *, lr):
    """A rule of the user's own."""
    from torch.optim import SGD

    return SGD(parameters, lr=lr)
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An optimiser that is declared outside of the library, and its file."""
    known = dict(optimisers.members)
    (tmp_path / "lions.py").write_text(OWN.format(name="lion"))
    monkeypatch.syspath_prepend(tmp_path)
    import lions  # noqa: F401

    yield tmp_path / "lions.py"
    optimisers._members.clear()
    optimisers._members.update(known)
    optimisers.parse.cache_clear()
    optimisers.read.cache_clear()
    Run.parse.__func__.cache_clear()
    del sys.modules["lions"]
    digests.forget()


def test_a_word_of_the_users_own_is_a_component_with_what_it_imports(package, own):
    before = training(ADAM)
    digests.forget()
    run = Run.parse("cifar10/resnet18/seed0/full_lion-lr0.1_e500_init")
    first = training(run)
    assert first.keys() >= {"lions.py", "measures/quantities.py"}
    assert training(ADAM) == before
    append(own)
    assert moved(first, training(run)) == ["lions.py"]
    assert closure.every_file()["lions.py"] == training(run)["lions.py"]


# What a run is and what it descends from


def of_another_seed(run):
    """The parent of `run`, but of another seed."""
    before = run.path.rpartition("/")[0]
    return replace(Run.parse(before), seed=run.seed + 1) if len(run.stages) > 1 else None


def test_the_seed_does_not_count():
    other = Job(TUNE, replace(REWOUND, seed=3))
    assert digests.code_of(other) == digests.code_of(Job(TUNE, REWOUND))
    assert training(replace(REWOUND, seed=3)) == training(REWOUND)


def test_a_rung_differs_from_what_continues_it_in_lineage_alone():
    other = replace(ADAM, stages=(replace(ADAM.stage, length=Length("e", 10)),))
    assert moved(training(other), training(ADAM)) == ["lineage"]


def test_a_changed_default_counts(monkeypatch):
    """It moves results without moving their path."""
    before = training(ADAM)
    kinds = ADAM.stage.optimiser.member.template.kinds
    monkeypatch.setitem(kinds, "batch", Integer(at_least=1, default=64))
    optimisers.parse.cache_clear()
    optimisers.read.cache_clear()
    stage = replace(ADAM.stage, optimiser=optimisers.parse("adam-lr0.001"))
    assert moved(before, training(replace(ADAM, stages=(stage,)))) == ["options"]
    optimisers.parse.cache_clear()
    optimisers.read.cache_clear()


@pytest.mark.parametrize(
    ("kind", "name", "other"),
    [
        *((kind, "dense", lambda run: run.ending(start=starts.parse("keep"))) for kind in BOTH),
        *((kind, "pruned_from", lambda run: run.ticket and run.from_scratch) for kind in BOTH),
        *((kind, "pruned_from", lambda run: run.ticket) for kind in BOTH),
        *((kind, "parent", lambda run: None) for kind in BOTH),
        *((kind, "parent", of_another_seed) for kind in BOTH),
        *((kind, "rung", lambda run: None) for kind in BOTH),
        (TUNE, "ticket", lambda run: run if run.stage.prunes else None),
    ],
)
def test_what_a_run_descends_from_counts_by_value(monkeypatch, kind, name, other):
    def found():
        digests.forget()
        for cached in (Run.parse, Run.of):
            cached.__func__.cache_clear()  # what a run is asked for it keeps
        run = Run.parse(str(REWOUND))
        return digests.components(Job(kind, run if kind is TUNE else run.ticket))

    before = found()
    with monkeypatch.context() as changed:
        changed.setattr(Run, name, property(other))
        after = found()
    assert "lineage" in moved(before, after)
    assert found() == before


def test_long_chains_have_a_lineage():
    stages = "/".join(["full_sgd-lr0.1_e2_ticket100"] * 40)
    run = Run.parse(f"cifar10/resnet20/seed0/{stages}")
    assert training(run)["lineage"]


# Observations


def test_what_is_observed_depends_on_training_and_on_how_it_is_observed(package):
    for kind, other in ((TELEMETRY, CONNECTIVITY), (CONNECTIVITY, TELEMETRY)):

        def seen(each=3, job=Job(kind, ADAM)):  # noqa: B008
            return digests.components(job, {"each": each})

        before = seen()
        assert {*training(ADAM)} <= {*before}
        assert moved(before, seen(each=4)) == ["settings"]
        append(package / "observe" / f"{other}.py")
        assert seen() == before
        for name in (f"observe/{kind}.py", "training/loop.py"):
            before = seen()
            append(package / name)
            assert moved(before, seen()) == [name]


def test_the_other_order_of_a_connectivity_counts():
    order = ADAM.reordered_run.stage.transforms[-1]
    assert file_of(order) in digests.components(Job(CONNECTIVITY, ADAM))


def test_an_option_that_says_nothing_outdates_nothing():
    """So a later version may have more of them; those of data sets counted from the start."""
    meant = {
        registry.kind: digests._meant(registry.parse(text))[2]
        for registry, text in ((optimisers, "adam-lr0.001-warm5"), (datasets, "cifar10"))
    }
    assert meant["optimiser"].pop("warm") == 5
    assert meant["optimiser"].keys() == {"lr", "weight_decay", "batch", "drops"}
    assert meant["data set"] == {"examples": None, "pixels": None}
