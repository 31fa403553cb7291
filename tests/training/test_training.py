"""One stage as a job: same bits after rungs, kills and repetitions; refusals of foreign states."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CODE, HARDWARE, PRETRAIN, TUNE, Folder, equal

from plasticity.core.errors import UserError
from plasticity.core.shutdown import Ended
from plasticity.runs import Run, metrics
from plasticity.runs.provenance import Code
from plasticity.training import checkpoint, loop, stages, train
from plasticity.training.hardware import Hardware
from plasticity.training.loop import shuffled
from plasticity.training.stages import Inputs, Subset, clock_of, epoch_batches
from plasticity.training.train import progress, train_stage


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.prepare(tmp_path)


def test_a_stage_writes_metrics_and_a_checkpoint_and_leaves_no_resume_file(folder: Folder):
    run = Run.parse(PRETRAIN.format(epochs=3))
    outputs = folder.train(run)
    table, about = metrics.read(outputs.metrics)
    assert table["epoch"].to_pylist() == [1, 2, 3]
    assert about["run"] == str(run)
    assert about["training_examples"] == 32
    assert checkpoint.load(outputs.checkpoint).epoch == 3
    assert not outputs.resume.exists()
    assert sorted(path.name for path in outputs.metrics.parent.iterdir()) == [
        "checkpoint.safetensors",
        "metrics.parquet",
    ]


def test_the_same_run_twice_gives_the_same_bits(folder: Folder):
    run = Run.parse(PRETRAIN.format(epochs=3))
    first = folder.train(run, "first")
    second = folder.train(run, "second")
    assert equal(checkpoint.load(first.checkpoint), checkpoint.load(second.checkpoint))


@pytest.mark.parametrize(
    "optimiser", ["adam-lr0.01-b16", "rmsprop-lr0.001-b16", "sgd-lr0.1-m0.9-wd0.001-b16"]
)
def test_twenty_epochs_from_the_rung_of_ten_equal_twenty_straight(folder: Folder, optimiser: str):
    stages = "digits-clutter/resnet-d1w2/seed0/half_{}_e{}_init"
    lineages = [Code({**CODE.components, "lineage": name}) for name in ("of ten", "of twenty")]
    ten = folder.train(Run.parse(stages.format(optimiser, 10)), code=lineages[0])
    run = Run.parse(stages.format(optimiser, 20))
    assert run.rung == Run.parse(stages.format(optimiser, 10))
    straight = folder.train(run, "straight")
    continued = folder.train(run, "continued", rung=ten.checkpoint, code=lineages[1])
    assert equal(checkpoint.load(straight.checkpoint), checkpoint.load(continued.checkpoint))


def test_a_warm_start_begins_with_the_weights_of_its_parent(folder: Folder):
    parent = Run.parse(PRETRAIN.format(epochs=3))
    trained = folder.train(parent)
    # A vanishing learning rate keeps the weights where the stage began.
    run = Run.parse(f"{parent}/full_sgd-lr0.{'0' * 30}1-b16_e1_keep")
    outputs = folder.train(run, parent=trained.checkpoint, keep=True)
    before, after = checkpoint.load(trained.checkpoint), checkpoint.load(outputs.checkpoint)
    for name, value in before.network.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, after.network[name])


def test_killed_at_twenty_random_moments_ends_in_the_same_bits(tmp_path: Path):
    driver = Path(__file__).parents[1] / "kill_driver.py"
    finished = subprocess.run(
        [sys.executable, driver, tmp_path],
        capture_output=True,
        text=True,
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
        assert resume.read_bytes() == before

    def test_one_of_equivalent_code_is_continued(self, left: Folder):
        now = {**CODE.components, "training/loop.py": "anew"}
        pairs = frozenset({(CODE.components["training/loop.py"], "anew")})
        lines: list[str] = []
        run = Run.parse(PRETRAIN.format(epochs=3))
        code = Code(now, {"training/loop.py": pairs})
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
        text=True,
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


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_too_little_memory_on_the_device_is_a_message(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
):
    def full(*arguments):
        raise error

    monkeypatch.setattr(loop, "cross_entropy", full)
    with pytest.raises(UserError, match="out of memory on the device with batches of 16") as told:
        folder.train(Run.parse(PRETRAIN.format(epochs=1)))
    assert str(error).splitlines()[0] in str(told.value)


def test_another_error_of_the_device_stays_what_it_is(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    def broken(*arguments):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(loop, "cross_entropy", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        folder.train(Run.parse(PRETRAIN.format(epochs=1)))


def test_a_damaged_parent_is_refused_by_name(folder: Folder):
    parent = folder.train(Run.parse(PRETRAIN.format(epochs=2)))
    parent.checkpoint.write_bytes(parent.checkpoint.read_bytes()[:-100])
    run = Run.parse(TUNE.format(pretrain=2, tune=2))
    with pytest.raises(UserError, match=r"checkpoint\.safetensors: not a readable checkpoint"):
        folder.train(run, parent=parent.checkpoint)


def test_the_checkpoint_of_another_run_is_refused_as_parent(folder: Folder):
    other = folder.train(Run.parse(PRETRAIN.format(epochs=3)))
    run = Run.parse(TUNE.format(pretrain=2, tune=2))
    with pytest.raises(UserError, match="of another run"):
        folder.train(run, parent=other.checkpoint)


def test_fewer_examples_than_a_batch_are_refused(folder: Folder):
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/half_adam-lr0.01_e2_init")
    with pytest.raises(UserError, match="has 32 examples, fewer than one batch of 128"):
        folder.train(run)


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="precision: 'float16'"):
        Hardware("cpu", "float16")


def batches(run: Run, epoch: int, pool: Subset) -> torch.Tensor:
    """The indices of an epoch, int64 [steps, batch]."""
    return epoch_batches(run, clock_of(run, pool, None), epoch, pool)[0]


def test_a_drift_moves_from_the_half_to_everything():
    """Shares of indices outside of the half, against half of the formula's probability."""
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/drift0.5_adam-lr0.01-b100_e10_init")
    pool = Subset(torch.arange(10_000), 20_000)
    for epoch in (1, 2, 10):
        drawn = batches(run, epoch, pool)
        assert drawn.shape == (200, 100)  # as many steps as a pass through everything
        n = np.arange(1, 201) + (epoch - 1) * 200
        expected = (1 - 0.5 ** (50 * n / 2000)) / 2
        outside = (drawn >= 10_000).double().mean(dim=1).numpy()
        # 20,000 independent draws, each outside with a chance of at most a half.
        assert abs(outside.mean() - expected.mean()) < 4 * 0.5 / np.sqrt(20_000)
        assert drawn.min() >= 0
        assert drawn.max() < 20_000
    first = (batches(run, 1, pool)[0] >= 10_000).sum()
    assert first < 10  # the first batch hardly leaves the half: an expected 0.9 of 100


