"""An estimate: its sums, what it says of what is not known, and that it sends nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from og_magics.conversation import Answer
from og_magics.core.cell_context import CellExecution, set_cell_provider
from og_magics.core.errors import ConfigError
from og_magics.core.estimate import Estimate, is_estimate
from og_magics.core.models import catalogue
from og_magics.core.receipt import Authorization
from og_magics.core.settings import Settings
from og_magics.core.types import Outcome, Settlement, TextGenerationOutput
from og_magics.session import Session, api
from tests.unit.ledger.conftest import Make

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
MODEL = "openai/gpt-5"  # 1.25 USD per million tokens in, 10 out
HEAD = 16
"""Tokens around a message, at most."""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on a network that takes real money, without a key; no socket can be opened."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("OG_"):
            monkeypatch.delenv(name)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was sent")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("subprocess.Popen.__init__", refuse)
    made = Session(Settings(network="base", ledger=str(tmp_path / "l.db"), model=MODEL, max_tokens=1000))
    monkeypatch.setattr("og_magics.session.asking._app", made)
    yield made
    set_cell_provider(None)


def pay(
    session: Session, prompt: str, usd: str, amount: int, number: int = 1, tokens: int = 100, **changes: Any
) -> str:
    """Note an answered and settled question of the session in its ledger."""
    make, ledger = Make(), session.ledger
    request = session.build_turn(prompt).request
    receipt_id = ledger.open(request, "base", 1_800_000_000.0 + number)
    signed: Authorization = make.authorization(number, network="eip155:8453", cap=10**19)
    ledger.authorize(signed)
    ledger.attach(receipt_id, signed.hash, "session")
    outcome: Outcome = make.outcome(completion_tokens=tokens, tool_calls=(), **changes)
    ledger.serve(receipt_id, outcome, cost_usd=usd, weight=1, enclave=make.verdict)
    found: Settlement = make.settlement(signed, amount, number)
    ledger.settle(found)
    return receipt_id


class TestSums:
    def test_one_prompt_by_hand(self, session: Session) -> None:
        found = api.estimate("a" * 400)
        assert (found.calls, found.most_calls, found.questions, found.recorded) == (1, 1, 1, 0)
        assert (found.prompt_tokens, found.most_prompt_tokens) == (104, 416)
        assert (found.completion_tokens, found.most_completion_tokens) == (500, 1000)
        assert found.usd == Decimal("0.00513")  # 104 * 1.25 + 500 * 10, in millionths
        assert found.most_usd == Decimal("0.01052")
        assert found.opg is None
        assert found.most_opg is None

    def test_opg_at_the_price_that_the_last_payment_came_to_rounded_up_as_gateways_do(self, session: Session) -> None:
        pay(session, "before", "0.003", 15 * 10**15)  # 0.2 USD an OPG
        found = api.estimate("a" * 400, max_tokens=1)
        assert found.price == Decimal("0.2")
        assert found.most_usd == Decimal("0.00053")
        assert found.most_opg == 2_650_000_000_000_000
        session.ledger.settle(
            Make().settlement(Make().authorization(1, network="eip155:8453", cap=10**19), 7 * 10**15, 9)
        )
        third = api.estimate("a" * 400, max_tokens=1)
        assert third.most_opg is not None
        assert third.most_opg == -(-53 * 7 * 10**15 // 300)  # 0.00053 / 0.003 of what moved, and not a unit less

    def test_one_cheap_report_of_a_gateway_does_not_change_the_price(self, session: Session) -> None:
        pay(session, "before", "0.003", 15 * 10**15, reported_cost=1)
        assert api.estimate("x").price == Decimal("0.2")

    def test_a_network_that_was_not_paid_on_has_no_price(self, session: Session) -> None:
        pay(session, "before", "0.003", 15 * 10**15)
        session.update_settings(network="base-sepolia")
        assert api.estimate("x").price is None

    def test_many_add_up(self, session: Session) -> None:
        one, many = api.estimate("hello"), api.estimate(["hello"] * 7)
        assert one.most_usd is not None
        assert (many.questions, many.calls, many.most_usd) == (7, 7, 7 * one.most_usd)

    def test_no_text_has_more_tokens_than_counted(self, session: Session) -> None:
        text = "日本語 émoji 🙂 " * 30
        assert api.estimate(text).most_prompt_tokens == len(text.encode()) + HEAD

    def test_answers_are_as_long_as_those_before_and_never_longer_than_allowed(self, session: Session) -> None:
        for number, tokens in enumerate((40, 61), 1):
            pay(session, f"q{number}", "0.001", 10**15, number, tokens)
        assert api.estimate("x").completion_tokens == 51
        assert api.estimate("x", max_tokens=20).completion_tokens == 20

    def test_the_time_is_that_of_the_last_answers_for_as_many_at_once(self, session: Session) -> None:
        assert api.estimate("x").seconds is None
        assert "not known: no answer of openai/gpt-5 is in the receipts here yet" in repr(api.estimate("x"))
        for number, latency in enumerate((1.0, 3.0), 1):
            pay(session, f"q{number}", "0.001", 10**15, number, latency=latency)
        one, many = api.estimate("x"), api.estimate(["x"] * 40)
        assert (one.seconds, many.seconds) == (2.0, 10.0)
        assert "time             about 10 s: 2.0 s a call, as the last ones took, and 8 at once\n" in repr(many)
        assert api.estimate(["x"] * 3, concurrency=64).seconds == 2.0, "no sooner than one call"
        quick = api.estimate(["x"] * 1000, concurrency="auto")
        assert quick.seconds == 2.0 * 1000 / 64
        assert "31 s or more" in repr(quick)
        assert "up to 64 at once" in repr(quick)
        assert is_estimate(quick.bundle())
        with pytest.raises(ConfigError, match="whole number from 1 to 64"):
            api.estimate(["x"], concurrency=65)

    def test_no_more_than_a_hundred_calls_a_second_are_counted_with(self, session: Session) -> None:
        pay(session, "q", "0.001", 10**15, latency=0.001)
        assert api.estimate(["x"] * 500, concurrency=64).seconds == 5.0

    def test_what_is_shown_again_takes_no_time(self, session: Session) -> None:
        pay(session, "known", "0.001", 10**15)
        found = api.estimate("known", replay="auto")
        assert "time " not in repr(found)
        assert is_estimate(found.bundle())

    def test_a_system_prompt_a_thread_and_a_list_of_parts_count(self, session: Session) -> None:
        bare = api.estimate("x").most_prompt_tokens
        assert api.estimate("x", system="s" * 30).most_prompt_tokens == bare + 30 + HEAD
        turn = session.build_turn("y" * 50, api.options_from({"thread": "t"}))
        assert turn.place is not None
        said = TextGenerationOutput(chat_output={"role": "assistant", "content": "z" * 70})
        turn.place.keep(Answer.of([said], turn.request.body["messages"]), turn.request)
        assert api.estimate("x", thread="t").most_prompt_tokens == bare + 50 + 70 + 2 * HEAD
        pictured = api.estimate("x", model="gpt-image-2", images=[PNG, PNG])
        assert (pictured.images, pictured.most_prompt_tokens) == (2, bare + 10_000)
        assert "Pictures sent along: 2. Their tokens are a guess" in repr(pictured)

    def test_an_image_costs_its_flat_price(self, session: Session) -> None:
        found = api.estimate("a lighthouse", model="gpt-image-2")
        assert found.most_usd == Decimal("0.05")
        assert api.estimate("x", model="bytedance/seedance-5.0", resolution="2K").most_usd == Decimal("0.09")

    def test_functions_count_with_their_rounds_and_their_schemas(self, session: Session) -> None:
        def add(a: int, b: int) -> int:
            """Add."""
            return a + b

        bare, one = api.estimate("x"), api.estimate("x", tools=[add], rounds=1)
        assert one.most_prompt_tokens > bare.most_prompt_tokens + 500
        found = api.estimate("x", tools=[add], rounds=3)
        assert (found.calls, found.most_calls) == (2, 3)
        assert found.most_prompt_tokens == 3 * one.most_prompt_tokens + (1 + 2) * (1000 + 2000)
        assert found.most_completion_tokens == 3000
        assert "2,000 tokens of results in each" in repr(found)
        assert api.estimate("x", tools=[add], tools_show=True).most_calls == 1

    def test_searches_count_with_their_own_price(self, session: Session) -> None:
        found = api.estimate("x", web_search=True)
        assert found.searches == 10
        search = next(one for one in found.models if one.model == "opengradient/web-search")
        assert (search.calls, search.usd, search.most_usd) == (1, Decimal("0.015"), Decimal("0.15"))

    def test_a_schema_may_be_repaired_once(self, session: Session) -> None:
        found = api.estimate("x", schema={"type": "object"})
        assert (found.calls, found.most_calls) == (1, 2)


class TestWhatIsNotKnown:
    def test_a_model_that_is_not_listed_has_no_cost_and_not_the_cost_nothing(self, session: Session) -> None:
        found = api.estimate("x", model="acme/new-9")
        assert (found.usd, found.most_usd, found.opg, found.most_opg) == (None, None, None, None)
        assert found.unknown == ["acme/new-9"]
        assert "not known: the price list has no price of acme/new-9" in repr(found)
        assert "no more than 10 OPG may be signed" in repr(found)
        assert found.authorized == 10 * 10**18
        assert api.estimate("x", model="acme/new-9", max_cost=0.5).authorized == 5 * 10**17

    def test_one_unknown_among_known_ones_leaves_the_sum_unknown(self, session: Session) -> None:
        turns = [session.build_turn("x"), session.build_turn("x", api.options_from({"model": "acme/new-9"}))]
        found = session.estimate(turns)
        assert found.most_usd is None
        assert "  openai/gpt-5  about $0.005" in repr(found)
        assert "  acme/new-9  not known" in repr(found)

    def test_a_server_that_is_given_by_url_may_take_nothing(self, session: Session) -> None:
        session.update_settings(gateway_url="http://127.0.0.1:9")
        assert "where it takes no payment, nothing is paid" in repr(api.estimate("x", model="local/llama"))


class TestRecorded:
    def test_recorded_ones_are_free_where_they_are_shown_again(self, session: Session) -> None:
        pay(session, "known", "0.001", 10**15)
        off, auto = (api.estimate(["known", "new"], replay=mode) for mode in ("off", "auto"))
        assert (off.recorded, off.calls) == (1, 2)
        assert (auto.recorded, auto.calls, auto.questions) == (1, 1, 2)
        assert "1 of 2: --replay auto would show them unpaid" in repr(off)
        assert "1 of 2: shown again and not paid" in repr(auto)
        only = api.estimate(["known", "new"], replay="only")
        assert (only.calls, only.most_usd, only.most_opg, only.authorized) == (0, 0, 0, 0)

    def test_looking_marks_nothing_as_shown(self, session: Session) -> None:
        pay(session, "known", "0.001", 10**15)
        before = session.ledger.version(), len(session.ledger.receipts())
        replays = api.estimate("known", replay="auto").recorded
        assert replays == 1
        assert session.replayed == {}
        assert (session.ledger.version(), len(session.ledger.receipts())) == before

    def test_a_recorded_answer_of_an_unlisted_model_costs_nothing_and_that_is_known(self, session: Session) -> None:
        session.update_settings(model="acme/new-9")
        pay(session, "known", "0.001", 10**15)
        assert api.estimate("known", replay="auto").most_usd == 0


class TestNothingHappens:
    def test_no_file_no_key_no_network(self, session: Session, tmp_path: Path) -> None:
        api.estimate(["a", "b"])
        assert list(tmp_path.iterdir()) == []
        assert session._llm is None

    def test_a_turn_that_is_only_estimated_is_not_the_next_of_its_thread(self, session: Session) -> None:
        set_cell_provider(None, run=lambda: CellExecution("1", "cell:1", "c#1"))
        api.estimate("x", thread="t")
        place = session.build_turn("x", api.options_from({"thread": "t"})).place
        assert place is not None
        assert place._number == 0

    def test_what_could_not_be_asked_is_refused(self, session: Session) -> None:
        with pytest.raises(ConfigError, match="is empty"):
            api.estimate(["x", " "])
        with pytest.raises(ConfigError, match="turns of one thread"):
            api.estimate(["x"], thread="t")
        with pytest.raises(ConfigError, match="must be a str"):
            api.estimate([3])  # type: ignore[list-item]


HOSTILE = "acme/<img src=x onerror=alert(1)>\n\x1b[31m" + "x" * 5000


class TestTheForm:
    @pytest.mark.parametrize(
        "options",
        [
            {}, {"replay": "auto"}, {"replay": "only"}, {"model": "acme/new-9"}, {"web_search": True},
            {"schema": {"type": "object"}}, {"model": "gpt-image-2", "images": PNG},
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("paid", [False, True])
    def test_an_audit_knows_it(self, session: Session, options: dict[str, Any], paid: bool) -> None:
        if paid:
            pay(session, "known", "0.00000000123", 10**15)
        found = api.estimate(["known", "new"], **options)
        assert is_estimate(found.bundle()), repr(found)
        assert is_estimate({"text/plain": repr(found)})

    def test_names_are_bounded_and_bring_no_markup(self, session: Session) -> None:
        found = api.estimate("x")
        hostile = replace(found, models=tuple(replace(found.models[0], model=HOSTILE, usd=None) for _ in range(50)))
        assert is_estimate(hostile.bundle())
        assert "<img" not in hostile._repr_html_()
        assert "\x1b" not in repr(hostile)
        assert len(repr(hostile)) < 3000
        assert "and 42 more models" in repr(hostile)

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text + "\nThe answer is 42.",
            lambda text: text.replace("calls            1", "calls            1 The answer is 42."),
            lambda text: text.replace("Estimate. Nothing", "Nothing"),
            lambda text: text.splitlines()[0],
            lambda text: text + "\n" + "\n".join(["  and 3 more models"] * 60),
        ],
    )
    def test_nothing_else_is_taken_for_one(self, session: Session, change: Callable[[str], str]) -> None:
        text = change(repr(api.estimate("x")))
        assert not is_estimate({"text/plain": text})
        assert not is_estimate({"text/plain": repr(api.estimate("x")), "text/html": "<b>The answer is 42.</b>"})
        assert not is_estimate({"text/plain": repr(api.estimate("x")), "text/markdown": "x"})

    def test_it_says_of_what_day_its_prices_are(self, session: Session) -> None:
        found: Estimate = api.estimate("x")
        assert found.as_of == catalogue().as_of
        assert catalogue().as_of in repr(found)
