"""Claims on the early phase: known answers in made tables, choices, wrong verdicts, the page."""

import json
import math
import runpy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import test_claims
import yaml
from test_claims import MEASURED as FIRST_PAPER
from test_claims import ROOT, Page, evidence_of, tolerated

from plasticity.analysis.claims.early import BORDERS, CLAIMS, FRANKLE, SMALLEST_GAP, TELEMETRY
from plasticity.analysis.claims.evidence import Case, Contrast, Evidence, NotJudgedError
from plasticity.analysis.claims.ledger import CLAIMS as LEDGER
from plasticity.analysis.claims.ledger import PAPERS, read_from
from plasticity.analysis.claims.page import claims_page
from plasticity.analysis.claims.paper import BERARIU
from plasticity.analysis.claims.verdict import LEVEL, decide, judge, weigh
from plasticity.core.errors import UserError

ON_GAIN = {"signs", "iid", "blur-selfsup", "labels", "random-labels"}
BY_ITERATION = ["signs", "iid"]
BY_TASK = ["blur-selfsup", "labels"]
ITERATIONS = np.unique([*range(101), *np.rint(10 ** np.arange(2, 3.61, 0.05)).astype(int), 500])
FEW_ITERATIONS = np.array([0, 1, 10, 11, 500, 4000])
STUDIES, SEEDS = 1000, 5


# Tables with a known answer


def played(figure, role, accuracy, **factors):
    """Rows of a figure's runs in `role`, float [seeds] in points, at 16.8% of the weights."""
    usual = {
        "level": 8,
        "density": 0.8**8,
        "signs": None,
        "magnitudes": None,
        "scope": None,
        "length": "e160",
        "pretrain_views": None,
        "pretrain_iterations": 0,
    }
    return test_claims.played(figure, role, accuracy, **usual | factors)


def observations(curves, iterations=ITERATIONS):
    """A table of curves, a function of the iterations for each quantity and seed."""
    rows = [
        (f"early_telemetry/dense/seed{seed}", "dense", seed, iteration, quantity, value)
        for seed, quantities in enumerate(curves)
        for quantity, curve in quantities.items()
        for iteration, value in zip(iterations, curve(np.maximum(iterations, 0.1)), strict=True)
    ]
    return pd.DataFrame(rows, columns=["run", "role", "seed", "iteration", "quantity", "value"])


def broken(first, second):
    """A power law whose exponent changes at the later borders: to `first`, `second`, then 0."""
    _, ten, late = BORDERS
    return lambda n: np.minimum(n / ten, 1) ** first * np.clip(n / ten, 1, late / ten) ** second


def steps(height):
    """`height` powers of ten up to the border and 1 after it."""
    return lambda n: np.where(n <= BORDERS[1], 10.0**height, 1.0)


