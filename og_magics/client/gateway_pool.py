"""The choice of a gateway: one that the registry lists, its certificate pinned, or the one that a URL names."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from .. import chain
from ..core.errors import ConfigError, GatewayError, GatewayProtocolError, GatewayUnreachable
from ..core.networks import Network, with_real_money
from ..core.protocols import Endpoint
from ..core.secret import PrivateURL, Secret
from ..core.settings import Settings
from ..core.types import Enclave
from ..gateway import GatewayClient, PlainEndpoint
from ..gateway.bounds import MIB, Bounds
from ..verification import pem_to_der, tee_id_of


class GatewayPool:
    """One endpoint at a time, kept until it cannot be reached. Used on one event loop.

    Args:
        listed: what the registry lists, where it was read just now; the first endpoint is chosen from it.
    """

    def __init__(
        self,
        network: Network,
        *,
        timeout: float,
        verify: bool = True,
        endpoint: Endpoint | None = None,
        bounds: Bounds | None = None,
        key: Secret | None = None,
        listed: Sequence[Enclave] = (),
    ) -> None:
        self._network = network
        self._listed = listed
        self._key = key
        self._timeout, self._bounds = timeout, bounds
        self._verify = verify
        self._client: Endpoint | None = endpoint
        self._left: list[Endpoint] = []
        self._failed: set[str] = set()
        self._connecting: asyncio.Task[Endpoint] | None = None

    async def current(self) -> Endpoint:
        """Return the endpoint in use; connect to one if there is none.

        Raises:
            GatewayUnreachable: the registry lists none, or all that it lists failed.
            ChainError: the registry cannot be read.
            ConfigError: the URL is not one.
        """
        if self._client is not None:
            return self._client
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        # One attempt serves all that wait and outlives any of them: not each in turn asks a registry that is down.
        return await asyncio.shield(self._connecting)

    def mark_failed(self, client: Endpoint) -> None:
        """Leave an endpoint that cannot be reached: the next call tries another."""
        if self._client is client:
            self._client = None
            self._failed.add(client.enclave.endpoint)
            self._left.append(client)  # not closed: others may still be reading answers from it

    async def successors(self, endpoint: Endpoint) -> list[Enclave]:
        """Look an endpoint up again; return what it may be now: the same address and certificate with another key.

        A gateway that was restarted has a new key, and is registered anew, under the certificate that is pinned here.

        Raises:
            ChainError: the registry cannot be read.
            GatewayError: the gateway that was named by its URL does not tell its key.
        """
        old = endpoint.enclave
        if old.registered:
            found = await asyncio.to_thread(chain.active_enclaves, self._network)
        else:
            found = [_with_key(old, await endpoint.signing_key())] if isinstance(endpoint, GatewayClient) else []
        return [
            one
            for one in found
            if (one.endpoint, one.tls_certificate) == (old.endpoint, old.tls_certificate) and one.tee_id != old.tee_id
        ]

    @property
    def has_alternatives(self) -> bool:
        """True where there may be another endpoint; one named by URL stands alone."""
        return not self._network.gateway_url

    async def close(self) -> None:
        """Close all connections."""
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        clients, self._left = self._left, []
        if self._client is not None:
            clients.append(self._client)
            self._client = None
        for client in clients:
            await client.close()

    def _connected(self, task: asyncio.Task[Endpoint]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._client = task.result()

    async def _connect(self) -> Endpoint:
        if self._network.gateway_url:
            return await endpoint_at(
                self._network.gateway_url,
                timeout=self._timeout,
                verify=self._verify,
                bounds=self._bounds,
                key=self._key,
            )
        enclaves, self._listed = list(self._listed), ()
        enclaves = enclaves or await asyncio.to_thread(chain.active_enclaves, self._network)
        if not enclaves:
            listed = await asyncio.to_thread(chain.listed_enclaves, self._network)
            raise _none_registered(self._network, [why for _, why in listed.refused])
        rest = [enclave for enclave in enclaves if enclave.endpoint not in self._failed]
        if not rest:
            self._failed.clear()  # all have failed once: begin again
            rest = enclaves
        # Spread the load, as the official SDK does.
        return GatewayClient(random.choice(rest), timeout=self._timeout, bounds=self._bounds)  # noqa: S311 - not a secret


async def endpoint_at(
    url: str, *, timeout: float, verify: bool = True, bounds: Bounds | None = None, key: Secret | None = None
) -> Endpoint:
    """Return the endpoint at a URL: an enclave gateway where it shows a signing key, else a plain server.

    A server that shows neither a key nor a list of models is taken for a gateway without a key: its answers cannot be
    proven, and their receipts say so.

    Raises:
        GatewayUnreachable: it cannot be reached.
        ConfigError: the URL is not one.
    """
    address = PrivateURL(url)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"{address!r} is not the URL of a gateway.",
            remedy="Write it as https://host:port (%og use --gateway URL, OG_GATEWAY_URL), or ask without it: "
            "%og use --no-gateway.",
        )
    gateway = GatewayClient(Enclave(address), timeout=timeout, verify=verify, bounds=bounds, key=key)
    try:
        gateway.enclave = _with_key(gateway.enclave, await gateway.signing_key())
    except GatewayUnreachable:
        await gateway.close()
        raise
    except GatewayError:
        plain = PlainEndpoint(address, timeout=timeout, verify=verify, bounds=bounds, key=key)
        try:
            await plain.models()
        except GatewayError:
            await plain.close()
            return gateway
        await gateway.close()
        return plain
    return gateway


def bounds_of(settings: Settings) -> Bounds:
    """Return the bounds of an answer that the settings name."""
    return Bounds(settings.max_answer * MIB, settings.timeout, settings.call_timeout)


def _with_key(enclave: Enclave, pem: str) -> Enclave:
    """Return an enclave with the key that its gateway shows.

    Raises:
        GatewayProtocolError: it is none.
    """
    try:
        key = pem_to_der(pem)
    except ValueError as error:
        raise GatewayProtocolError(
            f"The gateway shows no key: {error}",
            money="Nothing was sent and nothing was paid.",
            remedy="Try again later, or name another gateway with OG_GATEWAY_URL.",
        ) from None
    return replace(enclave, tee_id=tee_id_of(key), public_key=key)


def _none_registered(network: Network, refused: Sequence[str]) -> GatewayUnreachable:
    remedy = f"Try again later, name a gateway (OG_GATEWAY_URL), or another network than {network.name}."
    if not network.real_money:
        main, about = with_real_money().name, "" if network.local else f"{network.name} is {network.about}. "
        remedy = (
            f"{about}The main network may have one, for real money: OG_NETWORK={main} or `%og network {main}`. "
            "The practice network costs nothing: OG_NETWORK=devnet."
        )
    lists = "lists none"
    if refused:
        reasons = "; ".join(dict.fromkeys(refused))
        lists = f"lists {len(refused)}, and none that a prompt may be sent to ({reasons})"
    return GatewayUnreachable(
        f"No gateway is active on {network.name}: the public list of gateways ({network.registry_address}) {lists}.",
        transient=False,
        money="Nothing was sent and nothing was paid.",
        remedy=remedy,
    )
