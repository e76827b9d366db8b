"""Loading and unloading: the magics, the guard before the input, and the DataFrame of receipts in the namespace.

Loading is quick because nothing heavy is imported for it: a thread imports the rest while the user types a prompt.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

from ..origin import Origin, tell_by
from ..settings import notebook_path
from .chat import ChatMagics
from .lines import AskedLine, cover, uncover
from .og import OgMagics
from .receipts import ReceiptsVariable
from .secrets import KeyGuard

_NEEDED_SOON = ("x402.mechanisms.evm.upto.client", "x402.http.utils", "og_magics.app", "pandas", "coincurve")

_loaded: dict[int, list[Callable[[], None]]] = {}


def load(shell: Any) -> None:
    """Put everything into a shell; a second time changes nothing."""
    if id(shell) in _loaded:
        return
    guard = KeyGuard(shell)
    variable = ReceiptsVariable(shell)
    shell.register_magics(ChatMagics(shell, variable))
    shell.register_magics(OgMagics(shell, variable))
    shell.input_transformer_manager.token_transformers.append(AskedLine)
    shell.input_transformers_cleanup.insert(0, cover)
    shell.input_transformers_cleanup.append(uncover)
    guard.install()
    variable.install()
    tell_by(lambda: _origin(shell), shell.user_ns)
    _loaded[id(shell)] = [guard.remove, variable.remove]
    threading.Thread(target=_warm_up, name="og_magics-imports", daemon=True).start()


def unload(shell: Any) -> None:
    """Take it out again; receipts and variables stay."""
    for undo in _loaded.pop(id(shell), []):
        undo()
    tell_by(None)
    manager = shell.input_transformer_manager
    for transformers, ours in (
        (manager.token_transformers, AskedLine),
        (manager.cleanup_transforms, cover),
        (manager.cleanup_transforms, uncover),
    ):
        if ours in transformers:
            transformers.remove(ours)
    for kind, names in (("line", ("og", "ogchat")), ("cell", ("ogchat",))):
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    for magics in (ChatMagics, OgMagics):
        shell.magics_manager.registry.pop(magics.__name__, None)


def _origin(shell: Any) -> Origin:
    """The cell that asks, by its execution count, and its notebook's name."""
    path = notebook_path(shell.user_ns)
    # Not `execution_count`: newer IPythons have counted on already when the cell runs.
    return str(shell.displayhook.prompt_count), path.name if path else ""


def _warm_up() -> None:
    for name in _NEEDED_SOON:
        try:
            importlib.import_module(name)
        except ImportError:
            return  # the first call says what is missing
