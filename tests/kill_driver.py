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

from plasticity.runs import Run

KILLS = 20
EARLY = 5
"""Of so many kills one comes before an attempt has begun to train."""
ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
RUN = Run.parse(PRETRAIN.format(epochs=40))


def attempt(folder: Folder, name: str, log: Path) -> int:
    """Start training in a child process and return its number."""
    child = os.fork()
    if child == 0:
        with log.open("a", encoding="utf-8", buffering=1) as file:
            folder.train(RUN, name, log=lambda line: print(line, file=file), resume_every=0.0)
        os._exit(0)
    return child


def until_begun(child: int, log: Path, said: int) -> None:
    """Wait until an attempt adds its first line to the `said` bytes of the log, or has ended."""
    while log.stat().st_size == said and not os.waitid(os.P_PID, child, ENDED):
        time.sleep(0.001)


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
    log.touch()
    while kills < KILLS:
        said = log.stat().st_size
        child = attempt(folder, f"killed{lap}", log)
        # A fixed moment would come too early on a slow machine and too late on a fast one.
        if kills % EARLY:
            until_begun(child, log, said)
        time.sleep(moments.uniform(0, calm / 10))
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