class Made(test_claims.Made):
    """Tables for one claim: its weakest case has the mean `effect`, the other cases `others`.

    Rewinding gains ten points, from 80 to 90, and half of them end at 85.
    """

    def rewind(self):
        figure = "early_tickets"
        rewound = {"pretrain_iterations": 500, "length": "till160"}
        tables = [
            played(figure, "dense", self.level(99), level=None, density=math.nan),
            played(figure, "start", self.level(80)),
            played(figure, "rewound", self.around(80 + self.effect), **rewound),
        ]
        for level in (7, 9):
            other = {"level": level, "density": 0.8**level}
            tables.append(played(figure, "start", self.level(80), **other))
            tables.append(played(figure, "rewound", self.around(99), **rewound | other))
        for k in (100, 2000):
            late = rewound | {"pretrain_iterations": k}
            tables.append(played(figure, "rewound", self.around(99), **late))
        return evidence_of(*tables)

    def perturbed(self, role, **factors):
        figure = "early_perturbations"
        tables = [played(figure, "start", self.level(80))]
        for k, effect in ((500, self.effect), (2000, self.others)):
            rewound = {"pretrain_iterations": k, "length": "till160"}
            tables.append(played(figure, "unchanged", self.level(90), **rewound))
            tables.append(played(figure, role, self.around(85 - effect), **rewound | factors))
            for name, other in (
                ("mixed", {"signs": "init", "magnitudes": "fresh"}),
                ("mixed", {"signs": "k", "magnitudes": "init"}),
                ("shuffled", {"scope": "global"}),
                ("signshuffled", {"scope": "layer"}),
            ):
                tables.append(
                    played(figure, name, self.around(50 + self.others), **rewound, **other)
                )
        return evidence_of(*tables)

    def signs(self):
        return self.perturbed("mixed", signs="k", magnitudes="fresh")

    def iid(self):
        return self.perturbed("shuffled", scope="layer")

    def data(self, *pretrained):
        """Those of `pretrained`: views, iterations and accuracy, and others to be left alone."""
        figure = "early_data"
        tables = [
            played(figure, "start", self.level(80)),
            played(figure, "rewound", self.level(90), pretrain_iterations=500, length="till160"),
            played(figure, "rewound", self.level(50), pretrain_iterations=100, length="till160"),
        ]
        for views, iterations, accuracy in pretrained:
            run = {"pretrain_views": f"{views}+augment", "pretrain_iterations": iterations}
            tables.append(played(figure, "pretrained", accuracy, **run))
            late = {"length": "till160", **run}
            tables.append(played(figure, "pretrained", accuracy - 50, **late))
        return evidence_of(*tables)

    def blur_selfsup(self):
        return self.data(
            ("rotation", 391, self.around(99)),
            ("rotation", 3910, self.around(85 + self.effect)),
            ("blur4", 391, self.around(10)),
            ("blur4", 3910, self.around(85 + self.others)),
            ("blur4+rotation", 3910, self.around(10)),
            ("randomlabels", 3910, self.around(10)),
        )

    def labels(self):
        return self.data(
            ("rotation", 391, self.around(99)),
            ("rotation", 782, self.around(90 - self.effect)),
            ("rotation", 3910, self.around(99)),
            ("blur4", 391, self.around(99)),
            ("blur4", 782, self.around(90 - self.others)),
            ("blur4", 3910, self.around(99)),
            ("blur4+rotation", 500, self.around(99)),
        )

    def random_labels(self):
        return self.data(
            ("randomlabels", 391, self.around(99)),
            ("randomlabels", 3910, self.around(85 - self.effect)),
            ("rotation", 3910, self.around(99)),
        )

    def phases(self):
        height, late, early = (
            self.around(mean) for mean in (self.others, self.effect, self.effect + self.others)
        )
        curves = [
            {
                "gradient_magnitude": steps(height[seed]),
                "distance_to_initial": broken(early[seed], late[seed]),
                "weight_magnitude": lambda n: n,
            }
            for seed in range(self.seeds)
        ]
        runs = played("early_telemetry", "dense", self.level(90)).assign(
            run=[f"early_telemetry/dense/seed{seed}" for seed in range(self.seeds)]
        )
        # So many seeds are for simulations.
        iterations = ITERATIONS if self.seeds < 100 else FEW_ITERATIONS
        return Evidence({TELEMETRY: runs}, {}, {TELEMETRY: observations(curves, iterations)})


def made(claim, effect, others=8.0, seeds=6, scatter=1.0, seed=0):
    return Made(effect, others, seeds, scatter, np.random.default_rng(seed)).evidence(claim)


def only(claim, evidence):
    """The judgement on one claim, as if it were the only one."""
    (judgement,) = judge({claim: CLAIMS[claim]}, evidence)
    return judgement


def without(evidence, keep):
    """`evidence` of one figure with the runs that `keep` says."""
    ((name, runs),) = evidence.runs.items()
    return Evidence({name: runs[keep(runs)]}, {}, evidence.observations)


# Verdicts


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_is_so_is_reproduced(claim):
    found = only(claim, made(claim, 4.0))
    assert found.verdict == "reproduced", found.reason
    assert found.estimate == pytest.approx(4.0, abs=2.0)
    assert found.p_value <= LEVEL


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_opposite_is_contradicted(claim):
    found = only(claim, made(claim, -4.0))
    assert found.verdict == "contradicted", found.reason
    assert found.estimate == pytest.approx(-4.0, abs=2.0)


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_cannot_be_told_is_undecided(claim):
    found = only(claim, made(claim, 0.0, scatter=5.0, seed=1))
    assert found.verdict == "undecided", found.reason
    assert "shown neither" in found.reason.lower()


