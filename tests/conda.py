"""A conda that answers Snakemake, and makes environments of which Python is that of the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROGRAM = f"""#!/bin/bash
case "$1 $2" in
"info --json") echo '{{"conda_prefix": "BASE", "platform": "linux-64"}}' ;;
"--version "*) echo "conda 25.1.0" ;;
"config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
"clean -y") ;;
"env create")
    while [ "$1" != --prefix ]; do shift; done
    mkdir -p "$2/bin"
    ln -s {sys.executable} "$2/bin/python" ;;
*) echo "conda of the tests: $*" >&2; exit 1 ;;
esac
"""


def install(folder: Path) -> dict[str, str]:
    """Put it into `folder`; gives the environment in which it is found."""
    bin_ = folder / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "conda").write_text(PROGRAM.replace("BASE", str(folder)), encoding="utf-8")
    (bin_ / "conda").chmod(0o755)
    activated = "export CONDA_PREFIX=$1 PATH=$1/bin:$PATH\n"
    (bin_ / "activate").write_text(activated, encoding="utf-8")
    return {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}
