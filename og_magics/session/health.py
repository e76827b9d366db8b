"""The wallet's status, the budgets, and checks of gateway, chain and ledger. Everything here asks a network, and
blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from .. import chain
from ..core import environment
from ..core.accounts import account_of
from ..core.errors import OGError
from ..core.networks import Network, known_since
from ..core.runtime import runtime
from ..core.types import Enclave
from ..ledger.file_system import named
from ..ledger.place import is_writable
from ..ledger.private_file import open_to_others
from ..ledger.wallet_file import WalletFile
from ..payment.spending import DAY
from ..verification import Verdict

if TYPE_CHECKING:
    from ..client.llm import LLM
    from ..core.settings import Settings
    from ..ledger import Ledger

_PATIENCE = 10.0
"""Seconds that a check waits for its part."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget, and how much of it is used. Amounts in base units.

    Attributes:
        name: "notebook", "wallet, 24 h" or "wallet, all": the wallet's are those of all its notebooks.
        limit: what may be paid or authorized; None for no limit.
        used: what is. left: what is not, None for no limit.
    """

    name: str
    limit: int | None
    used: int
    left: int | None


@dataclass(frozen=True, slots=True)
class WalletStatus:
    """A wallet on its network. Amounts in base units (`gas` in wei).

    Attributes:
        network, address: where, and who.
        opg, gas: held. allowance: OPG that Permit2 may move.
        needed: the largest authorization that gateways ask for; with less, or a smaller allowance, a call may fail.
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
class HealthCheck:
    """The result of one check.

    Attributes:
        name: "gateway", "enclave", "price feed", "payment chain" or "receipts".
        ok: False where it fails; None where it could not be asked, or does not say.
        summary: what was found. remedy: what to do where it fails, else "".
    """

    name: str
    ok: bool | None
    summary: str
    remedy: str = ""


def budgets(network: Network, payer: str, settings: Settings, ledger: Ledger) -> tuple[BudgetState, ...]:
    """Return the notebook's budget, and its wallet's of 24 hours and in all.

    Raises:
        OGError: the ledger, or the wallet's file, cannot be read.
    """
    limits, account = settings.budgets(network), account_of(network, payer)
    return (
        _state("notebook", limits.notebook, ledger.committed(network.caip2)),
        _state("wallet, 24 h", limits.day, ledger.wallet_commitment(account, time.time() - DAY).total),
        _state("wallet, all", limits.wallet, ledger.wallet_commitment(account).total),
    )


def _state(name: str, limit: int | None, used: int) -> BudgetState:
    return BudgetState(name, limit, used, None if limit is None else max(limit - used, 0))


def session_cap_of(network: Network, settings: Settings) -> int:
    """Return the largest authorization that the network's gateways ask for and that the settings allow."""
    return min(network.session_cap, settings.max_authorization)


def wallet_status(llm: LLM, settings: Settings, ledger: Ledger) -> WalletStatus:
    """Return what the wallet holds and may spend.

    Raises:
        OGError: no wallet, or the chain cannot be read.
    """
    network, address = llm.network, llm.wallet.address
    held = chain.balances(network, address)
    needed = session_cap_of(network, settings)
    return WalletStatus(
        network, address, held.opg, held.gas, held.allowance, needed, budgets(network, address, settings, ledger)
    )


def health_checks(llm: LLM, ledger: Ledger) -> tuple[HealthCheck, ...]:
    """Check everything that a call needs. A failure is a result, and not raised."""
    try:
        network = llm.network
    except OGError as error:
        return (HealthCheck("network", False, error.what, error.remedy),)
    if not llm.paid:
        return _plain_server(llm), _checked("receipts", lambda: _kept(ledger))
    return (
        *_gateway(llm),
        _checked("payment chain", lambda: _chain(network)),
        _checked("receipts", lambda: _kept(ledger)),
    )


def _plain_server(llm: LLM) -> HealthCheck:
    try:
        server, health = runtime.wait(llm.gateway(), _PATIENCE)
    except (OGError, TimeoutError) as error:
        return _failed("gateway", error)
    models = [str(name) for name in health.get("models", ())]
    listed = ", ".join(models[:5]) + (f" and {len(models) - 5} more" if len(models) > 5 else "")
    return HealthCheck(
        "gateway", True, f"{server.endpoint}, a plain server with {listed or 'no models'}. Nothing is paid or proven."
    )


def _gateway(llm: LLM) -> tuple[HealthCheck, ...]:
    began = time.perf_counter()
    try:
        enclave, reported = runtime.wait(llm.gateway(), _PATIENCE)
        took = (time.perf_counter() - began) * 1000
        attested = runtime.wait(_attested(llm), _PATIENCE)
    except (OGError, TimeoutError) as error:
        part = _failed("gateway", error)
        unknown = "Not known while the gateway does not answer."
        return part, HealthCheck("enclave", None, unknown), HealthCheck("price feed", None, unknown)
    simulated = ", practice" if reported.get("simulated") is True else ""
    gateway = HealthCheck("gateway", True, f"{enclave.endpoint} answers in {took:.0f} ms{simulated}")
    return gateway, _enclave(enclave, attested), _price(reported)


