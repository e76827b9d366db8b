"""The base of the magics: a notebook's shell and session, and the variables that a cell leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics

from .receipts import ReceiptsVariable, notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..conversation import Turn
    from ..core.errors import ConfigError
    from ..core.estimate import Estimate
    from ..session import Session


def unsent(error: ConfigError) -> UsageError:
    """Return the mistake in a prompt or a flag as IPython shows mistakes: in one paragraph, without a traceback."""
    return UsageError(str(error if error.money else error.with_money("Nothing was sent, and nothing is paid.")))


class NotebookMagics(Magics):
    """Magics that ask, or show what was asked."""

    def __init__(self, shell: Any, variable: ReceiptsVariable) -> None:
        super().__init__(shell)
        self._shell = shell
        self._variable = variable

    @property
    def _app(self) -> Session:
        return notebook()

    def _estimate(self, turns: Sequence[Turn]) -> Estimate:
        """Show what turns would come to, and leave that in `_`; a variable that -o names keeps what it has."""
        from ..core.estimate import AtOnce
        from ..display import show_or_print

        estimate = self._app.estimate(turns, AtOnce(len(turns)))
        show_or_print(self._shell, estimate.bundle())
        self._leave(estimate, None)
        return estimate

    def _leave(self, result: Any, name: str | None) -> None:
        """Set `_`, and the variable that is named, to this value."""
        # The shell's own way: a `_` that is merely assigned would never change again.
        self._shell.displayhook.update_user_ns(result)
        if name:
            self._shell.user_ns[name] = result
