"""The payments that are still open: of this process, or of a ledger that lies there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ..client import SettlementWatcher, wait_for_payments
from ..client.llm import prepared
from ..core import networks
from ..core.protocols import Journal
from ..core.runtime import runtime
from ..core.settings import Settings
from ..ledger import Ledger
from .session import Session

_SHOWN = 10
"""Reasons that are shown, at most."""
_UNASKED = "Only recorded answers are shown (replay), so no network is asked."


class _Open:
    """One ledger, with what looks at it already."""

    def __init__(self, journal: Journal, settings: Settings) -> None:
        self.journal, self.settings = journal, settings
        self.watchers: dict[str, SettlementWatcher] = {}


def open_payments(session: Session, timeout: float) -> dict[str, str]:
    """Wait until the payments of this notebook, and of every `og.LLM` of this process, are known.

    A payment is there once, however many LLMs write to its ledger.

    Shape: of what is still open, authorization hash -> the reason, as a sentence.

    Raises:
        ChainError: a ledger's chains could not be read.
    """
    pending = session.ledger.pending()
    if session.settings.replay == "only":
        return {authorization.hash: _UNASKED for authorization in pending}
    if any(networks.by_chain(authorization.network) is None for authorization in pending):
        session.llm.prepare()  # a devnet is known only once it runs
    ledgers = {str(session.ledger.path): _Open(session.ledger, session.settings)}
    for llm in prepared():
        path = str(getattr(llm.journal, "path", id(llm.journal)))
        one = ledgers.setdefault(path, _Open(llm.journal, llm.settings))
        connection = llm.prepare()
        if connection.watcher is not None:
            one.watchers.setdefault(connection.network.caip2, connection.watcher)
    left = runtime.wait(_wait(list(ledgers.values()), timeout))
    session.refresh_shown()
    return left


def settle_ledger(ledger: Ledger, settings: Settings, timeout: float) -> dict[str, str]:
    """Wait until the payments in a ledger are known; needs no wallet.

    Shape: as `open_payments`.

    Raises:
        ChainError: no chain could be read.
    """
    if settings.replay == "only":
        return {authorization.hash: _UNASKED for authorization in ledger.pending()}
    return runtime.wait(_wait([_Open(ledger, settings)], timeout))


def open_payments_note(left: Mapping[str, str]) -> str:
    """Return lines on what is still open; "" where nothing is."""
    if not left:
        return ""
    lines = [f"{len(left)} payment{' is' if len(left) == 1 else 's are'} not settled yet."]
    lines += [f"  {hash[:10]}… {why}" for hash, why in list(left.items())[:_SHOWN]]
    return "\n".join(lines + ["  …"] * (len(left) > _SHOWN))


async def _wait(ledgers: list[_Open], timeout: float) -> dict[str, str]:
    found = await asyncio.gather(
        *(wait_for_payments(one.journal, one.settings, timeout, watchers=one.watchers) for one in ledgers)
    )
    return {hash: why for left in found for hash, why in left.items()}
