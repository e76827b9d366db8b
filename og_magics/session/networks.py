"""The networks that settings describe."""

from __future__ import annotations

from collections.abc import Collection

from ..client.devnet_process import devnet_info
from ..core.networks import Network, described, devnet
from ..core.settings import Settings


def configured_networks(settings: Settings, names: Collection[str]) -> dict[str, Network]:
    """Return the networks of these names, as they are set; a devnet only where one is set."""
    found = {}
    for network in map(described, names):
        if network.local and settings.devnet:
            found[network.name] = settings.apply(devnet(devnet_info(settings.devnet)))
        elif network.rpc_url:
            found[network.name] = settings.apply(network)
    return found
