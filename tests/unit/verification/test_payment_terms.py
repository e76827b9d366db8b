"""A payment is one for an answer only in OPG, on the right chain, and to whom the registry or a pinned list names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from og_magics.core.networks import BASE
from og_magics.core.onchain import Unavailable
from og_magics.core.receipt import Authorization
from og_magics.core.settings import Settings
from og_magics.core.types import Enclave
from og_magics.verification import Verdict
from og_magics.verification.payment_terms import check_terms

PAYEE, OTHER = "0x" + "22" * 20, "0x" + "44" * 20
MOVED = Verdict(True, "1 OPG moved.")
SIGNED = Authorization(
    hash="0x" + "ab" * 32, scheme="upto", network=BASE.caip2, payer="0x" + "11" * 20, pay_to=PAYEE,
    token=BASE.opg_token, cap=10**17, nonce=1, deadline=1795343749, gateway="", path="", created=1795343449,
)  # fmt: skip
NETWORK = replace(BASE, payees=())
REGISTERED = Enclave("https://1.2.3.4", payment_address=PAYEE)


def test_the_registrys_payee_in_opg_on_its_chain_holds() -> None:
    assert check_terms(MOVED, SIGNED, NETWORK, REGISTERED) == MOVED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token": OTHER}, "OPG of base is"),
        ({"network": "eip155:1"}, "signed for eip155:1"),
        ({"pay_to": OTHER}, "the registry names 0x22"),
        ({"pay_to": SIGNED.payer}, "the registry names 0x22"),
    ],
)
def test_a_worthless_token_another_chain_and_oneself_are_no_payment(changes: dict[str, str], words: str) -> None:
    verdict = check_terms(MOVED, replace(SIGNED, **changes), NETWORK, REGISTERED)
    assert verdict.ok is False
    assert words in verdict.reason


@pytest.mark.parametrize("enclave", [None, Unavailable("down"), Enclave("https://1.2.3.4")])
def test_a_payee_that_nobody_names_is_not_known(enclave: Enclave | Unavailable | None) -> None:
    verdict = check_terms(MOVED, SIGNED, NETWORK, enclave)
    assert (verdict.ok, "OG_PAYEES" in verdict.reason) == (None, True)


def test_a_pinned_payee_holds_and_another_one_of_the_registry_is_said() -> None:
    pinned = Settings(payees=(OTHER,)).apply(NETWORK)
    assert pinned.payees == (OTHER,)
    verdict = check_terms(MOVED, replace(SIGNED, pay_to=OTHER), pinned, REGISTERED)
    assert verdict.ok is True
    assert f"The registry names another payment address for this enclave, {PAYEE}" in verdict.reason
    assert check_terms(MOVED, replace(SIGNED, pay_to=OTHER), pinned, None) == MOVED


@pytest.mark.parametrize("ok", [None, False])
def test_what_did_not_move_stays_as_it_was_found(ok: bool | None) -> None:
    moved = Verdict(ok, "No.")
    assert check_terms(moved, SIGNED, NETWORK, REGISTERED) is moved
