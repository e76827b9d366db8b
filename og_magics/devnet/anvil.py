"""Foundry's anvil in place of the embedded chain: a second implementation, and a faster one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from queue import Empty, Queue
from typing import IO

from og_magics.core.errors import DevnetError

_START_SECONDS = 30.0
_LISTENING = re.compile(r"Listening on (\S+)")


def find_anvil() -> str | None:
    """Return the binary: ``OG_ANVIL``, else ``anvil`` on PATH, else None."""
    return shutil.which(os.environ.get("OG_ANVIL") or "anvil")


class AnvilChain:
    """An anvil process with an empty chain, on loopback, that ends with this object.

    Attributes:
        cache: a folder of its own for the state files that anvil would leave behind; removed at the end.

    Args:
        chain_id: its chain id.
        port: to listen at; 0 takes a free one.

    Raises:
        DevnetError: there is no binary, or it did not start.
    """

    def __init__(self, chain_id: int, port: int = 0) -> None:
        binary = find_anvil()
        if binary is None:
            raise DevnetError(
                "anvil was not found.",
                remedy="Put it on PATH, name it in OG_ANVIL, or use the embedded chain.",
            )
        self.chain_id = chain_id
        self._folder = tempfile.TemporaryDirectory(prefix="og-anvil-")
        self.cache = self._folder.name
        flags = ["--host", "127.0.0.1", "--accounts", "0", "--no-cors", "--cache-path", self.cache]
        self._process = subprocess.Popen(  # noqa: S603  # a binary that the user put there
            [binary, "--port", str(port), "--chain-id", str(chain_id), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,  # a Ctrl-C in the terminal is the devnet's to handle: it settles first
        )
        assert self._process.stdout is not None  # noqa: S101  # asked for above
        address: Queue[str] = Queue()
        self._reader = threading.Thread(
            target=_drain, args=(self._process.stdout, address), name="og-devnet-anvil", daemon=True
        )
        self._reader.start()
        try:
            self.rpc_url = f"http://{address.get(timeout=_START_SECONDS)}"
        except Empty:
            self.close()
            raise DevnetError(f"{binary} did not start within {_START_SECONDS:.0f} s.") from None

    def close(self) -> None:
        """End the process and remove its files. May be called twice."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join()
        self._folder.cleanup()


def _drain(output: IO[str], address: Queue[str]) -> None:
    """Read to the end, as a full pipe would stop anvil."""
    with output:
        for line in output:
            if found := _LISTENING.search(line):
                address.put(found.group(1))
