"""Is everything there that a notebook needs? And what did it run with?"""

from __future__ import annotations

import json
from pathlib import Path

from ..app.doctor import diagnose, report, status
from ..app.environment import keep_in
from ..errors import LedgerError


def examine(notebook: Path | None, *, offline: bool, as_json: bool) -> int:
    """Print what is there and what is not; 1 if something fails, else 0. Nothing is paid or started."""
    parts = diagnose(notebook, offline=offline)
    if as_json:
        forms = [{"name": p.name, "status": status(p), "told": p.told, "remedy": p.remedy} for p in parts]
        print(json.dumps(forms, indent=1))
    else:
        print(report(parts))
    return 1 if any(part.ok is False for part in parts) else 0


def keep_environment(notebook: Path) -> int:
    """Write what a notebook shows of its environment into its metadata. Returns 0.

    Raises:
        LedgerError: the file cannot be read or written, is not a notebook, or shows nothing of its environment.
    """
    if not keep_in(notebook):
        raise LedgerError(f"{notebook} does not show what it ran with.", remedy="Run %og env in it, and save it.")
    print(f"{notebook}: what it ran with stands in its metadata, under og_magics.")
    return 0
