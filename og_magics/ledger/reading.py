"""Reading a ledger without writing anything, not even beside it."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..core.shared_ledger import shared_at
from .database import Connection
from .server_reading import read_server


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[Connection]:
    """Open a ledger to read it; nothing is made, and nothing changed.

    Raises:
        sqlite3.Error, OSError: it cannot be read, or is no database.
    """
    if (shared := shared_at(path)) is not None:
        with read_server(shared) as connection:
            yield connection
        return
    connection = snapshot(path) if _quiet(path) is None else _direct(path)
    with contextlib.closing(connection):
        connection.row_factory = sqlite3.Row
        yield connection


def snapshot(path: Path) -> sqlite3.Connection:
    """Return a copy of a ledger in memory, with what its write-ahead log holds.

    Raises:
        sqlite3.Error, OSError: it cannot be read, or is no database.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        with tempfile.TemporaryDirectory(prefix="og_magics-") as name:
            copy = Path(name) / "ledger.db"
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    (copy.with_name(copy.name + suffix)).write_bytes(path.with_name(path.name + suffix).read_bytes())
            with contextlib.closing(sqlite3.connect(copy)) as source:
                source.backup(memory)
    except BaseException:
        memory.close()
        raise
    return memory


def _quiet(path: Path) -> bool | None:
    """Return True where no write-ahead log waits, False where one does that can be shared, and else None."""
    try:
        waits = path.with_name(path.name + "-wal").stat().st_size > 0
    except FileNotFoundError:
        return True
    if not waits:
        return True
    return False if path.with_name(path.name + "-shm").exists() else None


def _direct(path: Path) -> sqlite3.Connection:
    quiet = _quiet(path)
    how = "mode=ro&immutable=1" if quiet else "mode=ro"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        return snapshot(path)
    return connection
