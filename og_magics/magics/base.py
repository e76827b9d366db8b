"""What the magics of a notebook share: its shell, its wiring, and what a cell leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics

from .receipts import ReceiptsVariable, notebook

if TYPE_CHECKING:
    from ..app import App


class NotebookMagics(Magics):
    """Magics that ask, or tell what was asked."""

    def __init__(self, shell: Any, variable: ReceiptsVariable) -> None:
        super().__init__(shell)
        self._shell = shell
        self._variable = variable

    @property
    def _app(self) -> App:
        return notebook()

    def _leave(self, result: Any, name: str | None) -> None:
        """Make this the value of `_`, and of the variable that is named."""
        # The shell's own way: a `_` that is merely assigned would never change again.
        self._shell.displayhook.update_user_ns(result)
        if name:
            self._shell.user_ns[name] = result
