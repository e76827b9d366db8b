"""The terms of a payment: in which token, on which chain and to whom it has to be, so that it paid for an answer.

A transaction that moved what was authorized may have moved a worthless token, to its payer's own second address.
"""

from __future__ import annotations

from ..core.networks import Network
from ..core.onchain import Unavailable
from ..core.receipt import Authorization
from ..core.types import Enclave
from .verdict import Verdict


def check_terms(
    moved: Verdict, authorization: Authorization | None, network: Network, enclave: Enclave | Unavailable | None
) -> Verdict:
    """Return the verdict on a payment that moved as authorized, by what the network and the registry say.

    Args:
        moved: the check of its transaction; what is not True stays as it is.
        network: with the payees that are known there, or pinned (OG_PAYEES).
        enclave: what the registry says of the enclave that answered; None where it does not know it.
    """
    if moved.ok is not True or authorization is None:
        return moved
    if authorization.network != network.caip2:
        return Verdict(False, f"It was signed for {authorization.network}; {network.name} is {network.caip2}.")
    if authorization.token.lower() != network.opg_token.lower():
        return Verdict(
            False, f"It was paid in the token {authorization.token}; OPG of {network.name} is {network.opg_token}."
        )
    registered = enclave.payment_address if isinstance(enclave, Enclave) else ""
    payee = authorization.pay_to.lower()
    if payee == registered.lower():
        return moved
    if payee in {one.lower() for one in network.payees}:
        other = f" The registry names another payment address for this enclave, {registered}." if registered else ""
        return Verdict(True, moved.reason + other)
    if registered:
        return Verdict(
            False, f"It was paid to {authorization.pay_to}; the registry names {registered} for this enclave."
        )
    return Verdict(
        None, f"{moved.reason} But neither the registry nor OG_PAYEES names {authorization.pay_to} as one to be paid."
    )
