"""The table of networks, and how a devnet's description becomes one.

Nothing outside of this module compares a network's name: it asks the network (`local`, `real_money`, `paid`). To add a
network, add an entry to the table.

Addresses and endpoints are the official SDK's (releases 0.9 for base-sepolia, 1.1 for base) and OpenGradient's docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .amounts import OPG
from .errors import ConfigError

PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
"""Uniswap's Permit2, the same on every chain."""

UPTO_PROXY = "0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002"
"""x402UptoPermit2Proxy, the only spender that an `upto` authorization names."""

AWS_NITRO_ROOT = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
"""SHA-256 of the root certificate (G1, DER) under which AWS attests its Nitro enclaves. It is valid until 2049."""

_OG_EVM_RPC = "https://ogevmdevnet.opengradient.ai"


@dataclass(frozen=True, slots=True)
class Network:
    """A place where calls are paid, and where enclaves are registered.

    Attributes:
        name: as a user types it.
        label: a word or two behind the name in lists.
        about: what using it means, for a person who chooses.
        chain_id: of the payment chain.
        rpc_url: of the payment chain.
        opg_token: address of OPG there.
        rpc_option: name of the option that replaces `rpc_url` on this network and on no other, "" where there is none.
        registry_rpc_url, registry_address: of the chain with the enclave registry.
        gateway_url: set where the gateway is known without a registry; "" otherwise.
        explorer: base URL of a block explorer for payments, "" when there is none.
        blob_url: base URL of the blob aggregator.
        settlement_relay: contract that emits the data settlements, "" when not known.
        faucet: where to get test tokens, "".
        words: by which a text may mean it.
        real_money: True where calls cost real money.
        local: True for a network that is started on this machine when it is needed; its addresses are known then.
        paid: False where nobody pays: a plain server answers.
        payees: addresses that gateways there are known to be paid at, besides the one that the registry has for each.
        session_cap: base units that a gateway there asks to be allowed for one session. It takes what calls cost.
        confirmations: blocks after which a settlement is final, unless a setting says otherwise.
        genesis_hash: hash of the payment chain's block 0, by which it is known; "" for a local one, which has its own.
        unused_depth: blocks on top of one by which it may be shown that something was not paid.
        budget_notebook, budget_day, budget_wallet: base units that may be spent unless a setting says otherwise: by one
            notebook; by all notebooks of a wallet in 24 hours, and ever. None for no limit.
        attestation_root: SHA-256 of the certificate under which the hardware of its enclaves is attested, hex; "" for
            none. A devnet has its own, of simulated hardware.
        genesis_time: unix seconds before which it was not there, so that nothing signed then can be settled on it: a
            devnet's start.
    """

    name: str
    chain_id: int = 0
    rpc_url: str = ""
    rpc_option: str = ""
    opg_token: str = ""
    registry_rpc_url: str = ""
    registry_address: str = ""
    gateway_url: str = ""
    explorer: str = ""
    blob_url: str = ""
    settlement_relay: str = ""
    faucet: str = ""
    label: str = ""
    about: str = ""
    words: tuple[str, ...] = ()
    real_money: bool = False
    local: bool = False
    paid: bool = True
    payees: tuple[str, ...] = ()
    session_cap: int = 5 * OPG
    confirmations: int = 5
    genesis_hash: str = ""
    unused_depth: int = 64  # two minutes of Base; nodes without an archive keep the state of 128 blocks
    budget_notebook: int | None = 100 * OPG
    budget_day: int | None = 30 * OPG
    budget_wallet: int | None = None
    attestation_root: str = AWS_NITRO_ROOT
    genesis_time: int = 0

    @property
    def caip2(self) -> str:
        """The chain's CAIP-2 name, as x402 writes it."""
        return f"eip155:{self.chain_id}"

    @property
    def identity(self) -> str:
        """The chain's name among all: devnets share their CAIP-2 name, and each is another chain."""
        return f"{self.caip2}@{self.genesis_time}" if self.local else self.caip2

    def transaction_url(self, transaction: str) -> str:
        """Return the URL of a page that shows a payment, or "" where there is no explorer."""
        return f"{self.explorer}/tx/{transaction}" if self.explorer else ""


DEVNET = Network(
    name="devnet",
    label="local and free",
    about="local and free: payments and models are simulated",
    words=("devnet", "simulated", "local", "testnet", "practice"),
    local=True,
    attestation_root="",  # it makes one when it starts
    confirmations=0,  # its chain has no forks
    unused_depth=0,
    budget_notebook=None,
    budget_day=None,
)

