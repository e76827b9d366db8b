"""What it costs to load: the extension in a fresh kernel, the package in a fresh process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from .kernel import kernel
from .report import Row, median_ms

_LOAD = """
import time
_began = time.perf_counter()
get_ipython().run_line_magic("load_ext", "og_magics")
print(time.perf_counter() - _began)
"""
_PEAK = """
import re
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""
_OURS = "import og_magics\nog_magics.LLM\n"
_OFFICIAL = "import opengradient\nopengradient.LLM\n"


@dataclass(frozen=True, slots=True)
class Run:
    """A process that has ended: its seconds, and the most memory it held, in MiB."""

    wall: float
    peak: float


def measure(folder: str, environment: Mapping[str, str], *, rounds: int, official: str | None) -> list[Row]:
    """Rows on loading; `official` is an interpreter that has the official SDK."""
    loads = []
    for _ in range(rounds):
        with kernel(folder, environment) as front:
            loads.append(float(front.run(_LOAD).printed))
    rows = [Row("%load_ext og_magics in a fresh kernel", median_ms(loads), value_goal=100)]

    programs = {"nothing": (sys.executable, "pass\n"), "import": (sys.executable, "import og_magics\n")}
    programs["llm"] = (sys.executable, _OURS)
    if official:
        programs["official"] = (official, _OFFICIAL)
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(rounds + 1):
        for name, (interpreter, program) in programs.items():
            runs[name].append(run(interpreter, program, folder, environment))
    # The first of each read its files from disk.
    walls = {name: median_ms(run.wall for run in found[1:]) for name, found in runs.items()}
    peaks = {name: statistics.median(run.peak for run in found[1:]) for name, found in runs.items()}
    rows.append(
        Row("import og_magics, fresh process", walls["import"], "ms", walls["nothing"], "an empty program"),
    )
    if official:
        rows += [
            Row("import, then the class LLM", walls["llm"], "ms", walls["official"], "official SDK"),
            Row("the same, peak memory", peaks["llm"], "MiB", peaks["official"], "official SDK"),
        ]
    return rows


def run(interpreter: str, program: str, folder: str, environment: Mapping[str, str]) -> Run:
    """Run a program to its end in a fresh process of an interpreter.

    Raises:
        subprocess.CalledProcessError: it failed; its `stderr` says why.
    """
    # Not getrusage: a child's ru_maxrss begins with what its parent held.
    began = time.perf_counter()
    told = subprocess.run(
        [interpreter, "-c", program + _PEAK],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return Run(time.perf_counter() - began, json.loads(told.stdout.split()[-1]) / 1024)
