"""Train a run undisturbed, and again with 20 kills at random moments; report where both ended.

A process of its own: it forks each attempt, so that no attempt pays for importing torch, and it
must fork before torch has started a thread.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tiny import PRETRAIN, Folder

from plasticity.spec import Run

KILLS = 20
RUN = Run.parse(PRETRAIN.format(epochs=150))


def attempt(folder: Folder, name: str, log: Path) -> int:
    """Start training in a child process and return its number."""
    child = os.fork()
    if child == 0:
        with log.open("a", buffering=1) as file:
            folder.train(RUN, name, log=lambda line: print(line, file=file), resume_every=0.0)
        os._exit(0)
    return child


def ended(child: int) -> None:
    """Wait for a child that must end well."""
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(f"training ended with status {status}")


def main(path: Path) -> None:
    """Both trainings below `path`; prints a report as JSON."""
    folder = Folder.prepare(path)  # here, so that the attempts find its imports done
    log = path / "log"
    began = time.monotonic()
    ended(attempt(folder, "calm", path / "calm.log"))
    calm = time.monotonic() - began
    moments = random.Random(0)
    kills, lap = 0, 0
    while kills < KILLS:
        child = attempt(folder, f"killed{lap}", log)
        time.sleep(moments.uniform(0, calm / 6))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        else:
            lap += 1  # it came to its end before the blow: once more from the start
    ended(attempt(folder, f"killed{lap}", log))
    report = {
        "kills": kills,
        "resumed": log.read_text().count("resuming"),
        "calm": str(folder.outputs(RUN, "calm").checkpoint),
        "killed": [str(folder.outputs(RUN, f"killed{n}").checkpoint) for n in range(lap + 1)],
    }
    print(json.dumps(report))


main(Path(sys.argv[1]))
