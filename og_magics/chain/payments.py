"""On-chain payments: transactions that receipts name as theirs, read many at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import ChainError
from ..core.networks import EXACT_PROXY, UPTO_PROXY, Network
from ..core.onchain import OnchainPayment, PaymentCall, TransferLog, Unavailable
from . import abi, rpc
from .identity import require_chain

TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}")

Json = Mapping[str, Any]


def payment_facts(network: Network, payments: Iterable[str]) -> dict[str, OnchainPayment | Unavailable | None]:
    """Read what each transaction did, in as few requests as the node allows.

    Never raises: a transaction that could not be read is `Unavailable`.

    Args:
        payments: transaction hashes, 0x hex.

    Shape: hash as given -> facts; None for one that the chain does not have, or that is no hash.
    """
    wanted = list(dict.fromkeys(payments))
    asked = [payment for payment in wanted if TRANSACTION.fullmatch(payment)]
    node = rpc.payments(network)
    calls: list[rpc.Call] = []
    for payment in asked:
        calls += [("eth_getTransactionByHash", [payment]), ("eth_getTransactionReceipt", [payment])]
    found: dict[str, OnchainPayment | Unavailable | None] = dict.fromkeys(wanted)
    if not asked:
        return found
    try:
        require_chain(network)
        answers = node.ask_each(calls, wide=True)
    except ChainError as error:
        return found | dict.fromkeys(asked, Unavailable(error.what))
    for payment, transaction, receipt in zip(asked, answers[::2], answers[1::2], strict=True):
        found[payment] = _facts(node, payment, transaction, receipt)
    return found


def payment_call(transaction: Json) -> PaymentCall | None:
    """Decode the payment in a transaction (as JSON-RPC gives it); None when it is no known way to pay.

    The amount that really moved stands in its transfers; here it is what the calldata asks for.
    """
    target = str(transaction["to"] or "").lower()
    calldata = bytes.fromhex(transaction["input"].removeprefix("0x"))
    for proxy, contract in ((UPTO_PROXY, "upto_proxy"), (EXACT_PROXY, "exact_proxy")):
        if target == proxy.lower():
            return _through_permit2(contract, calldata)
    for function in abi.functions("eip3009", "transferWithAuthorization"):
        arguments = function.decode_arguments(calldata)
        if arguments is not None:
            owner, payee, value, valid_after, deadline, nonce, *_ = arguments
            return PaymentCall(
                kind="eip3009",
                owner=owner,
                payee=payee,
                token=target,
                nonce=int.from_bytes(nonce, "big"),
                cap=value,
                amount=value,
                deadline=deadline,
                valid_after=valid_after,
            )
    return None


def _through_permit2(contract: str, calldata: bytes) -> PaymentCall | None:
    """Decode a call of x402's proxies. With an approval in front or without, they end in the same arguments."""
    for name in ("settle", "settleWithPermit"):
        arguments = abi.function(contract, name).decode_arguments(calldata)
        if arguments is None:
            continue
        facilitator = ""
        if contract == "upto_proxy":
            ((token, cap), nonce, deadline), amount, owner, (payee, facilitator, valid_after), _ = arguments[-5:]
        else:
            ((token, cap), nonce, deadline), owner, (payee, valid_after), _ = arguments[-4:]
            amount = cap
        return PaymentCall(
            kind="upto" if contract == "upto_proxy" else "exact",
            owner=owner,
            payee=payee,
            token=token,
            nonce=nonce,
            cap=cap,
            amount=amount,
            deadline=deadline,
            valid_after=valid_after,
            facilitator=facilitator,
        )
    return None


def _facts(node: rpc.Node, payment: str, transaction: Any, receipt: Any) -> OnchainPayment | Unavailable | None:
    for answer in (transaction, receipt):
        if isinstance(answer, ChainError):
            return Unavailable(answer.what)
    if transaction is None:
        return None
    if receipt is None:
        return Unavailable("The transaction is known, but is in no block yet.")
    try:
        with rpc.guard(node.url, setting=node.setting):
            if {str(one).lower() for one in (transaction["hash"], receipt["transactionHash"])} != {payment.lower()}:
                return Unavailable(
                    f"The blockchain node at {node.host} answered with another transaction than was asked for."
                )
            return OnchainPayment(
                transaction=payment.lower(),
                to=str(transaction["to"] or "").lower(),
                block_number=rpc.quantity(receipt["blockNumber"]),
                block_hash=str(receipt["blockHash"]).lower(),
                succeeded=rpc.quantity(receipt["status"]) == 1,
                gas_used=rpc.quantity(receipt["gasUsed"]),
                call=payment_call(transaction),
                transfers=tuple(_transfers(receipt["logs"])),
            )
    except ChainError as error:
        return Unavailable(error.what)


def _transfers(logs: Iterable[Json]) -> Iterable[TransferLog]:
    event = abi.event("erc20", "Transfer")
    for log in logs:
        try:
            values = event.decode(log)
        except ValueError:
            continue  # an ERC-721 has the same topic, and its number in another place
        if values is not None:
            yield TransferLog(str(log["address"]).lower(), values["from"], values["to"], values["value"])
