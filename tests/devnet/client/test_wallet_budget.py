"""Two notebooks in two folders that pay from one wallet share its budget."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics import LLM
from og_magics.core.amounts import OPG
from og_magics.core.errors import LedgerError, PaymentRefused
from og_magics.devnet import Devnet
from og_magics.ledger.wallet_file import WalletFile

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]
Signed = Callable[[LLM], list[tuple[str, str]]]


pytestmark = pytest.mark.usefixtures("state_folder")


def answered(llm: LLM) -> bool:
    try:
        return bool(llm.chat_sync("openai/gpt-5", ASK, max_tokens=3))
    except PaymentRefused:
        return False


@pytest.mark.ci
def test_what_one_has_open_refuses_the_other_until_it_is_settled(
    devnet_with: Callable[..., Devnet], llm_of: LLMOf, signed: Signed, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    devnet = devnet_with(settle_after=1.5, batch_after=0.1)
    limits: dict[str, Any] = {"budget_day": 15 * OPG // 2, "watch": False}
    one = llm_of(devnet, **limits)
    other = llm_of(devnet, **limits, ledger=str(tmp_path / "elsewhere" / ".og" / "n.db"))
    assert answered(one)
    with pytest.raises(PaymentRefused, match=r"The wallet's budget of a day does not allow it: 5 of 7\.5 OPG"):
        other.chat_sync("openai/gpt-5", ASK)
    assert signed(other) == []
    eventually(lambda: answered(other))
    assert one.journal.pending() == [], "nobody but the other notebook looked at it"
    (receipt,) = one.journal.receipts()
    assert (receipt.status, len(signed(other))) == ("settled", 1)


def test_a_ledger_that_was_changed_by_hand_asks_nothing_that_is_paid(
    devnet: Devnet, llm_of: LLMOf, signed: Signed
) -> None:
    llm = llm_of(devnet, budget_wallet=10**30)
    llm.chat_sync("openai/gpt-5", ASK, max_tokens=3)
    again = llm_of(devnet, budget_wallet=10**30, ledger=llm.settings.ledger)
    edit(llm.settings.ledger, "UPDATE authorizations SET cap = '-1000000000000000000000'")
    with pytest.raises(LedgerError, match="changed by hand"):
        again.chat_sync("openai/gpt-5", ASK)
    assert len(signed(llm)) == 1
    assert WalletFile().summary() == "1 payment, 1 wallet"


def edit(path: str, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