@pytest.mark.parametrize("claim", CLAIMS)
def test_one_seed_is_an_estimate(claim):
    found = only(claim, made(claim, 3.0, seeds=1))
    assert (found.verdict, found.n) == ("undecided", 1)
    assert "one seed" in found.reason.lower()


@pytest.mark.parametrize("claim", ["rewind", "labels"])
def test_what_is_too_small_to_be_of_interest_contradicts(claim):
    found = only(claim, made(claim, 0.0, seeds=60, scatter=0.3))
    assert found.verdict == "contradicted", found.reason
    assert f"below the {SMALLEST_GAP} points that would be of interest" in found.reason


def test_what_the_claims_say_of_themselves():
    assert {name for name, claim in CLAIMS.items() if claim.smallest} == {"rewind", "labels"}
    assert {name for name, claim in CLAIMS.items() if claim.recalled} == {"random-labels", "phases"}
    assert {claim.paper for claim in CLAIMS.values()} == {FRANKLE}
    assert not any(claim.conjecture for claim in CLAIMS.values())


@pytest.mark.parametrize(
    ("claim", "cases"),
    [
        ("rewind", [""]),
        ("signs", ["k = 500", "k = 2000"]),
        ("iid", ["k = 500", "k = 2000"]),
        ("blur-selfsup", ["rotation", "blur4"]),
        ("labels", ["rotation", "blur4"]),
        ("random-labels", ["randomlabels"]),
        ("phases", ["gradients, border 10", "movement, border 10", "movement, border 500"]),
    ],
)
def test_the_cases_of_a_claim(claim, cases):
    contrast = CLAIMS[claim].read(made(claim, 3.0, seeds=200))
    assert [case.name for case in contrast.cases] == cases
    means = [case.values.mean() for case in contrast.cases]
    assert sorted(means) == pytest.approx(sorted([3.0] + [8.0] * (len(cases) - 1)), abs=0.5)


# A gain to compare with


def equalised(evidence, where, seed=1):
    """`evidence` of one figure with the runs `where` at 80 points and a little."""
    ((name, runs),) = evidence.runs.items()
    chance = np.random.default_rng(seed).normal(0.8, 0.01, len(runs))
    accuracy = runs["test_accuracy"].where(~where(runs), chance)
    return Evidence({name: runs.assign(test_accuracy=accuracy)}, {})


@pytest.mark.parametrize("claim", sorted(ON_GAIN))
def test_without_a_gain_there_is_nothing_to_compare_with(claim):
    roles = ["start", "rewound", "unchanged"]
    found = only(claim, equalised(made(claim, 3.0), lambda runs: runs["role"].isin(roles)))
    assert found.verdict == "undecided"
    assert found.reason.startswith("No gain of rewinding to compare with: it is ")
    assert math.isnan(found.p_value)


@pytest.mark.parametrize("claim", BY_ITERATION)
def test_the_gain_is_asked_of_each_iteration_apart(claim):
    def unchanged(k):
        return lambda runs: (runs["role"] == "unchanged") & (runs["pretrain_iterations"] == k)

    found = only(claim, equalised(made(claim, 4.0), unchanged(500)))
    assert (found.verdict, found.case) == ("undecided", "k = 500")
    assert found.reason.startswith("No gain of rewinding")
    # Where there is none at 2000, iteration 500 alone can speak against the claim.
    found = only(claim, equalised(made(claim, -4.0, scatter=0.5), unchanged(2000)))
    assert (found.verdict, found.case) == ("contradicted", "k = 500")


# What is chosen


