"""Digests of code: they change with what a result depends on, and with nothing else."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import plasticity
from plasticity.core.errors import UserError
from plasticity.pipeline import closure, digests, tokens
from plasticity.pipeline.why import explained
from plasticity.runs import (
    Integer,
    Length,
    Run,
    Stage,
    data_selections,
    datasets,
    metrics,
    optimisers,
    starts,
)
from plasticity.runs.kinds import CONNECTIVITY, KINDS, MASK, TELEMETRY, TUNE, Job

ADAM = Run.parse("cifar10/resnet18/seed0/full_adam-lr0.001_e500_init")
TICKET = Run.parse("cifar10/resnet20/seed0/full+augment_sgd-lr0.1_e160_ticket8-noise1")
SGD = Run.parse("cifar10/resnet18/seed0/full_sgd-lr0.1_e500_init")
RESET = Run.parse(
    "cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset6"
)
REWOUND = Run.parse(
    "cifar10/resnet20/seed0/full_sgd-lr0.1_i500_init/full_sgd-lr0.1_till160_ticket2-random"
)
BOTH = (TUNE, MASK)
ROOT = Path(plasticity.__file__).parents[1]


digest_of = cache(tokens.digest_of)
"""All tests look at the same files, of which each changes a few."""


def training(run):
    return digests.components(Job(TUNE, run))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that the digests are taken of, to be edited."""
    ignored = shutil.ignore_patterns("__pycache__")
    package = shutil.copytree(ROOT / "plasticity", tmp_path / "plasticity", ignore=ignored)
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    monkeypatch.setattr(closure, "PACKAGE", package)
    monkeypatch.setattr(tokens, "digest_of", digest_of)
    digests.forget()
    yield package
    digests.forget()


def edit(path, change):
    """Change the text of a module, and forget the digests taken before."""
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)
    digests.forget()


def append(path, text="print('changed')"):
    edit(path, lambda code: f"{code}\n\n{text}\n")


def moved(before, after):
    """The components in which two results differ."""
    return digests.outdated(before, after, {})


def file_of(term):
    """The component that declares a word of a registry."""
    return closure.name_of(closure.path_of(closure.source_of(term.member.function)))


# What does not count


