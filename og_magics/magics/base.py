"""The base of the magics: a notebook's shell and session, and the variables that a cell leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics

from .receipts import ReceiptsVariable, notebook

if TYPE_CHECKING:
    from ..session import Session


class NotebookMagics(Magics):
    """Magics that ask, or show what was asked."""

    def __init__(self, shell: Any, variable: ReceiptsVariable) -> None:
        super().__init__(shell)
        self._shell = shell
        self._variable = variable

    @property
    def _app(self) -> Session:
        return notebook()

    def _leave(self, result: Any, name: str | None) -> None:
        """Set `_`, and the variable that is named, to this value."""
        # The shell's own way: a `_` that is merely assigned would never change again.
        self._shell.displayhook.update_user_ns(result)
        if name:
            self._shell.user_ns[name] = result
