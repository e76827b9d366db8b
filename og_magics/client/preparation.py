"""The first call, prepared before it is asked: a gateway is chosen from the registry, and its hardware attests.

Only what is public is read. No prompt, payment or receipt is there yet: nothing is signed, written or paid.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from .. import chain
from ..core import networks
from ..core.errors import OGError
from ..core.fork import after_fork, new_lock
from ..core.networks import Network
from ..core.runtime import runtime
from ..core.settings import Settings, limited
from .attestation import Attestations
from .devnet_process import devnet_info
from .gateway_pool import GatewayPool, bounds_of

_FRESH_FOR = 600.0
"""Seconds after which a gateway that was chosen and not asked is chosen anew."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pool that has chosen its gateway, and what is known of its attestation."""

    network: Network
    settings: tuple[object, ...]
    pool: GatewayPool
    attestations: Attestations
    at: float


_lock = new_lock()
_prepared: Prepared | None = None
_late = False  # a call was first


def prepare(settings: Settings) -> None:
    """Prepare the first call of this process. Blocks, and never raises: what fails here is said by the call.

    Nothing is prepared for a devnet that would have to be started, for a gateway that is named by its URL, nor where
    only recorded answers are shown.
    """
    # RuntimeError: the interpreter is shutting down.
    with contextlib.suppress(OGError, RuntimeError):
        network = _network_of(settings)
        if network is not None and not _late:
            _prepare(network, settings)


def take(network: Network, settings: Settings) -> Prepared | None:
    """Return what was prepared for a network and settings, once; None where nothing was, or not for them."""
    global _prepared, _late
    with _lock:
        found, _prepared, _late = _prepared, None, True
    if found is None:
        return None
    fresh = time.monotonic() - found.at < _FRESH_FOR
    if fresh and found.network == network and found.settings == _settings_of(settings):
        return found
    with contextlib.suppress(RuntimeError):
        runtime.submit(found.pool.close())
    return None


def _prepare(network: Network, settings: Settings) -> None:
    global _prepared
    # On this thread, which nobody waits for: the interpreter's end would wait for a thread of asyncio's.
    listed = chain.active_enclaves(network)
    pool = GatewayPool(
        network, timeout=settings.timeout, verify=settings.gateway_verify, bounds=bounds_of(settings), listed=listed
    )
    attestations = Attestations(network, pool, lambda: limited(settings), time.time)
    prepared = Prepared(network, _settings_of(settings), pool, attestations, time.monotonic())
    with _lock:
        if _late or not listed:
            return
        _prepared = prepared
    endpoint = runtime.wait(pool.current())
    runtime.wait(attestations.require(endpoint))
    chain.require_chain(network)


def _network_of(settings: Settings) -> Network | None:
    """Return the network to prepare a call on, None where there is nothing to prepare."""
    if not settings.prepare or settings.gateway_url or settings.gateway_key or settings.replay == "only":
        return None
    named = networks.network_by_name(settings.network_name())
    if not named.local:
        return settings.apply(named)
    return settings.apply(networks.devnet(devnet_info(settings.devnet))) if settings.devnet else None


def _settings_of(settings: Settings) -> tuple[object, ...]:
    """Return the settings that a pool is made with."""
    return settings.timeout, settings.gateway_verify, bounds_of(settings), settings.gateway_key


async def _close() -> None:
    if _prepared is not None:
        await _prepared.pool.close()


def _renew() -> object:
    """In a forked child: leave what was prepared to the parent, whose connections it has."""
    global _prepared
    left, _prepared = _prepared, None
    return left


after_fork(_renew)
runtime.before_end(_close)
