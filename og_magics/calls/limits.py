"""The spending policy of one call: what the network, the registry, the user and the cell allow together."""

from __future__ import annotations

from ..networks import Network
from ..payment import Budget, Policy
from ..settings import Settings
from ..types import Enclave, Question

DAY = 24 * 3600.0


def policy_for(question: Question, enclave: Enclave, network: Network, settings: Settings) -> Policy:
    """What may be signed for a question to this enclave."""
    limit = settings.max_authorization
    return Policy(
        network=network.caip2,
        token=network.opg_token,
        payees=_payees(enclave, network, settings),
        max_amount=limit if question.max_cost is None else min(limit, question.max_cost),
        max_deadline=settings.max_deadline,
        budgets=budgets_of(network, settings),
    )


def budgets_of(network: Network, settings: Settings) -> tuple[Budget, ...]:
    """The budgets that hold on a network, with the setting that raises each."""
    whole, day = settings.budgets(network)
    budgets = []
    if whole is not None:
        budgets.append(Budget("This notebook's budget", whole, None, "%og budget --notebook (OG_BUDGET_NOTEBOOK)"))
    if day is not None:
        budgets.append(Budget("The budget of a day", day, DAY, "%og budget --day (OG_BUDGET_DAY)"))
    return tuple(budgets)


def _payees(enclave: Enclave, network: Network, settings: Settings) -> frozenset[str] | None:
    """Who may be paid. Where nobody is registered (a gateway given by URL), anybody; but not with real money."""
    known = {*settings.payees, *([enclave.payment_address] if enclave.payment_address else [])}
    return frozenset(known) if known or network.real_money else None