BASE_SEPOLIA = Network(
    name="base-sepolia",
    chain_id=84532,
    rpc_url="https://sepolia.base.org",
    genesis_hash="0x0dcc9e089e30b90ddfc55be9a37dd15bc551aeee999d2e2b51414c54eaf934e4",
    opg_token="0x240b09731D96979f50B2C649C9CE10FcF9C7987F",
    registry_rpc_url=_OG_EVM_RPC,
    registry_address="0x4e72238852f3c918f4E4e57AeC9280dDB0c80248",
    explorer="https://sepolia.basescan.org",
    blob_url="https://aggregator.walrus-testnet.walrus.space",
    faucet="https://faucet.opengradient.ai/",
    label="abandoned",
    about="abandoned by OpenGradient in April 2026: no gateway is known to serve it",
    words=("sepolia", "testnet", "base"),
)

BASE = Network(
    name="base",
    chain_id=8453,
    rpc_url="https://base-rpc.publicnode.com",
    rpc_option="base_rpc_url",
    genesis_hash="0xf712aa9241cc24369b143cf6dce85f0902a9731e70d66818a3a5845b296c73dd",
    opg_token="0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB",
    registry_rpc_url=_OG_EVM_RPC,
    registry_address="0x703cB174AEadB35D611858369B4b1111dC9Abda6",
    explorer="https://basescan.org",
    blob_url="https://aggregator.walrus-mainnet.walrus.space",
    payees=("0x9deEBB5D1b22e4a6e027977CeAd13893A7E4cC1a",),
    label="REAL MONEY",
    about="REAL MONEY",
    words=("mainnet", "base"),
    real_money=True,
)

NETWORKS = {one.name: one for one in (DEVNET, BASE, BASE_SEPOLIA)}
"""The networks that a user can name, in the order in which they are offered."""
NAMES = tuple(NETWORKS)
DEFAULT = DEVNET.name
"""The network that is used where none is named, with a key or without."""

NO_PAYMENT = Network(
    name="none", label="nothing is paid", about="a plain server: nothing is paid or proven", paid=False
)
"""The network of calls to a plain OpenAI-compatible server."""


def network_by_name(name: str) -> Network:
    """Return the network of a name. A local one has its addresses only once it runs: see `devnet`.

    Raises:
        ConfigError: no such network.
    """
    if name not in NETWORKS:
        raise unknown(name)
    return NETWORKS[name]


def described(name: str) -> Network:
    """Return the network of a receipt's name; of a name that is not known, one without addresses."""
    return {**NETWORKS, NO_PAYMENT.name: NO_PAYMENT}.get(name) or Network(name=name)


def with_real_money() -> Network:
    """Return the network that takes real money."""
    return next(one for one in NETWORKS.values() if one.real_money)


def by_chain(caip2: str) -> Network | None:
    """Return the network of a payment chain's CAIP-2 name, None where there is none of it."""
    return next((one for one in NETWORKS.values() if one.chain_id and one.caip2 == caip2), None)


def unknown(name: str) -> ConfigError:
    """Return the error for a network that does not exist."""
    offered = [f"{one.name} ({one.label})" for one in NETWORKS.values()]
    return ConfigError(f"There is no network {name!r}.", remedy=f"Choose one of {', '.join(offered)}.")


def devnet(info: Mapping[str, Any]) -> Network:
    """Return the network of the JSON line that `og-magics devnet --json` prints.

    Raises:
        ConfigError: a field is missing.
    """
    try:
        return replace(
            DEVNET,
            chain_id=int(info["chain_id"]),
            rpc_url=str(info["rpc_url"]),
            opg_token=str(info["opg_token"]),
            registry_rpc_url=str(info["rpc_url"]),
            registry_address=str(info["tee_registry"]),
            blob_url=str(info["blob_url"]),
            settlement_relay=str(info["settlement_relay"]),
            attestation_root=str(info.get("attestation_root", "")),
            genesis_time=int(info.get("started", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"This does not describe a practice network (devnet): {error!r} is missing or wrong.",
            remedy="Use the line that `og-magics devnet --json` prints.",
        ) from None


def override(network: Network, **fields: str | None) -> Network:
    """Return a network with those of its fields replaced that are given."""
    return replace(network, **{name: value for name, value in fields.items() if value})  # type: ignore[arg-type]  # names are ours