def test_the_density_closest_to_the_one_of_the_claim_is_told():
    found = only("rewind", made("rewind", 4.0))
    assert found.estimate == pytest.approx(4.0, abs=2.0)
    assert found.reason.endswith(
        "k = 500 with 16.8% of the weights left, where ResNet-20 on CIFAR-10 is reported to gain "
        "2.7 points."
    )
    evidence = made("rewind", 4.0)
    runs = evidence.runs["early_tickets"]
    half = runs.assign(density=0.5 ** (runs["level"] - 6))  # 50%, 25% and 12.5%
    (case,) = CLAIMS["rewind"].read(Evidence({"early_tickets": half}, {})).cases
    assert "12.5% of the weights left" in case.detail
    # A level that only one role has is none to compare at.
    lacking = half[(half["level"] != 9) | (half["role"] == "start")]
    (case,) = CLAIMS["rewind"].read(Evidence({"early_tickets": lacking}, {})).cases
    assert "25.0% of the weights left" in case.detail


def test_the_latest_iteration_where_there_is_no_500():
    evidence = without(made("rewind", 4.0), lambda runs: runs["pretrain_iterations"] != 500)
    (case,) = CLAIMS["rewind"].read(evidence).cases
    assert case.detail.startswith("k = 2000 ")
    assert case.values.mean() == pytest.approx(19, abs=2)
    found = only("labels", without(made("labels", 4.0), lambda r: r["pretrain_iterations"] != 500))
    assert found.reason.startswith("No gain of rewinding")  # at 100 these runs lose
    assert "100 iterations of ordinary training against 391 of pretraining" in found.reason


@pytest.mark.parametrize("claim", BY_ITERATION)
def test_iterations_that_are_there_in_part_are_left_out(claim):
    def keep(runs):
        return (runs["role"] != "unchanged") | (runs["pretrain_iterations"] == 500)

    (case,) = CLAIMS[claim].read(without(made(claim, 4.0), keep)).cases
    assert case.name == "k = 500"


def test_the_budget_is_that_of_the_runs_from_the_initialisation():
    """The runs with the other budget are 50 points below, and taken only where they are alone."""
    evidence = made("random-labels", 4.0)
    late = without(
        evidence, lambda runs: (runs["role"] != "pretrained") | (runs["length"] == "till160")
    )
    (first,) = CLAIMS["random-labels"].read(evidence).cases
    (second,) = CLAIMS["random-labels"].read(late).cases
    assert second.values == pytest.approx(first.values + 50)


def test_images_may_be_blurred_by_another_factor_and_shown_unaugmented():
    evidence = made("blur-selfsup", 4.0)
    runs = evidence.runs["early_data"]
    views = runs["pretrain_views"].str.replace("blur4", "blur2").str.replace("+augment", "")
    found = CLAIMS["blur-selfsup"].read(
        Evidence({"early_data": runs.assign(pretrain_views=views)}, {})
    )
    assert [case.name for case in found.cases] == ["rotation", "blur2"]


def test_the_details_of_a_case():
    def detail(claim):
        return CLAIMS[claim].read(made(claim, 3.0)).cases[0].detail

    assert detail("signs").startswith("keeps ")
    assert detail("signs").endswith(" points with 16.8% of the weights left")
    assert detail("blur-selfsup").endswith(" points after 3910 iterations of pretraining")
    assert detail("labels") == "500 iterations of ordinary training against 782 of pretraining"


def test_half_of_the_gain_by_hand():
    """From 80 to 90 points in every seed; 83, 84 and 88 keep 3, 4 and 8 of the ten."""
    figure = "early_data"
    evidence = evidence_of(
        played(figure, "start", np.full(3, 80.0)),
        played(figure, "rewound", np.full(3, 90.0), pretrain_iterations=500),
        played(
            figure,
            "pretrained",
            np.array([83.0, 84.0, 88.0]),
            pretrain_views="randomlabels",
            pretrain_iterations=782,
        ),
    )
    (case,) = CLAIMS["random-labels"].read(evidence).cases
    assert case.values == pytest.approx(np.array([2, 1, -3]))
    assert case.gap == pytest.approx(np.full(3, 10))
    assert case.detail == "keeps 5.00 of 10.00 points after 782 iterations of pretraining"


# Telemetry


def phases_of(*curves):
    runs = played("early_telemetry", "dense", np.full(len(curves), 90.0)).assign(
        run=[f"early_telemetry/dense/seed{seed}" for seed in range(len(curves))]
    )
    return Evidence({TELEMETRY: runs}, {}, {TELEMETRY: observations(curves)})


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


