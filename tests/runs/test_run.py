"""Runs: they read back from their paths, and what they descend from."""

import re

import pytest
from any_run import COLD, REGISTRIES, WARM, refused, runs, terms
from hypothesis import given
from hypothesis import strategies as st

from plasticity.runs import (
    RUNGS,
    Length,
    Run,
    SelectionFacts,
    SpellingError,
    StartFacts,
    ancestors,
    data_selections,
    rungs,
    starts,
)
from plasticity.runs.grammar import Template


@given(runs())
def test_a_run_reads_back_from_its_path(run):
    assert Run.parse(str(run)) == run


@given(runs())
def test_a_path_reads_back_from_its_run(run):
    path = str(run)
    assert str(Run.parse(path)) == path


@given(runs())
def test_a_path_can_be_a_folder_on_disk(run):
    """No part is empty, none goes up, and none needs quoting in a shell."""
    for part in str(run).split("/"):
        assert re.fullmatch(r"[a-z0-9][a-zA-Z0-9.+_-]*", part)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_member_reads_back(kind):
    registry = REGISTRIES[kind]

    @given(st.data())
    def reads_back(data):
        for name in registry.members:
            term = data.draw(terms(registry, lambda member: member.name == name))  # noqa: B023
            assert registry.parse(str(term)) == term

    reads_back()


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_member_has_options_in_words(kind):
    for member in REGISTRIES[kind].members.values():
        assert member.function.__doc__
        assert member.template.text.startswith(member.template.name)


def test_a_run_takes_its_path_apart():
    run = Run.parse(WARM)
    assert (str(run.dataset), str(run.model), run.seed) == ("cifar10", "resnet18", 0)
    assert [str(stage.data) for stage in run.stages] == ["half", "full"]
    assert [stage.length for stage in run.stages] == [Length("e", 350), Length("e", 500)]
    assert run.stage.start.options == {"modules": (5, 6)}
    assert run.stage.optimiser.options == {
        **{"lr": 0.001, "weight_decay": 0.0},
        **{"batch": 128, "drops": (), "warm": None, "schedule": None},
    }


# Families


def test_the_rungs_below_a_length():
    run, lengths = Run.parse(COLD.replace("e500", "e350")), []
    while run := run.rung:
        lengths.append(run.stage.length.number)
    assert lengths == [200, 100, 50, 20, 10]


@given(runs())
def test_the_rung_is_the_same_run_at_the_next_lower_length(run):
    length = run.stage.length
    lower = [rung for rung in RUNGS if length.unit == "e" and rung < length.number]
    options = run.stage.optimiser.options
    if run.stage.data.facts.fraction_of_all or run.stage.prunes or options["schedule"]:
        # What a batch holds, what is pruned, how fast it is learnt depends on the whole length.
        assert run.rung is None
    elif lower:
        assert run.rung.stage.length.number == lower[-1]
        assert run.rung.parent == run.parent
        assert str(run.rung) == re.sub(r"_e\d+_([^_]+)$", rf"_e{lower[-1]}_\1", str(run), count=1)
    else:
        assert run.rung is None


@given(runs(), st.sampled_from([*RUNGS, 7]))
def test_the_pattern_of_rungs_knows_them(run, epochs):
    """Those that a longer run goes on from: not a schedule, a drift or a ticket of that length."""
    last = run.ending(length=Length("e", epochs))
    longer = last.ending(length=Length("e", 1001))
    assert last.is_rung == (last in rungs_below(longer))
    for one in (run, last):
        assert bool(re.fullmatch(rungs.pattern(), str(one))) == one.is_rung


@pytest.mark.parametrize("methods", ["", "+l2init0.01", "+sam0.1+hare0.9every2"])
@pytest.mark.parametrize(("rule", "is_rung"), [("adam-lr0.1", True), ("adam-lr0.1-cosine", False)])
def test_methods_leave_a_rung_what_it_is(rule, is_rung, methods):
    run = Run.parse(f"cifar10/resnet18/seed0/half_{rule}{methods}_e10_init")
    assert run.is_rung == bool(re.fullmatch(rungs.pattern(), str(run))) == is_rung


def rungs_below(run):
    below = []
    while run := run.rung:
        below.append(run)
    return below


def test_the_words_of_an_extension_decide_whether_a_run_is_a_rung():
    """A word that begins as another does is another."""
    run = "cifar10/resnet18/seed0/{}_adam-lr0.001_e10_{}"

    @data_selections.member("drifting", facts=SelectionFacts(stream="half"))
    def plain(labels, generator):
        """Not one that drifts."""

    @starts.member("lottery", facts=StartFacts(inherits=None, prunes=True))
    def lottery(network, generator, ticket):
        """Prunes."""

    try:
        paths = [run.format("drifting", "init"), run.format("full", "lottery")]
        assert [bool(re.fullmatch(rungs.pattern(), path)) for path in paths] == [True, False]
    finally:
        data_selections.remove("plain")
        starts.remove("lottery")


def test_rungs_ascend():
    assert list(RUNGS) == sorted(set(RUNGS))


@given(runs())
def test_the_parent_is_the_folder_above(run):
    folder = str(run).rpartition("/")[0]
    if len(run.stages) > 1:
        assert str(run.parent) == folder
    else:
        assert run.parent is None


