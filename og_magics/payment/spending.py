"""The spending policy of one call: what the network, the registry, the user and the cell allow together."""

from __future__ import annotations

from ..core.networks import Network
from ..core.settings import Settings
from ..core.types import ChatRequest, Enclave
from . import Budget, Policy

DAY = 24 * 3600.0


def policy_for(question: ChatRequest, enclave: Enclave, network: Network, settings: Settings) -> Policy:
    """Return what may be signed for a request to this enclave."""
    limit = settings.max_authorization
    return Policy(
        network=network.caip2,
        token=network.opg_token,
        payees=_payees(enclave, network, settings),
        max_amount=limit if question.max_cost is None else min(limit, question.max_cost),
        max_deadline=settings.max_deadline,
        budgets=budgets_of(network, settings),
        chain=network.identity,
        started=float(network.genesis_time),
        real_money=network.real_money,
    )


def budgets_of(network: Network, settings: Settings) -> tuple[Budget, ...]:
    """Return the budgets that hold on a network, with the setting that raises each."""
    limits = settings.budgets(network)
    budgets = []
    if limits.notebook is not None:
        setting = "%og budget --notebook (OG_BUDGET_NOTEBOOK)"
        budgets.append(Budget("This notebook's budget", limits.notebook, None, setting))
    if limits.day is not None:
        setting = "%og budget --day (OG_BUDGET_DAY)"
        budgets.append(Budget("The wallet's budget of a day", limits.day, DAY, setting, of_wallet=True))
    if limits.wallet is not None:
        setting = "%og budget --wallet (OG_BUDGET_WALLET)"
        budgets.append(Budget("The wallet's budget", limits.wallet, None, setting, of_wallet=True))
    return tuple(budgets)


def _payees(enclave: Enclave, network: Network, settings: Settings) -> dict[str, str] | None:
    """Return who may be paid, and who names each: the registry, the table of networks, or the user.

    A gateway's payee is a setting of its process and need not be the one that it was registered with. Where nobody is
    named (a gateway given by URL), anybody may be paid; but not with real money.
    """
    known = dict.fromkeys(settings.payees, "yours (OG_PAYEES)")
    known |= dict.fromkeys(network.payees, f"the known payee of {network.name}")
    if enclave.payment_address:
        known[enclave.payment_address] = "the registry's"
    return known if known or network.real_money else None
