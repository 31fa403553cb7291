"""Torchvision beside a torch that its compiled part does not fit, by a made-up torchvision."""

import subprocess
import sys
from pathlib import Path

import pytest
from clone import ROOT

LACKS = """
import torch
if not hasattr(torch.ops.torchvision, "nms"):
    raise RuntimeError("operator torchvision::nms does not exist")
"""
IMPORTS = """
import sys
from plasticity.core import torchvision_import
torchvision_import.mend()
assert "torch" not in sys.modules
import torchvision.part
"""


@pytest.mark.parametrize(
    ("text", "error"), [(LACKS, ""), ("raise RuntimeError('another')", "RuntimeError: another")]
)
def test_missing_operators_are_declared_and_other_errors_stay(tmp_path: Path, text, error):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    (package / "part.py").touch()
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-c", IMPORTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[-100:].strip().endswith(error)) == (bool(error), True)
