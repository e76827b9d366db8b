"""A wallet on one chain, for the budgets that it has over all its notebooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .networks import Network
from .payment_states import Commitment

Committed = Callable[[float | None], Commitment]
"""The sum of what was committed since a time, unix seconds; of all, since None."""


@dataclass(frozen=True, slots=True)
class WalletAccount:
    """A wallet on one chain.

    Attributes:
        payer: the wallet's address.
        network: CAIP-2 name of the chain.
        chain: the same, and for a devnet the time of its start: each is a chain of its own, with the same name.
        started: unix seconds; what was signed before was for another chain.
        real_money: True where its budgets must hold for all notebooks, or nothing is signed.
    """

    payer: str
    network: str
    chain: str
    started: float = 0.0
    real_money: bool = True


@dataclass(frozen=True, slots=True)
class WalletCheck:
    """A check of a wallet's budgets.

    Attributes:
        account: the wallet.
        check: raises what forbids an authorization, for what all notebooks of the wallet have committed.
    """

    account: WalletAccount
    check: Callable[[Committed], None]


def account_of(network: Network, payer: str) -> WalletAccount:
    """Return the account of a wallet on a network."""
    return WalletAccount(payer, network.caip2, network.identity, float(network.genesis_time), network.real_money)
