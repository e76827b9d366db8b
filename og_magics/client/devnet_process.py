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

from ..core.errors import ConfigError, DevnetError
from ..core.fork import after_fork
from ..core.secret import revealed

_READY_WITHIN, _LOADED_WITHIN = 90.0, 320.0
"""Seconds; a cold start on a small machine takes about five. With a model on this machine, its file is loaded first."""

_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from og_magics.devnet.__main__ import main; sys.exit(main())"
"""The folder of this package comes last: it may be one that is no place of installed packages."""

_lock = threading.Lock()
_started: dict[str, Any] | None = None
_process: subprocess.Popen[str] | None = None
_model = ""


def devnet_info(described: str, *, fund: str | None = None) -> Mapping[str, Any]:
    """Return what `og-magics devnet --json` prints, of the devnet to use.

    `described` is such a line, or the path of a file that holds it (the setting `OG_DEVNET`); where it is empty, the
    devnet of this process is started, once. `fund` is an address that a devnet started here gives tokens to.

    Raises:
        ConfigError: `described` is neither.
        DevnetError: it did not start.
    """
    global _started, _process
    if described:
        return _read(revealed(described))
    with _lock:
        if _started is None or (_process is not None and _process.poll() is not None):
            _process, _started = _start(fund)
        return _started


def _renew() -> object:
    """In a forked child: use the parent's devnet, which is not its own to wait for or to end."""
    global _lock, _process
    left, _process, _lock = _process, None, threading.Lock()
    if left is not None:
        atexit.unregister(_stop)
    return left


after_fork(_renew)


def devnet_runs() -> bool:
    """Return True while a devnet that this process started is running."""
    with _lock:
        return _process is not None and _process.poll() is None


def use_local_model(model: str) -> None:
    """Let a model on this machine answer: a .gguf file, or "smollm2". The devnet that is started next has it.

    Raises:
        ConfigError: the devnet of this process runs already, without that model.
    """
    global _model
    if model != _model and devnet_runs():
        raise ConfigError(
            "The practice network of this notebook runs already, and answers without this model.",
            remedy="Restart the kernel, and name the model before the first call.",
        )
    _model = model


def local_model() -> str:
    """Return the name of the model on this machine that answers on the practice network; "" where none does."""
    return Path(_model).stem


def _read(described: str) -> Mapping[str, Any]:
    text = described.strip()
    if not text.startswith("{"):
        path = Path(text).expanduser()
        try:
            text = path.read_text()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"OG_DEVNET names {path}, which cannot be read: {getattr(error, 'strerror', '') or 'it is no text'}.",
                remedy="Give the line that `og-magics devnet --json` prints, or a file with it.",
            ) from None
    try:
        info = json.loads(text)
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise ConfigError(
            "OG_DEVNET does not hold the description of a practice network (devnet).",
            remedy="Give the line that `og-magics devnet --json` prints, or a file with it.",
        )
    return info


def _start(fund: str | None) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    # -P: the notebook's folder is not searched for modules; a file random.py in it is none of the devnet's.
    home = str(Path(__file__).parents[2])
    command = [sys.executable, "-P", "-c", _PROGRAM, home, "--json", "--parent-pid", str(os.getpid())]
    if _model:
        command += ["--model", _model]
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
                f"The practice network did not start{': ' + said[-1][:300] if said else ' in time'}.",
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
        return lines.get(timeout=_LOADED_WITHIN if _model else _READY_WITHIN)
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
