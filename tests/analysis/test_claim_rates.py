"""The tables of docs/claims.md on how often verdicts are wrong: whole, and made by this code."""

import claim_rates
import pytest
from claim_rates import DESCENTS, STUDIES
from descents import NULLS
from judged import MEASURED, OURS, tolerated

from plasticity.analysis.claims.verdict import LEVEL


def percent(cell):
    return float(cell.removesuffix("%")) / 100


def test_every_claim_has_its_rates_and_no_more_wrong_verdicts_than_are_allowed():
    rates = claim_rates.read("rates")
    assert list(rates) == [f"`{claim}`" for claim in (*MEASURED, *OURS)]
    for claim, (_, *wrong_both_ways, found, strict, refuted, both) in rates.items():
        for wrong in wrong_both_ways:
            assert percent(wrong) <= tolerated(LEVEL / 2, STUDIES), claim
        assert percent(found) > percent(strict)
        assert percent(refuted) > percent(both)
        assert min(percent(found), percent(refuted)) > 0.5, claim


def test_gradients_without_borders_are_in_the_document():
    found = claim_rates.read("phases")
    assert list(found) == list(NULLS)
    assert all(percent(now) <= tolerated(LEVEL / 2, DESCENTS) for _, now in found.values())
    assert max(percent(former) for former, _ in found.values()) > 0.9


@pytest.mark.parametrize("claim", ["gap", "reset-speed"])
def test_the_command_makes_what_is_in_the_document(claim):
    """By fewer studies: rates agree up to chance, of four deviations."""
    name, effect, *rates = claim_rates.row(claim, 200)
    written_effect, *written = claim_rates.read("rates")[name]
    assert effect == written_effect
    for rate, there in zip(map(percent, rates), map(percent, written), strict=True):
        deviation = max(there * (1 - there), 0.01) ** 0.5 * (1 / 200 + 1 / STUDIES) ** 0.5
        assert abs(rate - there) <= 4 * deviation + 0.001


def test_a_table_is_written_in_its_place(tmp_path, monkeypatch):
    document = tmp_path / "claims.md"
    document.write_text("a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(claim_rates, "DOCUMENT", document)
    claim_rates.write("two", claim_rates.table(("claim", "rate"), [["`gap`", "1%"]]))
    assert claim_rates.read("two") == {"`gap`": ["1%"]}
    assert document.read_text().startswith("a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\n|")
