"""The claim on sub-phases of early training, judged from telemetry."""

import numpy as np
import pandas as pd
import pytest
from descents import NULLS, by_the_former_rule, descents, phased
from early_claim_tables import broken, falling, phases_of
from judged import SEEDS, made, only, split, tolerated

from plasticity.analysis.claims import early
from plasticity.analysis.claims.early import CLAIMS, TELEMETRY
from plasticity.analysis.claims.evidence import Evidence, NotJudgedError
from plasticity.analysis.claims.phases import momentum_alone
from plasticity.analysis.claims.verdict import LEVEL, decide


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_a_power_law_has_no_phases_of_movement(exponent):
    curves = {
        "gradient_magnitude": lambda n: 2 * n**-exponent,
        "distance_to_initial": lambda n: 3 * n**exponent,
    }
    for case in CLAIMS["phases"].read(phases_of(curves)).cases:
        assert case.values == pytest.approx([0.0], abs=1e-9)
        assert case.bound == 0  # without momentum


def test_phases_by_hand():
    """A kink at 500, and gradients that fall to a hundredth up to 10."""
    curves = {"gradient_magnitude": falling(2), "distance_to_initial": broken(0.9, 0.4)}
    cases = CLAIMS["phases"].read(phases_of(curves)).cases
    assert [case.values[0] for case in cases] == pytest.approx([2.0, 0.4])


def test_the_fall_of_gradients_does_not_hang_on_how_often_they_are_observed():
    """Straight lines are what they are, however many looks are taken on them."""
    curves = {
        "gradient_magnitude": lambda n: np.maximum(n, 3.0) ** -1,
        "distance_to_initial": lambda n: n,
    }
    (often, *_), (seldom, *_) = (
        CLAIMS["phases"].read(evidence).cases
        for evidence in (phases_of(curves), seen_at(phases_of(curves), {1, 3, 10, 500, 3981}))
    )
    assert often.values == pytest.approx(seldom.values, abs=0.01)


def seen_at(evidence, iterations):
    table = evidence.observations[TELEMETRY]
    seen = table[table["iteration"].isin(iterations)]
    return Evidence(evidence.runs, {}, {TELEMETRY: seen})


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("borders", [(1, 10, 500), (10, 500, 4000)])
def test_what_momentum_does_alone_by_hand(momentum, borders):
    """Step by step: the mean of a gradient is summed up, and noise in its square."""
    pushes, exponents = [], {"mean": [], "noise": []}
    for n in range(1, borders[-1] + 1):
        pushes.append(1 + momentum * (pushes[-1] if pushes else 0))
        if n in borders:
            exponents["mean"].append(np.log(sum(pushes)))
            exponents["noise"].append(np.log(sum(push**2 for push in pushes)) / 2)
    found = momentum_alone(momentum, *borders)
    for logs in exponents.values():
        before, after = np.diff(logs) / np.diff(np.log(borders))
        assert before - after <= found + 1e-9
    assert (found > 1e-9) == (momentum > 0)


@pytest.fixture(scope="module")
def nulls():
    return {name: descents(*null, seeds=30 * SEEDS) for name, null in NULLS.items()}


def rate(weighed, verdict="reproduced"):
    found = [decide([one])[0].verdict for one in weighed]
    return found.count(verdict) / len(found)


@pytest.mark.parametrize("name", NULLS)
def test_gradients_without_borders_have_no_phases(nulls, name):
    """With momentum 0.9, whether they never change or fall smoothly."""
    assert rate(split("phases", nulls[name])) <= tolerated(LEVEL / 2, 30)


@pytest.mark.parametrize("name", ["power law", "hyperbolic", "exponential"])
def test_the_former_rule_took_smooth_falls_for_phases(nulls, name):
    assert rate(by_the_former_rule(nulls[name], SEEDS)) > 0.9


def test_gradients_that_fall_at_the_borders_have_phases():
    found = descents(phased, 1.0, seeds=10 * SEEDS)
    assert rate(split("phases", found)) > 0.9
    _, movement = CLAIMS["phases"].read(found).cases
    assert movement.bound == momentum_alone(0.9, 10, 500, 3981)
    assert movement.detail == ("with a momentum of 0.9 gradients that never change make up to 0.21")


