"""The claim on sub-phases of early training, judged from telemetry."""

import numpy as np
import pandas as pd
import pytest
from early_claim_tables import broken, phases_of, steps
from judged import made, only

from plasticity.analysis.claims.early import CLAIMS, TELEMETRY
from plasticity.analysis.claims.evidence import Evidence, NotJudgedError


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_a_power_law_has_no_phases_of_movement(exponent):
    curves = {"gradient_magnitude": steps(1), "distance_to_initial": lambda n: 3 * n**exponent}
    gradients, *movement = CLAIMS["phases"].read(phases_of(curves)).cases
    assert gradients.values == pytest.approx([1.0])
    for case in movement:
        assert case.values == pytest.approx([0.0], abs=1e-9)


def test_phases_by_hand():
    """A kink at 10 and one at 500, and gradients a hundred times as large before 10."""
    curves = {"gradient_magnitude": steps(2), "distance_to_initial": broken(0.9, 0.4)}
    cases = CLAIMS["phases"].read(phases_of(curves)).cases
    assert [case.values[0] for case in cases] == pytest.approx([2.0, 0.5, 0.4])


def test_gradients_are_averaged_over_iterations_and_not_over_observations():
    """A ramp from 1 to 2 has the mean 1.5, although most observations are near its beginning."""
    curve = {
        "gradient_magnitude": lambda n: np.where(n <= 10, 1.0, 1.0 + (n - 11) / (500 - 11)),
        "distance_to_initial": lambda n: n,
    }
    gradients, *_ = CLAIMS["phases"].read(phases_of(curve)).cases
    assert 10 ** -gradients.values[0] == pytest.approx(1.5, abs=1e-3)


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
