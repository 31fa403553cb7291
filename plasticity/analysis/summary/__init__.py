"""Tidy tables of a study or a figure: runs, epochs, gaps, observations; and a page of the gaps."""
