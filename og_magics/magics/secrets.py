"""Private keys do not belong into notebooks: a cell that holds one is refused, and its text is kept nowhere."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from ..private import holds_key

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
        if not holds_key(text):
            return lines
        _keep_out_of_history(self._shell)
        if getattr(self._shell, "kernel", None) is not None:
            self._shell.set_next_input(REMOVED, replace=True)  # front ends that can, blank the cell itself
        raise UsageError(
            "This cell holds a private key. It was not run and is not in the history. Delete the key from the cell, "
            "and set OG_PRIVATE_KEY in the environment that Jupyter starts from. If the notebook was saved or shared "
            "with it, move the funds: the key is known."
        )


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
