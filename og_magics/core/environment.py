"""The environment of this process, as it was when og_magics was imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

AT_IMPORT: Mapping[str, str] = dict(os.environ)
"""A copy: it does not have what a cell changes in `os.environ` afterwards."""


def state_folder() -> Path:
    """Return the folder of what is kept for the user and not beside a notebook: `OG_STATE_DIR`, or the system's."""
    if chosen := AT_IMPORT.get("OG_STATE_DIR", "").strip():
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_state_path

    return user_state_path("og_magics", appauthor=False)
