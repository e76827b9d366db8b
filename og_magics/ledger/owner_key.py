"""The user's key: by it, what this user's machine wrote into a ledger is marked, and known again.

It is a file in the user's state directory, 0600, made when it is first needed, and it never leaves the machine. So the
marks in a folder `.og/` that comes from elsewhere do not hold here. Where the file cannot be written, a key in memory
stands for it: what this process wrote, it knows; later ones do not.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ..core.environment import state_folder
from ..core.fork import new_lock
from .private_file import read_private, write_private

NAME = "owner.key"
_BYTES = 32
_FORM = "1:"
"""Before a mark: the form of what it is made of."""

_keys: dict[Path, bytes] = {}
_lock = new_lock()


def mark_of(kind: str, values: Iterable[object]) -> str:
    """Return the mark of what is written now: a keyed digest (HMAC-SHA-256) of its kind and its values."""
    return _FORM + hmac.digest(_key(), _text(kind, values), "sha256").hex()


def mark_holds(mark: object, kind: str, values: Iterable[object]) -> bool:
    """Return True if this user's machine made a mark, of these values."""
    return isinstance(mark, str) and mark.isascii() and hmac.compare_digest(mark, mark_of(kind, values))


def _text(kind: str, values: Iterable[object]) -> bytes:
    """Return the same for values before they were written to SQLite and after: it makes 1 of True, and of 1.0."""
    parts = [kind.encode()]
    for value in values:
        is_whole = isinstance(value, float) and value.is_integer()
        plain = int(value) if is_whole or isinstance(value, bool) else value  # type: ignore[call-overload]
        parts.append(b"" if plain is None else str(plain).encode("utf-8", "surrogatepass"))
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _key() -> bytes:
    path = state_folder() / NAME
    key = _keys.get(path)
    if key is None:
        with _lock:
            key = _keys.get(path) or _read(path) or _made(path)
            _keys[path] = key
    return key


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        key = read_private(path, _BYTES)
        return key if len(key) == _BYTES else None
    return None


def _made(path: Path) -> bytes:
    """Make the file; of several processes that do at once, all have the key of the first."""
    key, new = secrets.token_bytes(_BYTES), path.with_name(f".{NAME}.{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            write_private(new, key)
            try:
                os.link(new, path)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                if not path.exists():
                    os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
    return _read(path) or key
