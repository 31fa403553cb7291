"""How methods are spelt behind an update rule, and which of them go together."""

import pytest
from any_run import refused
from registries import with_own_words

from plasticity.runs import Integer, MethodFacts, Number, OptimiserFacts, Run, methods, optimisers
from plasticity.runs.workload import Workload

PLACE = "cifar10/resnet18/seed0"


@pytest.fixture(autouse=True)
def some():
    """Methods of several kinds, and a rule with a closure."""

    def declare(word: str, **facts) -> None:
        def function(network, initial, *, size):
            """Of this test."""

        function.__name__ = f"of_{word}"
        methods.member(f"{word}{{size}}", facts=MethodFacts(**facts), size=Number(above=0))(
            function
        )

    with with_own_words(methods, optimisers):
        declare("aloss", acts="loss")
        declare("bloss", acts="loss")
        declare("probe", acts="gradient", passes=1)
        declare("probes", acts="gradient", passes=2)
        declare("cut", acts="weights")
        declare("mean", acts="second")
        declare("trail", acts="second")

        def closing(parameters, *, lr):
            """A rule with a closure."""

        facts = OptimiserFacts(passes=2)
        optimisers.member("closing-lr{lr}", facts=facts, lr=Number(above=0))(closing)
        yield


def path(*tokens: str) -> str:
    return "/".join([PLACE, *(f"full_{token}_e5_init" for token in tokens)])


def test_they_stand_behind_the_rule_with_all_of_its_options():
    run = Run.parse(path("sgd-lr0.1-m0.9-b64-warm5-cosine+aloss0.5+cut2"))
    assert [str(method) for method in run.stage.methods] == ["aloss0.5", "cut2"]
    assert str(run.stage.optimiser) == "sgd-lr0.1-m0.9-b64-warm5-cosine"
    assert run.stage.trained_by == "sgd-lr0.1-m0.9-b64-warm5-cosine+aloss0.5+cut2"


def test_a_cold_run_has_those_of_the_last_stage():
    stages = "half_adam-lr0.1+cut1_e5_init/full_adam-lr0.1+aloss1_e5_keep"
    cold = Run.parse(f"{PLACE}/{stages}").from_scratch
    assert str(cold) == path("adam-lr0.1+aloss1")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("cut2+aloss1", "aloss1+cut2"),
        ("bloss1+aloss1", "aloss1+bloss1"),
        ("cut2+probe1+aloss1", "aloss1+probe1+cut2"),
    ],
)
def test_in_one_order(wrong: str, right: str):
    assert f"is spelt 'adam-lr0.1+{right}'" in refused(path(f"adam-lr0.1+{wrong}"))


@pytest.mark.parametrize(
    ("spelt", "why"),
    [
        ("aloss1+aloss2", "are of one kind"),
        ("aloss1+aloss1", "are of one kind"),
        ("probe1+probes1", "both make passes of their own in a step"),
        ("mean1+trail1", "both train a second network along"),
        ("aloss0", "size"),
        ("aloss", "unknown method 'aloss'"),
        ("aloss1+", "unknown method ''"),
        ("+aloss1", "unknown method ''"),
        ("alos1", "did you mean"),
        ("aloss1.0", "is spelt 'aloss1'"),
        ("reset6", "unknown method"),
        ("aloss1-b64", "unknown method"),
    ],
)
def test_what_does_not_go_together_or_is_none(spelt: str, why: str):
    assert why in refused(path(f"adam-lr0.1+{spelt}"))


def test_a_rule_with_a_closure_has_its_gradients_to_itself():
    assert "'probe1' acts on the gradients of a step, of which 'closing-lr0.1'" in refused(
        path("closing-lr0.1+probe1")
    )
    Run.parse(path("closing-lr0.1+aloss1+cut2"))


def test_no_two_methods_share_a_name(some):
    def aloss(network, initial):
        """Another one."""

    with pytest.raises(ValueError, match="aloss"):
        methods.member("aloss{size}", facts=MethodFacts(acts="loss"), size=Number(above=0))(aloss)


def test_a_function_is_given_both_networks():
    def lone(network, *, every):
        """Takes one alone."""

    facts = MethodFacts(acts="weights")
    with pytest.raises(ValueError, match=r"expected \(network, initial\)"):
        methods.member("lone{every}", facts=facts, every=Integer(at_least=1))(lone)


def test_passes_add_up():
    rules = {"adam-lr0.1": 1, "adam-lr0.1+cut1": 1, "adam-lr0.1+probe1": 2, "closing-lr0.1": 2}
    for rule, passes in rules.items():
        workload = Workload.of(Run.parse(path(rule)))
        assert workload.passes == passes
        assert Workload.parse(str(workload)) == workload