# What is missing, and what cannot be compared


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_figure_that_is_no_target(claim):
    found = only(claim, Evidence({}, {}))
    assert (found.verdict, found.n, found.claims_corrected_for) == ("undecided", 0, 0)
    assert found.reason == f"Needs {CLAIMS[claim].figures[0]}, which is not among the targets."
    assert found.below_full_train_accuracy is None


@pytest.mark.parametrize(
    ("claim", "role"),
    [
        *(("rewind", role) for role in ("start", "rewound")),
        *(("signs", role) for role in ("start", "unchanged", "mixed")),
        *(("iid", role) for role in ("start", "unchanged", "shuffled")),
        *((claim, role) for claim in BY_TASK for role in ("start", "rewound", "pretrained")),
        *(("random-labels", role) for role in ("start", "rewound", "pretrained")),
        ("phases", "dense"),
    ],
)
def test_a_role_that_is_missing_is_said(claim, role):
    found = only(claim, without(made(claim, 3.0), lambda runs: runs["role"] != role))
    assert found.verdict == "undecided"
    assert found.reason.endswith(
        f"{CLAIMS[claim].figures[0][1:]} has no runs in the role '{role}'."
    )
    assert found.claims_corrected_for == 0


@pytest.mark.parametrize(
    ("claim", "keep", "reason"),
    [
        ("rewind", lambda r: (r["role"] == "start") ^ (r["level"] == 8), "no level of pruning"),
        ("rewind", lambda r: (r["role"] == "start") ^ (r["seed"] > 2), "no seed has all"),
        ("signs", lambda r: r["magnitudes"] != "fresh", "signs of iteration k with fresh"),
        ("iid", lambda r: r["scope"] != "layer", "no runs with weights shuffled in layers"),
        (
            "iid",
            lambda r: (r["role"] == "unchanged") ^ (r["pretrain_iterations"] != 500),
            "no iteration both unchanged and with weights shuffled in layers",
        ),
        (
            "blur-selfsup",
            lambda r: r["pretrain_views"] != "rotation+augment",
            "no pretraining on rotations alone",
        ),
        (
            "blur-selfsup",
            lambda r: r["pretrain_views"] != "blur4+augment",
            "no pretraining on blurred images alone",
        ),
        (
            "random-labels",
            lambda r: r["pretrain_views"] != "randomlabels+augment",
            "no pretraining on random labels alone",
        ),
        (
            "labels",
            lambda r: r["pretrain_iterations"] <= 500,
            "no pretraining on rotation of 500 iterations or more",
        ),
    ],
)
def test_what_is_missing_is_said(claim, keep, reason):
    with pytest.raises(NotJudgedError, match=reason):
        CLAIMS[claim].read(without(made(claim, 3.0), keep))


def test_iterations_that_nobody_measured_are_said():
    runs = made("rewind", 3.0).runs["early_tickets"].assign(pretrain_iterations=math.nan)
    with pytest.raises(NotJudgedError, match="does not tell to which iterations"):
        CLAIMS["rewind"].read(Evidence({"early_tickets": runs}, {}))


@pytest.mark.parametrize("column", ["data_checksum", "precision", "device"])
@pytest.mark.parametrize("claim", CLAIMS)
def test_runs_that_cannot_be_compared_end_it(claim, column):
    evidence = made(claim, 3.0)
    for name, runs in evidence.runs.items():
        evidence.runs[name] = runs.assign(**{column: np.where(runs["seed"] == 0, "other", "one")})
    with pytest.raises(UserError, match=f"differ in {column}"):
        only(claim, evidence)


@pytest.mark.parametrize("claim", CLAIMS)
def test_several_runs_of_a_seed_end_it(claim):
    evidence = made(claim, 3.0)
    ((name, runs),) = evidence.runs.items()
    twice = pd.concat([runs, runs.assign(run=runs["run"] + "x")])
    with pytest.raises(UserError, match="several runs of one seed would be mixed"):
        only(claim, Evidence({name: twice}, {}, evidence.observations))


# How often a verdict is wrong