def test_the_share_of_a_drift_is_that_of_the_formula_at_every_step(monkeypatch):
    """With n from 1 to N over all epochs (appendix A.2)."""
    monkeypatch.setattr(stages, "mixed", lambda early, count, share, *rest: share)
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/drift0.9_adam-lr0.01-b16_e3_init")
    pool = Subset(torch.arange(35), 70)  # 4 whole batches an epoch
    shares = torch.cat([batches(run, epoch, pool) for epoch in (1, 2, 3)])
    assert shares.tolist() == pytest.approx([1 - 0.9 ** (50 * n / 12) for n in range(1, 13)])


def test_a_drift_draws_with_replacement_and_uniformly():
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/resampled_adam-lr0.01-b100_e1_init")
    drawn = batches(run, 1, Subset(torch.arange(10_000), 10_000)).flatten()
    # Of 10,000 draws with replacement 1 - 1/e are different ones, 63.2%, deviation 0.3%.
    assert len(drawn.unique()) / 10_000 == pytest.approx(0.632, abs=0.015)


def test_a_drift_depends_on_seed_and_position_alone():
    path = "digits-clutter/resnet-d1w2/seed{}/drift0.5_adam-lr0.01-b16_e{}_init"
    pool = Subset(torch.arange(32), 64)
    run = Run.parse(path.format(0, 4))
    assert torch.equal(batches(run, 2, pool), batches(run, 2, pool))
    assert not torch.equal(batches(run, 2, pool), batches(run, 3, pool))
    assert not torch.equal(batches(run, 2, pool), batches(Run.parse(path.format(1, 4)), 2, pool))


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


