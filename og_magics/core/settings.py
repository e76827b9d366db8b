"""Settings: what the environment and the user say. Nothing is read at import."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from . import allowance, cell_notes, networks
from .front_end import running_notebook
from .option import Secret as Secret  # noqa: PLC0414 - og_magics.core.settings.Secret is its known place
from .options import SETTINGS, SettingsTable
from .secret import PrivateURL
from .shared_ledger import is_server, shared_ledger


class Budgets(NamedTuple):
    """Limits in base units, None for none: of the notebook in all; of its wallet in 24 hours, and in all."""

    notebook: int | None
    day: int | None
    wallet: int | None


@dataclass(frozen=True, slots=True)
class Settings(SettingsTable):
    """The options that a notebook keeps, by the names, defaults and meanings of `core/options.py`.

    Amounts are base units here, and OPG where a person gives them. Keys and passwords show nothing of themselves, and
    URLs that may hold a login or a token show their origin (`core/secret.py`).
    """

    def __post_init__(self) -> None:
        for name, one in SETTINGS.items():
            value = getattr(self, name)
            if isinstance(value, str) and one.type.startswith("Secret"):
                object.__setattr__(self, name, Secret(value))
            elif isinstance(value, str) and one.private_url:
                object.__setattr__(self, name, PrivateURL(value))
        if is_server(self.ledger):
            object.__setattr__(self, "ledger", PrivateURL(self.ledger))
        if self.devnet.lstrip().startswith("{"):  # it has the keys of the devnet's accounts
            object.__setattr__(self, "devnet", Secret(self.devnet))

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment asks for.

        Raises:
            ConfigError: a variable that cannot be read, named.
        """
        return cls(**allowance.read_environment(os.environ if env is None else env))

    def replace(self, **changes: Any) -> Settings:
        """These settings with some replaced; None leaves one as it is. They themselves where that changes nothing."""
        new = {name: value for name, value in changes.items() if value is not None and value != getattr(self, name)}
        return replace(self, **new) if new else self

    def network_name(self) -> str:
        """The network's name: the one that was named, else the devnet. A key chooses none.

        Raises:
            ConfigError: no such network, or one that the environment does not allow.
        """
        name = networks.network_by_name(self.network).name if self.network else networks.DEFAULT
        allowance.check_network(name)
        return name

    def unused_key_note(self) -> str:
        """Return the line for a wallet's owner who named no network, so that the key is not used; else ""."""
        if self.network or self.gateway_url or not (self.private_key or self.keystore):
            return ""
        main = networks.with_real_money().name
        return cell_notes.UNUSED_KEY.of(network=networks.DEFAULT, main=main)

    def budgets(self, network: networks.Network) -> Budgets:
        """Return what may be authorized or paid on a network, base units."""

        def limit(name: str) -> int | None:
            own: int | None = getattr(self, name)
            return allowance.capped(name, getattr(network, name) if own is None else own)

        return Budgets(limit("budget_notebook"), limit("budget_day"), limit("budget_wallet"))

    def confirmations_for(self, network: networks.Network) -> int:
        """Return the blocks after which a settlement on a network is final."""
        return network.confirmations if self.confirmations is None else self.confirmations

    def apply(self, network: networks.Network) -> networks.Network:
        """A network with the addresses and endpoints that were set."""
        network = replace(
            network,
            payees=tuple(dict.fromkeys((*network.payees, *self.payees))),
            blob_mirrors=() if self.blob_url else network.blob_mirrors,
        )
        return networks.override(
            network,
            rpc_url=self.rpc_url or (getattr(self, network.rpc_option) if network.rpc_option else ""),
            registry_rpc_url=self.registry_rpc_url,
            registry_address=self.registry_address,
            opg_token=self.opg_token,
            explorer=self.explorer,
            blob_url=self.blob_url,
            settlement_relay=self.settlement_relay,
            gateway_url=self.gateway_url,
        )


_LONGEST_STEM = 100
"""Bytes of a ledger's name."""
_limits: dict[str, int] = {}


def limit_all(limits: Mapping[str, int | None]) -> None:
    """Set limits for all LLMs of this process; None leaves one as it is."""
    _limits.update({name: value for name, value in limits.items() if value is not None})


_limited: tuple[Settings, Mapping[str, int], Mapping[str, Any], Settings] | None = None
"""The settings that were limited last, by which limits, and what came of it: each call asks several times."""


def limited(settings: Settings) -> Settings:
    """Return settings under the limits of the process, and of its environment."""
    global _limited
    last, allowed = _limited, allowance.allowed()
    if last is None or last[0] is not settings or last[1] != _limits or last[2] is not allowed:
        _limited = last = settings, dict(_limits), allowed, _under_limits(settings)
    return last[3]


def _under_limits(settings: Settings) -> Settings:
    return settings.replace(**_limits).replace(
        max_authorization=allowance.capped("max_authorization", settings.max_authorization),
        approve_above=allowance.capped("approve_above", settings.approve_above),
        attest=allowance.stricter_attest(settings.attest),
        pcr=allowance.pinned(settings.pcr),
    )


def notebook_path(namespace: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Path | None:
    """The notebook that is running, as its front end tells it (`front_end.py`), or None in a script or a terminal."""
    return running_notebook(namespace, env, "").path


def ledger_path(settings: Settings, notebook: Path | None) -> Path:
    """Return the path of a new notebook's ledger: as set, else `.og/<notebook>.db` beside it, or in the working folder.

    Of a shared ledger it is the file that stands for it here.

    That a notebook is found again by more than its name is the work of `ledger/notebook_index.py`.
    """
    if is_server(settings.ledger):
        return shared_ledger(settings.ledger).path
    if settings.ledger:
        return Path(settings.ledger).expanduser()
    if notebook is None:
        return Path.cwd() / ".og" / "ledger.db"
    folder = notebook.parent if notebook.is_absolute() and notebook.parent.is_dir() else Path.cwd()
    return folder / ".og" / f"{ledger_stem(notebook)}.db"


def ledger_stem(notebook: Path) -> str:
    """Return the name of a notebook's ledger without its suffix: its own, cut where it is long.

    SQLite adds up to twelve bytes to it, and encrypted file systems allow 143.
    """
    stem = notebook.stem
    whole = os.fsencode(stem)
    if len(whole) <= _LONGEST_STEM:
        return stem
    return f"{whole[:_LONGEST_STEM].decode('utf-8', 'ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"
