"""Private keys do not belong into notebooks: a cell that holds one is refused, and its text is kept nowhere."""

from __future__ import annotations

import os
import re
from typing import Any

from IPython.core.error import UsageError

_HEX64 = r"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{64}(?![0-9a-zA-Z])"
_TYPED = re.compile(
    # private_key="0x...", OG_PRIVATE_KEY=0x..., Account.from_key("..."), "my private key is ...", on one line
    rf"(?:(?:private|secret)[ _-]?key|from_key)[^\n]{{0,60}}?{_HEX64}"
    # ... or with the line broken after the sign that assigns it
    rf"|(?:(?:private|secret)_?key|from_key)[\"'\]]*\s*[=:,(][\s(\\]*[\"']?{_HEX64}"
    rf"|(?:LLM|from_url)\s*\(\s*[\"']{_HEX64}"
    rf"|^\s*%og\b[^\n]*?{_HEX64}",
    re.IGNORECASE | re.MULTILINE,
)
_ANY = re.compile(_HEX64, re.IGNORECASE)
REMOVED = "# A private key was typed here. The cell was refused and its text removed.\n"


class KeyGuard:
    """Stands before the shell's input; `install` and `remove` are its whole life."""

    has_side_effects = True  # IPython: do not call this to find out whether a cell is complete

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def install(self) -> None:
        """Look at every cell from now on, before it runs."""
        self._shell.input_transformers_cleanup.append(self)

    def remove(self) -> None:
        """Look no more."""
        if self in self._shell.input_transformers_cleanup:
            self._shell.input_transformers_cleanup.remove(self)

    def __call__(self, lines: list[str]) -> list[str]:
        """The lines, unchanged.

        Raises:
            UsageError: a private key is among them.
        """
        text = "".join(lines)
        if _TYPED.search(text) is None and not _holds_own(text):
            return lines
        _keep_out_of_history(self._shell)
        if getattr(self._shell, "kernel", None) is not None:
            self._shell.set_next_input(REMOVED, replace=True)  # front ends that can, blank the cell itself
        raise UsageError(
            "This cell holds a private key. It was not run and is not in the history. Delete the key from the cell, "
            "and set OG_PRIVATE_KEY in the environment that Jupyter starts from. If the notebook was saved or shared "
            "with it, move the funds: the key is known."
        )


def _holds_own(text: str) -> bool:
    """Whether the key of the environment's wallet is in a text, whatever stands around it."""
    own = os.environ.get("OG_PRIVATE_KEY", "").strip().lower().removeprefix("0x")
    return any(found.group().lower().removeprefix("0x") == own for found in _ANY.finditer(text))


def _keep_out_of_history(shell: Any) -> None:
    """The shell stores a cell in its history after it was refused: this once, it stores a remark instead."""
    history = shell.history_manager
    store = history.store_inputs

    def restore(_: Any = None) -> None:
        vars(history).pop("store_inputs", None)
        if restore in shell.events.callbacks["post_execute"]:
            shell.events.unregister("post_execute", restore)

    def store_remark(line_num: int, source: str, source_raw: str | None = None) -> None:
        restore()
        store(line_num, REMOVED, REMOVED)

    history.store_inputs = store_remark
    shell.events.register("post_execute", restore)
