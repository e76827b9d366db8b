"""The open payments of a ledger, whoever signed them and on whichever network: looked for until they are known."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from ..core import networks
from ..core.accounts import WalletAccount, account_of
from ..core.errors import ChainError, OGError
from ..core.networks import Network
from ..core.protocols import Journal
from ..core.settings import Settings
from ..ledger import open_ledger
from .devnet_process import devnet_info, devnet_runs
from .settlement_watcher import SettlementWatcher

_MOST_LEDGERS = 20
"""Other ledgers that are looked at before a budget refuses."""


async def wait_for_payments(
    journal: Journal,
    settings: Settings,
    timeout: float,
    *,
    watchers: Mapping[str, SettlementWatcher] | None = None,
) -> dict[str, str]:
    """Look until every payment of a ledger is found or has expired, or the time is over. On the background loop.

    Args:
        watchers: those that there are for it already, by the CAIP-2 name of their chain.

    Shape: of what is still open, authorization hash -> the reason, as a sentence. What was signed for a devnet that is
    gone is not waited for.

    Raises:
        ChainError: no chain could be read.
    """
    by_chain = dict(watchers or {})
    for chain in journal.chains():
        network = None if chain in by_chain else network_of(settings, chain)
        if network is not None:
            by_chain[chain] = SettlementWatcher(network, journal, confirmations=settings.confirmations_for(network))
    looks = await asyncio.gather(
        *(watcher.wait_settled(timeout) for watcher in by_chain.values()), return_exceptions=True
    )
    left: dict[str, str] = {}
    unread: list[ChainError] = []
    for (chain, watcher), look in zip(by_chain.items(), looks, strict=True):
        if isinstance(look, ChainError):
            unread.append(look)
            left |= dict.fromkeys((one.hash for one in journal.pending() if one.network == chain), look.what)
        elif isinstance(look, BaseException):
            raise look
        else:
            left |= {hash: watcher.reasons.get(hash, "Nobody has looked at it yet.") for hash in look}
    if unread and len(unread) == len(by_chain):
        raise unread[0]
    return left


async def look_for_wallet(
    watcher: SettlementWatcher, network: Network, journal: Journal, payer: str, confirmations: int
) -> None:
    """Look for the open payments of a ledger, and for those of the wallet in other ledgers of this user, once each.

    What they were settled for is written into their own ledgers, and counts for the budgets of the wallet.

    Args:
        confirmations: blocks after which a settlement is final.

    Raises:
        OGError: the chain, or the journal's own ledger, cannot be read.
    """
    account = account_of(network, payer)
    await watcher.poll_once()
    await asyncio.gather(
        *(
            _look_beside(path, network, account, confirmations)
            for path in journal.wallet_ledgers(account)[:_MOST_LEDGERS]
        )
    )


async def _look_beside(path: Path, network: Network, account: WalletAccount, confirmations: int) -> None:
    ledger = open_ledger(path)
    with contextlib.suppress(OGError):  # a ledger that cannot be read or written keeps its caps
        await SettlementWatcher(network, ledger, confirmations=confirmations).poll_once()
    ledger.enter_in_wallet(account)


def network_of(settings: Settings, chain: str) -> Network | None:
    """Return the network of a chain's CAIP-2 name, None where there is none to ask.

    An RPC that was set in place of a network's own is that of the network in use, and of no other.
    """
    known = networks.by_chain(chain)
    if known is not None:
        if known.name == (settings.network or networks.DEFAULT):
            return settings.apply(known)
        return Settings(base_rpc_url=settings.base_rpc_url).apply(known)
    if not settings.devnet and not devnet_runs():
        return None
    try:
        running = networks.devnet(devnet_info(settings.devnet))
    except OGError:
        return None
    return running if running.caip2 == chain else None
