"""From a configuration to figures, and from figures to runs (pure: no torch, no results read)."""

from plasticity.study.arms import PlannedRun
from plasticity.study.plan import Figure, Study

__all__ = ["Figure", "PlannedRun", "Study"]
