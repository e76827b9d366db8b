"""The spending policy: what may be signed. It stands before every signature."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..core.accounts import WalletAccount
from ..core.amounts import format_opg
from ..core.errors import PaymentRefused
from ..core.networks import by_chain

if TYPE_CHECKING:
    from x402.schemas import PaymentRequirements

_NOTHING = "Nothing was signed and nothing was paid."
_SCHEMES = ("upto", "exact")
_CHANNELS = "batch-settlement"
"""A scheme of x402 that pays from a deposit by vouchers. To support it, add its scheme to `_scheme` in `authorize.py`,
which signs a deposit and then one voucher a call, a session that lives with its channel in `sessions.py`, and here a
limit for the deposit; `PaymentAuth` in `handshake.py` then reads the channel's state from each answer."""

_AMOUNT = re.compile(r"-?[0-9]{1,78}")
_MOST_OFFERS = 20
"""Offers of one challenge that are looked at."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on what is authorized or paid.

    Attributes:
        name: "this notebook's budget"; for the message.
        limit: base units. seconds: of the past that count; None for all.
        setting: what raises it.
        of_wallet: it holds for all notebooks of the wallet together.
    """

    name: str
    limit: int
    seconds: float | None
    setting: str
    of_wallet: bool = False

    def refuse(self, cap: int, committed: int, open_caps: int = 0) -> None:
        """Refuse a payment that goes over the limit.

        Args:
            cap: base units that the new authorization would allow.
            committed: base units that count against the limit already: what was used, and what may still be taken.
            open_caps: of these, what may still be taken.

        Raises:
            PaymentRefused: it does.
        """
        if committed + cap <= self.limit:
            return
        remedy = f"{self.setting} raises the limit, to {format_opg(committed + cap)} OPG or more."
        if open_caps:
            where = ", in the notebook that opened it" if self.of_wallet else ""
            remedy = (
                f"Of these, {format_opg(open_caps)} OPG are sessions that are not settled yet: each counts with all "
                "that can still be taken, and once it is settled with what was used: about two minutes after its last "
                f"call (`%og receipts --wait`{where}). {remedy}"
            )
        raise PaymentRefused(
            f"{self.name} does not allow it: {format_opg(committed)} of {format_opg(self.limit)} OPG are paid or "
            f"signed, and the gateway asks for up to {format_opg(cap)} more. It would take only what calls "
            "cost, but could take all of that.",
            money=_NOTHING,
            remedy=remedy,
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of what a gateway may ask for.

    Attributes:
        network: CAIP-2 name of the only payment chain.
        token: address of the only token, OPG.
        payees: the addresses that may be paid, and who names each, in a few words; None for any.
        max_amount: base units that one authorization may allow.
        max_deadline: seconds for which one may be valid.
        budgets: what all authorizations together may come to.
        chain, started, real_money: of the network, as `WalletAccount` has them.
    """

    network: str
    token: str
    payees: Mapping[str, str] | None
    max_amount: int
    max_deadline: int
    budgets: tuple[Budget, ...] = ()
    chain: str = ""
    started: float = 0.0
    real_money: bool = True

    def account(self, payer: str) -> WalletAccount:
        """Return the account of a wallet on the payment chain."""
        return WalletAccount(payer, self.network, self.chain or self.network, self.started, self.real_money)

    def budgets_of(self, *, wallet: bool) -> tuple[Budget, ...]:
        """Return the budgets of the wallet, or those of the notebook."""
        return tuple(budget for budget in self.budgets if budget.of_wallet == wallet)

    def allows(self, cap: int) -> None:
        """Refuse to go on with an authorization that was made under a looser limit than this one.

        Raises:
            PaymentRefused: it allows more than this call may cost.
        """
        if cap > self.max_amount:
            raise PaymentRefused(
                f"The payment session that is open may cost up to {format_opg(cap)} OPG, over this call's limit of "
                f"{format_opg(self.max_amount)} OPG.",
                money="Nothing was sent and nothing was paid for this call.",
                remedy="Raise --max-cost (or OG_MAX_AUTHORIZATION): the gateway sets what one session may cost.",
            )

    def choose(self, offers: Sequence[PaymentRequirements]) -> PaymentRequirements:
        """Return the first offer that the policy allows.

        Raises:
            PaymentRefused: none is; the reasons are in the message.
        """
        objections: list[_Objection] = []
        for offer in offers[:_MOST_OFFERS]:
            objection = self._objection(offer)
            if objection is None:
                return offer
            objections.append(objection)
        reasons = "; ".join(one.reason for one in objections)
        remedies = dict.fromkeys(one.remedy for one in objections if one.remedy)
        raise PaymentRefused(
            f"The payment that the gateway asks for was refused: {reasons or 'it made no offer'}.",
            money=_NOTHING,
            remedy=" ".join(remedies) or "Check %og network and the gateway.",
        )

    def _objection(self, offer: PaymentRequirements) -> _Objection | None:
        """Return why an offer is not allowed, or None."""
        extra = offer.extra or {}
        if not _AMOUNT.fullmatch(offer.amount):
            return _Objection(f"amount {_shown(offer.amount)!r} is not a number")
        amount = int(offer.amount)
        if offer.scheme == _CHANNELS:
            return _Objection("it offers payment channels (batch-settlement), which this version does not open")
        if offer.scheme not in _SCHEMES:
            return _Objection(f"payment scheme {_shown(offer.scheme)!r} is not supported")
        if str(offer.network) != self.network:
            return _Objection(
                f"it wants to be paid on {_shown(offer.network)} and this notebook pays on {self.network}",
                _network_remedy(str(offer.network)),
            )
        if offer.asset.lower() != self.token.lower():
            return _Objection(f"it wants token {_shown(offer.asset)} and only OPG ({self.token}) is paid")
        if self.payees is not None and offer.pay_to.lower() not in {payee.lower() for payee in self.payees}:
            wanted = _shown(offer.pay_to)
            known = " and ".join(f"{who} {payee}" for payee, who in self.payees.items())
            return _Objection(
                f"it wants {wanted} to be paid, and that is not {known or 'an address that anybody named'}",
                f"If you know that this gateway is paid at {wanted}, allow it with OG_PAYEES={wanted}; "
                "else use another gateway.",
            )
        if not 0 < amount <= self.max_amount:
            return _Objection(
                f"it wants up to {format_opg(amount)} OPG, over the limit of {format_opg(self.max_amount)} OPG",
                "--max-cost limits one call, `%og budget --call` (OG_MAX_AUTHORIZATION) every one: a gateway takes "
                "what calls cost, and could take all that is allowed.",
            )
        if not 0 < offer.max_timeout_seconds <= self.max_deadline:
            seconds = _shown(offer.max_timeout_seconds)
            return _Objection(f"it wants to be valid for {seconds} s, over the limit of {self.max_deadline} s")
        if offer.scheme == "upto" and not extra.get("facilitatorAddress"):
            return _Objection("it names no facilitator")
        return None


class _Objection(NamedTuple):
    reason: str
    remedy: str = ""


def _network_remedy(caip2: str) -> str:
    """Return how to pay on the chain that an offer names, where that is a network that can be chosen."""
    network = by_chain(caip2)
    if network is None:
        return ""
    return f"OG_NETWORK={network.name} or `%og network {network.name}` pays there: {network.about}."


def _shown(text: object) -> str:
    """Return what a gateway wrote as a sentence can hold it."""
    return ascii(str(text))[1:-1][:100]
