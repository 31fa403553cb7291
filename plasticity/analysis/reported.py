"""What the papers and a replication of them report, as claims and figures use it."""

SMALLEST_GAP = 0.5
"""The smallest gap of interest, in points: a gap that is shown to be smaller contradicts that there
is one. It is less than half of the smallest gap that a replication reports, 1.4 points, and less
than a fifth of what rewinding gains."""

BORDERS = (10, 500)
"""Iterations between which the early phase has sub-phases (R: recalled and unchecked)."""
