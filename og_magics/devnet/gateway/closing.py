"""The end of a call: it is signed, and charged to its session."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from x402.http.utils import encode_payment_response_header
from x402.schemas import SettleResponse

from .answers import Call
from .data import DataSettlement
from .enclave import Enclave, Proof, canonical_request, output_hash, request_hash, signed_output
from .paywall import Paywall
from .prices import opg, usd
from .profile import Profile
from .settler import Settler

JSON = dict[str, Any]


class Unsettled(Exception):
    """The payment of this call could not be settled."""


@dataclass(slots=True)
class Closing:
    """Proof and payment of a complete answer.

    Attributes:
        request, output: the texts whose hashes were signed.
        charged: False where the provider counted no tokens: the call is free, and its data is not settled.
        cost: the member that tells it, where the gateway does.
    """

    proof: Proof
    request: str
    output: str
    amount: int = 0
    charged: bool = False
    cost: JSON = field(default_factory=dict)
    payment: SettleResponse | None = None


class Closer:
    """Signs answers and charges them."""

    def __init__(
        self,
        profile: Profile,
        price: Decimal | None,
        enclave: Enclave,
        paywall: Paywall,
        settler: Settler,
        data: DataSettlement,
    ) -> None:
        self._profile, self._price, self._enclave = profile, price, enclave
        self._paywall, self._settler, self._data = paywall, settler, data

    def sign(self, call: Call) -> Closing:
        """Sign a complete answer, and count what it costs."""
        parts = self._profile.reads_parts
        request = canonical_request(call.body, parts=parts)
        calls = call.tool_calls if call.is_chat else []
        output = signed_output(call.text, calls)
        closing = Closing(self._enclave.sign(request_hash(request), output_hash(output)), request, output)
        if call.usage is None or self._price is None:
            return closing
        in_usd = usd(call.model, call.usage, current=self._profile.tells_costs)
        closing.charged, closing.amount = True, opg(in_usd, self._price)
        if self._profile.tells_costs:
            cost = {"cost_opg": str(closing.amount), "cost_usd": str(in_usd), "opg_price_usd": str(self._price)}
            closing.cost = {"opengradient": cost}
        return closing

    async def charge(self, call: Call, closing: Closing) -> None:
        """Add a call's cost to its session, and its hashes to a batch. Raises `Unsettled`."""
        if closing.charged or self._paywall.terms.scheme == "exact":
            closing.payment = await self.collect(call, closing.amount)
        if closing.charged and call.mode == "batch":
            self._data.batch(closing.proof)

    async def collect(self, call: Call, amount: int) -> SettleResponse | None:
        """Charge a call; where every call is settled at once, settle it (a second time does nothing)."""
        terms, session = self._paywall.terms, call.session
        if session.settlement is None:
            self._settler.owe(session, terms.cap if terms.scheme == "exact" else amount)
        if not terms.at_once:
            return None
        # Shielded: a client that goes away now has its answer; what it owes is still collected.
        payment = await asyncio.shield(self._settler.settle(session))
        if payment is not None and not payment.success:
            raise Unsettled(payment.error_reason or "settlement_failed")
        return payment


def payment_headers(payment: SettleResponse | None) -> dict[str, str]:
    """Return the header that tells a settlement."""
    return {} if payment is None else {"PAYMENT-RESPONSE": encode_payment_response_header(payment)}
