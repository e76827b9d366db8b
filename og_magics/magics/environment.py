"""%og env and %og doctor: what the notebook runs with, kept; and whether it is all that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .verbs import doctor_parser, env_parser

if TYPE_CHECKING:
    from ..app import App


def environment(app: App, line: str) -> None:
    """Write the lock file beside the notebook, and show what there is; the output carries it for other programs.

    Raises:
        LedgerError: the lock file cannot be written, or the ledger cannot be read.
    """
    from ..app.environment import MIME, capture
    from ..display.live import show_bundle

    flags, _ = env_parser().parse(line, prompt=False)
    notebook = app.notebook
    folder = notebook.parent if notebook is not None and notebook.parent.is_dir() else Path.cwd()
    lock = (
        Path(flags.lock).expanduser()
        if flags.lock
        else folder / f"{notebook.stem if notebook else 'notebook'}.lock.txt"
    )
    captured = capture(app.records.receipts(), lock)
    show_bundle({"text/plain": captured.told(), MIME: captured.to_json()})


def doctor(app: App, line: str) -> None:
    """Print a line for each thing that the notebook needs, with its remedy where it is not well."""
    from ..app.doctor import diagnose, report

    flags, _ = doctor_parser().parse(line, prompt=False)
    notebook = app.notebook
    saved = notebook if notebook is not None and notebook.is_file() else None
    print(report(diagnose(saved, offline=flags.offline, app=app)))