def studies_of(claim, effect, others, scatter=2.0, seed=0):
    """Contrasts of `claim` in many studies: the seeds of one large study, five at a time."""
    if claim == "phases":
        scatter /= 4  # these are powers of ten
    evidence = made(claim, effect, others, seeds=STUDIES * SEEDS, scatter=scatter, seed=seed)
    whole = CLAIMS[claim].read(evidence)
    for start in range(0, STUDIES * SEEDS, SEEDS):
        part = slice(start, start + SEEDS)
        cases = tuple(
            Case(case.name, case.values[part], gap=None if case.gap is None else case.gap[part])
            for case in whole.cases
        )
        yield weigh(Contrast(cases, whole.runs), CLAIMS[claim].smallest)


def share(claim, verdict, *means):
    found = [decide([one])[0].verdict for one in studies_of(claim, *means)]
    return found.count(verdict) / STUDIES


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_at_its_threshold_is_rarely_reproduced(claim):
    """Its weakest case is exactly 0, the others are far above: at most 2.5% of studies."""
    assert share(claim, "reproduced", 0.0, 12.0) <= tolerated(LEVEL / 2)


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_at_its_margin_is_rarely_contradicted(claim):
    """All cases are exactly at the smallest effect of interest: at most 2.5% of studies."""
    smallest = CLAIMS[claim].smallest
    assert share(claim, "contradicted", smallest, smallest) <= tolerated(LEVEL / 2)


def test_a_study_rarely_has_any_wrong_verdict():
    """All verdicts together, where no claim holds: at most 5% of studies have a wrong one.

    Where the threshold is 0 both verdicts count as wrong; a gap of 0 may be contradicted.
    """
    weighed = [[*studies_of(c, 0.0, 0.0, seed=position)] for position, c in enumerate(CLAIMS)]
    wrong = 0
    for study in zip(*weighed, strict=True):
        verdicts = [d.verdict for d in decide(study)]
        wrong += any(
            verdict == "reproduced" or (verdict == "contradicted" and not claim.smallest)
            for verdict, claim in zip(verdicts, CLAIMS.values(), strict=True)
        )
    assert wrong / STUDIES <= tolerated(LEVEL)


# The ledger and the page


def everything():
    """Evidence for the claims of both papers: a table a figure, and the telemetry."""
    runs, first = {}, test_claims.made("reset-speed", 3.0)
    for claim in FIRST_PAPER:
        runs |= test_claims.made(claim, 3.0).runs
    runs["fig04"] = pd.concat([test_claims.made(c, 3.0).runs["fig04"] for c in FIRST_PAPER[5:7]])
    runs["fig02"] = test_claims.made("gap-grows", 3.0).runs["fig02"]
    second = early()
    return Evidence(runs | second.runs, first.curves, second.observations)


def early():
    """Evidence for the claims of the second paper."""
    runs = {}
    for name in CLAIMS:
        for figure, table in made(name, 3.0).runs.items():
            runs[figure] = pd.concat([*([runs[figure]] if figure in runs else []), table])
            runs[figure] = runs[figure].drop_duplicates("run")
    return Evidence(runs, {}, made("phases", 3.0).observations)


def test_the_ledger_has_both_papers_in_order():
    assert list(PAPERS) == [BERARIU.name, FRANKLE.name]
    assert list(LEDGER)[-len(CLAIMS) :] == list(CLAIMS)
    assert list(CLAIMS) == [
        *("rewind", "signs", "iid", "blur-selfsup", "labels", "random-labels", "phases")
    ]
    assert {claim.paper.name for claim in LEDGER.values()} == PAPERS.keys()
    assert len(LEDGER) == 21


def test_a_paper_none_of_whose_figures_are_given_is_left_out():
    assert read_from([]) == {}
    assert read_from(["early_sizes", "mine"]) == {}
    assert list(read_from(["early_data"])) == list(CLAIMS)
    assert set(read_from(["fig03", "early_sizes"])) == LEDGER.keys() - CLAIMS.keys()
    assert read_from(["fig03", "early_tickets"]) == LEDGER


