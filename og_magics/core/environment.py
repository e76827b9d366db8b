"""The environment of this process, as it was when og_magics was imported."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .fork import new_lock

AT_IMPORT: Mapping[str, str] = dict(os.environ)
"""A copy: it does not have what a cell changes in `os.environ` afterwards."""

_FOLDERS = ("HOME", "XDG_STATE_HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA")
_restoring = new_lock()


def state_folder() -> Path:
    """Return the folder of what is kept for the user and not beside a notebook: `OG_STATE_DIR`, or the system's."""
    if chosen := AT_IMPORT.get("OG_STATE_DIR", "").strip():
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_state_path

    with _as_at_import():
        return user_state_path("og_magics", appauthor=False)


@contextlib.contextmanager
def _as_at_import() -> Iterator[None]:
    """Have the variables that say where the user's folders are as they were: a cell that moved them moves no budget."""
    moved = {name: os.environ.get(name) for name in _FOLDERS if os.environ.get(name) != AT_IMPORT.get(name)}
    if not moved:
        yield
        return
    with _restoring:
        _set({name: AT_IMPORT.get(name) for name in moved})
        try:
            yield
        finally:
            _set(moved)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
