"""Run the README's second command ten times, the last five beside a busy loop on each processor.

`python -m tests.ten_runs [RUNS]` prints the time and the result of each run, in a clone with an empty home, and ends
with 1 if one of them failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LOOP = "import os\nwhile os.getppid() == int(os.sys.argv[1]): sum(range(10_000))"


def second_command() -> str:
    """Return the command as it stands in the README."""
    commands = re.findall(r"^python3 -m venv \.venv && .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    return str(commands[1])


def run(folder: Path, home: Path, *, busy: bool) -> tuple[int, float, str]:
    """Run the command; return its status, its seconds and its last line."""
    environment = {name: value for name, value in os.environ.items() if not re.match("OG_|CI$|PYTEST", name)}
    loops = [
        subprocess.Popen([sys.executable, "-c", _LOOP, str(os.getpid())])
        for _ in range((os.cpu_count() or 1) if busy else 0)
    ]
    began = time.monotonic()
    try:
        done = subprocess.run(
            ["bash", "-c", second_command()],
            cwd=folder, env=environment | {"HOME": str(home)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    seconds = time.monotonic() - began
    if done.returncode:
        print(_failures(done.stdout), done.stderr[-2_000:], flush=True)
    lines = done.stdout.strip().splitlines() or ["nothing was printed"]
    return done.returncode, seconds, lines[-1].strip("= ")


def _failures(said: str) -> str:
    """Return what pytest says of failed tests, without the list of those that were skipped, and idle threads."""
    found = said[said.find("= FAILURES") :] if "= FAILURES" in said else said
    found = re.sub(r"(?m)^~+ Stack of .*\n(?:  .*\n)+", "", found)
    return "\n".join(line for line in found.splitlines() if not line.startswith("SKIPPED"))[-60_000:]


def main() -> int:
    """Print a line for each run; return the number of those that failed."""
    runs, failed = int(sys.argv[1]) if len(sys.argv) > 1 else 10, 0
    with tempfile.TemporaryDirectory() as work:
        folder, home = Path(work) / "clone", Path(work) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        for number in range(1, runs + 1):
            busy = number > runs / 2
            status, seconds, last = run(folder, home, busy=busy)
            failed += status != 0
            beside = "beside busy loops" if busy else "alone"
            print(f"run {number:2} {beside:<18} status {status}  {seconds:6.0f} s  {last}", flush=True)
    print(f"{runs} runs, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main()))
