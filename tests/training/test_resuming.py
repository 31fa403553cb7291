"""A stage that was killed, asked to end or waited for: the same bits, and nothing foreign."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import CODE, PRETRAIN, TUNE, Folder, equal

from plasticity.core.errors import UserError
from plasticity.core.shutdown import Ended
from plasticity.runs import Run, metrics
from plasticity.runs.provenance import Code
from plasticity.training import checkpoint, loop, train
from plasticity.training.hardware import Hardware


def test_killed_at_twenty_random_moments_ends_in_the_same_bits(tmp_path: Path):
    driver = Path(__file__).parents[1] / "kill_driver.py"
    finished = subprocess.run(
        [sys.executable, driver, tmp_path],
        capture_output=True,
        encoding="utf-8",
        timeout=1200,
        env={**os.environ, "PYTHONPATH": str(driver.parents[1])},
    )
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert report["kills"] == 20
    assert report["resumed"] >= 10
    undisturbed = checkpoint.load(report["calm"])
    for disturbed in report["killed"]:
        assert equal(undisturbed, checkpoint.load(disturbed))


class TestResumeFiles:
    """The state that an earlier attempt left is continued only where nothing differs."""

    @pytest.fixture
    def left(self, folder: Folder) -> Folder:
        """A folder in which a run of 3 epochs was ended after 2."""
        run = Run.parse(PRETRAIN.format(epochs=3))
        outputs = folder.outputs(run)
        shorter = folder.train(Run.parse(PRETRAIN.format(epochs=2)), "shorter")
        state = checkpoint.load(shorter.checkpoint)
        state = replace(state, identity=replace(state.identity, run=str(run)))
        checkpoint.save(outputs.resume, state)
        return folder

    def test_it_is_continued(self, left: Folder):
        lines: list[str] = []
        run = Run.parse(PRETRAIN.format(epochs=3))
        resumed = left.train(run, log=lines.append)
        assert lines[0].startswith("resuming after 2 epochs,")
        straight = left.train(run, "straight")
        assert equal(checkpoint.load(resumed.checkpoint), checkpoint.load(straight.checkpoint))

    @pytest.mark.parametrize(
        ("field", "words"),
        [
            ("run", "of another run"),
            ("code", r"another version of the training code: training/loop\.py \("),
            ("split", "another choice of examples"),
            ("threads", "another number of threads"),
        ],
    )
    def test_a_foreign_one_is_refused_by_name_and_kept(self, left: Folder, field: str, words: str):
        run = Run.parse(PRETRAIN.format(epochs=3))
        resume = left.outputs(run).resume
        state = checkpoint.load(resume)
        changes = {field: "something else"}
        if field == "code":
            changes["components"] = {"training/loop.py": "something else"}
        state = replace(state, identity=replace(state.identity, **changes))
        checkpoint.save(resume, state)
        before = resume.read_bytes()
        with pytest.raises(UserError, match=words) as error:
            left.train(run)
        assert str(resume) in str(error.value)
        assert "or delete it and run again to train without it" in str(error.value)
        assert resume.read_bytes() == before

    def test_one_of_another_gpu_is_left_aside(self, left: Folder, monkeypatch: pytest.MonkeyPatch):
        """Other bits would follow, and to wait for the same GPU again might be for ever."""
        straight = left.train(Run.parse(PRETRAIN.format(epochs=3)), "straight")
        ten = left.train(Run.parse(PRETRAIN.format(epochs=10)), "rung").checkpoint
        monkeypatch.setattr(Hardware, "gpu", "H100 (9.0)")
        run, lines = Run.parse(PRETRAIN.format(epochs=3)), list[str]()
        for kept, made_on in ((left.outputs(run).resume, "A100 (8.0)"), (ten, "A100 (8.0)")):
            state = checkpoint.load(kept)
            identity = replace(state.identity, gpu=made_on)
            checkpoint.save(kept, replace(state, identity=identity))
        anew = left.train(run, log=lines.append)
        resume = left.outputs(run).resume
        assert lines[0].startswith(f"{resume}: not continued from: made on another model of GPU")
        assert "(A100 (8.0), this is H100 (9.0))" in lines[0]
        assert lines[1].startswith("epoch 1/3")
        assert equal(checkpoint.load(anew.checkpoint), checkpoint.load(straight.checkpoint))
        left.train(Run.parse(PRETRAIN.format(epochs=12)), rung=ten, log=lines.append)
        assert f"{ten}: not continued from" in lines[4]
        assert lines[5].startswith("epoch  1/12")

    def test_one_of_the_same_gpu_is_continued(self, left: Folder, monkeypatch: pytest.MonkeyPatch):
        run, lines = Run.parse(PRETRAIN.format(epochs=3)), list[str]()
        resume = left.outputs(run).resume
        state = checkpoint.load(resume)
        monkeypatch.setattr(Hardware, "gpu", "H100 (9.0)")
        identity = replace(state.identity, gpu="H100 (9.0)")
        checkpoint.save(resume, replace(state, identity=identity))
        left.train(run, log=lines.append)
        assert lines[0].startswith("resuming after 2 epochs,")

    def test_one_of_equivalent_code_is_continued(self, left: Folder):
        now = {**CODE.components, "training/loop.py": "anew"}
        step = {"training/loop.py": (CODE.components["training/loop.py"], "anew")}
        lines: list[str] = []
        run = Run.parse(PRETRAIN.format(epochs=3))
        code = Code(now, (step,))
        resumed = left.train(run, log=lines.append, code=code)
        assert lines[0].startswith("resuming after 2 epochs,")
        assert metrics.about(resumed.metrics)["components"] == now

    def test_a_damaged_one_is_refused_by_name(self, left: Folder):
        run = Run.parse(PRETRAIN.format(epochs=3))
        resume = left.outputs(run).resume
        data = bytearray(resume.read_bytes())
        data[-5] ^= 1
        resume.write_bytes(data)
        with pytest.raises(UserError, match=r"resume\.safetensors: damaged"):
            left.train(run)


class TestAskedToEnd:
    """A signal ends training after the batch at hand; another attempt goes on from there."""

    RUN = Run.parse(PRETRAIN.format(epochs=4))

    def ended(self, folder: Folder, monkeypatch: pytest.MonkeyPatch, where: str, after: int) -> str:
        """Train, asked to end by the `after`-th call of loop's function `where`."""
        calls = 0
        original = getattr(loop, where)

        def counted(*arguments, **others):
            nonlocal calls
            calls += 1
            if calls == after:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(*arguments, **others)

        monkeypatch.setattr(loop, where, counted)
        with pytest.raises(Ended) as ended:
            folder.train(self.RUN)
        monkeypatch.undo()
        assert ended.value.status == 128 + signal.SIGTERM
        return str(ended.value)

    # An epoch adds up 2 batches of training and 1 of testing; 2 batches of 16 are half of the data.
    @pytest.mark.parametrize(
        ("after", "words"),
        [
            (1, "after 0 epochs and 1 batches of the next"),
            (4, "after 1 epochs and 1 batches of the next"),
            (5, "after 1 epochs and 2 batches of the next"),
            (6, "after 1 epochs and 2 batches of the next"),  # the evaluation is made again
        ],
    )
    def test_it_ends_in_the_same_bits(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch, after: int, words: str
    ):
        message = self.ended(folder, monkeypatch, "add_batch", after)
        assert message == f"ended by SIGTERM {words}; the next attempt goes on from there"
        outputs = folder.outputs(self.RUN)
        assert outputs.resume.exists()
        assert not outputs.checkpoint.exists()
        lines: list[str] = []
        resumed = folder.train(self.RUN, log=lines.append)
        assert lines[0].startswith(f"resuming {words}")
        straight = folder.train(self.RUN, "straight")
        assert equal(checkpoint.load(resumed.checkpoint), checkpoint.load(straight.checkpoint))

    def test_every_batch_may_be_the_last_of_an_attempt(self, folder: Folder):
        """A state is saved after each update, and training goes on from each."""
        run = Run.parse(PRETRAIN.format(epochs=2))
        saved = 0
        original = checkpoint.save

        def save(path, state):
            nonlocal saved
            original(path, state)
            if path.name == "resume.safetensors":
                saved += 1
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(checkpoint, "save", save)
            while True:
                try:
                    resumed = folder.train(run, resume_every=0.0)
                    break
                except KeyboardInterrupt:
                    pass
        assert saved == 5  # after each of 2 x 2 batches, and after the first epoch
        straight = folder.train(run, "straight")
        assert equal(checkpoint.load(resumed.checkpoint), checkpoint.load(straight.checkpoint))

    def test_after_the_last_epoch_too(self, folder: Folder, monkeypatch: pytest.MonkeyPatch):
        """Snakemake, once asked to end, accepts no results: the next attempt only writes them."""
        run = Run.parse(PRETRAIN.format(epochs=1))
        original = train.progress

        def asked(*arguments):
            os.kill(os.getpid(), signal.SIGTERM)
            return original(*arguments)

        monkeypatch.setattr(train, "progress", asked)
        with pytest.raises(Ended, match="after 1 epochs;"):
            folder.train(run)
        monkeypatch.undo()
        outputs = folder.outputs(run)
        assert not outputs.metrics.exists()
        lines: list[str] = []
        folder.train(run, log=lines.append)
        assert lines == ["resuming after 1 epochs, where an earlier attempt was ended"]
        straight = folder.train(run, "straight")
        assert equal(checkpoint.load(outputs.checkpoint), checkpoint.load(straight.checkpoint))


