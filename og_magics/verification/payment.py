"""The payment: did the transaction that a receipt names take what was authorized, from the one to the other?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from ..core.amounts import format_opg
from ..core.networks import PERMIT2, UPTO_PROXY
from ..core.onchain import OnchainPayment, PaymentCall, Unavailable
from ..core.receipt import Authorization, Receipt
from .hashing import hash_bytes, keccak
from .verdict import Verdict

_TOKEN = b"TokenPermissions(address token,uint256 amount)"
_PERMIT = (
    b"PermitWitnessTransferFrom"
    b"(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,Witness witness)"
)
_DOMAIN = b"EIP712Domain(string name,uint256 chainId,address verifyingContract)"
_WITNESS = {
    "upto": b"Witness(address to,address facilitator,uint256 validAfter)",
    "exact": b"Witness(address to,uint256 validAfter)",
}


def group_costs(receipts: Iterable[Receipt]) -> dict[str, int | None]:
    """Return the sum of the costs in an authorization's receipts, base units; None if one has no cost.

    Only for a complete ledger: with a part of a session's receipts the sums are too small.

    Shape: authorization hash -> sum.
    """
    costs: dict[str, list[int | None]] = defaultdict(list)
    for receipt in receipts:
        if receipt.authorization_hash is not None:
            costs[receipt.authorization_hash].append(receipt.cost)
    return {
        key: sum(one for one in group if one is not None) if None not in group else None for key, group in costs.items()
    }


def check_payment(
    receipt: Receipt, facts: OnchainPayment | Unavailable | None, group_cost: int | None = None
) -> Verdict:
    """Check a receipt's payment against the transaction that it names.

    Args:
        facts: what `receipt.payment_hash` did on chain; None when the chain was asked and does not have it.
        group_cost: what the receipts of this authorization say that they cost together, base units: it must be what
            moved. None when not all of them are known; then this receipt's part must not be more than what moved.
    """
    authorization = receipt.authorization
    if authorization is None:
        if receipt.authorization_hash is None and receipt.payment_hash is None:
            return Verdict(None, "Nothing was signed for this question, so nothing can have been paid.")
        return Verdict(None, "The receipt does not hold what was signed, so there is nothing to check its payment by.")
    if receipt.payment_hash is None:
        if receipt.status == "expired":
            return Verdict(None, "What was signed expired without being used: nothing was paid.")
        if receipt.status == "paid":
            return Verdict(None, "Paid: what was signed is used; its transaction was not found yet.")
        return Verdict(None, "Not settled yet: no transaction has used what was signed.")
    if isinstance(facts, Unavailable):
        return Verdict(None, f"The chain could not be asked. {facts.reason}")
    if facts is None:
        return Verdict(False, f"The chain has no transaction {receipt.payment_hash}.")
    if facts.call is None and facts.succeeded and _moves_all(authorization, facts):
        return Verdict(
            None, "The transaction moved the amount, in a call that cannot be read: its nonce is not checked."
        )
    if problems := [*_consistency(receipt, authorization), *_problems(receipt, authorization, facts, group_cost)]:
        return Verdict(False, " ".join(problems))
    moved = facts.call.amount if facts.call else 0
    more = ""
    if receipt.reported_cost is not None and receipt.cost is not None and receipt.cost > receipt.reported_cost:
        more = (
            f" The gateway said that this call cost {format_opg(receipt.reported_cost)} OPG, and its part of what was "
            f"taken is {format_opg(receipt.cost)} OPG."
        )
    whole = "" if group_cost is not None else " The receipts that share it were not all there to add up."
    return Verdict(
        True,
        f"{format_opg(moved)} OPG moved from {authorization.payer} to {authorization.pay_to} "
        f"in block {facts.block_number}, as authorized.{whole}{more}",
    )


def _moves_all(authorization: Authorization, facts: OnchainPayment) -> bool:
    """Return True if a transaction to an unknown contract still moves an exact payment, as a wrapping wallet does."""
    wanted = (authorization.token.lower(), authorization.payer.lower(), authorization.pay_to.lower(), authorization.cap)
    return authorization.scheme == "exact" and any(
        (one.token, one.source, one.target, one.amount) == wanted for one in facts.transfers
    )


def _consistency(receipt: Receipt, authorization: Authorization) -> list[str]:
    """Return how the receipt differs from the authorization that it says was signed."""
    problems = []
    for name, shown, signed in (
        ("payer", receipt.payer, authorization.payer),
        ("payee", receipt.pay_to, authorization.pay_to),
        ("authorization", receipt.authorization_hash, authorization.hash),
    ):
        if not _same(shown, signed):
            problems.append(f"The receipt shows the {name} {shown}; {signed} was signed.")
    if receipt.cap != authorization.cap:
        problems.append(f"The receipt shows a cap of {receipt.cap}; {authorization.cap} base units were signed.")
    return problems


def _problems(
    receipt: Receipt, authorization: Authorization, facts: OnchainPayment, group_cost: int | None
) -> list[str]:
    """Return what is wrong with the transaction."""
    if not facts.succeeded:
        return ["The transaction failed on chain: nothing moved."]
    call = facts.call
    if call is None:
        return [f"The transaction is no payment: it calls {facts.to or 'nobody'} with something else."]
    if authorization.scheme == "upto" and facts.to != UPTO_PROXY.lower():
        return [f"The transaction does not go to the upto proxy, the only one that was allowed, but to {facts.to}."]
    problems = [
        f"The transaction's {name} is {paid}; {signed} was signed."
        for name, paid, signed in (
            ("payer", call.owner, authorization.payer),
            ("payee", call.payee, authorization.pay_to),
            ("token", call.token, authorization.token),
            ("facilitator", call.facilitator, authorization.facilitator),
        )
        if not _same(paid, signed)
    ]
    problems += [
        f"The transaction's {name} is {paid}; {signed} was signed."
        for name, paid, signed in (
            ("nonce", call.nonce, authorization.nonce),
            ("cap", call.cap, authorization.cap),
            ("deadline", call.deadline, authorization.deadline),
        )
        if paid != signed
    ]
    if not problems and call.kind in _WITNESS and _digest(call, authorization) != hash_bytes(authorization.hash):
        problems.append(f"The transaction used another signature than {authorization.hash}.")
    return problems + _amounts(receipt, call, facts, authorization, group_cost)


def _amounts(
    receipt: Receipt, call: PaymentCall, facts: OnchainPayment, authorization: Authorization, group_cost: int | None
) -> list[str]:
    problems = []
    moved = [
        one.amount
        for one in facts.transfers
        if (one.token, one.source, one.target) == (call.token, call.owner, call.payee)
    ]
    if call.amount not in moved:
        problems.append(f"The transaction asks for {call.amount} base units, and moved {moved or 'nothing'}.")
    if call.amount > authorization.cap:
        problems.append(f"{call.amount} base units were taken; at most {authorization.cap} were authorized.")
    if group_cost is not None and group_cost != call.amount:
        problems.append(
            f"The receipts of this authorization say {group_cost} base units together; {call.amount} were paid."
        )
    elif group_cost is None and receipt.cost is not None and receipt.cost > call.amount:
        problems.append(f"The receipt says {receipt.cost} base units; {call.amount} were paid in all.")
    return problems


def _same(one: str | None, other: str | None) -> bool:
    return (one or "").lower() == (other or "").lower()


@lru_cache(maxsize=256)  # the receipts of a session share both
def _digest(call: PaymentCall, authorization: Authorization) -> bytes | None:
    """Return the EIP-712 digest of the permit that a call used, or None if the authorization has no chain or spender.

    It covers what no receipt repeats, so that the authorization's hash in a receipt is that of this very signature.
    """
    try:
        chain = _number(int(authorization.network.removeprefix("eip155:")))
        spender = _address(authorization.spender)
    except (ValueError, OverflowError):
        return None
    upto = call.kind == "upto"
    witness_type = _WITNESS[call.kind]
    witness = keccak(
        keccak(witness_type)
        + _address(call.payee)
        + (_address(call.facilitator) if upto else b"")
        + _number(call.valid_after)
    )
    permitted = keccak(keccak(_TOKEN) + _address(call.token) + _number(call.cap))
    permit = keccak(
        keccak(_PERMIT + _TOKEN + witness_type)
        + permitted
        + spender
        + _number(call.nonce)
        + _number(call.deadline)
        + witness
    )
    domain = keccak(keccak(_DOMAIN) + keccak(b"Permit2") + chain + _address(PERMIT2))
    return keccak(b"\x19\x01" + domain + permit)


def _address(address: str) -> bytes:
    return bytes.fromhex(address.removeprefix("0x").rjust(64, "0"))


def _number(number: int) -> bytes:
    return number.to_bytes(32, "big")
