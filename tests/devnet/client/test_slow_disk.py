"""A ledger that another process holds while a call is paid: the loop goes on, and no answer is lost."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.ledger import Ledger, file

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
ANSWER = json.dumps(
    {"model": "gpt-5", "choices": [{"message": {"content": "at last"}, "finish_reason": "stop"}], "usage": USAGE}
).encode()


class Held:
    """A lock on a ledger, as another process has it, and the moment at which a write begins to wait for it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.waits = ledger, threading.Event()
        self._other = sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False)

    def take(self) -> None:
        self._other.execute("BEGIN IMMEDIATE")
        assert self.ledger._file.connection is not None
        self.ledger._file.connection.set_trace_callback(lambda sql: sql == "BEGIN IMMEDIATE" and self.waits.set())

    def leave(self) -> None:
        self._other.close()


@pytest.fixture
def gateway(serve: Any, reply: Any, offer: str) -> Callable[..., Any]:
    """A maker of gateways that do something before they answer a request that is unpaid, or paid."""

    def make(unpaid: Callable[[], object] = list, paid: Callable[[], object] = list) -> Any:
        def answer(asked: Any) -> Any:
            if asked.method == "GET":
                return reply(404)
            if "payment-signature" not in asked.headers and "x-upto-session" not in asked.headers:
                unpaid()
                return reply(402, headers={"PAYMENT-REQUIRED": offer})
            paid()
            return reply(200, ANSWER, headers={"X-Upto-Session": "s1"})

        return serve(answer)

    return make


async def work() -> int:
    """Go round the loop many times."""
    for _ in range(100):
        await asyncio.sleep(0)
    return 100


@pytest.fixture
def llm(llm_of: LLMOf, devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Held]]:
    monkeypatch.setattr(file, "SHORT_WAIT", 30.0)  # whoever waits here waits until the lock is left

    def make(server: Any) -> tuple[Any, Held]:
        llm = llm_of(devnet, gateway_url=server.url, watch=False)
        Path(llm.settings.ledger).parent.mkdir(exist_ok=True)
        with llm.journal._file.writing(begins=True):
            pass
        return llm, Held(llm.journal)

    return make


@pytest.mark.parametrize("when", ["unpaid", "paid"])
def test_other_calls_go_on_while_one_waits_for_the_disk(
    llm: Callable[..., tuple[Any, Held]], llm_of: LLMOf, devnet: Devnet, gateway: Any, when: str
) -> None:
    server = gateway(**{when: lambda: lock.take()})  # noqa: PLW0108 - it is made below
    waiting, lock = llm(server)
    first = threading.Thread(target=lambda: answers.append(waiting.chat_sync("openai/gpt-5", ASK)), daemon=True)
    answers: list[Any] = []
    first.start()
    assert lock.waits.wait(30)
    assert runtime.wait(work(), 30) == 100
    other = llm_of(devnet, gateway_url=gateway().url, watch=False)
    assert other.chat_sync("openai/gpt-5", ASK).text == "at last"
    assert answers == [], "it waits still"
    if when == "unpaid":
        assert not any("payment-signature" in asked.headers for asked in server.posts), "written down, then sent"
    lock.leave()
    first.join(30)
    (answer,) = answers
    assert answer.text == "at last"
    assert [one.status for one in waiting.journal.receipts()] == ["served"]
    assert waiting.journal.audit().ok


def test_an_answer_whose_ledger_stays_locked_is_shown_and_its_receipt_taken_in_later(
    llm: Callable[..., tuple[Any, Held]], gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "SHORT_WAIT", 0.0)
    server = gateway(paid=lambda: lock.take())  # noqa: PLW0108 - it is made below
    llm_, lock = llm(server)
    answer = llm_.chat_sync("openai/gpt-5", ASK)
    shown = answer.receipt
    assert (answer.text, shown.status, shown.text) == ("at last", "served", "at last")
    assert shown.session_id is not None
    assert shown.authorization_hash is not None
    lock.leave()
    assert llm_.journal.receipts() == [shown]
    assert llm_.journal.audit().ok
    assert len(server.posts) == 2
