"""What og_magics offers beside its LLM: the notebook of this process, its receipts and their proofs, the models."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalogue import PRICES, TEE_LLM
from ..errors import LedgerError
from ..ledger import Ledger, receipts_frame
from ..llm import prepared
from ..settings import Settings, ledger_path
from .notebook import App

if TYPE_CHECKING:
    import pandas as pd

_app: App | None = None
_app_lock = threading.Lock()


def current() -> App:
    """The process's notebook."""
    global _app
    with _app_lock:
        if _app is None:
            _app = App()
        return _app


def receipts(notebook: str | Path | None = None) -> pd.DataFrame:
    """The receipts of this notebook, or of another one that is not running, one row a call.

    Columns: `og_magics.receipt.COLUMNS`; amounts in OPG and USD as Decimal, times in UTC.

    Raises:
        LedgerError: the other notebook has no ledger, or it cannot be read.
    """
    if notebook is None:
        return current().records.frame()
    with _ledger_of(notebook) as ledger:
        return receipts_frame(ledger.receipts())


def settle(timeout: float = 120.0) -> int:
    """Wait until every payment is found on chain or has expired; how many are still open.

    It looks for what this notebook's wallet has signed, in this process or before, and for what every `og.LLM` of this
    process has signed.

    Raises:
        ChainError: the RPC could not be read.
    """
    if current().settings.replay == "only":
        return len(current().ledger.pending())  # what only replays asks no network
    end = time.monotonic() + timeout
    llms = prepared()
    if current().ledger.pending() and current().llm not in llms:
        llms.append(current().llm)
    return sum(llm.settle(max(0.0, end - time.monotonic())) for llm in llms)


def verify(
    receipts: pd.DataFrame | str | Path | None = None, online: bool = True, *, expected_pcr: str = ""
) -> pd.DataFrame:
    """Check the proofs of receipts: all of this notebook, some of them (rows of `og.receipts()`), or another one's.

    One row a receipt; columns `receipt_id`, then `enclave`, `registry`, `payment`, `data` and `ledger`, each True,
    False or None (could not be asked, or is not there yet), then `reason`. What is wrong with the ledger as a whole is
    in `.attrs["problems"]`. Receipts whose payment and enclave hold become "verified".

    Args:
        receipts: which ones.
        online: ask the chains; otherwise only what the ledger itself proves.
        expected_pcr: measurement of the enclave's code that must be registered, "" for any.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    app = current()
    if isinstance(receipts, (str, Path)):
        with _ledger_of(receipts) as ledger:
            return app.records.verify(ledger, None, online=online, expected_pcr=expected_pcr)
    chosen = None if receipts is None else set(receipts["receipt_id"])
    return app.records.verify(app.ledger, chosen, online=online, expected_pcr=expected_pcr)


def models() -> pd.DataFrame:
    """The models of the catalogue: `model`, `provider`, `name`, and USD per million tokens (None where not known)."""
    import pandas as pd

    rows = []
    for member in TEE_LLM:
        provider, _, _ = member.value.partition("/")
        price = PRICES.get(member.value)
        rows.append((member.value, provider, member.name, price and price.input, price and price.output))
    return pd.DataFrame(rows, columns=["model", "provider", "name", "usd_input", "usd_output"])


def _ledger_of(notebook: str | Path) -> Ledger:
    path = ledger_path(Settings(), Path(notebook).expanduser().absolute())
    if not path.is_file():
        raise LedgerError(f"{notebook} has no receipts: there is no {path}.", remedy="Has it been run here?")
    return Ledger(path)
