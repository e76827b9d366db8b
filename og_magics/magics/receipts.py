"""`og_receipts`: the DataFrame of receipts that belongs to the notebook."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from ..core.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.receipt import Receipt
    from ..session import Session

NAME = "og_receipts"


def notebook() -> Session:
    """Return the session of the notebook that runs in a shell; it is imported when first needed."""
    from .. import session as app

    return app.current()


class ReceiptsVariable:
    """The variable `og_receipts`, kept up to date: after each call, and before each cell that names it.

    So it is there after a kernel restart, and shows settlements that came in the meantime.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._version: tuple[str, int, int] | None = None

    def install(self) -> None:
        """Start watching the cells."""
        self._shell.events.register("pre_run_cell", self._before)

    def remove(self) -> None:
        """Stop watching; the variable stays as it is."""
        if self._before in self._shell.events.callbacks["pre_run_cell"]:
            self._shell.events.unregister("pre_run_cell", self._before)

    def refresh(self) -> Any:
        """Return the current DataFrame, which the variable now holds."""
        from ..display import shown_as

        records = notebook().records
        version = records.version()
        if version != self._version or NAME not in self._shell.user_ns:
            frame = records.frame()
            self._shell.user_ns[NAME] = shown_as(frame, lambda: _bundle(frame, records.receipts()))
            self._version = version
        return self._shell.user_ns[NAME]

    def refresh_after(self) -> None:
        """Refresh after an answer, which is shown also where the ledger cannot be read now."""
        with contextlib.suppress(LedgerError):
            self.refresh()

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
    """Return the DataFrame of receipts that were exported to a file, shown as `og_receipts` is.

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
