"""All claims that are judged, of all papers and our own, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterable

from plasticity.analysis.claims.early import CLAIMS as FRANKLE_CLAIMS
from plasticity.analysis.claims.evidence import Claim, Paper
from plasticity.analysis.claims.paper import CLAIMS as BERARIU_CLAIMS
from plasticity.analysis.claims.remedies import CLAIMS as OWN_CLAIMS

PAPERS: dict[str, Paper] = {}
"""The papers by name."""

CLAIMS: dict[str, Claim] = {}
"""The claims by id."""

for _claims in (BERARIU_CLAIMS, FRANKLE_CLAIMS, OWN_CLAIMS):
    PAPERS[_claims.paper.name] = _claims.paper
    if twice := CLAIMS.keys() & _claims.keys():
        raise ValueError(f"declared by two papers: {', '.join(sorted(twice))}")
    CLAIMS |= _claims


def read_from(figures: Iterable[str]) -> dict[str, Claim]:
    """The claims of the papers of which at least one claim reads one of `figures`."""
    given = set(figures)
    told = {claim.paper.name for claim in CLAIMS.values() if given & set(claim.figures)}
    return {name: claim for name, claim in CLAIMS.items() if claim.paper.name in told}
