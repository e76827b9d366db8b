"""The place of a ledger: where it was asked for, or the user's state directory where that cannot be written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
from pathlib import Path

from ..core.environment import state_folder as user_folder
from .reading import snapshot

_LONGEST_HASH = 16


def is_writable(path: Path) -> bool:
    """Return True where a ledger's file can be made or changed, and others beside it. Nothing is written for that."""
    effective = os.access in os.supports_effective_ids
    try:
        if path.is_file():
            return all(os.access(one, os.W_OK, effective_ids=effective) for one in (path, path.parent))
        folder = next(one for one in path.parents if one.exists())
    except (OSError, ValueError, StopIteration):
        return True  # to open it says what is wrong
    return os.access(folder, os.W_OK, effective_ids=effective)


def state_folder(folder: Path) -> Path:
    """Return the folder in the user's state directory for the ledgers of a folder that cannot be written."""
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:_LONGEST_HASH]
    return user_folder() / "ledgers" / name


def place_of(path: Path) -> Path:
    """Return where a ledger is written: at its path, or in the user's state directory."""
    if is_writable(path):
        return path
    away = state_folder(path.parent) / path.name
    return away if is_writable(away) else path


def readable_at(path: Path) -> Path:
    """Return where a ledger is read: where it is written, if it is there already."""
    place = place_of(path)
    return place if place != path and place.is_file() else path


def ledgers_of(folder: Path) -> list[Path]:
    """Return the paths of the ledgers of a folder, also of those that stand in the state directory."""
    names = {path.name for path in folder.glob("*.db")}
    if not is_writable(folder / "ledger.db"):
        names |= {path.name for path in state_folder(folder).glob("*.db")}
    return [folder / name for name in sorted(names)]


def begin_away(path: Path, away: Path) -> None:
    """Begin a ledger in the state directory with all that the one which cannot be written holds.

    Raises:
        OSError, sqlite3.Error: one of them cannot be read or written.
    """
    away.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if away.exists() or not path.is_file():
        return
    new = away.with_name(f"{away.name}.{secrets.token_hex(4)}")
    try:
        with contextlib.closing(snapshot(path)) as source, contextlib.closing(sqlite3.connect(new)) as target:
            source.backup(target)
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(new, away)
    finally:
        new.unlink(missing_ok=True)