def test_stages_on_growing_data_continue_one_another(folder: Folder):
    """Each stage starts with the weights of the one before and sees the examples of both."""
    first = "digits-clutter/resnet-d1w2/seed0/stage1of2r1_adam-lr0.01-b16_e1_init"
    # At such a rate the weights stay what they were at the start.
    second = f"{first}/stage2of2r1_adam-lr0.0000000001-b16_e1_keep"
    one = folder.train(Run.parse(first))
    two = folder.train(Run.parse(second), parent=one.checkpoint)
    seen = [metrics.read(outputs.metrics)[1]["training_examples"] for outputs in (one, two)]
    assert seen == [22, 43]
    before, after = (checkpoint.load(outputs.checkpoint).network for outputs in (one, two))
    for name in (name for name in before if name.endswith("weight")):
        assert torch.allclose(before[name], after[name], atol=1e-8), name


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


def test_cold_and_warm_tuning_see_the_same_batches():
    cold = Run.parse("digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01-b16_e3_init")
    warm = Run.parse(TUNE.format(pretrain=2, tune=3))
    pool = Subset(torch.arange(64), 64)
    for epoch in (1, 2):
        assert torch.equal(batches(cold, epoch, pool), batches(warm, epoch, pool))
    assert not torch.equal(batches(cold, 2, pool), batches(cold, 3, pool))


def test_an_epoch_is_a_permutation_without_its_last_short_batch():
    indices = torch.arange(100, 170)
    batches = shuffled(indices, 16, torch.Generator())
    seen = batches.flatten()
    assert batches.shape == (4, 16)
    assert len(seen.unique()) == 64
    assert set(seen.tolist()) <= set(indices.tolist())


def test_a_learnable_task_is_learnt(folder: Folder):
    """Labels that are a function of brightness: a network that trains at all gets them right."""
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01-b16_e30_init")
    table, _ = metrics.read(folder.train(run).metrics)
    assert np.mean(table["train_accuracy"].to_numpy()[-3:]) > 0.95
    assert table["train_loss"][29].as_py() < table["train_loss"][0].as_py()


def test_bfloat16_changes_the_arithmetic_and_is_recorded(folder: Folder):
    run = Run.parse(PRETRAIN.format(epochs=2))
    single = folder.train(run, "float32")
    half = folder.train(run, "bfloat16", hardware=Hardware("cpu", "bfloat16"))
    one, other = checkpoint.load(single.checkpoint), checkpoint.load(half.checkpoint)
    assert not equal(one, other)
    assert all(v.dtype in (torch.float32, torch.int64) for v in other.network.values())
    assert metrics.read(half.metrics)[1]["precision"] == "bfloat16"


def test_progress_tells_epoch_accuracy_speed_and_time_left(folder: Folder):
    run = Run.parse(PRETRAIN.format(epochs=100))
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))
    stage = stages.prepare(run, inputs, HARDWARE, CODE, print)
    history = [
        metrics.EpochMetrics(e, 2 * e, 0.5, 0.75, 0.6, 0.5, seconds=2.0) for e in range(1, 11)
    ]
    line = progress(history, stage)
    assert "epoch  10/100" in line
    assert "train 75.00%" in line
    assert "test 50.00%" in line
    assert "16 images/s" in line  # two batches of 16 in two seconds
    assert "0:03:00 left" in line


def test_a_missing_parent_is_named(folder: Folder):
    run = Run.parse(TUNE.format(pretrain=2, tune=2))
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run))
    with pytest.raises(UserError, match="its parent's checkpoint is missing"):
        train_stage(run, inputs, folder.outputs(run), HARDWARE, CODE, print)


HEAVY = ("torch._dynamo", "sympy", "pandas", "scipy", "pyarrow.compute", "pyarrow.dataset")


@pytest.mark.parametrize("optimiser", ["adam-lr0.01", "rmsprop-lr0.01", "sgd-lr0.1-m0.9"])
def test_training_loads_what_it_needs_alone(tmp_path: Path, optimiser: str):
    """Loading torch's compiler, or what tables are analysed with, takes as long as short stages."""
    script = (
        "import sys; from pathlib import Path; from tiny import Folder; "
        "from plasticity.runs import Run; "
        f"run = Run.parse('digits-clutter/resnet-d1w2/seed0/half_{optimiser}-b16_e1_init'); "
        f"folder = Folder.prepare(Path({str(tmp_path)!r})); folder.train(run); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    tests = Path(__file__).parents[1]
    finished = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tests.parent}:{tests}"},
        check=True,
    )
    assert finished.stdout.strip() == "[]"