def test_the_cold_counterpart_is_the_last_stage_alone():
    assert str(Run.parse(WARM).from_scratch) == COLD


@given(runs())
def test_a_cold_run_is_its_own_counterpart(run):
    assert run.from_scratch.from_scratch == run.from_scratch
    assert (run == run.from_scratch) == (len(run.stages) == 1 and run.stage.is_new)


def test_ancestors_come_once_and_parents_first():
    half, more = "half_adam-lr0.001_e350_init", "full_adam-lr0.001_e10_keep"
    place = "cifar10/resnet18/seed0"
    tuned = [
        Run.parse(f"{place}/{half}/{more}/full_adam-lr0.001_e500_keep"),
        Run.parse(f"{place}/{half}/full_adam-lr0.001_e500_keep"),
        Run.parse(COLD),
    ]
    assert [str(run) for run in ancestors(tuned)] == [f"{place}/{half}", f"{place}/{half}/{more}"]


def test_a_cold_run_has_no_ancestors():
    assert ancestors([Run.parse(COLD)]) == []


# Scale


def test_a_spelling_is_written_once_for_all_seeds(monkeypatch):
    """Thousands of runs share their terms: what is written must not grow with the runs."""
    written = []
    write = Template.write
    monkeypatch.setattr(
        Template, "write", lambda self, options: written.append(self) or write(self, options)
    )
    stages = "half_adam-lr0.0123_e35_init/full_adam-lr0.0123_e50_keep"
    runs = [Run.parse(f"cifar10/resnet18/seed{seed}/{stages}") for seed in range(50)]
    lineages = {str(one) for run in runs for one in (run, run.parent, run.parent.rung)}
    assert len(lineages) == 150
    assert len(written) < 20


def test_runs_share_their_parent():
    place = "cifar10/resnet18/seed0/half_adam-lr0.001_e35_init"
    runs = [Run.parse(f"{place}/full_adam-lr0.001_e50_{start}") for start in ("keep", "reset6")]
    assert runs[0].parent is runs[1].parent
    assert runs[0].parent == Run.parse(place)


# Stages that go on, and sub-networks

EARLY = "cifar10/resnet20/seed0/full_sgd-lr0.1_i500_init"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{EARLY}/half_sgd-lr0.1_till9_keep", "has other examples or another size of batches"),
        (f"{EARLY}/full_sgd-lr0.1-b64_till9_keep", "has other examples or another size of batches"),
        ("cifar10/resnet20/seed0/full_sgd-lr0.1_till9_init", "no stage stands before it: write e9"),
        (
            "cifar10/resnet20/seed0/full_sgd-lr0.1_e9_ticket2-signs-k-magnitudes-fresh",
            "so that 'k' is the initialisation: write 'init'",
        ),
        (
            "cifar10/resnet20/seed0/full_sgd-lr0.1_e9_ticket2-signs-init-magnitudes-init",
            "write 'ticket2'",
        ),
        (
            "cifar10/resnet20/seed0/full_sgd-lr0.1_e9_ticket2-signs-init-magnitudes-init-p0.5",
            "write 'ticket2-p0.5'",
        ),
        (EARLY.replace("full", "full+augment+blur4"), "is spelt 'full+blur4+augment'"),
        (EARLY.replace("full", "full+blur2+blur4"), "are of one kind: take one of them"),
        (EARLY.replace("full", "full+randomlabels+rotation"), "both give the examples labels"),
        (EARLY.replace("i500", "500"), "expected e<epochs>, i<updates>, till<epochs>"),
        (EARLY.replace("i500", "i05"), "length 'i05' is spelt 'i5'"),
        (EARLY.replace("lr0.1", "lr0.1-drop120x80"), "is spelt 'sgd-lr0.1-drop80x120'"),
    ],
)
def test_what_does_not_go_together_in_the_early_phase_is_refused(path, message):
    assert message in refused(path)


def test_another_order_has_the_mask_of_the_usual_one():
    run = Run.parse(f"{EARLY}/full_sgd-lr0.1_till9_ticket2")
    assert run.reordered_run != run
    assert (run.reordered_run.ticket, run.reordered_run.pruned_from) == (
        run.ticket,
        run.pruned_from,
    )
    first = Run.parse(f"{EARLY}/full_sgd-lr0.1_till9_ticket1")
    assert first.reordered_run.pruned_from == first.pruned_from == first.dense


def test_a_drift_is_not_pruned_after_a_whole_that_it_is_not_part_of():
    path = EARLY.replace("full", "drift0.5")
    run = Run.parse(f"{path}/drift0.5_sgd-lr0.1_till9_ticket1")
    assert str(run.pruned_from) == f"{path}/drift0.5_sgd-lr0.1_till9_keep"


@pytest.mark.parametrize("path", [EARLY + "/full+order1_sgd-lr0.1_e2_keep",
                                  EARLY + "/full+rotation_sgd-lr0.1_e2_keep"])  # fmt: skip
def test_what_has_no_twin(path):
    with pytest.raises(SpellingError, match="of its own"):
        _ = Run.parse(path).reordered_run