def test_another_attempt_at_the_same_run_is_waited_for(folder: Folder):
    """Two attempts never write at once, as where a cluster has lost snapshot of the first one."""
    run = Run.parse(PRETRAIN.format(epochs=1))
    lock = folder.outputs(run).resume.with_name(".lock")
    code = (
        "import sys, time; from pathlib import Path; from plasticity.core import files\n"
        "with files.held(Path(sys.argv[1]), print): print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert first.stdout.readline() == "held\n"
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if "waiting" in line:
            first.communicate()

    outputs = folder.train(run, log=log)
    said = "an earlier attempt at this run has not ended yet: waiting for it (if it is sure that"
    assert lines[0] == f"{said} there is none, delete {lock})"
    assert "epoch 1/1" in lines[1]
    assert first.returncode == 0
    assert [path.name for path in lock.parent.iterdir() if path.name.startswith(".")] == []
    assert outputs.checkpoint.exists()


def test_what_the_attempt_that_was_waited_for_has_finished_is_not_trained_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    run = Run.parse(PRETRAIN.format(epochs=2))
    first = folder.train(run)
    before = first.checkpoint.read_bytes(), first.metrics.read_bytes()

    @contextmanager
    def held(path, log):
        yield True

    monkeypatch.setattr(train.files, "held", held)
    lines: list[str] = []
    folder.train(run, log=lines.append)
    assert lines == ["the attempt that was waited for has finished this run: nothing is left to do"]
    assert (first.checkpoint.read_bytes(), first.metrics.read_bytes()) == before
    first.checkpoint.unlink()  # half of the outputs are not enough
    folder.train(run, log=lines.append)
    assert len(lines) == 3


def test_a_parent_trained_again_is_the_same_parent(folder: Folder):
    """A dropped checkpoint comes back with other wall times, and what it began goes on."""
    parent, run = Run.parse(PRETRAIN.format(epochs=2)), Run.parse(TUNE.format(pretrain=2, tune=4))
    whole = folder.train(run, "whole", parent=folder.train(parent, "once").checkpoint)

    def end(line: str) -> None:
        if "epoch 3/4" in line:
            raise KeyboardInterrupt

    once = folder.outputs(parent, "once").checkpoint
    with pytest.raises(KeyboardInterrupt):
        folder.train(run, "killed", parent=once, log=end, resume_every=0.0)
    again = folder.train(parent, "again").checkpoint
    assert again.read_bytes() != once.read_bytes()
    said: list[str] = []
    resumed = folder.train(run, "killed", parent=again, log=said.append)
    assert said[0].startswith("resuming after 2 epochs and 4 batches of the next")
    assert equal(checkpoint.load(whole.checkpoint), checkpoint.load(resumed.checkpoint))


def test_a_killed_drift_ends_in_the_same_bits(folder: Folder):
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/drift0.5_adam-lr0.01-b16_e4_init")
    whole = folder.train(run, "whole")

    def end(line: str) -> None:
        if "epoch 3/4" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.train(run, "killed", log=end, resume_every=0.0)
    assert folder.outputs(run, "killed").resume.exists()
    again = folder.train(run, "killed")
    assert equal(checkpoint.load(whole.checkpoint), checkpoint.load(again.checkpoint))
    assert metrics.read(whole.metrics)[1]["training_examples"] == 64
