"""`og_receipts`: the DataFrame of receipts that belongs to the notebook."""

from __future__ import annotations

from typing import Any

from ..app import App
from ..errors import LedgerError
from ..ledger import receipts_frame

NAME = "og_receipts"


class ReceiptsVariable:
    """Keeps the variable as the ledger is: after each call, and before each cell that names it.

    So it is there after a kernel restart, and shows settlements that came in the meantime.
    """

    def __init__(self, shell: Any, notebook: App) -> None:
        self._shell = shell
        self._app = notebook
        self._version: tuple[str, int] | None = None

    def install(self) -> None:
        """Watch the cells."""
        self._shell.events.register("pre_run_cell", self._before)

    def remove(self) -> None:
        """Watch no more; the variable stays as it is."""
        if self._before in self._shell.events.callbacks["pre_run_cell"]:
            self._shell.events.unregister("pre_run_cell", self._before)

    def refresh(self) -> Any:
        """The current DataFrame, which the variable now holds."""
        ledger = self._app.ledger
        version = (str(ledger.path), ledger.version())
        if version != self._version or NAME not in self._shell.user_ns:
            self._shell.user_ns[NAME] = receipts_frame(ledger.receipts())
            self._version = version
        return self._shell.user_ns[NAME]

    def _before(self, info: Any) -> None:
        if NAME in (info.raw_cell or ""):
            try:
                self.refresh()
            except LedgerError as error:
                self._shell.user_ns.pop(NAME, None)
                self._shell.write_err(f"{NAME}: {error}\n") if hasattr(self._shell, "write_err") else print(error)
