"""The devnet that a notebook uses: one that runs already, or one that is started and ends with this process."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from .errors import ConfigError, DevnetError

_READY_WITHIN = 90.0
"""Seconds; a cold start on a small machine takes about five."""

_lock = threading.Lock()
_started: dict[str, Any] | None = None
_process: subprocess.Popen[str] | None = None


def devnet_info(told: str, *, fund: str | None = None) -> Mapping[str, Any]:
    """What `og-magics devnet --json` prints, of the devnet to use.

    `told` is such a line or the path of a file that holds it (the setting `OG_DEVNET`); when it is empty, the devnet
    of this process is started, once. `fund` is an address that a devnet started here gives tokens to.

    Raises:
        ConfigError: `told` is neither.
        DevnetError: it did not start.
    """
    global _started, _process
    if told:
        return _read(told)
    with _lock:
        if _started is None or (_process is not None and _process.poll() is not None):
            _process, _started = _start(fund)
        return _started


def devnet_runs() -> bool:
    """Whether this process has started a devnet that still runs."""
    with _lock:
        return _process is not None and _process.poll() is None


def _read(told: str) -> Mapping[str, Any]:
    text = told.strip()
    if not text.startswith("{"):
        path = Path(text).expanduser()
        try:
            text = path.read_text()
        except OSError as error:
            raise ConfigError(
                f"OG_DEVNET names {path}, which cannot be read: {error.strerror}.",
                remedy="Give the line that `og-magics devnet --json` prints, or a file with it.",
            ) from None
    try:
        info = json.loads(text)
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise ConfigError(
            "OG_DEVNET does not hold the description of a devnet.",
            remedy="Give the line that `og-magics devnet --json` prints, or a file with it.",
        )
    return info


def _start(fund: str | None) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, "-m", "og_magics.devnet", "--json", "--parent-pid", str(os.getpid())]
    if fund:
        command += ["--fund", fund]
    with tempfile.TemporaryFile("w+") as complaints:
        # A session of its own: an interrupt typed at the notebook must not reach it.
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdout=subprocess.PIPE,
            stderr=complaints,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            info = json.loads(_first_line(process.stdout) if process.stdout is not None else "")
        except BaseException as error:
            _stop(process)
            if not isinstance(error, ValueError):
                raise
            complaints.seek(0)
            said = complaints.read().strip().splitlines()
            missing = any("ModuleNotFoundError" in text for text in said)
            raise DevnetError(
                f"The local devnet did not start{': ' + said[-1][:300] if said else ' in time'}.",
                money="Nothing was paid.",
                remedy="Install its parts: pip install 'og_magics[devnet]'."
                if missing
                else "Run `og-magics devnet` in a terminal to see why, or name a network with OG_NETWORK.",
            ) from None
    atexit.register(_stop, process)
    return process, info


def _first_line(stream: IO[str]) -> str:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=_READY_WITHIN)
    except queue.Empty:
        return ""


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()  # last: who still reads from it holds its lock until the process is gone
