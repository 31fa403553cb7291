"""A SLURM cluster of one node, this machine, with two GPUs that are none: real, and for tests.

The daemons (munged, slurmctld, slurmd) run in a folder of their own, with their own key, sockets
and ports, and end with the test. They need Debian's packages `slurm-wlm` and `munge`, and root, as
slurmd starts the jobs of a user as that user.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SYSTEM = Path("/etc/slurm/slurm.conf")
"""Where `srun` looks within a job: the executor plugin takes SLURM_CONF out of its environment."""

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
GPUS = 2
MODEL = "a100-sxm4-80gb"
"""What the cluster calls them: a name that the executor plugin does not take."""

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
# A requeued job starts again once its credential has expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# What a machine without an init system and without control groups allows.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
MpiDefault=none
# Seconds between the signal that ends a job and the one that kills it: many, for slow machines.
KillWait=120
# A time limit of a minute is a minute, and a requeued job starts at once.
OverTimeLimit=0
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,requeue_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Take the numbers below as they are.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{model}:{gpus}
PartitionName=normal Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=120
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=10
"""


def lacking() -> str | None:
    """Why no cluster can be started here, or None."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not found; apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "slurmd must be started by root"
    if SYSTEM.exists() and not _left_behind():
        return f"{SYSTEM} is there: this machine belongs to a cluster"
    return None


class Cluster:
    """A running cluster; `environment` is what its commands need to find it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.daemons: list[subprocess.Popen[bytes]] = []

    def run(self, *command: str) -> str:
        """What a command of the cluster prints; raises where it fails."""
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            check=True,
            timeout=300,
        ).stdout

    def states(self) -> dict[str, str]:
        """The state of every job that the cluster remembers."""
        lines = self.run("squeue", "--noheader", "--states=all", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def start(self) -> None:
        """Start the daemons and wait until the node is ready."""
        folder = self.folder
        for name in ("state", "spool", "devices"):
            (folder / name).mkdir()
        folder.chmod(0o755)
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        devices = [folder / "devices" / f"gpu{number}" for number in range(GPUS)]
        for device in devices:
            os.mknod(device, 0o20666, os.makedev(1, 3))
        (folder / "gres.conf").write_text(
            "".join(f"Name=gpu Type={MODEL} File={path}\n" for path in devices)
        )
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname(),
                folder=folder,
                controller=_free_port(),
                node=_free_port(),
                # More than there are, so that both GPUs can be in use on a small machine.
                cpus=max(4, os.cpu_count() or 1),
                memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10,
                gpus=GPUS,
                model=MODEL,
            )
        )
        SYSTEM.unlink(missing_ok=True)  # what a killed test left dangling
        SYSTEM.parent.mkdir(parents=True, exist_ok=True)
        SYSTEM.symlink_to(folder / "slurm.conf")
        self._daemon(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={folder}/munge.key",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munge.pid",
            f"--seed-file={folder}/munge.seed",
            f"--log-file={folder}/munge.log",
        )
        self._until(lambda: (folder / "munge.socket").exists(), "munged opens its socket")
        self._daemon("slurmctld", "-D", "-i")
        self._daemon("slurmd", "-D")
        self._until(lambda: "idle" in self._nodes(), "the node is idle")

    def stop(self) -> None:
        """End all jobs and the daemons, the last one first."""
        if len(self.daemons) == 3:
            subprocess.run(
                ["scancel", "--signal=KILL", "--full", "--user=root"],
                env=self.environment,
                check=False,
                timeout=300,
            )
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        if SYSTEM.is_symlink() and SYSTEM.readlink() == self.folder / "slurm.conf":
            SYSTEM.unlink()

    def _daemon(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("wb") as out:
            daemon = subprocess.Popen(
                command, env=self.environment, stdout=out, stderr=subprocess.STDOUT
            )
        self.daemons.append(daemon)

    def _nodes(self) -> str:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"],
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=300,
        )
        return asked.stdout

    def _until(self, ready, what: str, seconds: float = 300.0) -> None:  # type: ignore[no-untyped-def]
        end = time.monotonic() + seconds
        while not ready():
            for daemon in self.daemons:
                if daemon.poll() is not None:
                    raise RuntimeError(f"{daemon.args[0]} ended with {daemon.returncode}")
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s: {what}")
            time.sleep(0.2)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster in `folder`, for as long as this lasts."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _left_behind() -> bool:
    """Whether a killed test has left its configuration: its controller does not run any more."""
    if not SYSTEM.is_symlink():
        return False
    try:
        os.kill(int(SYSTEM.readlink().with_name("slurmctld.pid").read_text()), 0)
    except (OSError, ValueError):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