def test_the_bound_is_told():
    """Growth that slows by some 0.1, less than momentum alone does."""
    curves = [
        {"gradient_magnitude": falling(2 + slower), "distance_to_initial": broken(0.9, slower)}
        for slower in (0.05, 0.1, 0.15, 0.2)
    ]
    found = only("phases", phases_of(*curves, momentum=0.9))
    assert found.verdict == "undecided"
    assert found.case == "movement, border 500"
    assert "shown neither to be above 0.21 nor to be below 0" in found.reason
    assert found.test.startswith("t test, mean above 0.21")


def test_movement_is_not_judged_where_it_is_unknown_what_the_optimiser_does():
    curves = {"gradient_magnitude": falling(2), "distance_to_initial": broken(0.9, 0.4)}
    with pytest.raises(NotJudgedError, match="no runs with SGD"):
        CLAIMS["phases"].read(phases_of(curves, optimiser_name="adam", momentum=None))


def test_a_rate_that_drops_within_the_telemetry_is_no_border():
    """An epoch of 390 updates: the rate drops at 780, before twice the last border."""
    curves = {"gradient_magnitude": falling(2), "distance_to_initial": broken(0.9, 0.4)}
    with pytest.raises(NotJudgedError, match="to 1000 at one learning rate"):
        CLAIMS["phases"].read(phases_of(curves, optimiser="sgd-lr0.1-drop2x120"))


@pytest.mark.parametrize("last", [400, 600, 999])
def test_telemetry_that_ends_early_is_not_judged(last):
    evidence = made("phases", 3.0)
    table = evidence.observations[TELEMETRY]
    short = Evidence(evidence.runs, {}, {TELEMETRY: table[table["iteration"] <= last]})
    found = only("phases", short)
    assert found.verdict == "undecided"
    assert found.reason.startswith(
        "Early_telemetry does not have gradient_magnitude from iteration 1 to 1000"
    )
    # Seeds that reach far enough are judged.
    part = table[(table["iteration"] <= last) | (table["seed"] > 0)]
    found = only("phases", Evidence(evidence.runs, {}, {TELEMETRY: part}))
    assert found.n == 5


def test_without_telemetry_phases_are_not_judged():
    evidence = made("phases", 3.0)
    found = only("phases", Evidence(evidence.runs, {}))
    assert found.reason.startswith(
        "Early_telemetry has no observations of runs in the role 'dense'"
    )
    assert found.claims_corrected_for == 0
    others = evidence.observations[TELEMETRY].assign(role="other")
    with pytest.raises(NotJudgedError, match="no observations of runs in the role 'dense'"):
        CLAIMS["phases"].read(Evidence(evidence.runs, {}, {TELEMETRY: others}))


def test_observations_get_the_roles_of_their_runs():
    evidence = made("phases", 3.0)
    runs = evidence.runs[TELEMETRY]
    table = evidence.observations[TELEMETRY].drop(columns="role").assign(device="cpu")
    curves = pd.DataFrame({"run": runs["run"], "kind": "tune"})
    roles = {TELEMETRY: {"dense": [*runs["run"][:4]]}}
    observed = {TELEMETRY: table, "figure that is no target": table}
    found = Evidence.of(runs.drop(columns="role"), curves, roles, observed)
    assert found.observations.keys() == {TELEMETRY}
    assert set(found.observations[TELEMETRY]["run"]) == {*runs["run"][:4]}
    assert only("phases", found).n == 4
    assert Evidence.of(runs.drop(columns="role"), curves, roles).observations == {}


@pytest.mark.parametrize(
    ("optimiser", "last"),
    [
        *(("sgd-lr0.1", np.inf), ("sgd-lr0.1-drop80x120", 800)),
        *(("sgd-lr0.1-drop80-warm5", 0), ("sgd-lr0.1-cosine", 0)),
    ],
)
def test_a_run_is_looked_at_while_its_rate_is_one(optimiser, last):
    run = pd.Series({"optimiser": optimiser, "iterations": 1600, "epochs": 160})
    assert early._at_one_rate_until(run) == last
