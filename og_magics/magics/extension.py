"""Loading and unloading: the magics, the guard before the input, and the DataFrame of receipts in the namespace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .. import app
from ..llm import LLM
from .chat import ChatMagics
from .og import OgMagics
from .receipts import ReceiptsVariable
from .secrets import KeyGuard

_loaded: dict[int, list[Callable[[], None]]] = {}


def load(shell: Any) -> None:
    """Put everything into a shell; a second time changes nothing."""
    if id(shell) in _loaded:
        return
    notebook = app.current()
    notebook.live_in(shell.user_ns)
    guard = KeyGuard(shell)
    variable = ReceiptsVariable(shell, notebook)
    shell.register_magics(ChatMagics(shell, notebook, variable))
    shell.register_magics(OgMagics(shell, notebook, variable))
    guard.install()
    variable.install()
    LLM.origin = staticmethod(lambda: _origin(shell, notebook))
    _loaded[id(shell)] = [guard.remove, variable.remove]
    threading.Thread(target=_warm_up, name="og_magics-imports", daemon=True).start()


def unload(shell: Any) -> None:
    """Take it out again; receipts and variables stay."""
    for undo in _loaded.pop(id(shell), []):
        undo()
    for kind, names in (("line", ("og", "ogchat")), ("cell", ("ogchat",))):
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)


def _origin(shell: Any, notebook: app.App) -> tuple[str, str]:
    """The cell that asks, by its execution count, and its notebook's name."""
    path = notebook.notebook
    return str(shell.execution_count), path.name if path else ""


def _warm_up() -> None:
    """Import what the first call needs, while the user types it."""
    import importlib

    for name in ("x402.mechanisms.evm.upto.client", "x402.http.utils", "web3", "pandas", "coincurve"):
        try:
            importlib.import_module(name)
        except ImportError:
            return  # the first call says what is missing
