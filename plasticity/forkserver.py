"""A process that imports torch once and forks for each job, which saves a job two seconds.

Snakemake starts a process for each job. That process asks the server (`serve`) for a fork of it,
in which torch is there already, and waits (`hand_over`). The fork has its output, its folder and
its environment, is sent the requests to end or to pause that it gets, is killed where it is, and
its status is handed on. Until the fork is let go nothing has been done, and whatever fails before
that leaves a job to do its work itself; so do no server, and one of another Python. Linux only:
elsewhere libraries do not bear being forked.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import resource
import runpy
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn

VARIABLE = "PLASTICITY_FORKSERVER"
"""Names the server's socket, in Linux's abstract namespace, for the jobs of one Snakemake."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""What a job is asked to end by; passed on to its fork."""

WORTH_IT = 3
"""Jobs from which on a server is started."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Of what is read when a library is loaded: numpy's threads would be there before the first fork,
and torch would take as many as there are cores in a fork that does not say how many."""

LAST_MOMENT = 5.0
"""Seconds that Snakemake's process, at its end, waits for the server at most."""

PRELOADED = ("torch", "safetensors.torch", "snakemake.iocontainers")
"""What jobs find imported: what takes long, starts no thread, and is not the library itself."""

STANDARD = (0, 1, 2)
"""The descriptors of standard input, output and error."""

PATIENCE = 60.0
"""Seconds without a word after which a job does not wait for its fork any more, nor that for it."""

FORK, GO, STATUS = b"fork", b"go\n", b"status"
"""What is said once a request is there: by the fork, with its number; by the job, which from then
on only waits; by the server, with how the fork ended, also where that has declined."""

LARGEST = 1 << 16
"""Bytes that are read at once."""

WHERE_PYTHON_LOOKS = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD")

_PR_SET_PDEATHSIG = 1


# For Snakemake


def start(preloaded: Sequence[str] = PRELOADED) -> subprocess.Popen[bytes] | None:
    """Start a server for the jobs of this process; none but on Linux, or where it cannot be had.

    It ends with this process, once its last fork has. Nothing is waited for: the first jobs wait,
    no longer than what is `preloaded` takes to be imported.
    """
    if sys.platform != "linux":
        return None
    name = f"plasticity-forkserver/{os.getpid()}/{secrets.token_hex(8)}"
    path = ":".join(folder for folder in sys.path if folder)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(f"\0{name}")
        listening.listen(128)
        words = [str(listening.fileno()), json.dumps(this_python()), *preloaded]
        # What a terminal sends to all is held back in the server from its first moment on.
        with held_back(FORWARDED):
            server = subprocess.Popen(
                [sys.executable, "-P", "-m", "plasticity.forkserver", *words],
                # A pipe to this process and to no other: it is closed however this one ends.
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listening.fileno()],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
            )
        os.environ[VARIABLE] = name
        atexit.register(end, server)
        return server
    return None


def end(server: subprocess.Popen[bytes]) -> None:
    """Let `server` end once its last fork has, and wait for a moment that it does."""
    assert server.stdin
    server.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        server.wait(LAST_MOMENT)


# For a job


def hand_over() -> None:
    """Let a fork of the server do the work of this script, and end as it does.

    Returns where this is that fork, and where no server would do it.
    """
    name = os.environ.pop(VARIABLE, "")
    if not name:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.settimeout(PATIENCE)
            server.connect(f"\0{name}")
            if user_of(server) != os.getuid():
                return
            text = request()
            sent = socket.send_fds(server, [text], STANDARD)
            server.sendall(text[sent:])
            fork = told(server, FORK)
            server.settimeout(None)
            with held_back((*FORWARDED, signal.SIGTSTP)), passing_on(fork):
                server.sendall(GO)
        except (OSError, ValueError):
            return
        try:
            status = told(server, STATUS)
        except (OSError, ValueError):
            sys.exit("\nerror: the process that this job was forked from was killed\n")
    end_as(status)


def request() -> bytes:
    """What a fork must know to be this script."""
    about = {
        "python": this_python(),
        "words": sys.argv,
        "path": sys.path,
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "ignored": [int(one) for one in FORWARDED if signal.getsignal(one) == signal.SIG_IGN],
    }
    return json.dumps(about).encode() + b"\n"


