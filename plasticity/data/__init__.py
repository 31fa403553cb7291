"""Data sets, and which examples a stage sees and how."""