def test_digests_are_short_and_the_same_each_time(package):
    first = training(ADAM)
    digests.forget()
    assert training(ADAM) == first
    assert all(re.fullmatch(r"[0-9a-f]{16}", digest) for digest in first.values())
    assert re.fullmatch(r"[0-9a-f]{16}", digests.combined(first))


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
}
SILENT = {
    *("core/errors.py", "core/files.py", "core/gpus.py", "core/logs.py", "core/shutdown.py"),
    *("runs/run.py", "runs/layout.py", "runs/values.py", "runs/workload.py", "pipeline/digests.py"),
    *("analysis/summary.py", "analysis/figures/style.py", "observe/telemetry.py"),
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
        files = digests.components(Job(kind, TICKET), {"each": 1}).keys() - {*digests.FACTS}
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
    stage = Stage.parse("full_adam-lr0.001_e500_init")
    assert moved(before, training(replace(ADAM, stages=(stage,)))) == ["options"]
    optimisers.parse.cache_clear()


@pytest.mark.parametrize(
    ("kind", "name", "other"),
    [
        *((kind, "dense", lambda run: run._ending(start=starts.parse("keep"))) for kind in BOTH),
        *((kind, "pruned_from", lambda run: run.ticket and run.from_scratch) for kind in BOTH),
        *((kind, "pruned_from", lambda run: run.ticket) for kind in BOTH),
        *((kind, "parent", lambda run: None) for kind in BOTH),
        *((kind, "rung", lambda run: None) for kind in BOTH),
        (TUNE, "ticket", lambda run: run if run.stage.prunes else None),
    ],
)
def test_what_a_run_descends_from_counts_by_value(monkeypatch, kind, name, other):
    def found():
        digests.forget()
        Run.parse.__func__.cache_clear()  # what a run is asked for it keeps
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


# A job and its plan


@pytest.fixture
def planned(package, monkeypatch):
    """The code of a package is told to jobs before it is changed."""
    monkeypatch.setenv(digests.PLANNED, "")
    digests.plan()
    digests.forget()
    return package


def test_a_job_goes_on_where_its_code_is_as_it_was_planned(planned):
    append(planned / "observe" / "telemetry.py")
    assert digests.require_unchanged(Job(TUNE, ADAM)).components == training(ADAM)


def test_a_job_names_what_changed_since_it_was_planned(planned):
    append(planned / "training" / "loop.py")
    append(planned / "training" / "prune.py")
    expected = r"the code changed since this job was planned: training/loop\.py; run the same"
    with pytest.raises(UserError, match=expected):
        digests.require_unchanged(Job(TUNE, ADAM))
    with pytest.raises(UserError, match=r"training/loop\.py, training/prune\.py; "):
        digests.require_unchanged(Job(TUNE, TICKET))


def test_a_job_that_is_told_of_no_plan_goes_on(planned, monkeypatch):
    append(planned / "training" / "loop.py")
    monkeypatch.delenv(digests.PLANNED)
    assert digests.require_unchanged(Job(TUNE, ADAM)).components == training(ADAM)


# Equivalences and the command line


def test_the_equivalences_are_pairs_of_digests_of_known_form():
    lines = digests.EQUIVALENCES.read_text().splitlines()
    assert lines[0] == "component,earlier digest,digest"
    for line in lines[1:]:
        assert re.fullmatch(r"[\w./-]+\.py,([0-9a-f]{16})?,([0-9a-f]{16})?", line), line
    assert len(set(lines)) == len(lines)


@pytest.fixture
def table(tmp_path, monkeypatch):
    path = tmp_path / "equivalences.csv"
    monkeypatch.setattr(digests, "EQUIVALENCES", path)
    path.write_text("component,earlier digest,digest\n")
    digests.forget()
    yield path
    digests.forget()


def accept(table, name, one, other):
    table.write_text(f"{table.read_text()}{name},{one},{other}\n")
    digests.forget()


def test_results_of_equivalent_code_stay(package, table):
    first = training(ADAM)
    append(package / "training" / "loop.py")
    (package / "training" / "part.py").write_text("PART = 1\n")
    append(package / "training" / "loop.py", "from plasticity.training.part import PART")
    second = digests.code_of(Job(TUNE, ADAM))
    assert second.changed_since(first) == ["training/loop.py", "training/part.py"]
    accept(table, "training/part.py", "", second.components["training/part.py"])
    loop = "training/loop.py"
    accept(table, loop, first[loop], second.components[loop])
    assert digests.code_of(Job(TUNE, ADAM)).changed_since(first) == []
    append(package / "training" / "loop.py")
    assert digests.code_of(Job(TUNE, ADAM)).changed_since(first) == [loop]


def test_why_a_result_is_made_again_is_told(package, table, tmp_path):
    path = tmp_path / "results" / "tune" / str(ADAM) / "metrics.parquet"
    about = {"run": str(ADAM), "components": {**training(ADAM), "gone.py": "0" * 16}}
    metrics.write(path, [], about)
    append(package / "training" / "loop.py")
    lines = list(explained(path))
    assert lines[-1] == "made again because of: gone.py, training/loop.py"
    (loop,) = [line for line in lines if line.startswith("training/loop.py")]
    digest = training(ADAM)["training/loop.py"]
    assert loop.split()[1:] == [about["components"]["training/loop.py"], digest, "CHANGED"]
    assert any(re.fullmatch(r"training/train\.py .* same", line) for line in lines)
    accept(table, "gone.py", "0" * 16, "")
    accept(table, "training/loop.py", about["components"]["training/loop.py"], digest)
    assert list(explained(path))[-1] == "of the present code"


def test_what_is_no_result_is_refused(tmp_path):
    metrics.write(tmp_path / "metrics.parquet", [], {"run": str(ADAM)})
    with pytest.raises(UserError, match="no result of a run"):
        list(explained(tmp_path / "metrics.parquet"))


def test_the_command_tells_the_digest_of_every_file():
    done = subprocess.run(
        [sys.executable, "-m", "plasticity.pipeline.digests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == closure.every_file()
    assert found.keys() >= training(TICKET).keys() - {*digests.FACTS}


# The other jobs


def depends(package, digest, module):
    before = digest()
    append(package / module, "VALUE = 1")
    return digest() != before


@pytest.mark.parametrize(
    ("module", "counts"),
    [("core/rng.py", True), ("data/splits.py", True), ("training/loop.py", False)],
)
def test_a_split_depends_on(package, module, counts):
    full = data_selections.parse("full")
    assert depends(package, lambda: digests.split(full), module) == counts


@pytest.mark.parametrize(
    ("module", "counts"),
    [("data/storage.py", True), ("core/rng.py", True), ("training/loop.py", False)],
)
def test_a_data_set_depends_on(package, module, counts):
    digits = datasets.parse("digits-clutter")
    assert depends(package, lambda: digests.dataset(digits), module) == counts
    assert depends(package, lambda: digests.dataset(digits), file_of(digits))


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        *(("analysis/summary.py", True), ("analysis/stats.py", True), ("runs/metrics.py", True)),
        *(("training/loop.py", False), ("analysis/figures/style.py", False)),
    ],
)
def test_tables_depend_on(package, module, counts):
    assert depends(package, digests.summary, module) == counts


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        *(("analysis/figures/resets.py", True), ("analysis/figures/style.py", True)),
        *(("analysis/figures/__init__.py", True), ("analysis/figures/warm_start.py", False)),
        *(("training/loop.py", False), ("observe/jobs.py", False)),
    ],
)
def test_a_drawing_depends_on(package, module, counts):
    assert depends(package, lambda: digests.drawing("resets"), module) == counts


def test_different_jobs_have_different_digests():
    all_of_them = [
        *(digests.combined(training(run)) for run in (ADAM, SGD, RESET, TICKET)),
        *(digests.split(data_selections.parse(name)) for name in ("full", "half")),
        *(digests.dataset(datasets.parse(name)) for name in ("svhn", "cifar10", "svhn-n10")),
        *(digests.summary(), digests.claims()),
        *(digests.drawing(name) for name in ("resets", "warm_start")),
        *(digests.preview(name, [ADAM]) for name in ("resets", "warm_start")),
        digests.preview("resets", [SGD]),
        *(digests.script(name) for name in ("train.py", "prune.py")),
    ]
    assert len(set(all_of_them)) == len(all_of_them)
