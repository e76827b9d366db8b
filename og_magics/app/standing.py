"""What a notebook can pay with, and whether all that it needs is there. Everything here asks a network, and blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from .. import chain
from ..calls.limits import budgets_of
from ..errors import OGError
from ..networks import Network
from ..runtime import runtime
from ..types import Enclave

if TYPE_CHECKING:
    from .notebook import App

_PATIENCE = 10.0
"""Seconds that a check waits for its part."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget, and what of it is used. Amounts in base units.

    Attributes:
        name: "notebook" or "24 hours".
        limit: what may be paid or authorized; None for no limit.
        used: what is. left: what is not, None for no limit.
    """

    name: str
    limit: int | None
    used: int
    left: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """A wallet on its network. Amounts in base units (`gas` in wei).

    Attributes:
        network, address: where, and who.
        opg, gas: held. allowance: OPG that Permit2 may move.
        needed: the largest authorization that a call may ask for; with a smaller allowance a call may fail.
        budgets: as `budgets` tells them.
    """

    network: Network
    address: str
    opg: int
    gas: int
    allowance: int
    needed: int
    budgets: tuple[BudgetState, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of what a call needs.

    Attributes:
        name: "gateway", "enclave", "price feed", "payment chain" or "receipts".
        ok: False where it fails; None where it could not be asked, or does not say.
        told: what was found. remedy: what to do where it fails, else "".
    """

    name: str
    ok: bool | None
    told: str
    remedy: str = ""


def budgets(app: App) -> tuple[BudgetState, ...]:
    """The notebook's budget and that of 24 hours.

    Raises:
        OGError: no devnet could be started, or the ledger cannot be read.
    """
    network = app.network
    limits = {limit.seconds is None: limit for limit in budgets_of(network, app.settings)}
    states = []
    for name, whole in (("notebook", True), ("24 hours", False)):
        limit = limits.get(whole)
        seconds = None if whole else 24 * 3600.0
        used = app.ledger.committed(network.caip2, None if seconds is None else time.time() - seconds)
        if limit is None:
            states.append(BudgetState(name, None, used, None))
        else:
            states.append(BudgetState(name, limit.limit, used, max(limit.limit - used, 0)))
    return tuple(states)


def account(app: App) -> Account:
    """What the wallet holds and may spend.

    Raises:
        OGError: no wallet, or the chain cannot be read.
    """
    network, address = app.network, app.llm.wallet.address
    held = chain.balances(network, address)
    needed = app.settings.max_authorization
    return Account(network, address, held.opg, held.gas, held.allowance, needed, budgets(app))


def health(app: App) -> tuple[Part, ...]:
    """Whether everything that a call needs is there. A part that fails is told, not raised."""
    try:
        network = app.network
    except OGError as error:
        return (Part("network", False, error.what, error.remedy),)
    return (
        *_gateway(app),
        _checked("payment chain", lambda: _chain(network)),
        _checked("receipts", lambda: _kept(app)),
    )


def _gateway(app: App) -> tuple[Part, ...]:
    began = time.perf_counter()
    try:
        enclave, told = runtime.wait(app.llm.gateway(), _PATIENCE)
    except (OGError, TimeoutError) as error:
        part = _failed("gateway", error)
        unknown = "Not known while the gateway does not answer."
        return part, Part("enclave", None, unknown), Part("price feed", None, unknown)
    took = (time.perf_counter() - began) * 1000
    simulated = ", simulated models" if told.get("simulated") is True else ""
    gateway = Part("gateway", True, f"{enclave.endpoint} answers in {took:.0f} ms{simulated}")
    return gateway, _enclave(enclave), _price(told)


def _enclave(enclave: Enclave) -> Part:
    if not enclave.tee_id:
        return Part("enclave", False, "The gateway shows no key.", "Its answers cannot be proven. Use another gateway.")
    if not enclave.registered:
        told = f"{enclave.tee_id} by the gateway's own word"
        return Part("enclave", None, told, "Leave OG_GATEWAY_URL out to use one of the registry.")
    return Part("enclave", True, f"{enclave.tee_id} in the registry, certificate pinned")


def _price(told: dict[str, Any]) -> Part:
    feed = told.get("price_feed")
    if not isinstance(feed, dict):
        return Part("price feed", None, "The gateway does not tell its price of OPG.")
    try:
        price = Decimal(str(feed.get("price_usd")))
    except InvalidOperation:
        price = Decimal(0)
    if price > 0:
        return Part("price feed", True, f"1 OPG is ${price.normalize():f}")
    return Part(
        "price feed", False, "The gateway has no price of OPG.", "Calls fail until it has one; try again later."
    )


def _chain(network: Network) -> Part:
    return Part("payment chain", True, f"{network.name}, chain {network.chain_id}, block {chain.head(network)}")


def _kept(app: App) -> Part:
    ledger = app.ledger
    return Part(
        "receipts", True, f"{ledger.head()[0]} entries in {ledger.path.name}, {len(ledger.pending())} to settle"
    )


def _checked(name: str, check: Callable[[], Part]) -> Part:
    try:
        return check()
    except OGError as error:
        return _failed(name, error)


def _failed(name: str, error: OGError | TimeoutError) -> Part:
    if isinstance(error, OGError):
        return Part(name, False, error.what, error.remedy)
    return Part(name, False, f"No answer in {_PATIENCE:.0f} seconds.", "Check the network, and try again.")
