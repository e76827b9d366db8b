"""Jupyter's own trust: did this user run a notebook, or say `jupyter trust`? It is read, and nothing is signed here.

Jupyter signs a notebook when it saves one whose outputs were all made by this user's kernels; one that was downloaded,
or changed by another program, has no signature of this user. The signatures are in a database of the user, and the key
in a file beside it. Both are opened for reading only: a check that made them anew would tell Jupyter nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import sqlite3
from pathlib import Path
from typing import Any

from ..core.untrusted_json import read_json
from .file import DEEPEST

_LARGEST = 64 * 1024 * 1024
"""Bytes of a notebook: all of it is read and hashed."""
_WAIT = 0.5
"""Seconds to wait for a Jupyter that is writing its database."""


def is_trusted(notebook: Path) -> bool | None:
    """Return True if Jupyter trusts a notebook's file as it is now, and None where that cannot be known: nbformat is
    not installed, Jupyter never signed anything here, or the file or the database cannot be read.
    """
    try:
        reading: Any = importlib.import_module("nbformat.reader")
        converting: Any = importlib.import_module("nbformat.converter")
        signing: Any = importlib.import_module("nbformat.sign")
        paths: Any = importlib.import_module("jupyter_core.paths")
    except ImportError:
        return None
    folder = Path(paths.jupyter_data_dir())
    secret, database = folder / "notebook_secret", folder / "nbsignatures.db"
    try:
        if not (secret.is_file() and database.is_file()) or notebook.stat().st_size > _LARGEST:
            return None
        key = secret.read_bytes()
        written = notebook.read_bytes()
        read_json(written, DEEPEST)  # nbformat has no bound: what is nested deeper would end the process
        # As Jupyter reads it, but for the validation, which warns and may add what is missing.
        content = converting.convert(reading.reads(written.decode()), 4)
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_WAIT)) as signed:
            notary = signing.NotebookNotary(data_dir=str(folder), secret=key, store_factory=lambda: _Signatures(signed))
            return bool(notary.check_signature(content))
    except Exception:  # noqa: BLE001 - a stranger's file, and a database of another program: then it is not known
        return None


class _Signatures:
    """Jupyter's database of signatures, for `NotebookNotary`. Its own store writes, and renames a file that it cannot
    read.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def check_signature(self, digest: str, algorithm: str) -> bool:
        """Return True if the signature is there."""
        found = self._database.execute(
            "SELECT 1 FROM nbsignatures WHERE algorithm = ? AND signature = ? LIMIT 1", (algorithm, digest)
        )
        return found.fetchone() is not None

    def close(self) -> None:
        """Leave it to who opened it."""
