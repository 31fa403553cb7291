"""The fork server: a job that was handed over is the same job to whoever started it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest
from clone import ROOT, Clone

from plasticity import forkserver

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

BEGIN = "import os, signal, sys, time\nfrom plasticity.forkserver import hand_over\n"
PATIENCE = 30


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A server that has imported a module which nothing else does."""
    monkeypatch.setenv(forkserver.VARIABLE, "")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    server = forkserver.start(["colorsys"])
    assert server
    yield server
    for job in Job.started:
        if job.process.poll() is None:  # a test has failed
            job.process.kill()
            job.process.communicate()
    Job.started.clear()
    forkserver.end(server)
    assert server.poll() is not None


class Job:
    """A script as Snakemake starts it: `before` runs in this process, `work` after handing over.

    With a `server` the work is refused anywhere but in a fork of it.
    """

    started: ClassVar[list[Job]] = []

    def __init__(
        self,
        folder: Path,
        work: str,
        before: str = "",
        server: subprocess.Popen[bytes] | None = None,
        **more: str,
    ) -> None:
        script = folder / "job.py"
        forked = f"assert os.getppid() == {server.pid}" if server else ""
        script.write_text(f"{BEGIN}{before}\nhand_over()\n{forked}\n{work}\n")
        self.process = subprocess.Popen(
            [sys.executable, str(script), "word"],
            cwd=folder,
            env={**os.environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(self)

    def end(self) -> tuple[int, str, str]:
        """Its status, and what it said."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output, errors

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def state_of(process: int) -> str:
    """The letter for the state of a process; X where there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


def is_gone(process: int) -> bool:
    return state_of(process) in "XZ"


WAITS = "print(os.getpid(), flush=True)\nwhile True: time.sleep(0.05)"


def test_it_runs_in_a_fork_with_its_words_folder_environment_and_status(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    work = """
print(os.getppid(), "colorsys" in sys.modules, sys.argv[1], os.getcwd(), os.environ["COLOUR"])
print("PLASTICITY_FORKSERVER" in os.environ, __name__)
print("said", file=sys.stderr)
sys.exit(3)
"""
    status, output, errors = Job(tmp_path, work, server=server, COLOUR="red").end()
    assert status == 3
    assert output.splitlines() == [f"{server.pid} True word {tmp_path} red", "False __main__"]
    assert errors == "said\n"


def test_several_at_once(tmp_path: Path, server: subprocess.Popen[bytes]):
    folders = [tmp_path / str(number) for number in range(6)]
    for folder in folders:
        folder.mkdir()
    jobs = [
        Job(folder, f"time.sleep(0.2)\nprint({number})\nsys.exit({number})", server=server)
        for number, folder in enumerate(folders)
    ]
    for number, job in enumerate(jobs):
        assert job.end() == (number, f"{number}\n", "")


@pytest.mark.parametrize(
    ("work", "status", "errors"),
    [
        ("pass", 0, ""),
        ("import atexit\natexit.register(lambda: print('last', file=sys.stderr))", 0, "last\n"),
        ("sys.exit()", 0, ""),
        ("sys.exit('that went wrong')", 1, "that went wrong\n"),
        ("raise ValueError('broken')", 1, "ValueError: broken\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    ],
)
def test_it_ends_as_its_fork_does(
    tmp_path: Path, server: subprocess.Popen[bytes], work: str, status: int, errors: str
):
    found, output, said = Job(tmp_path, work, server=server).end()
    assert (found, output) == (status, "")
    assert said.endswith(errors)
    assert bool(said) == bool(errors)


def test_a_large_environment_comes_over_whole(tmp_path: Path, server: subprocess.Popen[bytes]):
    large = {f"LARGE{number}": str(number) * 100_000 for number in range(8)}
    work = "print(sum(len(v) for n, v in os.environ.items() if n[:5] == 'LARGE'), os.getppid())"
    assert Job(tmp_path, work, server=server, **large).end() == (0, f"800000 {server.pid}\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_end_is_passed_on_once(
    tmp_path: Path, server: subprocess.Popen[bytes], number: signal.Signals
):
    work = f"""
met = []
signal.signal({number.value}, lambda *_: met.append(1))
print(os.getpid(), flush=True)
while not met: time.sleep(0.01)
time.sleep(0.3)
sys.exit(100 + len(met))
"""
    job = Job(tmp_path, work, server=server)
    job.line()
    job.process.send_signal(number)
    assert job.end()[0] == 101


def test_ctrl_c_without_a_handler_ends_both(tmp_path: Path, server: subprocess.Popen[bytes]):
    job = Job(tmp_path, WAITS, server=server)
    fork = int(job.line())
    job.process.send_signal(signal.SIGINT)
    status, _, errors = job.end()
    assert status == -signal.SIGINT
    assert errors.endswith("KeyboardInterrupt\n")
    until(lambda: is_gone(fork))


def test_a_request_to_end_before_there_is_a_fork_ends_the_job(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    until(lambda: Job(tmp_path, "pass", server=server).end()[0] == 0)
    server.send_signal(signal.SIGSTOP)
    job = Job(tmp_path, "print('done')", server=server)
    until(lambda: is_connected(job.process.pid))
    job.process.terminate()
    assert job.process.wait(PATIENCE) == -signal.SIGTERM
    server.send_signal(signal.SIGCONT)
    assert job.end() == (-signal.SIGTERM, "", "")
    assert Job(tmp_path, "sys.exit(5)", server=server).end()[0] == 5


def is_connected(process: int) -> bool:
    """Whether a process waits for the server: it has a socket and sleeps."""
    with suppress(OSError):
        links = [str(one.readlink()) for one in Path(f"/proc/{process}/fd").iterdir()]
        return any(link.startswith("socket:") for link in links) and state_of(process) == "S"
    return False


def test_what_is_ignored_stays_ignored(tmp_path: Path, server: subprocess.Popen[bytes]):
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    work = f"""
print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN, signal.pthread_sigmask(0, []), flush=True)
{WAITS}
"""
    job = Job(tmp_path, work, before, server)
    assert job.line() == "True set()"
    job.line()
    job.process.send_signal(signal.SIGINT)
    job.process.terminate()
    assert job.end()[0] == -signal.SIGTERM


def test_what_was_to_be_done_at_the_end_is_done(tmp_path: Path, server: subprocess.Popen[bytes]):
    work = """
import atexit, threading
def late():
    time.sleep(0.2)
    print("thread")
threading.Thread(target=late).start()
atexit.register(lambda: print("exit"))
raise KeyboardInterrupt
"""
    status, output, _ = Job(tmp_path, work, server=server).end()
    assert (status, output) == (-signal.SIGINT, "thread\nexit\n")


@pytest.mark.parametrize("limit", ["nofile", "nproc"])
def test_a_server_that_can_fork_no_more_lets_its_forks_be(
    tmp_path: Path, server: subprocess.Popen[bytes], limit: str
):
    if limit == "nproc" and os.getuid() == 0:
        pytest.skip("the limit does not hold for root")
    job = Job(tmp_path, WAITS, server=server)
    fork = int(job.line())
    taken = {int(one.name) for one in Path(f"/proc/{server.pid}/fd").iterdir()}
    most = min({*range(len(taken) + 1)} - taken) if limit == "nofile" else 0
    subprocess.run(["prlimit", f"--{limit}={most}", f"--pid={server.pid}"], check=True)
    later = tmp_path / "later"
    later.mkdir()
    assert Job(later, f"sys.exit(os.getppid() == {server.pid})").end()[0] == 0
    assert not is_gone(fork)
    assert Job(later, f"sys.exit(os.getppid() == {server.pid})").end()[0] == 0
    job.process.terminate()
    assert job.end()[0] == -signal.SIGTERM


def test_one_that_says_nothing_keeps_nobody_waiting(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    name = os.environ[forkserver.VARIABLE]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(f"\0{name}")
        assert Job(tmp_path, "sys.exit(5)", server=server).end()[0] == 5
        silent.sendall(b"nonsense\n")
        assert silent.recv(100) == b"status 1\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hasty:
        hasty.connect(f"\0{name}")
    assert Job(tmp_path, "sys.exit(5)", server=server).end()[0] == 5


def test_a_fork_that_is_lost_before_it_is_let_go_leaves_the_job_as_it_was(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind("\0plasticity-test/lost")
        listening.listen()
        work = f"print('by itself', flush=True)\n{WAITS}"
        job = Job(tmp_path, work, **{forkserver.VARIABLE: "plasticity-test/lost"})
        connection, _ = listening.accept()
        with connection:
            while not connection.recv(1 << 20).endswith(b"\n"):
                pass
            connection.shutdown(socket.SHUT_RD)
            connection.sendall(b"fork 1\n")
            assert job.line() == "by itself"
    job.process.terminate()
    assert job.end()[0] == -signal.SIGTERM


def test_a_terminal_signals_neither_the_server_nor_a_fork(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    """It signals the group of processes in the foreground, which Snakemake and its jobs are in."""
    os.kill(server.pid, signal.SIGINT)
    job = Job(tmp_path, WAITS, server=server)
    fork = int(job.line())
    assert os.getpgid(fork) == fork != os.getpgid(job.process.pid) == os.getpgid(server.pid)
    job.process.terminate()
    assert job.end()[0] == -signal.SIGTERM


def test_a_fork_finds_torch_and_one_thread_and_none_of_the_library_that_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(forkserver.VARIABLE, "")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    server = forkserver.start()
    assert server
    work = """
found = [name for name in sys.modules if name.partition(".")[0] == "plasticity"]
print(sorted(found), "torch" in sys.modules, len(os.listdir("/proc/self/task")))
import torch
print(torch.get_num_threads(), torch.cuda.is_initialized())
torch.set_num_threads(2)
print((torch.ones(64, 64) @ torch.ones(64, 64)).sum().item(), torch.get_num_threads())
"""
    said = "['plasticity', 'plasticity.forkserver'] True 1\n1 False\n262144.0 2\n"
    assert Job(tmp_path, work, server=server).end() == (0, said, "")
    forkserver.end(server)


def test_a_job_that_is_killed_takes_its_fork_along(tmp_path: Path, server: subprocess.Popen[bytes]):
    job = Job(tmp_path, WAITS, server=server)
    fork = int(job.line())
    job.process.kill()
    assert job.end()[0] == -signal.SIGKILL
    until(lambda: is_gone(fork))
    assert Job(tmp_path, "sys.exit(5)", server=server).end()[0] == 5  # the server serves on


def test_a_server_that_is_killed_takes_forks_and_jobs_along(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    job = Job(tmp_path, WAITS, server=server)
    fork = int(job.line())
    server.kill()
    status, _, errors = job.end()
    assert status == 1
    assert "the process that this job was forked from was killed" in errors
    until(lambda: is_gone(fork))
    assert Job(tmp_path, "print('by itself')").end() == (0, "by itself\n", "")


def test_a_server_ends_with_its_owner_and_lets_jobs_finish(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    held = tmp_path / "held"
    held.touch()
    job = Job(
        tmp_path, f"print(1, flush=True)\nwhile os.path.exists({str(held)!r}): time.sleep(0.01)"
    )
    job.line()
    assert server.stdin
    server.stdin.close()
    later = tmp_path / "later"
    later.mkdir()
    until(lambda: Job(later, f"sys.exit(os.getppid() == {server.pid})").end()[0] == 0)
    assert server.poll() is None
    held.unlink()
    assert job.end()[0] == 0
    assert server.wait(PATIENCE) == 0


def test_a_job_that_is_stopped_stops_its_fork(tmp_path: Path, server: subprocess.Popen[bytes]):
    job = Job(tmp_path, WAITS, server=server)
    fork = int(job.line())
    job.process.send_signal(signal.SIGTSTP)
    until(lambda: state_of(fork) == "T" == state_of(job.process.pid))
    job.process.send_signal(signal.SIGCONT)
    until(lambda: state_of(fork) != "T" != state_of(job.process.pid))
    job.process.terminate()
    assert job.end()[0] == -signal.SIGTERM


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("", "nobody/listens"),
        ("", ""),
        ("sys.executable = '/bin/sh'", None),
        ("os.environ['PYTHONPATH'] = '/elsewhere'", None),
    ],
)
def test_without_a_server_that_would_do_it_goes_on_by_itself(
    tmp_path: Path, server: subprocess.Popen[bytes], before: str, name: str | None
):
    more = {} if name is None else {forkserver.VARIABLE: name}
    status, output, errors = Job(tmp_path, "print(os.getppid())", before, **more).end()
    assert (status, output, errors) == (0, f"{os.getpid()}\n", "")


def test_what_was_imported_for_the_server_is_imported_anew(
    tmp_path: Path, server: subprocess.Popen[bytes]
):
    """A job has the library that its own path leads to."""
    library = tmp_path / "other" / "plasticity"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("COLOUR = 'red'")
    (library / "forkserver.py").write_text((ROOT / "plasticity/forkserver.py").read_text())
    before = f"sys.path.insert(0, {str(library.parent)!r})"
    work = "import plasticity\nprint(plasticity.COLOUR)"
    assert Job(tmp_path, work, before, server).end() == (0, "red\n", "")


# The workflow

TELL = """
import os
place = f"/proc/{os.getppid()}/"
print("PARENT", open(place + "cmdline").read(), os.readlink(place + "cwd"))
"""


def test_several_jobs_of_snakemake_are_forked_and_end_in_the_same_bits(tmp_path: Path):
    clone = Clone(tmp_path)
    stage = "full_adam-lr0.01-b16_e2_init"
    wanted = [
        f"results/tune/digits-clutter-n64-r6/resnet-d1w2/seed{seed}/{stage}/metrics.parquet"
        for seed in range(forkserver.WORTH_IT)
    ]

    def measured() -> list[dict]:
        tables = [pq.read_table(tmp_path / path) for path in wanted]
        return [table.drop_columns(["seconds"]).to_pydict() for table in tables]

    with clone.edited("workflow/scripts/train.py", add=f"\n{TELL}\n"):
        status, printed = clone.snakemake(*wanted)
        assert status == 0, printed
        parents = re.findall("PARENT (.*)", printed)
        assert len(parents) == len(wanted)
        assert all("plasticity.forkserver" in parent for parent in parents)
        assert {parent.split()[-1] for parent in parents} == {str(tmp_path.resolve())}
        forked = measured()
        # One job less is not worth a server.
        for path in wanted[1:]:
            (tmp_path / path).unlink()
        status, printed = clone.snakemake(*wanted)
        assert status == 0, printed
        parents = re.findall("PARENT (.*)", printed)
        assert len(parents) == len(wanted) - 1
        assert not any("plasticity.forkserver" in parent for parent in parents)
    assert measured() == forked
    # One job less had none, and that of the others has ended.
    until(lambda: not servers_of(tmp_path))


def servers_of(folder: Path) -> list[Path]:
    """The servers whose library is in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if (
                b"plasticity.forkserver" in words
                and (process / "cwd").resolve() == folder.resolve()
            ):
                found.append(process)
    return found
