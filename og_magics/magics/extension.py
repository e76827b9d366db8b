"""Loading and unloading: the magics, the key guard, and the DataFrame of receipts in the namespace.

Loading is quick because nothing heavy is imported for it: a thread imports the rest while the user types a prompt, in
the order in which the first call needs it, and prepares that call.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..core.cell_context import Origin, set_cell_provider, set_history_provider
from ..core.errors import OGError
from ..core.settings import notebook_path
from ..core.technical_part import technical_part
from ..core.untrusted_json import recursion_limit_kept
from .cell_history import CellRecorder
from .cell_identity import Executions
from .chat import ChatMagics
from .compare import CompareMagics
from .completion import Completion
from .config import settings_of
from .input_transform import AskedAssignment, AskedLine, cover, uncover
from .key_guard import KeyGuard, own_addresses
from .many import ManyMagics
from .og import OgMagics
from .pauses import Pauses
from .prompts import names_of
from .receipts import ReceiptsVariable

_NEEDED_SOON = (
    "og_magics.session",
    "og_magics.payment.accounts",
    "x402.mechanisms.evm.upto.client",
    "x402.http.utils",
    "coincurve",
)
_NEEDED_LATER = ("pandas",)
"""After an answer is shown: imported while no cell runs, which would wait for it."""
_LONGEST_WAIT = 600.0

_loaded: dict[int, list[Callable[[], None]]] = {}


def load(shell: Any) -> None:
    """Install everything in a shell; a second call changes nothing."""
    if id(shell) in _loaded:
        return
    settings = settings_of(shell)  # first: what cannot be set fails before anything is changed
    guard = KeyGuard(shell, own_addresses)
    variable = ReceiptsVariable(shell)
    recorder = CellRecorder(shell)
    pauses = Pauses(shell)
    chat = ChatMagics(shell, variable)
    shell.register_magics(chat)
    shell.register_magics(CompareMagics(shell, variable))
    shell.register_magics(ManyMagics(shell, variable))
    og = OgMagics(shell, variable, chat)
    shell.register_magics(og)
    completion = Completion(shell, lambda: names_of(shell), og.verbs)
    shell.input_transformer_manager.token_transformers.extend((AskedLine, AskedAssignment))
    shell.input_transformers_cleanup.insert(0, cover)
    shell.input_transformers_cleanup.append(uncover)
    guard.install()
    variable.install()
    recorder.install()
    pauses.install()
    completion.install()
    set_history_provider(recorder.cells)
    set_cell_provider(lambda: _origin(shell), shell.user_ns, Executions(shell).current)
    shell.configurables.append(settings)
    if getattr(shell, "kernel", None) is not None:
        OGError.folds = True
        shell.events.register("post_run_cell", _fold_technical_part)
    _loaded[id(shell)] = [guard.remove, variable.remove, recorder.remove, pauses.remove]
    _loaded[id(shell)].append(completion.remove)
    _loaded[id(shell)].append(lambda: shell.configurables.remove(settings))
    threading.Thread(target=_warm_up, args=(pauses,), name="og_magics-imports", daemon=True).start()


def unload(shell: Any) -> None:
    """Remove it again; receipts and variables stay."""
    for undo in _loaded.pop(id(shell), []):
        undo()
    set_cell_provider(None)
    set_history_provider(None)
    if _fold_technical_part in shell.events.callbacks["post_run_cell"]:
        OGError.folds = False
        shell.events.unregister("post_run_cell", _fold_technical_part)
    manager = shell.input_transformer_manager
    for transformers, ours in (
        (manager.token_transformers, AskedLine),
        (manager.token_transformers, AskedAssignment),
        (manager.cleanup_transforms, cover),
        (manager.cleanup_transforms, uncover),
    ):
        if ours in transformers:
            transformers.remove(ours)
    for kind, names in (("line", ("og", "ogchat")), ("cell", ("ogchat", "ogcompare", "ogmany"))):
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    for magics in (ChatMagics, CompareMagics, ManyMagics, OgMagics):
        shell.magics_manager.registry.pop(magics.__name__, None)


def _fold_technical_part(result: Any) -> None:
    """Show below the message of a cell's error what only few want to read of it."""
    error = result.error_in_exec
    if isinstance(error, OGError):
        from ..display.outlets import show_bundle

        show_bundle(technical_part(error.technical()))


def _origin(shell: Any) -> Origin:
    """Return the execution count of the cell that asks, and its notebook's name."""
    path = notebook_path(shell.user_ns)
    # Not `execution_count`: newer IPythons have counted on already when the cell runs.
    return str(shell.displayhook.prompt_count), path.name if path else ""


def _warm_up(pauses: Pauses) -> None:
    if not (_NEEDED_SOON and _imported(_NEEDED_SOON)):
        return
    from ..session import prepare

    prepare()
    if pauses.wait(_LONGEST_WAIT):
        _imported(_NEEDED_LATER)


def _imported(names: Sequence[str]) -> bool:
    """Import modules; return False where one is missing, of which the first call will tell."""
    for name in names:
        try:
            with recursion_limit_kept():
                importlib.import_module(name)
        except ImportError:
            return False
    return True
