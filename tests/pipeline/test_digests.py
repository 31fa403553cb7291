"""Digests of code: they change with what a result depends on, and with nothing else."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import plasticity
from plasticity.pipeline import digests
from plasticity.runs import Integer, Length, Run, Stage, data_selections, datasets, optimisers
from plasticity.runs.kinds import KINDS

ADAM = Run.parse("cifar10/resnet18/seed0/full_adam-lr0.001_e500_init")
TICKET = Run.parse("cifar10/resnet20/seed0/full+augment_sgd-lr0.1_e160_ticket8-noise1")
SGD = Run.parse("cifar10/resnet18/seed0/full_sgd-lr0.1_e500_init")
RESET = Run.parse(
    "cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset6"
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that the digests are taken of, to be edited."""
    original = Path(plasticity.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    package = shutil.copytree(original, tmp_path / "plasticity", ignore=ignored)
    monkeypatch.setattr(digests, "PACKAGE", package)
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


def append(path, text):
    edit(path, lambda code: f"{code}\n\n{text}\n")


def replaced(old, new):
    def change(code):
        assert old in code
        return code.replace(old, new)

    return change


def modules():
    root = Path(plasticity.__file__).parent
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.py"))


# What does not count


def test_a_digest_is_short_and_the_same_each_time(package):
    first = digests.training(ADAM)
    digests.forget()
    assert digests.training(ADAM) == first
    assert re.fullmatch(r"[0-9a-f]{16}", first)


def test_a_copy_elsewhere_has_the_same_digest(package, monkeypatch):
    copied = digests.training(ADAM)
    monkeypatch.setattr(digests, "PACKAGE", Path(plasticity.__file__).parent)
    digests.forget()
    assert digests.training(ADAM) == copied


@pytest.mark.parametrize(
    "change",
    [
        lambda code: "# a comment\n" + code.replace("\n\n\n", "\n\n\n# another\n"),
        lambda code: code.replace("\n\n", "\n\n\n\n"),
        lambda code: code.replace('"""', '"""Other words. ', 1),
        lambda code: re.sub(r'(def .*:\n +""")', r"\1Other words. ", code),
        lambda code: re.sub(r'(class .*:\n +""")', r"\1Other words. ", code),
        lambda code: code.replace("(images)", "(\n            images\n        )"),
    ],
    ids=["comment", "blank lines", "module", "function", "class", "line breaks"],
)
def test_comments_docstrings_and_layout_do_not_count(package, change):
    before = digests.training(ADAM)
    edit(package / "models" / "resnet.py", change)
    assert digests.training(ADAM) == before


def test_the_docstring_of_a_constant_does_not_count_either(package):
    before = digests.training(ADAM)
    edit(
        package / "engine.py",
        replaced("at once: it bounds memory.", "at once, which bounds memory."),
    )
    assert digests.training(ADAM) == before


def test_a_docstring_may_be_all_that_a_function_has(package):
    before = digests.training(ADAM)
    append(package / "starts.py", 'def helper():\n    """Nothing."""')
    changed = digests.training(ADAM)
    assert changed != before
    edit(package / "starts.py", replaced("Nothing.", "Nothing at all."))
    assert digests.training(ADAM) == changed


# What training depends on

TRAINS = {
    "checkpoint.py",
    "columns.py",
    "datasets/raw.py",
    "datasets/storage.py",
    "engine.py",
    "hardware.py",
    "metrics.py",
    "models/__init__.py",
    "models/network.py",
    "models/resnet.py",
    "optim.py",
    "recording.py",
    "splits.py",
    "stages.py",
    "starts.py",
    "streams.py",
    "training.py",
    "views.py",
}


@pytest.mark.parametrize("module", sorted(TRAINS))
def test_training_depends_on(package, module):
    before = digests.training(ADAM)
    append(package / module, "print('changed')")
    assert digests.training(ADAM) != before


def test_training_depends_on_nothing_else(package):
    """Not on figures, tables, the study or what a run is called."""
    before = digests.training(ADAM)
    others = sorted({*modules()} - TRAINS)
    assert {"summary.py", "spec/run.py", "study/digest.py", "figures/style.py"} <= {*others}
    for module in others:
        append(package / module, "print('changed')")
    assert digests.training(ADAM) == before


@pytest.mark.parametrize("module", ["tickets.py", "pruning.py"])
def test_sub_networks_depend_on_more(package, module):
    before = digests.training(TICKET)
    append(package / module, "print('changed')")
    assert digests.training(TICKET) != before


def test_a_sub_network_depends_on_the_levels_before_it(package):
    """On the plain ticket and the dense run, where its own start is another one."""
    before = digests.training(TICKET)
    edit(package / "starts.py", replaced("tickets.prunable(network), ticket.kept", "{}, {}"))
    assert digests.training(TICKET) != before


def test_a_view_in_use_counts_and_another_does_not(package):
    before = [digests.training(run) for run in (ADAM, TICKET)]
    edit(package / "views.py", replaced("MARGIN = 4", "MARGIN = 3"))
    assert digests.training(ADAM) == before[0]
    assert digests.training(TICKET) != before[1]


def test_what_is_observed_depends_on_training_and_on_how_it_is_observed(package):
    def seen(kind, **settings):
        return digests.observation(KINDS[kind], ADAM, settings)

    for kind in ("telemetry", "connectivity"):
        before = [seen(kind), digests.training(ADAM)]
        assert seen(kind, each=3) != seen(kind, each=4)
        append(package / f"{kind}.py", "print('changed')")
        changed = seen(kind)
        append(package / "observation.py", f"print('changed for {kind}')")
        assert len({before[0], changed, seen(kind)}) == 3
        assert digests.training(ADAM) == before[1]
    before = seen("connectivity")
    append(package / "engine.py", "print('changed')")
    assert seen("connectivity") != before


# Words of a registry

LION = '''
@optimisers.member("lion-lr{lr}", lr=LEARNING_RATE)
def lion(parameters, *, lr):
    """A new rule."""
    from torch.optim import SGD

    return SGD(parameters, lr=lr)
'''


@pytest.mark.parametrize("run", [ADAM, SGD, RESET])
def test_a_new_word_leaves_old_runs_as_they_are(package, run):
    before = digests.training(run)
    append(package / "optim.py", LION)
    append(package / "starts.py", LION.replace("optimisers", "starts"))
    append(package / "models" / "__init__.py", LION.replace("optimisers", "models"))
    append(package / "splits.py", LION.replace("optimisers", "data_selections"))
    assert digests.training(run) == before


@pytest.mark.parametrize(
    "needs", ["from plasticity.runs import Number", "SLOWNESS = Number(default=1.0)"]
)
def test_what_a_new_word_alone_needs_leaves_old_runs_as_they_are_too(package, needs):
    """A word may bring an import or a constant with it."""
    before = digests.training(SGD)
    append(package / "optim.py", f"{needs}\n{LION}")
    assert digests.training(SGD) == before


def test_a_change_to_a_word_changes_the_runs_that_use_it(package):
    before = {run: digests.training(run) for run in (ADAM, SGD, RESET)}
    edit(
        package / "optim.py",
        replaced("return Adam(parameters, lr=lr", "return Adam(parameters, lr=2 * lr"),
    )
    assert digests.training(ADAM) != before[ADAM]
    assert digests.training(RESET) != before[RESET]
    assert digests.training(SGD) == before[SGD]


def test_a_change_to_a_template_changes_the_runs_that_use_it(package):
    before = digests.training(ADAM), digests.training(SGD)
    edit(package / "optim.py", replaced('"sgd-lr{lr}[-m{momentum}]', '"sgd-lr{lr}[-v{momentum}]'))
    assert digests.training(ADAM) == before[0]
    assert digests.training(SGD) != before[1]


def test_a_change_to_a_start_changes_the_runs_that_use_it(package):
    before = digests.training(ADAM), digests.training(RESET)
    edit(package / "starts.py", replaced("fresh = network.fresh(generator)", "fresh = network"))
    assert digests.training(ADAM) == before[0]
    assert digests.training(RESET) != before[1]


def test_a_run_that_begins_as_a_ticket_depends_on_how_weights_are_pruned(package):
    ticket = replace(ADAM, stages=(Stage.parse("full_adam-lr0.001_e500_ticket8"),))
    before = digests.training(ticket)
    edit(package / "tickets.py", replaced("Fraction(1, 2)", "Fraction(1, 3)"))
    assert digests.training(ticket) != before


def test_what_words_share_changes_all_of_them(package):
    before = digests.training(ADAM), digests.training(SGD)
    edit(package / "optim.py", replaced("Number(above=0)", "Number(above=1)"))
    assert digests.training(ADAM) != before[0]
    assert digests.training(SGD) != before[1]


def test_earlier_stages_count():
    """A checkpoint is not tracked by its age, so what made it is part of what is made from it."""
    other = str(RESET).replace("half_adam-lr0.001", "half_sgd-lr0.1")
    assert digests.training(Run.parse(other)) != digests.training(RESET)


def test_the_length_and_the_seed_do_not_count():
    """They are in the path already, and a rung must have the digest of what continues it."""
    other = replace(ADAM, seed=3, stages=(replace(ADAM.stage, length=Length("e", 10)),))
    assert digests.training(other) == digests.training(ADAM)


def test_a_changed_default_counts(monkeypatch):
    """It moves results without moving their path."""
    before = digests.training(ADAM)
    kinds = ADAM.stage.optimiser.member.template.kinds
    monkeypatch.setitem(kinds, "batch", Integer(at_least=1, default=64))
    optimisers.parse.cache_clear()
    stage = Stage.parse("full_adam-lr0.001_e500_init")
    assert digests.training(replace(ADAM, stages=(stage,))) != before
    optimisers.parse.cache_clear()


# The other jobs


def test_a_split_depends_on_its_own_selection(package):
    full, half = (data_selections.parse(name) for name in ("full", "half"))
    before = digests.split(full), digests.split(half)
    edit(package / "splits.py", replaced("[: total // 2]", "[: total // 3]"))
    assert digests.split(full) == before[0]
    assert digests.split(half) != before[1]


def test_a_split_depends_on_the_streams_and_not_on_training(package):
    full = data_selections.parse("full")
    before = digests.split(full)
    append(package / "engine.py", "VALUE = 1")
    assert digests.split(full) == before
    append(package / "streams.py", "VALUE = 1")
    assert digests.split(full) != before


def test_a_data_set_depends_on_its_own_source(package):
    cifar, digits = (datasets.parse(name) for name in ("cifar10", "digits-clutter"))
    before = digests.dataset(cifar), digests.dataset(digits)
    edit(package / "datasets" / "__init__.py", replaced("uniform(0.0, 0.6", "uniform(0.0, 0.7"))
    assert digests.dataset(cifar) == before[0]
    assert digests.dataset(digits) != before[1]


def test_a_data_set_depends_on_how_it_is_stored(package):
    cifar = datasets.parse("cifar10")
    before = digests.dataset(cifar)
    append(package / "datasets" / "storage.py", "VALUE = 1")
    assert digests.dataset(cifar) != before


@pytest.mark.parametrize(
    ("module", "depends"),
    [
        ("summary.py", True),
        ("stats.py", True),
        ("metrics.py", True),
        ("engine.py", False),
        ("training.py", False),
        ("figures/style.py", False),
    ],
)
def test_tables_depend_on(package, module, depends):
    before = digests.summary()
    append(package / module, "VALUE = 1")
    assert (digests.summary() != before) == depends


@pytest.mark.parametrize(
    ("module", "depends"),
    [
        ("figures/resets.py", True),
        ("figures/style.py", True),
        ("figures/__init__.py", True),
        ("figures/warm_start.py", False),
        ("engine.py", False),
        ("jobs.py", False),
    ],
)
def test_a_drawing_depends_on(package, module, depends):
    before = digests.drawing("resets")
    append(package / module, "VALUE = 1")
    assert (digests.drawing("resets") != before) == depends


def test_different_jobs_have_different_digests():
    all_of_them = [
        digests.training(ADAM),
        digests.training(SGD),
        digests.split(data_selections.parse("full")),
        digests.dataset(datasets.parse("svhn")),
        digests.summary(),
        digests.drawing("resets"),
        digests.drawing("warm_start"),
    ]
    assert len(set(all_of_them)) == len(all_of_them)
