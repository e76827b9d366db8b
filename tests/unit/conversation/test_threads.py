"""What of a thread is sent, what of a turn is kept, and how a thread may be called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from og_magics.conversation import Answer, Threads, checked_name
from og_magics.conversation.threads import fitting, tokens_of
from og_magics.core.cell_context import CellExecution, set_cell_provider
from og_magics.core.errors import ConfigError
from og_magics.core.types import ChatRequest, TextGenerationOutput, x402SettlementMode
from og_magics.ledger import Ledger


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[Threads]:
    with Ledger(tmp_path / "ledger.db") as ledger:
        yield Threads(lambda: ledger)
    set_cell_provider(None)


def question(*messages: tuple[str, str]) -> ChatRequest:
    body = {"model": "gpt-5", "messages": [{"role": role, "content": content} for role, content in messages]}
    return ChatRequest("/v1/chat/completions", "openai/gpt-5", body, x402SettlementMode.PRIVATE)


def contents(asked: ChatRequest) -> list[str]:
    return [message["content"] for message in asked.body["messages"]]


def take(threads: Threads, asked: ChatRequest, reply: Any = "answer", budget: int = 8000) -> Answer:
    """Ask in the thread t, and keep what a model would have said."""
    sent, place = threads.place("t", asked, budget)
    message = {"role": "assistant", "content": reply} if isinstance(reply, str) else reply
    return place.keep(Answer.of([TextGenerationOutput(chat_output=message)], sent.body["messages"]), sent)


def run_of(cell: str) -> None:
    set_cell_provider(None, run=lambda: CellExecution("1", f"cell:{cell}", f"{cell}#1"))


class TestWhatIsSent:
    def test_the_turns_before_stand_between_the_system_prompt_and_the_question(self, threads: Threads) -> None:
        take(threads, question(("system", "old"), ("user", "one")))
        sent, _ = threads.place("t", question(("system", "new"), ("user", "two")), 8000)
        assert contents(sent) == ["new", "one", "answer", "two"]

    def test_nothing_is_cut_and_the_oldest_go_first(self, threads: Threads) -> None:
        for number in range(4):
            take(threads, question(("user", f"{number}" * 40)), "a" * 40)  # 20 tokens each
        sent, place = threads.place("t", question(("system", "s" * 40), ("user", "q" * 40)), 20 + 2 * 20)
        assert [text[0] for text in contents(sent)] == ["s", "2", "a", "3", "a", "q"]
        assert (place.left_out, place.left_tokens) == (2, 40)
        assert place.note.startswith("2 earlier turns of thread 't' were left out (about 40 tokens")
        sent, place = threads.place("t", question(("user", "q" * 4000)), 60)
        assert contents(sent) == ["q" * 4000]
        assert place.left_out == 4

    def test_a_turn_that_fits_behind_one_that_does_not_is_left_out_too(self) -> None:
        assert fitting([5, 50, 10, 10], 30) == 2
        assert fitting([], 30) == 0
        assert fitting([1], -1) == 0
        assert fitting([1, 2, 3], 6) == 3

    def test_tokens_are_counted_from_all_that_is_text(self) -> None:
        call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
        assert tokens_of([]) == 0
        assert tokens_of([{"role": "user", "content": "12345"}]) == 2
        assert tokens_of([{"role": "assistant", "content": None, "tool_calls": [call]}]) > 10
        parts = [{"type": "text", "text": "1234"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 99_999}}]
        assert tokens_of([{"role": "user", "content": parts}]) == 1001


class TestWhatIsKept:
    def test_the_messages_of_the_turn_and_nothing_of_those_before(self, threads: Threads) -> None:
        take(threads, question(("system", "s"), ("user", "one")))
        answer = take(threads, question(("system", "s"), ("user", "cells"), ("user", "two")))
        assert (answer.thread, answer.left_out) == ("t", 0)
        assert [[m["content"] for m in turn.messages] for turn in threads.show("t")] == [
            ["one", "answer"],
            ["cells", "two", "answer"],
        ]

    def test_what_was_put_before_the_thread_later_is_no_part_of_the_turn(self, threads: Threads) -> None:
        take(threads, question(("user", "one")))
        sent, place = threads.place("t", question(("user", "two")), 8000)
        messages = [{"role": "system", "content": "Answer in JSON."}, *sent.body["messages"]]
        sent = ChatRequest(sent.path, sent.model, {**sent.body, "messages": messages}, sent.settlement)
        reply = {"role": "assistant", "content": "{}"}
        place.keep(Answer.of([TextGenerationOutput(chat_output=reply)], messages), sent)
        assert [m["content"] for m in threads.show("t")[1].messages] == ["two", "{}"]

    def test_calls_that_nobody_ran_cannot_be_gone_on_with_and_are_not_kept(self, threads: Threads) -> None:
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        answer = take(threads, question(("user", "one")), {"role": "assistant", "content": None, "tool_calls": [call]})
        assert answer.thread == "t"
        assert threads.names() == []

    def test_the_questions_of_one_run_are_counted_for_each_thread(self, threads: Threads) -> None:
        run_of("a")
        for text in ("one", "two"):
            take(threads, question(("user", text)))
        threads.place("other", question(("user", "elsewhere")), 8000)
        take(threads, question(("user", "three")))
        assert [turn.number for turn in threads.show("t")] == [0, 1, 2]

    def test_a_cell_that_is_run_again_knows_only_what_stands_before_it(self, threads: Threads) -> None:
        for cell in ("a", "b", "c"):
            run_of(cell)
            take(threads, question(("user", cell)))
        set_cell_provider(None, run=lambda: CellExecution("2", "cell:b", "b#1"))
        sent, _ = threads.place("t", question(("user", "again")), 8000)
        assert contents(sent) == ["a", "answer", "again"]

    def test_names_make_no_file(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "none.db")
        assert Threads(lambda: ledger).names() == []
        assert list(tmp_path.iterdir()) == []


class TestNames:
    @pytest.mark.parametrize(
        "name", ["a", "my thread", "  spaces around ", "日本語", "👩‍👩‍👧", "a/b:c'\"", "x" * 80, "-"]
    )
    def test_any_text_that_can_be_seen_is_one(self, name: str) -> None:
        assert checked_name(name) == name.strip()

    def test_two_ways_to_write_a_letter_are_one_name(self) -> None:
        assert checked_name("e\u0301") == checked_name("é")

    @pytest.mark.parametrize(
        "name", ["", "  ", "x" * 81, "a\nb", "a\x00", "\x1b[31m", "a\u202eb", "a\u2028b", "\ud83d", "\ufeffa"]
    )
    def test_what_cannot_be_seen_is_none(self, name: str) -> None:
        with pytest.raises(ConfigError):
            checked_name(name)

    @pytest.mark.parametrize("at", [-1])
    def test_a_fork_begins_with_a_number_of_turns(self, threads: Threads, at: int) -> None:
        with pytest.raises(ConfigError, match="--at is -1"):
            threads.fork("t", "u", at)
