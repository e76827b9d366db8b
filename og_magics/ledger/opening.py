"""Opening a ledger: of a path, or of the notebook that runs."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from ..core.cell_context import namespace
from ..core.fork import new_lock
from ..core.front_end import RunningNotebook, running_notebook
from ..core.settings import Settings, ledger_path
from .notebook_index import identify
from .store import Ledger

_opened: weakref.WeakValueDictionary[Path, Ledger] = weakref.WeakValueDictionary()
_opening = new_lock()


def open_ledger(path: str | os.PathLike[str]) -> Ledger:
    """Open the ledger of a path: the same one for all who ask in this process, as long as one of them holds it."""
    with _opening:
        asked = Ledger(path)
        return _opened.setdefault(asked.path, asked)


def notebook_ledger(settings: Settings, running: RunningNotebook | None = None) -> Ledger:
    """Open the ledger of the notebook that runs in this process; in a terminal and in a script, that of the folder.

    Args:
        running: the notebook, as its front end tells it unless given.
    """
    running = running_notebook(namespace()) if running is None else running
    identity = identify(settings, running)
    ledger = open_ledger(ledger_path(settings, running.path) if identity is None else identity.ledger)
    if ledger.notebook is None or ledger.notebook.running != running:
        ledger.notebook = identity
    return ledger