async def _attested(llm: LLM) -> Verdict:
    """Return the verdict on the hardware of the enclave in use."""
    connection = llm.prepare()
    if connection.attestations is None or llm.settings.attest == "off":
        return Verdict(None, "It was not asked for (OG_ATTEST)")
    return await connection.attestations.verdict(await connection.pool.current())


def _enclave(enclave: Enclave, attested: Verdict) -> HealthCheck:
    if attested.ok is False:
        return HealthCheck("enclave", False, attested.reason, "Send it nothing; another gateway may hold.")
    if not enclave.tee_id:
        return HealthCheck(
            "enclave", False, "The gateway shows no key.", "Its answers cannot be proven. Use another gateway."
        )
    if not enclave.registered:
        summary = f"{enclave.tee_id} by the gateway's own word"
        return HealthCheck("enclave", None, summary, "Leave OG_GATEWAY_URL out to use one of the registry.")
    hardware = attested.reason.partition(":")[0] if attested.ok else f"not attested: {attested.reason}"
    return HealthCheck(
        "enclave",
        True,
        f"{enclave.tee_id} and its certificate are in the public list of gateways. {_sentence(hardware)}",
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _price(reported: dict[str, Any]) -> HealthCheck:
    feed = reported.get("price_feed")
    if not isinstance(feed, dict):
        return HealthCheck("price feed", None, "The gateway does not tell its price of OPG.")
    try:
        price = Decimal(str(feed.get("price_usd")))
    except InvalidOperation:
        price = Decimal(0)
    if price > 0:
        return HealthCheck("price feed", True, f"1 OPG is ${price.normalize():f}")
    return HealthCheck(
        "price feed", False, "The gateway has no price of OPG.", "Calls fail until it has one; try again later."
    )


def _chain(network: Network) -> HealthCheck:
    return HealthCheck("payment chain", True, f"{network.name}, chain {network.chain_id}, block {chain.head(network)}")


def facts_check(network: Network) -> HealthCheck:
    """Hold what is known of a network (`facts.json`) against its chains, and say what differs."""
    found, since = chain.compare(network), known_since(network)
    of = f" of {since}" if since else ""
    if found.differ:
        remedy = (
            "Pay nothing yet. Take out what is set otherwise (OG_RPC_URL, OG_REGISTRY_RPC_URL, OG_TOKEN_ADDRESS, "
            "OG_TEE_REGISTRY_ADDRESS), or name another blockchain node (RPC); "
            "if a second one says the same, update og_magics."
        )
        return HealthCheck(
            "facts", False, f"What is known{of} is not what the chain says. {_listed(found.differ)}", remedy
        )
    if found.unread:
        summary = f"{len(found.hold)} of what is known{of} hold; not compared: {_listed(found.unread)}"
        return HealthCheck(
            "facts", None, summary, "Try again, or name another blockchain node (OG_RPC_URL, OG_REGISTRY_RPC_URL)."
        )
    chains = " and ".join(map(str, dict.fromkeys((network.chain_id, network.registry_chain_id))))
    return HealthCheck("facts", True, f"All {len(found.hold)} that can be compared{of} hold on chain {chains}")


def _listed(lines: Sequence[str]) -> str:
    return f"{'; '.join(one.rstrip('.') for one in lines)}."


def wallet_file_check(network: Network) -> HealthCheck:
    """Check the file of the wallet's budgets, and say where it is. Nothing is written."""
    file, chosen = WalletFile(), environment.AT_IMPORT.get("OG_STATE_DIR")
    place = f"$OG_STATE_DIR/{file.path.name}" if chosen else named(file.path)
    try:
        summary = f"{file.summary()}: {place}"
    except OGError as error:
        return HealthCheck("budgets", False, error.what, error.remedy)
    if not is_writable(file.path):
        harm = "with real money, nothing is signed" if network.real_money else "a notebook's payments count alone"
        remedy = "Set OG_STATE_DIR to a folder that can be written where Jupyter is started."
        ok = False if network.real_money else None
        return HealthCheck("budgets", ok, f"The wallet's file {place} cannot be written: {harm}.", remedy)
    if shared := open_to_others(file.path):
        names = ", ".join(one.name for one in shared)
        return HealthCheck("budgets", None, f"Others on this machine can read {names}: {place}", f"chmod go= {place}")
    return HealthCheck("budgets", True, f"The wallet's file has {summary}")


def _kept(ledger: Ledger) -> HealthCheck:
    return HealthCheck(
        "receipts", True, f"{ledger.head()[0]} entries in {ledger.name}, {len(ledger.pending())} to settle"
    )


def _checked(name: str, check: Callable[[], HealthCheck]) -> HealthCheck:
    try:
        return check()
    except OGError as error:
        return _failed(name, error)


def _failed(name: str, error: OGError | TimeoutError) -> HealthCheck:
    if isinstance(error, OGError):
        return HealthCheck(name, False, error.what, error.remedy)
    return HealthCheck(name, False, f"No answer in {_PATIENCE:.0f} seconds.", "Check the network, and try again.")
