"""The spending policy: what may be signed. It stands before every signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..amounts import format_opg
from ..errors import PaymentRefused

if TYPE_CHECKING:
    from x402.schemas import PaymentRequirements

_NOTHING = "Nothing was signed and nothing was paid."
_SCHEMES = ("upto", "exact")


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on what is authorized or paid.

    Attributes:
        name: "this notebook's budget"; for the message.
        limit: base units. seconds: of the past that count; None for all.
        setting: what raises it.
    """

    name: str
    limit: int
    seconds: float | None
    setting: str

    def refuse(self, cap: int, committed: int) -> None:
        """Refuse a payment that goes over the limit.

        Args:
            cap: base units that the new authorization would allow.
            committed: base units that count against the limit already.

        Raises:
            PaymentRefused: it does.
        """
        if committed + cap > self.limit:
            raise PaymentRefused(
                f"{self.name} does not allow it: {format_opg(committed)} of {format_opg(self.limit)} OPG are paid or "
                f"authorized, and the gateway asks for up to {format_opg(cap)} more.",
                money=_NOTHING,
                remedy=f"What is authorized counts until it is settled or expires. {self.setting} raises the limit.",
            )


@dataclass(frozen=True, slots=True)
class Policy:
    """What a gateway may ask for.

    Attributes:
        network: CAIP-2 name of the only payment chain.
        token: address of the only token, OPG.
        payees: the addresses that may be paid: the registry's, and those that the user allowed; None for any.
        max_amount: base units that one authorization may allow.
        max_deadline: seconds for which one may be valid.
        budgets: what all authorizations together may come to.
    """

    network: str
    token: str
    payees: frozenset[str] | None
    max_amount: int
    max_deadline: int
    budgets: tuple[Budget, ...] = ()

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
        """The first offer that the policy allows.

        Raises:
            PaymentRefused: none is; the reasons are in the message.
        """
        reasons: list[str] = []
        for offer in offers:
            reason = self._objection(offer)
            if reason is None:
                return offer
            reasons.append(reason)
        raise PaymentRefused(
            f"The payment that the gateway asks for was refused: {'; '.join(reasons) or 'it made no offer'}.",
            money=_NOTHING,
            remedy="Check %og network and the gateway. --max-cost limits one call, `%og budget --call` every one.",
        )

    def _objection(self, offer: PaymentRequirements) -> str | None:
        """Why an offer is not allowed, or None."""
        extra = offer.extra or {}
        try:
            amount = int(offer.amount)
        except ValueError:
            return f"amount {offer.amount!r} is not a number"
        if offer.scheme not in _SCHEMES:
            return f"payment scheme {offer.scheme!r} is not supported"
        if str(offer.network) != self.network:
            return f"it wants to be paid on {offer.network} and this notebook pays on {self.network}"
        if offer.asset.lower() != self.token.lower():
            return f"it wants token {offer.asset} and only OPG ({self.token}) is paid"
        if self.payees is not None and offer.pay_to.lower() not in {payee.lower() for payee in self.payees}:
            allowed = " or ".join(sorted(self.payees)) or "nobody (a gateway given by URL: allow one with OG_PAYEES)"
            return f"it wants {offer.pay_to} to be paid, and the registry and you name {allowed}"
        if not 0 < amount <= self.max_amount:
            return f"it wants up to {format_opg(amount)} OPG, over the limit of {format_opg(self.max_amount)} OPG"
        if not 0 < offer.max_timeout_seconds <= self.max_deadline:
            return f"it wants to be valid for {offer.max_timeout_seconds} s, over the limit of {self.max_deadline} s"
        if offer.scheme == "upto" and not extra.get("facilitatorAddress"):
            return "it names no facilitator"
        return None
