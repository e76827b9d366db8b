"""The `doctor` and `env` verbs: check what a notebook needs, and keep what it ran with."""

from __future__ import annotations

import json
from pathlib import Path

from ..core.errors import LedgerError
from ..notebook.environment import keep_in
from ..session.doctor import diagnose, report, status


def examine(notebook: Path | None, *, offline: bool, as_json: bool) -> int:
    """Print each check and its remedy. Return 1 if one fails, else 0. Nothing is paid or started."""
    parts = diagnose(notebook, offline=offline)
    if as_json:
        forms = [
            {"name": p.name, "status": status(p), "summary": p.summary, "remedy": p.remedy, "told": p.summary}
            for p in parts  # "told" is the former name of "summary", kept for one release
        ]
        print(json.dumps(forms, indent=1))
    else:
        print(report(parts))
    return 1 if any(part.ok is False for part in parts) else 0


def keep_environment(notebook: Path) -> int:
    """Copy the environment that a notebook shows into its metadata. Return 0.

    Raises:
        LedgerError: the file cannot be read or written, is not a notebook, or shows nothing of its environment.
    """
    if not keep_in(notebook):
        raise LedgerError(f"{notebook} does not show its environment.", remedy="Run %og env in it, and save it.")
    print(f"{notebook}: its environment is now in its metadata, under og_magics.")
    return 0
