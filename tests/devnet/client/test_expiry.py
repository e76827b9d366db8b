"""Authorizations that nobody used: on a devnet, which makes blocks only for transactions, they expire all the same."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from og_magics.core.payment_states import MoneyState
from og_magics.ledger import Ledger

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]


@pytest.mark.ci
def test_what_was_never_sent_expires_and_what_was_paid_does_not(llm_of: LLMOf, anywhere: Devnet) -> None:
    llm = llm_of(anywhere, watch=False)
    assert isinstance(llm.journal, Ledger)
    llm.chat_sync("openai/gpt-5", ASK)
    assert llm.settle(20) == 0
    (receipt,) = llm.journal.receipts()
    assert receipt.authorization is not None
    assert llm.journal.money(receipt.authorization.hash) is MoneyState.FINAL
    now = int(time.time())
    unsent = [
        replace(receipt.authorization, hash=f"0x{n:064x}", nonce=n << 8, created=created, deadline=now - 100)
        for n, created in enumerate((now, llm.network.genesis_time - 400), 1)
    ]
    open_still = replace(unsent[0], hash="0x9", nonce=9 << 8, deadline=now + 600)
    for one in (*unsent, open_still):
        llm.journal.authorize(one)
    assert llm.settle(0) == 1
    assert [llm.journal.money(one.hash) for one in unsent] == [MoneyState.EXPIRED] * 2
    assert llm.journal.money(open_still.hash) is MoneyState.PENDING
    assert llm.journal.money(receipt.authorization.hash) is MoneyState.FINAL
