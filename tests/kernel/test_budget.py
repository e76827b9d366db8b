"""%og budget and --max-cost: what may be spent, told and held."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Kernel


@pytest.fixture
def fresh(new_kernel: Callable[..., Kernel]) -> Kernel:
    return new_kernel()


def test_without_limits_it_says_so(fresh: Kernel) -> None:
    told = fresh.ask("%og budget").text
    assert "up to 10 OPG in one authorization" in told
    assert told.count("no limit on devnet") == 3


def test_a_call_that_could_cost_more_than_it_may_is_not_paid(fresh: Kernel) -> None:
    assert "over the limit of 0.01 OPG" in fresh.run("%%ogchat --max-cost 0.01\nhello").error("PaymentRefused")
    assert fresh.eval("len(og_receipts.authorization_hash.dropna())") == 0
    fresh.ask("%%ogchat --max-cost 5 -n 5\nhello")


def test_a_session_that_is_open_already_is_held_to_the_same_limit(fresh: Kernel) -> None:
    fresh.ask("%ogchat -n 5 hello")
    assert "session that is open may cost up to 5 OPG" in fresh.run("%ogchat --max-cost 0.01 hello").error(
        "PaymentRefused"
    )


def test_a_budget_holds_for_magics_and_for_python_alike(fresh: Kernel) -> None:
    fresh.ask("%ogchat -n 5 hello")
    fresh.ask("%og budget --notebook 7.5")
    refused = fresh.run("import og_magics as og\nog.LLM().completion_sync('openai/gpt-5', 'hello')").error(
        "PaymentRefused"
    )
    assert "This notebook's budget does not allow it: 5 of 7.5 OPG" in refused
    assert "5 OPG are sessions that are not settled yet" in refused
    assert "%og receipts --wait" in refused
    assert fresh.eval("len(set(og_receipts.authorization_hash.dropna()))") == 1


@pytest.mark.ci
def test_what_was_authorized_and_settled_for_less_is_free_again(fresh: Kernel) -> None:
    fresh.ask("%ogchat -n 5 hello")
    fresh.ask("%og receipts --wait 30")
    fresh.ask("%og budget --day 7.5")
    told = fresh.ask("%og budget").text
    assert "5 of 7.5" not in told
    fresh.ask("import og_magics as og\nog.LLM().completion_sync('openai/gpt-5', 'hello', max_tokens=3)")


@pytest.mark.parametrize("typed", ["%og budget --day x", "%og budget --notebook -1", "%%ogchat --max-cost much\nhello"])
def test_what_is_no_amount_is_a_usage_error(fresh: Kernel, typed: str) -> None:
    assert "OPG" in fresh.run(typed).error()
