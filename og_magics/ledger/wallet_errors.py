"""The errors of the wallet's file, in a person's words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import LedgerError
from .file_system import named

UNSENT = "No signature was sent, so nothing is paid."


class WalletFileError(LedgerError):
    """The wallet's file cannot be read or written."""


@contextlib.contextmanager
def wallet_errors(path: Path, done: str) -> Iterator[None]:
    """Turn the errors of the wallet's file into one that says what to do; `done`: what could not be done with it.

    Raises:
        WalletFileError: for an sqlite3.Error or an OSError.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise wallet_error(path, done, error) from error


def wallet_error(path: Path, done: str, error: Exception) -> WalletFileError:
    """Return the error that says what happened to the wallet's file, and what to do."""
    name = getattr(error, "sqlite_errorname", "")
    remedy = (
        f"Make {named(path.parent)} a folder that you can write, or set OG_STATE_DIR to one where Jupyter is started."
    )
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        remedy = f"Move {named(path)} away: each notebook enters its payments again when it pays next."
    elif name.startswith("SQLITE_FULL"):
        remedy = "Make room on that disk, or set OG_STATE_DIR to a folder on another where Jupyter is started."
    elif name.startswith("SQLITE_BUSY"):
        remedy = "Another process is writing to it: end that, or try again."
    why = error.what if isinstance(error, LedgerError) else getattr(error, "strerror", None) or error
    return WalletFileError(
        f"The file of the wallet's budgets, {named(path)}, cannot be {done}: {str(why).rstrip('.')}.",
        money=UNSENT,
        remedy=remedy,
    )
