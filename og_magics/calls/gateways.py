"""Which gateway serves: one that the registry lists, with its certificate pinned, or the one that was named by URL."""

from __future__ import annotations

import asyncio
import random
from urllib.parse import urlsplit

from .. import chain
from ..errors import ConfigError, GatewayError, GatewayUnreachable
from ..gateway import GatewayClient
from ..networks import BASE, BASE_SEPOLIA, Network
from ..proofs import pem_to_der, tee_id_of
from ..types import Enclave


class Gateways:
    """Keeps to one gateway until it cannot be reached. Used on one event loop."""

    def __init__(self, network: Network, *, timeout: float, verify: bool = True) -> None:
        self._network = network
        self._timeout = timeout
        self._verify = verify
        self._client: GatewayClient | None = None
        self._left: list[GatewayClient] = []
        self._failed: set[str] = set()
        self._connecting: asyncio.Task[GatewayClient] | None = None

    async def current(self) -> GatewayClient:
        """The gateway in use.

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

    def give_up(self, client: GatewayClient) -> None:
        """This one cannot be reached: the next call tries another."""
        if self._client is client:
            self._client = None
            self._failed.add(client.enclave.endpoint)
            self._left.append(client)  # not closed: others may still be reading answers from it

    @property
    def can_change(self) -> bool:
        """Whether there may be another one: a URL that was named stands alone."""
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

    def _connected(self, task: asyncio.Task[GatewayClient]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._client = task.result()

    async def _connect(self) -> GatewayClient:
        if self._network.gateway_url:
            return await self._named(self._network.gateway_url)
        enclaves = await asyncio.to_thread(chain.active_enclaves, self._network)
        if not enclaves:
            raise _none_registered(self._network)
        rest = [enclave for enclave in enclaves if enclave.endpoint not in self._failed]
        if not rest:
            self._failed.clear()  # all have failed once: begin again
            rest = enclaves
        # Spread the load, as the official SDK does.
        return GatewayClient(random.choice(rest), timeout=self._timeout)  # noqa: S311 - not a secret

    async def _named(self, url: str) -> GatewayClient:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not the URL of a gateway.", remedy="Write it as https://host:port.")
        endpoint = url.rstrip("/")
        client = GatewayClient(Enclave(endpoint), timeout=self._timeout, verify=self._verify)
        try:
            key = pem_to_der(await client.signing_key())
        except GatewayUnreachable:
            await client.close()
            raise
        except (GatewayError, ValueError):
            return client  # it shows no key: its answers cannot be proven, and their receipts say so
        client.enclave = Enclave(endpoint, tee_id=tee_id_of(key), public_key=key)
        return client


def _none_registered(network: Network) -> GatewayUnreachable:
    remedy = f"Try again later, name a gateway (OG_GATEWAY_URL), or another network than {network.name}."
    if network.name == BASE_SEPOLIA.name:
        remedy = (
            f"The main network may have one, for real money: OG_NETWORK={BASE.name} or `%og network {BASE.name}`. "
            "The local devnet costs nothing: OG_NETWORK=devnet."
        )
    return GatewayUnreachable(
        f"No gateway is active on {network.name}: the registry {network.registry_address} lists none.",
        transient=False,
        money="Nothing was sent and nothing was paid.",
        remedy=remedy,
    )
