"""Files of tensors: one checksum over header and tensors, whichever library they come from."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from plasticity.core import tensors
from plasticity.core.errors import UserError

ARRAYS = {"b": np.arange(6, dtype=np.uint8).reshape(2, 3), "a": np.array([1.5])}
HEADER = {"z": 1, "a": {"text": "some"}}


def read(path, framework="np"):
    with tensors.opened(path, "thing", "fetch it again", framework) as file:
        return file.all(), file.header


def refusal(path):
    with pytest.raises(UserError) as refused:
        read(path)
    return str(refused.value)


def test_arrays_are_read_as_they_were_written(tmp_path):
    tensors.write(tmp_path / "new" / "file", ARRAYS, HEADER)
    found, header = read(tmp_path / "new" / "file")
    assert header == HEADER
    assert list(header) == list(HEADER)
    assert sorted(found) == ["a", "b"]
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert tensors.read_header(tmp_path / "new" / "file") == HEADER


def test_so_are_tensors_of_torch_of_any_shape_and_type(tmp_path):
    given = {
        "scalar": torch.tensor(3),
        "half": torch.ones(2, 2, dtype=torch.float16),
        "mask": torch.tensor([True, False]),
        "none": torch.zeros(0, 3),
    }
    tensors.write(tmp_path / "file", given, {})
    found, header = read(tmp_path / "file", "pt")
    assert header == {}
    for name, tensor in given.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_some_are_read_alone_and_unchecked(tmp_path):
    tensors.write(tmp_path / "file", ARRAYS, HEADER)
    with tensors.opened(tmp_path / "file", "thing", "fetch it again", "np") as file:
        assert list(file.some(["a"])) == ["a"]


def test_the_checksum_heeds_names_types_shapes_values_and_header():
    changed = [
        tensors.checksum(HEADER, ARRAYS),
        tensors.checksum({**HEADER, "z": 2}, ARRAYS),
        tensors.checksum(None, ARRAYS),
        tensors.checksum(HEADER, {**ARRAYS, "b": ARRAYS["b"].reshape(3, 2)}),
        tensors.checksum(HEADER, {**ARRAYS, "b": ARRAYS["b"].view(np.int8)}),
        tensors.checksum(HEADER, {**ARRAYS, "b": ARRAYS["b"] + np.uint8(1)}),
        tensors.checksum(HEADER, {"c": ARRAYS["b"], "a": ARRAYS["a"]}),
    ]
    assert len(set(changed)) == len(changed)
    turned = {"a": HEADER["a"], "z": HEADER["z"]}
    assert tensors.checksum(turned, dict(reversed(ARRAYS.items()))) == changed[0]


def test_a_changed_header_is_damage(tmp_path):
    path = tmp_path / "file"
    tensors.write(path, ARRAYS, HEADER)
    good = path.read_bytes()
    path.write_bytes(good.replace(b"some", b"same"))
    assert refusal(path) == f"{path}: damaged, its checksum is wrong; fetch it again"


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04\x95pickle"])
def test_another_kind_of_file_is_named(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert refusal(tmp_path / "file").startswith(f"{tmp_path / 'file'}: not a readable thing (")
    with pytest.raises(UserError, match="not a readable file of tensors"):
        tensors.read_header(tmp_path / "file")


def test_what_the_block_looks_for_and_does_not_find_is_named(tmp_path):
    tensors.write(tmp_path / "file", ARRAYS, HEADER)
    with (
        pytest.raises(UserError, match=r"not a readable thing .*; fetch it again"),
        tensors.opened(tmp_path / "file", "thing", "fetch it again", "np") as file,
    ):
        file.header["nothing"]


def test_a_full_disk_leaves_what_was_there(tmp_path, full_disk):
    path = tmp_path / "file"
    tensors.write(path, ARRAYS, HEADER)
    good = path.read_bytes()
    with full_disk(10), pytest.raises(UserError, match="cannot be written"):
        tensors.write(path, {"a": np.zeros(1000)}, HEADER)
    assert path.read_bytes() == good


def test_the_metadata_have_one_key(tmp_path):
    tensors.write(tmp_path / "file", ARRAYS, HEADER)
    with safe_open(tmp_path / "file", framework="np") as file:
        assert list(file.metadata()) == [tensors.KEY]
        assert set(json.loads(file.metadata()[tensors.KEY])) == {*HEADER, "checksum"}


def test_arrays_need_no_torch(tmp_path):
    code = f"""
import sys
import numpy as np
from plasticity.core import tensors
path = {str(tmp_path / "file")!r}
tensors.write(path, {{"a": np.ones(2)}}, {{}})
with tensors.opened(path, "", "", "np") as file:
    file.all()
print("torch" in sys.modules)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "False"
