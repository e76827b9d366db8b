"""The parts of an LLM before its first request: the network, the wallet, the gateways, the runner of its calls."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core import networks
from ..core.errors import ConfigError, GatewayUnreachable
from ..core.networks import Network
from ..core.protocols import Endpoint, Journal
from ..core.runtime import runtime
from ..core.settings import Settings, limited
from ..payment import Payments, Wallet
from .attestation import Attestations
from .call import CallRunner
from .devnet_process import devnet_info
from .funds import Funds
from .gateway_pool import GatewayPool, bounds_of, endpoint_at
from .open_payments import look_for_wallet
from .preparation import take
from .settlement_watcher import SettlementWatcher

_LOOK_SECONDS = 30.0
"""Time in which a server that is named by its URL has to say of what kind it is."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One network, and what asks and pays on it.

    Attributes:
        network: `NO_PAYMENT` where a plain server answers.
        wallet, watcher, attestations: None where nothing is paid.
    """

    network: Network
    pool: GatewayPool
    runner: CallRunner
    wallet: Wallet | None = None
    watcher: SettlementWatcher | None = None
    attestations: Attestations | None = None


def connect(
    settings: Callable[[], Settings], wallet: Wallet | None, journal: Journal, on_settled: Callable[[], None]
) -> Connection:
    """Make a connection; a devnet that is needed is started. Blocks, and sends nothing that is paid.

    Args:
        settings: asked anew for each call.
        wallet: who pays where a network is named; else, and without one, it is the devnet's funded account.
        on_settled: called on the background loop when payments were found on chain, or expired.

    Raises:
        ConfigError: no wallet where one is needed, or a gateway URL that is none.
        DevnetError: no devnet could be started.
        LedgerError: the ledger cannot be opened: nothing is asked then.
    """
    now = settings()
    journal.pending()  # reads the file
    endpoint = _endpoint_by_url(now)
    if endpoint is not None and not endpoint.paid:
        return _without_payment(settings, endpoint, journal)
    named = networks.network_by_name(now.network_name())
    if not now.network:
        wallet = None  # a key is for a network that was named: what it signs is worth something elsewhere
    if named.local:
        info = devnet_info(now.devnet, fund=wallet.address if wallet else None)
        network = now.apply(networks.devnet(info))
        wallet = wallet or Wallet.from_key(str(info["accounts"][0]["private_key"]))
    else:
        network = now.apply(named)
    if wallet is None:
        raise no_wallet(named.name)
    watcher = SettlementWatcher(network, journal, on_change=on_settled, confirmations=now.confirmations_for(network))
    if now.watch and journal.pending():
        runtime.loop.call_soon_threadsafe(watcher.wake)  # what was left open before: by other kernels, other wallets
    prepared = take(network, now)
    pool = prepared.pool if prepared else GatewayPool(
        network, timeout=now.timeout, verify=now.gateway_verify, endpoint=endpoint, bounds=bounds_of(now),
        key=now.gateway_key,
    )  # fmt: skip
    look = functools.partial(look_for_wallet, watcher, network, journal, wallet.address, now.confirmations_for(network))
    payments = Payments(wallet, journal, time.time, Funds(network, wallet.address).check, look)
    attestations = prepared.attestations if prepared else Attestations(network, pool, settings, time.time)
    attestations.follow(lambda: limited(settings()))
    runner = CallRunner(network, pool, payments, journal, watcher, lambda: limited(settings()), attestations)
    return Connection(network, pool, runner, wallet, watcher, attestations)


def no_wallet(network: str) -> ConfigError:
    """Return the error for a network on which nobody can pay."""
    return ConfigError(
        f"There is no wallet to pay with on {network}.",
        money="Nothing was paid.",
        remedy="Set OG_PRIVATE_KEY, or use the practice network, which needs none: OG_NETWORK=devnet.",
    )


def _endpoint_by_url(settings: Settings) -> Endpoint | None:
    """Return the endpoint of `gateway_url`; None without one, or where it cannot be reached now (the call will say)."""
    if not settings.gateway_url:
        return None

    async def look() -> Endpoint:
        # The look is short; the answers that follow over the same connections have the time of the settings.
        async with asyncio.timeout(_LOOK_SECONDS):
            return await endpoint_at(
                settings.gateway_url, timeout=settings.timeout, verify=settings.gateway_verify,
                bounds=bounds_of(settings), key=settings.gateway_key,
            )  # fmt: skip

    try:
        return runtime.wait(look())
    except (GatewayUnreachable, TimeoutError):
        return None


def _without_payment(settings: Callable[[], Settings], endpoint: Endpoint, journal: Journal) -> Connection:
    now = settings()
    network = replace(networks.NO_PAYMENT, gateway_url=now.gateway_url)
    pool = GatewayPool(
        network, timeout=now.timeout, verify=now.gateway_verify, endpoint=endpoint, bounds=bounds_of(now),
        key=now.gateway_key,
    )  # fmt: skip
    return Connection(network, pool, CallRunner(network, pool, None, journal, None, settings))