@contextmanager
def passing_on(fork: int) -> Iterator[None]:
    """From now on pass on to `fork` what asks this process to end or to pause.

    What is ignored stays so. Where this is left by an error, all is as it was.
    """

    def send(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(fork, number)

    def pause(number: int, frame: FrameType | None) -> None:
        send(signal.SIGSTOP, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        send(signal.SIGCONT, None)  # once this goes on

    handlers = {**dict.fromkeys(FORWARDED, send), signal.SIGTSTP: pause}
    before = {number: signal.getsignal(number) for number in handlers}
    changed = [number for number in handlers if before[number] != signal.SIG_IGN]
    for number in changed:
        signal.signal(number, handlers[number])
    try:
        yield
    except BaseException:
        for number in changed:
            signal.signal(number, before[number])
        raise


def end_as(status: int) -> NoReturn:
    """End with a `status`, or by the signal of that number where it is negative."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-status])
        os.kill(os.getpid(), -status)
    os._exit(status)  # nothing is open here, and the fork has written all


# The server


def serve(listening: socket.socket, owner: IO[bytes], python: object) -> None:
    """Fork for each connection to `listening`, until `owner` is closed and all forks have ended.

    Where no more forks can be made, jobs go on by themselves: no failure may cost those that run,
    which the system kills once this process ends.
    """
    forks: dict[int, socket.socket] = {}
    ended, wakes = socket.socketpair()
    ended.setblocking(False)
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    with select.epoll() as events:
        for readable in (listening, owner, ended):
            events.register(readable, select.EPOLLIN)

        def retire() -> None:
            if listening.fileno() >= 0:
                events.unregister(listening)
                listening.close()

        while listening.fileno() >= 0 or forks:
            # One at a time: what another one closes may have its number given to a new job.
            for descriptor, _ in events.poll(maxevents=1):
                if descriptor == ended.fileno():
                    with suppress(BlockingIOError):
                        ended.recv(LARGEST)
                    reap(forks, events)
                elif descriptor == owner.fileno():
                    events.unregister(owner)
                    retire()
                elif descriptor == listening.fileno():
                    try:
                        job = listening.accept()[0]
                        if fork := fork_for(job, python):
                            forks[fork] = job
                            # What it says is for its fork; here, only that it ends.
                            events.register(job, select.EPOLLRDHUP)
                    except OSError:  # too many processes, or open files
                        retire()
                else:  # a job has ended before its fork, and so was killed
                    for fork, job in forks.items():
                        if job.fileno() == descriptor:
                            events.unregister(job)
                            os.kill(fork, signal.SIGKILL)


def fork_for(job: socket.socket, python: object) -> int:
    """The fork that does a `job`; none for another user's. Raises `OSError`, with `job` closed."""
    server = os.getpid()
    try:
        fork = os.fork() if user_of(job) == os.getuid() else 0
    except OSError:
        job.close()
        raise
    if os.getpid() != server:
        try:
            become(job, server, python)
        finally:
            os._exit(1)
    if not fork:
        job.close()
    return fork


def reap(forks: dict[int, socket.socket], events: select.epoll) -> None:
    """Tell the jobs whose forks have ended how."""
    while forks:
        fork, state = os.waitpid(-1, os.WNOHANG)
        if fork == 0:
            return
        job = forks.pop(fork)
        with suppress(OSError):  # it has ended, and is not looked at any more
            events.unregister(job)
        with suppress(OSError):
            job.sendall(b"%s %d\n" % (STATUS, os.waitstatus_to_exitcode(state)))
        job.close()


# A fork. What it was forked with stays referenced and is closed by number, once.


def become(job: socket.socket, server: int, python: object) -> None:
    """Do the work of a `job`, once it lets this fork go, and end.

    Returns where there is nothing to do: the job does its work itself, or is gone. Signals are
    held back since before the fork, so none is lost.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        return
    os.setpgid(0, 0)  # a terminal's signals come by way of the job, once
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    close_all_but({*STANDARD, job.fileno()})
    job.settimeout(PATIENCE)
    text, descriptors, _, _ = socket.recv_fds(job, LARGEST, len(STANDARD))
    while not text.endswith(b"\n"):
        more = job.recv(LARGEST)
        if not more:
            return
        text += more
    about = json.loads(text)
    if about["python"] != python or len(descriptors) != len(STANDARD):
        return
    job.sendall(b"%s %d\n" % (FORK, os.getpid()))
    if line_from(job) != GO:
        return
    for ours, theirs in zip(STANDARD, descriptors, strict=True):
        os.dup2(theirs, ours)
    close_all_but(STANDARD)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    os.chdir(about["folder"])
    os.environ.clear()
    os.environ.update(about["environment"])
    sys.argv, sys.path = list(about["words"]), list(about["path"])
    # The library itself is imported anew, as the script finds it.
    for name in [name for name in sys.modules if name.partition(".")[0] == "plasticity"]:
        del sys.modules[name]
    for number in about["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    end_as(status_of_script())


def close_all_but(kept: Collection[int]) -> None:
    """Close all descriptors but those that are `kept`."""
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208
        if descriptor not in kept:
            with suppress(OSError):  # that of the list itself
                os.close(descriptor)


def status_of_script() -> int:
    """Run the script that `sys.argv` names as Python would; returns the status to end with."""
    status = 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as error:
        status = status_of(error)
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        # Python ends by the signal itself, as who sent it expects.
        status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    # As Python does at its end, but for forgetting all modules, which takes torch most of the time.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 120
    return status


def status_of(error: SystemExit) -> int:
    """The exit status that `error` asks for; its words go to standard error."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


# For both


@contextmanager
def held_back(numbers: Sequence[int]) -> Iterator[None]:
    """Let signals of these `numbers` wait until this is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def this_python() -> list[object]:
    """What tells this Python from others: its file, and where it and its libraries are seen."""
    found = Path(sys.executable).stat()
    views = [str(Path(f"/proc/self/ns/{view}").readlink()) for view in ("mnt", "pid")]
    places: Mapping[str, Any] = os.environ
    looks = [places.get(name, "") for name in WHERE_PYTHON_LOOKS]
    return [sys.executable, found.st_dev, found.st_ino, *views, *looks]


def user_of(other: socket.socket) -> int:
    """The user of the process at the other end."""
    credentials = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def told(other: socket.socket, what: bytes) -> int:
    """The number that the next line tells; raises `ValueError` where it tells something else."""
    word, _, number = line_from(other).partition(b" ")
    if word != what:
        raise ValueError(f"expected {what!r}, got {word!r}")
    return int(number)


def line_from(other: socket.socket) -> bytes:
    """The next line; what there is of it where the other end was closed."""
    text = b""
    while not text.endswith(b"\n") and (letter := other.recv(1)):
        text += letter
    return text


def main() -> None:
    """Import what the words say and serve."""
    from plasticity.jobs import imports

    descriptor, python, *preloaded = sys.argv[1:]
    with imports():
        for name in preloaded:
            importlib.import_module(name)
    serve(socket.socket(fileno=int(descriptor)), sys.stdin.buffer, json.loads(python))


if __name__ == "__main__":
    main()
