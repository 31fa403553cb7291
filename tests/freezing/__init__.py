"""The parts of `tests/freeze.py`: what a commit computes, plans and says, taken and compared.

Nothing here imports the library under test, whose modules may be elsewhere at another commit: it is
run by commands in a copy of the commit, and its files are read by their formats alone.
"""
