"""From tables to verdicts and pictures."""
