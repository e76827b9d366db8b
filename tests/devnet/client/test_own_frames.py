"""The way of one call is short enough to be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.ci
def test_at_most_eight_frames_of_ours_stand_between_the_magic_and_the_post() -> None:
    done = subprocess.run(
        [sys.executable, "tests/own_frames.py"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    last = done.stdout.splitlines()[-1]
    assert last.endswith("own frames between %%ogchat and the POST")
    assert 5 <= int(last.split()[0]) <= 8, done.stdout
