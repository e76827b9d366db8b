"""Settings: what the environment and the user say. Nothing is read at import."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from . import networks
from .amounts import OPG, parse_opg
from .catalogue import TEE_LLM, nearest
from .errors import ConfigError
from .types import x402SettlementMode

_BUDGET_NOTEBOOK = 20 * OPG
_BUDGET_DAY = 5 * OPG
"""Where tokens are worth something, until the user sets others."""

_CONFIRMATIONS = 5

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


class Secret(str):
    """A string that does not show itself: not in a repr, a traceback's locals or a notebook's output."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def reveal(self) -> str:
        """The text itself."""
        return str.__str__(self)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Environment names are in `ENVIRONMENT`.

    Attributes:
        private_key: of the wallet that pays. keystore: path of an encrypted one. keystore_password: of that file.
        network: "devnet", "base-sepolia", "base", or "" for: devnet without a key, base-sepolia with one.
        rpc_url: of the payment chain, in place of the network's own, as all that follow. registry_rpc_url: of the chain
            with the registry of enclaves. registry_address: of the registry. opg_token: address of the token.
            explorer: base URL of pages that show payments. blob_url: of the blobs of individual settlements.
            settlement_relay: contract that tells of data settlements.
        gateway_url: use this gateway instead of one from the registry. gateway_verify: check its certificate.
        devnet: the JSON line of a running devnet, or the path of a file with it.
        ledger: path of the receipts' file; "" for `.og/<notebook>.db` beside the notebook.
        model, settlement, temperature, max_tokens, system, stream: defaults of a call.
        tools: functions that models may call, names with commas or "all"; "" for none.
        thread: the conversation that calls go on with, "" for none. thread_tokens: what a call in one sends at most,
            about; earlier turns that do not fit are left out.
        max_authorization: base units; a gateway that asks for more in one authorization is refused.
        max_deadline: seconds; a gateway that asks for a longer one is refused.
        timeout: seconds without a byte from the gateway after which a call fails.
        retries: how often a call that failed before anything was shown is made again, with the same payment.
        watch: look for settlements in the background.
        confirmations: blocks after which a settlement is final and not looked at again; None for the network's default
            (5, and 0 on a devnet, which has no forks).
        payees: addresses that may be paid besides the one that the registry names.
        budget_notebook, budget_day: base units that this notebook may have authorized or paid, in all and in 24 hours;
            None for the network's default (none on a devnet).
    """

    private_key: Secret | None = None
    keystore: str = ""
    keystore_password: Secret | None = None
    network: str = ""
    rpc_url: str = ""
    registry_rpc_url: str = ""
    registry_address: str = ""
    opg_token: str = ""
    explorer: str = ""
    blob_url: str = ""
    settlement_relay: str = ""
    gateway_url: str = ""
    gateway_verify: bool = True
    devnet: str = ""
    ledger: str = ""
    model: str = TEE_LLM.GPT_5.value
    settlement: x402SettlementMode = x402SettlementMode.BATCH_HASHED
    temperature: float = 0.0
    max_tokens: int = 1000
    system: str = ""
    stream: bool = True
    web_search: bool = False
    tools: str = ""
    replay: str = "off"
    pace: str = "instant"
    thread: str = ""
    thread_tokens: int = 8000
    max_authorization: int = 10**18
    max_deadline: int = 900
    timeout: float = 120.0
    retries: int = 3
    watch: bool = True
    confirmations: int | None = None
    payees: tuple[str, ...] = ()
    budget_notebook: int | None = None
    budget_day: int | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment asks for.

        Raises:
            ConfigError: a variable that cannot be read, named.
        """
        env = os.environ if env is None else env
        values: dict[str, Any] = {}
        for variable, name in ENVIRONMENT.items():
            text = env.get(variable, "").strip()
            if text:
                try:
                    values[name] = _parse(name, text)
                except ConfigError as error:
                    raise ConfigError(f"{variable}: {error.what}", remedy=error.remedy) from None
        return cls(**values)

    def but(self, **changes: Any) -> Settings:
        """These settings with some replaced; None leaves one as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def network_name(self) -> str:
        """The network's name after the rule: what was named; else devnet without a key, base-sepolia with one.

        Raises:
            ConfigError: no such network.
        """
        if self.network:
            if self.network not in networks.NAMES:
                raise networks.unknown(self.network)
            return self.network
        if self.private_key or self.keystore:
            return networks.BASE_SEPOLIA.name
        return networks.DEVNET

    def budgets(self, network: networks.Network) -> tuple[int | None, int | None]:
        """What may be authorized or paid on a network, base units: by this notebook in all, and in 24 hours."""
        if network.name == networks.DEVNET:
            return self.budget_notebook, self.budget_day
        whole = _BUDGET_NOTEBOOK if self.budget_notebook is None else self.budget_notebook
        return whole, _BUDGET_DAY if self.budget_day is None else self.budget_day

    def depth(self, network: networks.Network) -> int:
        """Blocks after which a settlement on a network is final."""
        if self.confirmations is not None:
            return self.confirmations
        return 0 if network.name == networks.DEVNET else _CONFIRMATIONS

    def apply(self, network: networks.Network) -> networks.Network:
        """A network with the addresses and endpoints that were set."""
        return networks.override(
            network,
            rpc_url=self.rpc_url,
            registry_rpc_url=self.registry_rpc_url,
            registry_address=self.registry_address,
            opg_token=self.opg_token,
            explorer=self.explorer,
            blob_url=self.blob_url,
            settlement_relay=self.settlement_relay,
            gateway_url=self.gateway_url,
        )


ENVIRONMENT: dict[str, str] = {
    "OG_PRIVATE_KEY": "private_key",
    "OG_KEYSTORE": "keystore",
    "OG_KEYSTORE_PASSWORD": "keystore_password",
    "OG_NETWORK": "network",
    "BASE_MAINNET_RPC": "rpc_url",  # the official SDK's name; ours, next, wins
    "OG_RPC_URL": "rpc_url",
    "OG_REGISTRY_RPC_URL": "registry_rpc_url",
    "OG_TEE_REGISTRY_ADDRESS": "registry_address",
    "OG_TOKEN_ADDRESS": "opg_token",
    "OG_EXPLORER_URL": "explorer",
    "OG_BLOB_URL": "blob_url",
    "OG_SETTLEMENT_RELAY": "settlement_relay",
    "OG_GATEWAY_URL": "gateway_url",
    "OG_GATEWAY_VERIFY": "gateway_verify",
    "OG_DEVNET": "devnet",
    "OG_LEDGER": "ledger",
    "OG_MODEL": "model",
    "OG_SETTLEMENT": "settlement",
    "OG_REPLAY": "replay",
    "OG_REPLAY_PACE": "pace",
    "OG_MAX_AUTHORIZATION": "max_authorization",
    "OG_TIMEOUT": "timeout",
    "OG_RETRIES": "retries",
    "OG_WATCH": "watch",
    "OG_CONFIRMATIONS": "confirmations",
    "OG_PAYEES": "payees",
    "OG_BUDGET_NOTEBOOK": "budget_notebook",
    "OG_BUDGET_DAY": "budget_day",
}


def _parse(name: str, text: str) -> Any:
    kind = {field.name: field.type for field in fields(Settings)}[name]
    if "Secret" in str(kind):
        return Secret(text)
    if name == "settlement":
        return x402SettlementMode.parse(text)
    if name in ("max_authorization", "budget_notebook", "budget_day"):
        return parse_opg(text)
    if name in CHOICES:
        return choice(name, text)
    if name == "payees":
        return tuple(_address(payee) for payee in text.replace(",", " ").split())
    if kind == "bool":
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ConfigError(f"{text!r} is neither yes nor no.", remedy="Write 1 or 0.")
    if kind in ("float", "int", "int | None"):
        try:
            return float(text) if kind == "float" else int(text)
        except ValueError:
            raise ConfigError(f"{text!r} is not a number.") from None
    return text


CHOICES = {"replay": ("auto", "only", "off"), "pace": ("instant", "recorded")}
"""Settings that are one of a few words."""


def choice(name: str, text: str) -> str:
    """A setting's value from what a person types.

    Raises:
        ConfigError: none of its words.
    """
    word = text.strip().lower()
    if word not in CHOICES[name]:
        close = nearest(word, CHOICES[name])
        hint = f"Did you mean {close}? " if close else ""
        raise ConfigError(f"There is no {name} {text!r}.", remedy=f"{hint}Choose one of {', '.join(CHOICES[name])}.")
    return word


def _address(text: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ConfigError(f"{text!r} is not an address.", remedy="Write 0x and 40 hex digits.")
    return text


LIMITS = ("max_authorization", "budget_notebook", "budget_day")
"""Settings that hold for every LLM of the process once the notebook has set them, however it was made."""

_limits: dict[str, int] = {}


def limit_all(limits: Mapping[str, int | None]) -> None:
    """Set limits for all LLMs of this process; None leaves one as it is."""
    _limits.update({name: value for name, value in limits.items() if value is not None})


def limited(settings: Settings) -> Settings:
    """Settings under the limits of the process."""
    return settings.but(**_limits)


def notebook_path(namespace: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Path | None:
    """The notebook that is running, as its front end tells it, or None in a script or a terminal.

    VS Code puts `__vsc_ipynb_file__` into the namespace; Jupyter servers put `JPY_SESSION_NAME` into the environment.
    """
    env = os.environ if env is None else env
    told = (namespace or {}).get("__vsc_ipynb_file__") or env.get("JPY_SESSION_NAME", "")
    if not told:
        return None
    path = Path(str(told))
    # A console session of Jupyter carries an id with no suffix: it belongs to no file.
    return path if path.suffix == ".ipynb" else None


def ledger_path(settings: Settings, notebook: Path | None) -> Path:
    """Where the receipts are kept: as set, else `.og/<notebook>.db` beside the notebook or in the working directory."""
    if settings.ledger:
        return Path(settings.ledger).expanduser()
    if notebook is None:
        return Path.cwd() / ".og" / "ledger.db"
    folder = notebook.parent if notebook.is_absolute() and notebook.parent.is_dir() else Path.cwd()
    return folder / ".og" / f"{notebook.stem}.db"
