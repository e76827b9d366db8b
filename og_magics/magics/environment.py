"""%og env and %og doctor: what the notebook runs with, and whether anything is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .og_parsers import doctor_parser, env_parser

if TYPE_CHECKING:
    from ..session import Session


def environment(app: Session, line: str) -> None:
    """Write the lock file beside the notebook, and show the environment; the output carries it for other programs.

    Raises:
        LedgerError: the lock file cannot be written, or the ledger cannot be read.
    """
    from ..display.outlets import show_bundle
    from ..notebook.environment import MIME, capture

    flags, _ = env_parser().parse(line, prompt=False)
    notebook = app.notebook
    folder = notebook.parent if notebook is not None and notebook.parent.is_dir() else Path.cwd()
    lock = (
        Path(flags.lock).expanduser()
        if flags.lock
        else folder / f"{notebook.stem if notebook else 'notebook'}.lock.txt"
    )
    captured = capture(app.records.receipts(), lock)
    show_bundle({"text/plain": captured.summary(), MIME: captured.to_json()})


def doctor(app: Session, line: str) -> None:
    """Print a line for each thing that the notebook needs, with its remedy where it fails."""
    from ..session.doctor import diagnose, report

    flags, _ = doctor_parser().parse(line, prompt=False)
    notebook = app.notebook
    saved = notebook if notebook is not None and notebook.is_file() else None
    print(report(diagnose(saved, offline=flags.offline, app=app)))
