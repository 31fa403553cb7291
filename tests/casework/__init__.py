"""What `tests/cases.py` is made of: the table of cases, and where each of them runs."""
