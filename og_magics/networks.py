"""The networks that og_magics knows, and how a devnet's description becomes one.

Addresses and endpoints are the official SDK's (releases 0.9 for base-sepolia, 1.1 for base) and OpenGradient's docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import ConfigError

PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
"""Uniswap's Permit2, the same on every chain."""

UPTO_PROXY = "0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002"
"""x402UptoPermit2Proxy, the only spender that an `upto` authorization names."""

_OG_EVM_RPC = "https://ogevmdevnet.opengradient.ai"


@dataclass(frozen=True, slots=True)
class Network:
    """Where calls are paid and where enclaves are registered.

    Attributes:
        name: as a user types it.
        chain_id: of the payment chain.
        rpc_url: of the payment chain.
        opg_token: address of OPG there.
        registry_rpc_url, registry_address: of the chain with the enclave registry.
        gateway_url: set where the gateway is known without a registry; "" otherwise.
        explorer: base URL of a block explorer for payments, "" when there is none.
        blob_url: base URL of the blob aggregator.
        settlement_relay: contract that emits the data settlements, "" when not known.
        faucet: where to get test tokens, "".
        real_money: True when calls cost real money.
        born: unix seconds before which it was not there, so that nothing signed then can be settled on it: a devnet's
            start.
    """

    name: str
    chain_id: int
    rpc_url: str
    opg_token: str
    registry_rpc_url: str
    registry_address: str
    gateway_url: str = ""
    explorer: str = ""
    blob_url: str = ""
    settlement_relay: str = ""
    faucet: str = ""
    real_money: bool = False
    born: int = 0

    @property
    def caip2(self) -> str:
        """The chain's CAIP-2 name, as x402 writes it."""
        return f"eip155:{self.chain_id}"

    def transaction_url(self, transaction: str) -> str:
        """A page that shows a payment, or "" where there is no explorer."""
        return f"{self.explorer}/tx/{transaction}" if self.explorer else ""


BASE_SEPOLIA = Network(
    name="base-sepolia",
    chain_id=84532,
    rpc_url="https://sepolia.base.org",
    opg_token="0x240b09731D96979f50B2C649C9CE10FcF9C7987F",
    registry_rpc_url=_OG_EVM_RPC,
    registry_address="0x4e72238852f3c918f4E4e57AeC9280dDB0c80248",
    explorer="https://sepolia.basescan.org",
    blob_url="https://aggregator.walrus-testnet.walrus.space",
    faucet="https://faucet.opengradient.ai/",
)

BASE = Network(
    name="base",
    chain_id=8453,
    rpc_url="https://base-rpc.publicnode.com",
    opg_token="0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB",
    registry_rpc_url=_OG_EVM_RPC,
    registry_address="0x703cB174AEadB35D611858369B4b1111dC9Abda6",
    explorer="https://basescan.org",
    blob_url="https://aggregator.walrus-mainnet.walrus.space",
    real_money=True,
)

DEVNET = "devnet"
NAMES = (DEVNET, BASE_SEPOLIA.name, BASE.name)


def named(name: str) -> Network:
    """A network of the world by its name; a devnet has no fixed description (`devnet`).

    Raises:
        ConfigError: no such network.
    """
    for network in (BASE_SEPOLIA, BASE):
        if network.name == name:
            return network
    raise unknown(name)


def unknown(name: str) -> ConfigError:
    """The error for a network that does not exist."""
    return ConfigError(
        f"There is no network {name!r}.",
        remedy="Choose devnet (local, free), base-sepolia (test tokens) or base (real money).",
    )


def devnet(info: Mapping[str, Any]) -> Network:
    """The network of the JSON line that `og-magics devnet --json` prints.

    Raises:
        ConfigError: a field is missing.
    """
    try:
        return Network(
            name=DEVNET,
            chain_id=int(info["chain_id"]),
            rpc_url=str(info["rpc_url"]),
            opg_token=str(info["opg_token"]),
            registry_rpc_url=str(info["rpc_url"]),
            registry_address=str(info["tee_registry"]),
            blob_url=str(info["blob_url"]),
            settlement_relay=str(info["settlement_relay"]),
            born=int(info.get("started", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"This does not describe a devnet: {error!r} is missing or wrong.",
            remedy="Use the line that `og-magics devnet --json` prints.",
        ) from None


def override(network: Network, **fields: str | None) -> Network:
    """A network with those of its fields replaced that are given."""
    return replace(network, **{name: value for name, value in fields.items() if value})  # type: ignore[arg-type]  # names are ours
