"""From a configuration to figures, and from figures to runs (pure: no torch, no results read)."""

from plasticity.study.plan import Figure, PlannedRun, Study

__all__ = ["Figure", "PlannedRun", "Study"]
