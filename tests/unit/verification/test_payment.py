"""A payment is what the authorization allowed: every field of it, and the amounts that the receipts claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address

from og_magics.core.networks import PERMIT2, UPTO_PROXY
from og_magics.core.onchain import OnchainPayment, PaymentCall, TransferLog, Unavailable
from og_magics.core.receipt import Authorization
from og_magics.verification import check_payment, group_costs

PAYER = Account.from_key("0x" + "11" * 32)
PAYEE, TOKEN, FACILITATOR, OTHER = ("0x" + digit * 40 for digit in "abcd")
EXACT_PROXY = "0x402085c248EeA27D92E8b30b2C58ed07f9E20001"
HASH = "0x" + "77" * 32
CAP, PAID, NONCE, DEADLINE, AFTER = 10**17, 4 * 10**15, 2**200 + 5, 1_800_000_300, 1_799_999_400


def digest(scheme: str, spender: str) -> str:
    """The EIP-712 digest by eth_account."""
    witness = {"to": PAYEE, "validAfter": AFTER} | ({"facilitator": FACILITATOR} if scheme == "upto" else {})
    names = ["to", *(["facilitator"] if scheme == "upto" else []), "validAfter"]
    message = encode_typed_data(
        {"name": "Permit2", "chainId": 31337, "verifyingContract": PERMIT2},
        {
            "PermitWitnessTransferFrom": [
                {"name": "permitted", "type": "TokenPermissions"},
                {"name": "spender", "type": "address"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
                {"name": "witness", "type": "Witness"},
            ],
            "TokenPermissions": [{"name": "token", "type": "address"}, {"name": "amount", "type": "uint256"}],
            "Witness": [{"name": name, "type": "uint256" if name == "validAfter" else "address"} for name in names],
        },
        {
            "permitted": {"token": TOKEN, "amount": CAP},
            "spender": spender,
            "nonce": NONCE,
            "deadline": DEADLINE,
            "witness": witness,
        },
    )
    return "0x" + PAYER.sign_message(message).message_hash.hex()


def authorization(kind: str = "upto") -> Authorization:
    spender = {"upto": UPTO_PROXY, "exact": EXACT_PROXY, "eip3009": ""}[kind]
    return Authorization(
        hash=digest(kind, spender) if spender else "0x" + "55" * 32,
        scheme="upto" if kind == "upto" else "exact",
        network="eip155:31337",
        payer=PAYER.address,
        pay_to=to_checksum_address(PAYEE),
        token=to_checksum_address(TOKEN),
        cap=CAP,
        nonce=NONCE,
        deadline=DEADLINE,
        gateway="https://1.2.3.4",
        path="/v1/chat/completions",
        created=1_800_000_000,
        spender=spender,
        facilitator=FACILITATOR if kind == "upto" else "",
    )


def facts(kind: str = "upto", **changes: Any) -> OnchainPayment:
    """The transaction that settles it; `changes` are of the call where it has such a field, else of the facts."""
    paid = PAID if kind == "upto" else CAP
    call = PaymentCall(
        kind,
        PAYER.address.lower(),
        PAYEE,
        TOKEN,
        NONCE,
        CAP,
        paid,
        DEADLINE,
        AFTER,
        FACILITATOR if kind == "upto" else "",
    )
    to = {"upto": UPTO_PROXY.lower(), "exact": EXACT_PROXY.lower(), "eip3009": TOKEN}[kind]
    whole = OnchainPayment(
        HASH, to, 7, "0x" + "88" * 32, True, 90_000, call, (TransferLog(TOKEN, call.owner, PAYEE, paid),)
    )
    for name, value in changes.items():
        if hasattr(call, name):
            whole = replace(whole, call=replace(whole.call or call, **{name: value}))
        else:
            whole = replace(whole, **{name: value})
    return whole


@pytest.fixture
def receipt(chain: Any) -> Callable[..., Any]:
    def make(kind: str = "upto", **changes: Any) -> Any:
        signed = authorization(kind)
        values = {
            "authorization": signed,
            "authorization_hash": signed.hash,
            "payer": signed.payer,
            "pay_to": signed.pay_to,
            "cap": CAP,
            "payment_hash": HASH,
            "cost": PAID if kind == "upto" else CAP,
        }
        return replace(chain.answer("hello"), **(values | changes))

    return make


@pytest.mark.parametrize("kind", ["upto", "exact", "eip3009"])
def test_a_payment_as_it_was_signed_holds(receipt: Any, kind: str) -> None:
    one = receipt(kind)
    verdict = check_payment(one, facts(kind), one.cost)
    assert (verdict.ok, "as authorized" in verdict.reason) == (True, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"owner": OTHER}, "payer is 0xdd"),
        ({"payee": OTHER}, "payee is 0xdd"),
        ({"token": OTHER}, "token is 0xdd"),
        ({"facilitator": OTHER}, "facilitator is 0xdd"),
        ({"nonce": NONCE + 1}, "nonce is"),
        ({"cap": CAP + 1}, "cap is"),
        ({"deadline": DEADLINE + 1}, "deadline is"),
        ({"valid_after": AFTER + 1}, "used another signature"),
        ({"amount": CAP + 1}, "at most"),
        ({"amount": PAID + 1}, "and moved"),
        ({"to": OTHER}, "does not go to the upto proxy"),
        ({"succeeded": False}, "failed on chain"),
        ({"call": None}, "is no payment"),
        ({"transfers": ()}, "moved nothing"),
        ({"transfers": (TransferLog(TOKEN, OTHER, PAYEE, PAID),)}, "moved nothing"),
    ],
)
def test_a_transaction_that_is_not_what_was_signed_fails_and_says_where(receipt: Any, changes: Any, words: str) -> None:
    verdict = check_payment(receipt(), facts(**changes))
    assert verdict.ok is False
    assert words in verdict.reason


@pytest.mark.parametrize(
    "changes",
    [{"payer": OTHER}, {"pay_to": OTHER}, {"authorization_hash": "0x" + "12" * 32}, {"cap": CAP * 2}],
)
def test_a_receipt_that_shows_otherwise_than_it_says_was_signed_fails(receipt: Any, changes: Any) -> None:
    assert check_payment(receipt(**changes), facts()).ok is False


@pytest.mark.parametrize("network", ["eip155:1", "eip155:", "solana:x", "eip155:" + "9" * 90])
def test_an_authorization_of_another_chain_fails(receipt: Any, network: str) -> None:
    one = receipt()
    assert check_payment(replace(one, authorization=replace(one.authorization, network=network)), facts()).ok is False


def test_the_amounts_of_all_receipts_have_to_add_up(receipt: Any) -> None:
    half = receipt(cost=PAID // 2)
    assert check_payment(half, facts(), PAID).ok is True
    for wrong in (PAID - 1, PAID + 1):
        verdict = check_payment(half, facts(), wrong)
        assert (verdict.ok, "together" in verdict.reason) == (False, True)


def test_a_receipt_alone_may_be_a_part_and_not_more_than_the_whole(receipt: Any) -> None:
    assert check_payment(receipt(cost=1), facts()).ok is True
    assert "not all there" in check_payment(receipt(cost=1), facts()).reason
    assert check_payment(receipt(cost=PAID + 1), facts()).ok is False


def test_costs_add_up_by_authorization_and_are_unknown_where_one_is(receipt: Any) -> None:
    one = receipt()
    other = replace(one, authorization_hash="0x" + "12" * 32)
    unsigned = replace(one, authorization_hash=None, authorization=None)
    costs = group_costs([one, one, other, replace(other, cost=None), unsigned])
    assert costs == {one.authorization_hash: 2 * PAID, other.authorization_hash: None}


def test_a_wrapped_exact_payment_moves_the_amount_but_cannot_be_read(receipt: Any) -> None:
    wrapped = facts("exact", call=None, to=OTHER)
    assert check_payment(receipt("exact"), wrapped).ok is None
    assert check_payment(receipt("exact"), replace(wrapped, transfers=())).ok is False
    assert check_payment(receipt(), facts(call=None, to=OTHER)).ok is False


@pytest.mark.parametrize(
    ("changes", "found", "words"),
    [
        ({"authorization": None, "authorization_hash": None, "payment_hash": None}, None, "Nothing was signed"),
        ({"authorization": None}, None, "does not hold what was signed"),
        ({"payment_hash": None}, None, "Not settled yet"),
        ({"payment_hash": None, "status": "expired"}, None, "nothing was paid"),
        ({"payment_hash": None, "status": "paid"}, None, "transaction was not found yet"),
        ({}, Unavailable("The blockchain node at x cannot be reached."), "cannot be reached"),
    ],
)
def test_what_cannot_be_told_yet_is_none_with_the_reason(receipt: Any, changes: Any, found: Any, words: str) -> None:
    verdict = check_payment(receipt(**changes), found)
    assert verdict.ok is None
    assert words in verdict.reason


def test_a_transaction_that_the_chain_does_not_have_fails(receipt: Any) -> None:
    assert check_payment(receipt(), None).ok is False


def test_a_gateway_that_took_more_than_it_said_is_told_beside_the_payment(receipt: Any) -> None:
    assert "The gateway said" not in check_payment(receipt(reported_cost=PAID), facts(), PAID).reason
    verdict = check_payment(receipt(reported_cost=PAID // 2), facts(), PAID)
    assert verdict.ok is True
    assert "said that this call cost 0.002 OPG, and its part of what was taken is 0.004 OPG" in verdict.reason
