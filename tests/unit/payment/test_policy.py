"""Who may be paid, how much, and what is said where that is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.amounts import OPG
from og_magics.core.errors import PaymentRefused
from og_magics.core.networks import BASE, BASE_SEPOLIA, DEVNET, Network
from og_magics.core.settings import Settings
from og_magics.core.types import ChatRequest, Enclave, x402SettlementMode
from og_magics.payment import Budget, Policy
from og_magics.payment.spending import policy_for

REGISTERED, OTHER = "0x" + "Ab" * 20, "0x" + "cD" * 20
KNOWN = BASE.payees[0]
QUESTION = ChatRequest("/v1/chat/completions", "openai/gpt-5", {}, x402SettlementMode.PRIVATE)


def policy(network: Network = BASE, registered: str = REGISTERED, **settings: Any) -> Policy:
    enclave = Enclave("https://g", payment_address=registered)
    return policy_for(QUESTION, enclave, network, Settings(**settings))


def offer(network: Network = BASE, **changes: Any) -> Any:
    terms = {
        "scheme": "upto", "network": network.caip2, "asset": network.opg_token, "amount": str(5 * OPG),
        "pay_to": KNOWN, "max_timeout_seconds": 600, "extra": {"facilitatorAddress": OTHER},
    }  # fmt: skip
    return SimpleNamespace(**{**terms, **changes})


@pytest.mark.parametrize("timeout", [300, 600, 900])
@pytest.mark.parametrize("cap", [OPG // 10, 5 * OPG, 10 * OPG])
def test_what_every_known_gateway_asks_for_is_allowed_without_a_setting(cap: int, timeout: int) -> None:
    asked = offer(amount=str(cap), max_timeout_seconds=timeout)
    assert policy().choose([asked]) is asked


@pytest.mark.parametrize(
    "payee", [REGISTERED, REGISTERED.lower(), KNOWN, KNOWN.lower(), OTHER], ids=lambda payee: payee[:6]
)
def test_the_registrys_payee_the_known_one_and_the_users_may_be_paid(payee: str) -> None:
    asked = offer(pay_to=payee)
    assert policy(payees=(OTHER,)).choose([asked]) is asked
    assert policy(payees=(OTHER,), registered="").choose([offer(pay_to=KNOWN)])


@pytest.mark.parametrize("registered", [REGISTERED, ""])
def test_another_is_refused_with_all_addresses_and_the_way_to_allow_it(registered: str) -> None:
    with pytest.raises(PaymentRefused) as caught:
        policy(registered=registered).choose([offer(pay_to=OTHER)])
    error = caught.value
    assert OTHER in error.what
    assert f"the known payee of base {KNOWN}" in error.what
    assert registered in error.what
    assert f"OG_PAYEES={OTHER}" in error.remedy
    assert "Nothing was signed" in error.money


def test_a_known_payee_is_that_of_its_network_alone() -> None:
    with pytest.raises(PaymentRefused):
        policy(BASE_SEPOLIA).choose([offer(BASE_SEPOLIA, pay_to=KNOWN)])


def test_where_nothing_is_real_a_gateway_by_url_may_be_paid_at_any_address() -> None:
    asked = offer(DEVNET, pay_to=OTHER)
    assert policy(DEVNET, registered="").choose([asked]) is asked


def test_an_offer_on_a_network_that_can_be_chosen_says_how() -> None:
    with pytest.raises(PaymentRefused) as caught:
        policy(DEVNET).choose([offer(BASE)])
    assert "OG_NETWORK=base" in caught.value.remedy
    assert "REAL MONEY" in caught.value.remedy


class TestBudgets:
    BUDGET = Budget("The budget of a day", 30 * OPG, 3600.0, "%og budget --day")

    def test_what_was_used_counts_and_not_what_was_allowed(self) -> None:
        self.BUDGET.refuse(5 * OPG, OPG // 1000)

    def test_what_is_still_open_counts_whole_and_is_told_with_the_way_on(self) -> None:
        with pytest.raises(PaymentRefused) as caught:
            self.BUDGET.refuse(5 * OPG, 26 * OPG, 25 * OPG)
        assert "26 of 30 OPG" in caught.value.what
        assert "25 OPG are sessions that are not settled yet" in caught.value.remedy
        assert "%og receipts --wait" in caught.value.remedy
        assert "%og budget --day raises the limit, to 31 OPG or more" in caught.value.remedy

    def test_a_budget_below_one_session_says_how_high_it_must_be(self) -> None:
        with pytest.raises(PaymentRefused) as caught:
            Budget("This notebook's budget", OPG, None, "%og budget --notebook").refuse(5 * OPG, 0)
        assert caught.value.remedy == "%og budget --notebook raises the limit, to 5 OPG or more."


ODD = st.text(max_size=300) | st.sampled_from(["\x1b]52;c;aGk=\a", "\u202e", "9" * 5000, "-0", "1_0", "\uff11"])


NO_AMOUNT = ODD.filter(lambda text: not (text.isdecimal() and len(text) < 50))


@given(scheme=ODD, network=ODD, asset=ODD, amount=NO_AMOUNT, pay_to=ODD, which=st.integers(0, 4))
def test_odd_texts_in_an_offer_are_refused_in_one_plain_bounded_line(
    scheme: str, network: str, asset: str, amount: str, pay_to: str, which: int
) -> None:
    changes = {"scheme": scheme, "network": network, "asset": asset, "amount": amount, "pay_to": pay_to}
    name = [*changes][which]
    with pytest.raises(PaymentRefused) as caught:
        policy().choose([SimpleNamespace(**{**vars(offer()), name: changes[name]})])
    text = str(caught.value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 1000
