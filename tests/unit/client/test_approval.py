"""The question before much is spent: no call goes past it, whoever makes it, and nobody is asked twice."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from og_magics.client.approval import agree
from og_magics.client.call import CallRunner
from og_magics.client.price_bounds import most_opg
from og_magics.client.web_search import search_request
from og_magics.core import allowance
from og_magics.core.amounts import OPG, parse_opg
from og_magics.core.errors import ConfigError, PaymentRefused
from og_magics.core.estimate import Estimate
from og_magics.core.networks import BASE
from og_magics.core.progress import Progress, SpendRequest
from og_magics.core.settings import Settings, limited
from og_magics.core.spending import Spending
from og_magics.core.types import ChatRequest, x402SettlementMode
from og_magics.ledger import Ledger
from og_magics.session import Session, api

LIMIT = OPG // 100
CHEAP = Decimal("0.2")
"""USD of an OPG."""


def question(words: str = "x", tokens: int = 100, **changes: Any) -> ChatRequest:
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": words}], "max_tokens": tokens}
    request = ChatRequest("/v1/chat/completions", "openai/gpt-5", body, x402SettlementMode.BATCH_HASHED)
    return replace(request, **changes)


class Person:
    """Answers each question on the way with the next word; None for a progress that nobody follows."""

    def __init__(self, *words: bool) -> None:
        self.words = list(words)
        self.asked: list[str] = []

    def progress(self) -> Progress:
        progress = Progress(listening=True)
        progress.changed = lambda: progress.answer_confirmations(self._answer)
        return progress

    def _answer(self, asked: Any) -> bool:
        assert isinstance(asked, SpendRequest)
        self.asked.append(asked.text)
        return self.words.pop(0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "l.db") as opened:
        yield opened


def passes(request: ChatRequest, ledger: Ledger, progress: Progress | None = None, limit: int | None = LIMIT) -> None:
    asyncio.run(agree(request, progress or Progress(), Settings(approve_above=limit), ledger, "base"))


class TestOneCall:
    def test_without_a_limit_nothing_is_asked_nor_looked_up(self, ledger: Ledger) -> None:
        passes(question(tokens=10**9), ledger, limit=None)
        assert not ledger.path.exists()

    def test_a_call_within_it_passes_and_one_above_it_does_not(self, ledger: Ledger) -> None:
        request = question(tokens=100, spending=Spending(LIMIT, CHEAP))  # 0.00102 USD: 0.0051 OPG
        assert most_opg(request, Settings(), CHEAP) == parse_opg("0.00510625")
        passes(request, ledger)
        with pytest.raises(
            PaymentRefused, match=r"0\.0051.* are taken by earlier calls.*Nobody could be asked"
        ) as refused:
            passes(request, ledger)
        assert "Nothing was signed and nothing was paid for this call" in refused.value.money
        assert "OG_APPROVE_ABOVE=0.0103 or more" in refused.value.remedy

    def test_where_a_price_is_not_known_all_that_may_be_signed_counts(self, ledger: Ledger) -> None:
        with pytest.raises(PaymentRefused, match="up to 10 OPG"):
            passes(question(), ledger)  # this notebook has paid nothing yet
        unlisted = question(model="acme/new", spending=Spending(LIMIT, CHEAP))
        with pytest.raises(PaymentRefused, match="up to 10 OPG"):
            passes(unlisted, ledger)
        passes(replace(unlisted, max_cost=LIMIT), ledger)

    def test_a_person_is_asked_once_for_what_goes_beyond(self, ledger: Ledger) -> None:
        person, spending = Person(True, False), Spending(LIMIT, CHEAP)
        passes(question(spending=spending), ledger, person.progress())
        assert person.asked == []
        passes(question(spending=spending), ledger, person.progress())
        assert len(person.asked) == 1
        with pytest.raises(PaymentRefused, match="You did not allow it"):
            passes(question(spending=spending), ledger, person.progress())

    def test_what_was_agreed_is_enough_for_all_its_calls_and_no_more(self, ledger: Ledger) -> None:
        most = most_opg(question(), Settings(), CHEAP)
        spending = Spending(7 * most, CHEAP)
        for _ in range(7):
            passes(question(spending=spending), ledger)
        with pytest.raises(PaymentRefused):
            passes(question(spending=spending), ledger)

    def test_a_round_whose_results_are_larger_than_agreed_asks_again(self, ledger: Ledger) -> None:
        spending = Spending(most_opg(question(), Settings(), CHEAP) * 2, CHEAP)
        passes(question(spending=spending), ledger)
        with pytest.raises(PaymentRefused):
            passes(question("x" * 50_000, spending=spending), ledger)

    def test_a_search_is_taken_from_the_same_sum(self, ledger: Ledger) -> None:
        spending = Spending(OPG // 10, CHEAP)  # a search is 0.015 USD: 0.075 OPG
        search = search_request(question(spending=spending), "news")
        passes(search, ledger)
        with pytest.raises(PaymentRefused, match=r"0\.075 OPG"):
            passes(search, ledger)

    async def test_a_call_of_an_llm_goes_through_it_and_leaves_no_receipt(self, ledger: Ledger) -> None:
        network = replace(BASE, rpc_url="http://127.0.0.1:9")
        nothing: Any = object()  # neither the gateways nor the payments are come to
        runner = CallRunner(network, nothing, nothing, ledger, None, lambda: Settings(approve_above=LIMIT))
        with pytest.raises(PaymentRefused):
            async for _ in runner.stream(question(), Progress()):
                pass
        assert ledger.receipts() == []
        assert ledger.pending() == []


class TestACellOrABatch:
    @pytest.fixture
    def session(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("og_magics.core.settings._limits", {})
        made = Session(Settings(network="base", ledger=str(tmp_path / "l.db"), approve_above=15 * OPG))
        monkeypatch.setattr("og_magics.session.asking._app", made)
        return made

    def test_the_sum_counts_and_one_question_is_asked_for_it(self, session: Session) -> None:
        shown: list[tuple[Estimate, str]] = []

        def no(estimate: Estimate, text: str) -> bool:
            shown.append((estimate, text))
            return False

        turns = [session.build_turn("a"), session.build_turn("b")]
        with pytest.raises(
            PaymentRefused, match=r"up to 20 OPG \(2 calls\), over the limit of 15 OPG\. Its price .* You did not"
        ):
            session.compare(turns, approve=no)
        assert [(estimate.authorized, estimate.most_calls) for estimate, _ in shown] == [(20 * OPG, 2)]
        assert session._llm is None  # no wallet was asked for, and nothing made that could send or sign

    def test_one_question_within_it_is_not_asked(self, session: Session) -> None:
        turns = session._approved([session.build_turn("a")], None)
        spending = turns[0].request.spending
        assert spending is not None
        assert (spending.allowed, spending.used) == (15 * OPG, 0)

    def test_a_yes_allows_the_sum_to_all_of_them_together(self, session: Session) -> None:
        turns = session._approved([session.build_turn(text) for text in "abc"], lambda *_: True)
        assert len({id(turn.request.spending) for turn in turns}) == 1
        assert turns[0].request.spending is not None
        assert turns[0].request.spending.allowed == 30 * OPG

    def test_headless_it_is_refused_with_what_to_set(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("og_magics.session.person.shell", lambda: None)
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # what is piped in is nobody's word
        with pytest.raises(PaymentRefused, match="Nobody could be asked") as refused:
            api.ask_many(["a", "b"], progress=False)
        assert "OG_APPROVE_ABOVE=20 or more where this process is started" in refused.value.remedy
        assert "Nothing was sent, nothing was signed and nothing was paid" in refused.value.money
        session.update_settings(approve_above=1 * OPG)
        for ask in (lambda: api.ask("a"), lambda: asyncio.run(api.aask("a"))):
            with pytest.raises(PaymentRefused):
                ask()
        assert session._llm is None

    def test_recorded_answers_are_not_counted(self, session: Session) -> None:
        turns = [session.build_turn(text, api.options_from({"replay": "only"})) for text in "abc"]
        assert session._approved(turns, None)[0].request.spending is not None


class TestTheEnvironment:
    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read = functools.cache(lambda: allowance.read_environment({"OG_APPROVE_ABOVE": "2"}))
        monkeypatch.setattr(allowance, "allowed", read)
        monkeypatch.setattr("og_magics.core.settings._limits", {})

    @pytest.mark.usefixtures("started")
    def test_a_notebook_may_lower_it_and_not_raise_it(self, tmp_path: Path) -> None:
        session = Session(Settings(ledger=str(tmp_path / "l.db"), approve_above=2 * OPG))
        with pytest.raises(ConfigError, match=r"OG_APPROVE_ABOVE is 2 OPG .* may lower it, and not raise it"):
            session.update_settings(approve_above=3 * OPG)
        session.update_settings(approve_above=1 * OPG)
        assert limited(session.settings).approve_above == 1 * OPG

    @pytest.mark.usefixtures("started")
    def test_settings_of_ones_own_do_not_lift_it(self) -> None:
        assert limited(Settings(approve_above=9 * OPG)).approve_above == 2 * OPG
        assert limited(Settings()).approve_above == 2 * OPG

    def test_a_script_without_a_terminal_sends_nothing(self, tmp_path: Path) -> None:
        program = """
import socket
def refuse(*_): raise SystemExit("something was sent")
socket.socket.connect = refuse
import og_magics as og
try:
    og.ask("hello")
except og.errors.PaymentRefused as error:
    print(error.remedy)
"""
        env = {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
        env |= {"OG_APPROVE_ABOVE": "0.5", "OG_NETWORK": "base", "OG_LEDGER": str(tmp_path / "l.db")}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, input="y\n", capture_output=True, text=True, check=True
        )
        assert "Set OG_APPROVE_ABOVE=10 or more" in done.stdout
        assert not (tmp_path / "l.db").exists()
