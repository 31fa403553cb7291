"""Which GPUs a job can see, and what each of them is called."""

import pytest

from plasticity.core import gpus
from plasticity.core.errors import UserError


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts an nvidia-smi of the test's own in the place of any other, and no device files."""
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def install(lines, status=0):
        program = folder / "nvidia-smi"
        listed = "".join(f"echo '{line}'\n" for line in lines)
        program.write_text(f'#!/bin/sh\n[ "$1" = -L ] || exit 9\n{listed}exit {status}\n')
        program.chmod(0o755)

    return install


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        ("0,1", ["0", "1"]),
        ("1", ["1"]),
        (" 3 , 2 ", ["3", "2"]),
        ("GPU-abc,GPU-def", ["GPU-abc", "GPU-def"]),
        ("MIG-1/2/3", ["MIG-1/2/3"]),
        ("0,0,1,0", ["0", "1"]),
        ("", []),
        ("-1", []),
        (",", []),
        ("NoDevFiles", []),
        # CUDA stops at the first entry that names nothing.
        ("0,-1,1", ["0"]),
        ("0,,1", ["0"]),
        ("1,gpu,0", ["1"]),
        ("\N{SUPERSCRIPT TWO}", []),
    ],
)
def test_the_gpus_that_a_job_inherits(driver, monkeypatch, inherited, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert gpus.visible_gpus() == names


FIRST, SECOND = (
    "GPU-11111111-2222-3333-4444-555555555555",
    "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
)
LISTED = [
    f"GPU 0: NVIDIA H200 (UUID: {FIRST})",
    f"GPU 1: NVIDIA H200 NVL (UUID: {SECOND})",
]
LEFT, RIGHT = (
    "MIG-66666666-7777-8888-9999-000000000000",
    "MIG-6fffffff-7777-8888-9999-000000000000",
)
# The first GPU is divided, so that only its parts can be used.
DIVIDED = [
    LISTED[0],
    f"  MIG 3g.71gb     Device  0: (UUID: {LEFT})",
    f"  MIG 3g.71gb     Device  1: (UUID: {RIGHT})",
    LISTED[1],
]


def test_the_gpus_that_the_driver_lists(driver):
    driver(LISTED)
    assert gpus.visible_gpus() == [FIRST, SECOND]


def test_the_parts_of_a_divided_gpu_that_the_driver_lists(driver):
    driver(DIVIDED)
    assert gpus.visible_gpus() == [LEFT, RIGHT, SECOND]


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        ("1", [SECOND]),
        ("1,0", [SECOND, FIRST]),
        (FIRST, [FIRST]),
        # The beginning of a name is enough if no other one begins so.
        ("GPU-1", [FIRST]),
        (f"GPU-a,{FIRST}", [SECOND, FIRST]),
        ("GPU-,0", []),
        # The same one by its number and by its name.
        (f"0,{FIRST},GPU-1111,1", [FIRST, SECOND]),
        # What names nothing ends the list.
        ("2", []),
        ("1,2,0", [SECOND]),
        ("1,GPU-77,0", [SECOND]),
        ("1,-1,0", [SECOND]),
        ("", []),
        ("-1", []),
    ],
)
def test_inherited_entries_become_the_driver_s_unique_names(driver, monkeypatch, inherited, names):
    driver(LISTED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert gpus.visible_gpus() == names


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        (LEFT, [LEFT]),
        ("MIG-66", [LEFT]),
        ("MIG-6", []),
        (f"{RIGHT},{LEFT},{RIGHT}", [RIGHT, LEFT]),
        # A divided GPU stands for its parts.
        ("0", [LEFT, RIGHT]),
        ("1,0", [SECOND, LEFT, RIGHT]),
        (f"{LEFT},{FIRST}", [LEFT, RIGHT]),
        # Parts by the older names.
        (f"MIG-{FIRST}/1/0", [f"MIG-{FIRST}/1/0"]),
        ("MIG-GPU-111/13/2", [f"MIG-{FIRST}/13/2"]),
        (f"MIG-{SECOND}/1/0", []),
        (f"1,MIG-{FIRST}/1", [SECOND]),
    ],
)
def test_inherited_parts_of_a_divided_gpu(driver, monkeypatch, inherited, names):
    driver(DIVIDED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert gpus.visible_gpus() == names


def test_a_driver_that_lists_parts_by_the_older_names(driver, monkeypatch):
    parts = [f"MIG-{FIRST}/{instance}/0" for instance in (1, 11)]
    driver([LISTED[0], *(f"  MIG 1g.5gb Device 0: (UUID: {part})" for part in parts)])
    assert gpus.visible_gpus() == parts
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", parts[0])
    assert gpus.visible_gpus() == [parts[0]]


def test_no_driver_is_no_gpu(driver):
    assert gpus.visible_gpus() == []


def test_a_driver_that_fails_is_no_gpu(driver):
    driver(["NVIDIA-SMI has failed because it could not communicate with the driver"], status=9)
    assert gpus.visible_gpus() == []


def test_a_driver_without_devices_is_no_gpu(driver):
    driver(["No devices found."])
    assert gpus.visible_gpus() == []


def test_no_gpu_is_a_message_that_says_what_to_do(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError) as refused:
        gpus.claim_gpu(print)
    message = str(refused.value)
    assert message == gpus.NO_GPU
    assert "device: cuda" in message
    assert "none is visible here" in message
    assert "make demo" in message
    assert "device=cpu" in message


def device_files(folder, *names):
    for name in ("nvidiactl", "nvidia-uvm", *names):
        (folder / name).touch()


def test_without_nvidia_smi_gpus_are_numbers(driver, tmp_path, monkeypatch):
    """As in a container that was given the first and the third one: CUDA counts what it sees."""
    device_files(tmp_path)
    assert not gpus.gpu_is_present()
    device_files(tmp_path, "nvidia0", "nvidia2")
    assert gpus.visible_gpus() == ["0", "1"]
    assert gpus.gpu_is_present()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus.visible_gpus() == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not gpus.gpu_is_present()


def test_an_nvidia_smi_that_fails_is_believed(driver, tmp_path):
    """The driver does not answer, whatever files it has."""
    device_files(tmp_path, "nvidia0")
    driver(["Failed to initialize NVML: Driver/library version mismatch"], status=18)
    assert gpus.visible_gpus() == []
    assert not gpus.gpu_is_present()


def test_hidden_gpus_are_not_seen(driver, monkeypatch):
    driver(LISTED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # put back afterwards
    gpus.hide_gpus()
    assert gpus.visible_gpus() == []


def test_an_inherited_number_without_a_driver_is_no_gpu(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpus.visible_gpus() == ["0"]
    assert not gpus.gpu_is_present()