def test_all_claims_are_one_family():
    found = {one.id: one for one in judge(LEDGER, everything())}
    tested = [one for one in found.values() if one.n]
    assert {one.claims_corrected_for for one in tested} == {len(FIRST_PAPER) + len(CLAIMS)}
    alone = {one.id: one for one in judge(read_from(early().runs), early())}
    assert {one.claims_corrected_for for one in alone.values() if one.n} == {len(CLAIMS)}
    assert alone["phases"].p_corrected <= found["phases"].p_corrected


def test_whether_runs_fit_is_told_where_the_paper_presumes_it():
    found = judge(LEDGER, everything())
    for one in found:
        counted = one.below_full_train_accuracy is not None
        assert counted == (one.n > 0 and one.paper == BERARIU.name)


def test_the_page_has_both_papers():
    page = Page(claims_page("both", judge(LEDGER, everything()), {}))
    for paper in PAPERS.values():
        assert f"{paper.name}, “{paper.title}”" in page.text
    for claim in LEDGER.values():
        assert claim.statement in page.text
    assert page.text.index("Berariu et al. 2021, “") < page.text.index(CLAIMS["rewind"].statement)
    assert "of 21 claims of Berariu et al. 2021 and of Frankle et al. 2020." in page.text
    assert "How a verdict comes about." in page.text
    assert "random-labels · recalled · early_data" in page.text


def test_the_page_of_one_paper_is_silent_about_the_other():
    page = Page(claims_page("early", judge(read_from(early().runs), early()), {}))
    assert "of 7 claims of Frankle et al. 2020." in page.text
    assert "Berariu" not in page.text
    assert "conjecture" not in page.text
    first = test_claims.made("gap", 3.0)
    page = Page(claims_page("first", judge(read_from(first.runs), first), {}))
    assert "Frankle" not in page.text
    assert "recalled" not in page.text


def test_the_configuration_has_the_roles():
    figures = yaml.safe_load((ROOT / "config.yaml").read_text())["figures"]
    for figure, runs in early().runs.items():
        assert set(runs["role"]) <= figures[figure]["runs"].keys(), figure


class Inputs(SimpleNamespace):
    """What Snakemake gives a script as its input."""

    def get(self, name, default=None):
        return getattr(self, name, default)


@pytest.mark.parametrize("how", ["absent", "no file", "a path", "one in a list"])
def test_the_script_takes_the_telemetry_where_it_is_given(tmp_path, how):
    evidence = early()
    runs = pd.concat(evidence.runs.values()).drop_duplicates("run")
    runs.drop(columns="role").to_parquet(tmp_path / "runs.parquet")
    pd.DataFrame({"run": runs["run"], "kind": "tune"}).to_parquet(tmp_path / "curves.parquet")
    observed = evidence.observations[TELEMETRY].drop(columns="role")
    observed.to_parquet(tmp_path / "observations.parquet")
    path = str(tmp_path / "observations.parquet")
    given = {"absent": {}, "no file": {"observations": []}, "a path": {"observations": path}}.get(
        how, {"observations": [path]}
    )
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    figures = {
        name: {
            "roles": {role: [*of["run"]] for role, of in table.groupby("role")},
            "title": "A title",
            "caption": "A caption",
        }
        for name, table in evidence.runs.items()
    }
    snakemake = SimpleNamespace(
        input=Inputs(
            runs=tmp_path / "runs.parquet",
            curves=tmp_path / "curves.parquet",
            pictures=[tmp_path / "picture.png"] * len(figures),
            **given,
        ),
        output=SimpleNamespace(table=tmp_path / "claims.parquet", page=tmp_path / "claims.html"),
        params=SimpleNamespace(study="group", figures=json.dumps(figures)),
        log=[tmp_path / "log"],
    )
    runpy.run_path(str(ROOT / "workflow/scripts/claims.py"), {"snakemake": snakemake})
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "claims.parquet").to_pylist()}
    assert rows.keys() == CLAIMS.keys()
    assert rows["rewind"]["n"] == 6
    assert rows["phases"]["n"] == (0 if how in ("absent", "no file") else 6)
    assert "Frankle" in (tmp_path / "claims.html").read_text()
