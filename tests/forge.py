"""Snakemake, again and again, without the two seconds that it takes to import each time.

A process of its own, as it must fork before anything has started a thread. It imports Snakemake
once, with what that imports as it starts, and runs each command in a child. A line of JSON comes in
for a command: the folder to run it in, its words, its environment, and the file for what it prints.
A line with its status goes out.
"""

import json
import os
import signal
import sys

import nbformat  # noqa: F401
import smart_open  # noqa: F401
from snakemake import cli
from snakemake.report import html_reporter  # noqa: F401

LIMIT = 600
"""Seconds after which a command is killed."""


def run(folder: str, words: list[str], environment: dict[str, str], output: str) -> None:
    """Do what `python -m snakemake` does in `folder`."""
    signal.alarm(LIMIT)
    with open(output, "wb") as file, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder  # where `plasticity` is imported from
    sys.argv = ["snakemake", *words]
    cli.main()


def main() -> None:
    """Run commands for as long as somebody asks."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(**json.loads(line))
            sys.exit()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


main()
