"""`og_receipts`: the DataFrame of receipts that belongs to the notebook."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..app import App
    from ..receipt import Receipt

NAME = "og_receipts"


def notebook() -> App:
    """The wiring of the notebook that runs in a shell; imported when it is first needed."""
    from .. import app

    return app.current()


class ReceiptsVariable:
    """Keeps the variable as the ledger is: after each call, and before each cell that names it.

    So it is there after a kernel restart, and shows settlements that came in the meantime.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._version: tuple[str, int, int] | None = None

    def install(self) -> None:
        """Watch the cells."""
        self._shell.events.register("pre_run_cell", self._before)

    def remove(self) -> None:
        """Watch no more; the variable stays as it is."""
        if self._before in self._shell.events.callbacks["pre_run_cell"]:
            self._shell.events.unregister("pre_run_cell", self._before)

    def refresh(self) -> Any:
        """The current DataFrame, which the variable now holds."""
        from ..display import shown_as

        records = notebook().records
        version = records.version()
        if version != self._version or NAME not in self._shell.user_ns:
            frame = records.frame()
            self._shell.user_ns[NAME] = shown_as(frame, lambda: _bundle(frame, records.receipts()))
            self._version = version
        return self._shell.user_ns[NAME]

    def _before(self, info: Any) -> None:
        if NAME not in (info.raw_cell or ""):
            return
        try:
            self.refresh()
        except LedgerError as error:
            # An old frame under this name would be read as the current one.
            self._shell.user_ns.pop(NAME, None)
            print(f"{NAME}: {error}", file=sys.stderr)


def imported(file: str) -> Any:
    """The DataFrame of receipts that were exported to a file, shown as `og_receipts` is.

    Raises:
        ConfigError: another kind of file.
        LedgerError: it cannot be read.
    """
    from ..display import shown_as
    from ..ledger import import_receipts, read_frame, receipts_frame

    lossless = file.lower().endswith(".json")
    frame = receipts_frame(import_receipts(file)) if lossless else read_frame(file)
    # What a file says of a proof is no proof: no marks.
    return shown_as(frame, lambda: _bundle(frame, []))


def _bundle(frame: Any, receipts: Sequence[Receipt]) -> dict[str, str]:
    from ..display import receipts_bundle

    proofs = {receipt.receipt_id: receipt.enclave_ok for receipt in receipts}
    return receipts_bundle(frame, notebook().payment_page, proofs)
