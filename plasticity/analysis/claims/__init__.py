"""The papers' claims, judged from a study's tables.

This package itself imports nothing: the workflow asks it which figures the claims read.
"""

FIGURES = (
    *("fig01", "fig02", "fig03", "fig04", "fig05", "fig06"),
    *("fig07", "fig08", "fig09", "fig10", "fig11"),
    "remedies",
    *("early_tickets", "early_telemetry", "early_perturbations", "early_data"),
)
"""The figures that the claims of `plasticity.analysis.claims.ledger` read."""
