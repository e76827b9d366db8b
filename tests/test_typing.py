"""The public surface, checked as a user's type checker would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).parent / "typing" / "api.py"


@pytest.mark.ci
def test_the_public_surface_has_the_types_that_it_promises(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(API)],
        capture_output=True, text=True, cwd=API.parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
