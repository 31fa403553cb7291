"""The ledger of claims, its table and page, and the script that makes them."""

import ast
import base64
import json
import runpy
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from claim_tables import evidence_of, two_by_hand
from judged import FIRST_PAPER, ROOT, Page, early, everything, made, only

from plasticity.analysis import claims, storage
from plasticity.analysis.claims.early import CLAIMS as LATER
from plasticity.analysis.claims.early import FRANKLE, TELEMETRY
from plasticity.analysis.claims.evidence import Evidence
from plasticity.analysis.claims.judgements import JUDGEMENTS, table
from plasticity.analysis.claims.ledger import CLAIMS, PAPERS, read_from
from plasticity.analysis.claims.page import Picture, claims_page
from plasticity.analysis.claims.paper import BERARIU
from plasticity.analysis.claims.paper import CLAIMS as FIRST
from plasticity.analysis.claims.remedies import CLAIMS as OWN
from plasticity.analysis.claims.remedies import OURS
from plasticity.analysis.claims.verdict import judge


def test_the_ledger_has_both_papers_in_order_and_our_own_last():
    assert list(PAPERS) == [BERARIU.name, FRANKLE.name, OURS.name]
    assert list(CLAIMS) == [*FIRST, *LATER, *OWN]
    assert list(LATER) == [
        *("rewind", "signs", "iid", "blur-selfsup", "labels", "random-labels", "phases")
    ]
    assert {claim.paper.name for claim in CLAIMS.values()} == PAPERS.keys()
    assert len(CLAIMS) == 27


def test_a_paper_none_of_whose_figures_are_given_is_left_out():
    assert read_from([]) == {}
    assert read_from(["early_sizes", "mine"]) == {}
    assert list(read_from(["early_data"])) == list(LATER)
    assert set(read_from(["fig03", "early_sizes"])) == FIRST.keys()
    assert read_from(["fig03", "early_tickets"]) == {**FIRST, **LATER}
    assert read_from(["remedies"]) == OWN


def test_whether_runs_fit_is_told_where_the_paper_presumes_it():
    found = judge(CLAIMS, everything())
    for one in found:
        counted = one.below_full_train_accuracy is not None
        assert counted == (one.n > 0 and one.paper == BERARIU.name)


def test_judgements_are_a_table(tmp_path):
    judgements = judge(FIRST, evidence_of(*two_by_hand()))
    storage.write_table(tmp_path / "claims.parquet", table(judgements))
    back = pq.read_table(tmp_path / "claims.parquet")
    assert back.schema.equals(JUDGEMENTS)
    assert back["id"].to_pylist() == list(FIRST)
    first = back.to_pylist()[0]
    assert (first["estimate"], first["n"], first["unit"]) == (pytest.approx(2), 3, "points")


def test_roles_are_joined_to_the_tables_of_a_study():
    cold, warm = two_by_hand()
    runs = pd.concat([cold, warm]).drop(columns="role")
    curves = pd.DataFrame({"run": [cold["run"].iloc[0]] * 2, "kind": ["tune", "pretrain"]})
    roles = {"fig01": {"cold": [*cold["run"]], "warm": [*warm["run"]]}}
    evidence = Evidence.of(runs, curves, roles)
    assert only("gap", evidence).estimate == pytest.approx(2)
    assert evidence.curves["fig01"]["role"].tolist()[0] == "cold"
    assert evidence.curves["fig01"]["role"].isna().tolist() == [False, True]


def test_the_page_stands_alone(tmp_path):
    for name in ("fig01", "fig99"):
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG " + name.encode())
    pictures = {
        name: Picture(f"A <title> of {name}", "Warm & cold", tmp_path / f"{name}.png")
        for name in ("fig01", "fig99")
    }
    text = claims_page("a<b", judge(FIRST, evidence_of(*two_by_hand())), pictures)
    page = Page(text)
    assert page.links == {"#fig01"}  # the others are not there, and fig99 is read by no claim
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    (picture,) = page.pictures
    assert base64.b64decode(picture.partition(",")[2]) == b"\x89PNG fig01"
    counts = ("2.00", "1 of 8", "1 of 12 stages")
    for words in ("in the study a<b", "A <title> of fig01", "Warm & cold", *counts):
        assert words in page.text
    for claim in FIRST.values():
        assert claim.statement in page.text
    assert page.text.count("? undecided") == len(FIRST)
    assert "http" not in text


def test_every_verdict_is_a_word_on_the_page():
    runs = {}
    for claim, effect in (("gap", 4.0), ("gap-capacity", -4.0)):
        runs |= made(claim, effect, scatter=0.5, seeds=8).runs
    page = Page(claims_page("study", judge(FIRST, Evidence(runs, {})), {}))
    assert "1 reproduced, 1 contradicted, 17 undecided" in page.text
    assert "✓ reproduced" in page.text
    assert "✗ contradicted" in page.text


def test_the_page_has_both_papers():
    page = Page(claims_page("both", judge(CLAIMS, everything()), {}))
    for paper in PAPERS.values():
        assert f"{paper.name}, “{paper.title}”" in page.text
    for claim in CLAIMS.values():
        assert claim.statement in page.text
    assert page.text.index("Berariu et al. 2021, “") < page.text.index(CLAIMS["rewind"].statement)
    papers = "Berariu et al. 2021 and of Frankle et al. 2020 and of ours"
    assert f"of 27 claims of {papers}." in page.text
    assert "How a verdict comes about." in page.text
    assert "random-labels · recalled · early_data" in page.text


def test_the_page_of_one_paper_is_silent_about_the_other():
    page = Page(claims_page("early", judge(read_from(early().runs), early()), {}))
    assert "of 7 claims of Frankle et al. 2020." in page.text
    assert "Berariu" not in page.text
    assert "conjecture" not in page.text
    first = made("gap", 3.0)
    page = Page(claims_page("first", judge(read_from(first.runs), first), {}))
    assert "Frankle" not in page.text
    assert "recalled" not in page.text


def test_the_workflow_knows_the_figures_and_the_roles():
    read = {figure for claim in CLAIMS.values() for figure in claim.figures}
    assert read == set(claims.FIGURES)
    tree = ast.parse((ROOT / "plasticity/analysis/claims/__init__.py").read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    figures = yaml.safe_load((ROOT / "config.yaml").read_text())["figures"]
    for name in FIRST_PAPER:
        for figure, runs in made(name, 3.0).runs.items():
            roles = set(runs["role"]) - {"warm-shrunk"}
            assert roles <= figures[figure]["runs"].keys(), figure


def test_the_configuration_has_the_roles():
    figures = yaml.safe_load((ROOT / "config.yaml").read_text())["figures"]
    for figure, runs in early().runs.items():
        assert set(runs["role"]) <= figures[figure]["runs"].keys(), figure


class Inputs(SimpleNamespace):
    """What Snakemake gives a script as its input."""

    def keys(self):
        return vars(self).keys()

    def __getitem__(self, name):
        return getattr(self, name)


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
        config={},
    )
    runpy.run_path(str(ROOT / "workflow/scripts/claims.py"), {"snakemake": snakemake})
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "claims.parquet").to_pylist()}
    assert rows.keys() == LATER.keys()
    assert rows["rewind"]["n"] == 6
    assert rows["phases"]["n"] == (0 if how in ("absent", "no file") else 6)
    assert "Frankle" in (tmp_path / "claims.html").read_text()


def test_the_documents_name_every_claim():
    text = (ROOT / "docs/claims.md").read_text()
    for name in CLAIMS:
        assert f"`{name}`" in text
