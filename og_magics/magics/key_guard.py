"""A guard against private keys: a cell that holds one is refused, and its text is kept nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Any

from IPython.core.error import UsageError

from ..core.errors import OGError
from ..core.redaction import ask_for_addresses, key_in
from .receipts import notebook

REMOVED = "# A private key was typed here. The cell was refused and its text removed.\n"
_INSTEAD = {
    "a keystore's password": "set OG_KEYSTORE_PASSWORD in the environment that Jupyter starts from",
    "a seed phrase": "set OG_PRIVATE_KEY, the key of one account of it, in the environment that Jupyter starts from",
}


def own_addresses() -> set[str]:
    """Return the addresses whose keys no cell may hold: those of the ledger, and of the keystore."""
    from ..ledger.payers import payers_in
    from ..payment.wallet import address_in_keystore

    with contextlib.suppress(OGError):  # settings that make no sense are reported elsewhere
        session = notebook()
        return {*payers_in(session.ledger.path), address_in_keystore(session.settings.keystore)} - {""}
    return set()


class KeyGuard:
    """A check of every cell before it runs; `install` starts it and `remove` ends it."""

    has_side_effects = True  # IPython: do not call this to find out whether a cell is complete

    def __init__(self, shell: Any, addresses: Callable[[], Collection[str]] = tuple) -> None:
        """Guard a shell; `addresses` are those whose keys are known by what they are, besides the wallet's own."""
        self._shell = shell
        self._addresses = addresses
        self._forget: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Start checking every cell."""
        self._shell.input_transformers_cleanup.append(self)
        self._forget = ask_for_addresses(self._addresses)

    def remove(self) -> None:
        """Stop checking."""
        if self in self._shell.input_transformers_cleanup:
            self._shell.input_transformers_cleanup.remove(self)
            self._forget()

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the lines unchanged, or raise.

        Raises:
            UsageError: a private key is among them.
        """
        text = "".join(lines)
        found = key_in(text)
        if not found:
            return lines
        remark = REMOVED.replace("A private key", found.capitalize())
        _keep_out_of_history(self._shell, remark)
        if getattr(self._shell, "kernel", None) is not None:
            self._shell.set_next_input(remark, replace=True)  # front ends that can, blank the cell itself
        raise UsageError(
            f"This cell holds {found}. It was not run and is not in the history. Delete the {found.split()[-1]} from "
            "the cell, and "
            f"{_INSTEAD.get(found, 'set OG_PRIVATE_KEY in the environment that Jupyter starts from')}. If the notebook "
            "was saved or shared with it, move the funds: it is known."
        )


def _keep_out_of_history(shell: Any, remark: str) -> None:
    """Store a remark in the shell's history in place of the refused cell, this once."""
    history = shell.history_manager
    store = history.store_inputs

    def restore(_: Any = None) -> None:
        vars(history).pop("store_inputs", None)
        if restore in shell.events.callbacks["post_execute"]:
            shell.events.unregister("post_execute", restore)

    def store_remark(line_num: int, source: str, source_raw: str | None = None) -> None:
        restore()
        store(line_num, remark, remark)

    history.store_inputs = store_remark
    shell.events.register("post_execute", restore)
