"""The table of networks, and how a devnet's description becomes one.

Nothing outside of this module compares a network's name: it asks the network (`local`, `real_money`, `paid`). To add a
network, add an entry to the table; its addresses and endpoints stand in `facts.json`, with their dates and sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .amounts import OPG
from .errors import ConfigError
from .facts import fact

PERMIT2: str = fact("contracts", "permit2")["address"]
"""Uniswap's Permit2, the same on every chain."""

UPTO_PROXY: str = fact("contracts", "upto_proxy")["address"]
"""x402UptoPermit2Proxy, the only spender that an `upto` authorization names."""

EXACT_PROXY: str = fact("contracts", "exact_proxy")["address"]
"""x402ExactPermit2Proxy, the spender of an `exact` authorization that is paid through Permit2."""

AWS_NITRO_ROOT: str = fact("hardware", "aws_nitro_root")["sha256"]
"""SHA-256 of the root certificate (G1, DER) under which AWS attests its Nitro enclaves. It is valid until 2049."""


@dataclass(frozen=True, slots=True)
class Network:
    """A place where calls are paid, and where enclaves are registered.

    Attributes:
        name: as a user types it.
        label: a word or two behind the name in lists.
        about: what using it means, for a person who chooses.
        chain_id: of the payment chain.
        rpc_url: of the payment chain.
        opg_token: address of OPG there. token_symbol, token_decimals: what it says of itself.
        rpc_option: name of the option that replaces `rpc_url` on this network and on no other, "" where there is none.
        registry_rpc_url, registry_address, registry_chain_id: of the chain with the enclave registry.
        gateway_url: set where the gateway is known without a registry; "" otherwise.
        explorer: base URL of a block explorer for payments, "" when there is none.
        blob_url: base URL of the blob aggregator. blob_mirrors: of others, for what that one does not give.
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
    token_symbol: str = "OPG"
    token_decimals: int = 18
    registry_rpc_url: str = ""
    registry_address: str = ""
    registry_chain_id: int = 0
    gateway_url: str = ""
    explorer: str = ""
    blob_url: str = ""
    blob_mirrors: tuple[str, ...] = ()
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
    about="local and free, for practice: payments are play money, answers are prepared",
    words=("practice", "devnet", "simulated", "local", "testnet"),
    local=True,
    attestation_root="",  # it makes one when it starts
    confirmations=0,  # its chain has no forks
    unused_depth=0,
    budget_notebook=None,
    budget_day=None,
)


def _known(name: str) -> dict[str, Any]:
    """Return what `facts.json` has for the fields of a network."""
    payments, token, registry, gateways = (
        fact(section, name) for section in ("chains", "tokens", "registries", "gateways")
    )
    home = fact("chains", registry["chain"])
    aggregator, *mirrors = fact("blobs", "walrus")["aggregators"]
    return {
        **{field: payments[field] for field in ("chain_id", "rpc_url", "genesis_hash", "explorer")},
        "opg_token": token["address"],
        "token_symbol": token["symbol"],
        "token_decimals": token["decimals"],
        "faucet": token.get("faucet", ""),
        "registry_rpc_url": home["rpc_url"],
        "registry_chain_id": home["chain_id"],
        "registry_address": registry["address"],
        "blob_url": aggregator,
        "blob_mirrors": tuple(mirrors),
        "payees": tuple(gateways["payees"]),
        "session_cap": int(gateways["session_cap"]) * OPG,
    }


BASE_SEPOLIA = Network(
    name="base-sepolia",
    label="abandoned",
    about=f"abandoned by OpenGradient on {fact('gateways', 'base-sepolia')['abandoned']}: "
    "no gateway is known to serve it",
    words=("sepolia", "testnet", "base"),
    **_known("base-sepolia"),
)

BASE = Network(
    name="base",
    rpc_option="base_rpc_url",
    label="REAL MONEY",
    about="REAL MONEY",
    words=("mainnet", "base"),
    real_money=True,
    **_known("base"),
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


def known_since(network: Network) -> str:
    """Return the date of the oldest of a network's facts, "" for one that is not known beforehand."""
    sections = ("chains", "tokens", "registries", "gateways")
    return min((fact(one, network.name)["as_of"] for one in sections if fact(one, network.name)), default="")


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
            registry_chain_id=int(info["chain_id"]),
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
