"""Threads: conversations of several turns, stored in the ledger.

A turn in a thread sends the current system prompt, the messages of the earlier turns, and its own. A cell that runs
again replaces its earlier turn and sends only the turns before that one. A turn that failed, was interrupted or ended
in tool calls that were not run is not stored: the thread stays unchanged.

The token budget covers all that is sent. Turns are left out whole, the oldest first; the system prompt and the new
prompt are always sent.
"""

from __future__ import annotations

import json
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.cell_context import CellExecution, execution
from ..core.cell_notes import TURN_NOT_KEPT, TURNS_LEFT_OUT
from ..core.errors import ConfigError, LedgerError
from ..core.fork import new_lock
from ..core.types import ChatRequest
from ..ledger import KeptTurn, Ledger, ThreadStore, ThreadSummary, place_of
from .answer import Answer

LONGEST_NAME = 80
"""Most characters of a thread's name."""

_TOKEN = 4
"""Characters of a token, on average."""
_ATTACHMENT = 1000
"""Tokens that a picture or a file counts for."""
_MOST_EXECUTIONS = 200
"""Cell executions for which the number of turns is remembered."""
_HIDDEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Format characters that words and emoji are written with; the others can make two names look the same."""


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a turn in a thread.

    Attributes:
        name: of the thread.
        left_out: number of earlier turns that did not fit into the budget.
        left_tokens: about how many tokens these hold.
    """

    name: str
    left_out: int
    left_tokens: int
    _store: ThreadStore
    _thread: str
    _own: int
    _execution: CellExecution
    _number: int

    @property
    def note(self) -> str:
        """A sentence for the user on turns that were left out; "" if none were."""
        if not self.left_out:
            return ""
        turns = "1 earlier turn" if self.left_out == 1 else f"{self.left_out} earlier turns"
        was = "was" if self.left_out == 1 else "were"
        return TURNS_LEFT_OUT.of(turns=turns, thread=repr(self.name), was=was, count=f"{self.left_tokens:,}")

    def keep(self, answer: Answer, question: ChatRequest) -> Answer:
        """Store the turn in the thread, note the thread in the answer, and return the answer.

        Where the turn cannot be stored, the ledger's next note says so; the answer and its receipts are not affected.
        """
        answer.thread, answer.left_out = self.name, self.left_out
        messages = answer.messages[len(question.body["messages"]) - self._own :]
        if messages and not messages[-1].get("tool_calls"):
            receipts = tuple(receipt.receipt_id for receipt in answer.receipts)
            kept = KeptTurn(self._execution, self._number, time.time(), tokens_of(messages), tuple(messages), receipts)
            try:
                self._store.keep(self.name, self._thread, kept)
            except LedgerError as error:  # the answer is there, and is shown
                self._store.note(TURN_NOT_KEPT.of(why=error.what, thread=repr(self.name)))
        return answer


class Threads:
    """The conversations of a notebook. Methods are thread-safe.

    Each raises LedgerError if the ledger cannot be read or written.
    """

    def __init__(self, ledger: Callable[[], Ledger]) -> None:
        self._ledger = ledger
        self._lock = new_lock()
        self._turn_counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    @property
    def _store(self) -> ThreadStore:
        return self._ledger().threads

    def list(self) -> Sequence[ThreadSummary]:
        """Return all threads, the last used first."""
        return self._store.all()

    def names(self) -> Sequence[str]:
        """Return the names of all threads, the last used first. No ledger is created for that."""
        return [thread.name for thread in self.list()] if self._ledger().path.is_file() else []

    def show(self, name: str) -> Sequence[KeptTurn]:
        """Return the turns of a thread, oldest first.

        Raises:
            ConfigError: there is no such thread.
        """
        return self._store.turns(checked_name(name))

    def fork(self, name: str, new: str, at: int | None = None) -> int:
        """Start a new thread with the first `at` turns of another, or all; return how many it has.

        Raises:
            ConfigError: there is no such thread, or there is one of the new name; or `at` is negative.
        """
        if at is not None and at < 0:
            raise ConfigError(f"--at is {at}.", remedy="Give the number of turns to take over, 0 or more.")
        return self._store.fork(checked_name(name), checked_name(new), at)

    def rename(self, name: str, new: str) -> None:
        """Rename a thread.

        Raises:
            ConfigError: there is no such thread, or there is one of the new name.
        """
        self._store.rename(checked_name(name), checked_name(new))

    def reset(self, name: str) -> int:
        """Remove all turns of a thread and return how many there were. Their receipts stay.

        Raises:
            ConfigError: there is no such thread.
        """
        return self._store.reset(checked_name(name))

    def delete(self, name: str) -> None:
        """Remove a thread with its turns. Their receipts stay.

        Raises:
            ConfigError: there is no such thread.
        """
        self._store.delete(checked_name(name))

    def place(
        self, name: str, question: ChatRequest, budget: int, *, counted: bool = True
    ) -> tuple[ChatRequest, Place]:
        """Return the request with the earlier turns of the thread, and its position in the thread.

        Args:
            budget: tokens that may be sent, approximately.
            counted: the turn will be asked; the next one of this cell execution comes after it.

        Raises:
            ConfigError: the name is not valid.
        """
        name, run = checked_name(name), execution()
        store, number = self._store, self._count(run, name, 1 if counted else 0)
        thread, turns = store.find(name)
        index, _ = place_of(turns, run, number)
        own = list(question.body["messages"])
        first = next((i for i, message in enumerate(own) if message.get("role") != "system"), len(own))
        before = [turn for turn in turns[:index] if turn.own]  # what came from elsewhere is sent to nobody
        fits = fitting([turn.tokens for turn in before], budget - tokens_of(own))
        sent = [message for turn in before[len(before) - fits :] for message in turn.messages]
        omitted = before[: len(before) - fits]
        place = Place(
            name, len(omitted), sum(turn.tokens for turn in omitted), store, thread, len(own) - first, run, number
        )
        messages = [*own[:first], *sent, *own[first:]]
        return replace(question, body={**question.body, "messages": messages}), place

    def _count(self, run: CellExecution, name: str, more: int) -> int:
        """Return the number of earlier turns of this cell execution in this thread, and count so many more."""
        if not run.run:
            return 0
        with self._lock:
            number = self._turn_counts.pop((run.run, name), 0)
            self._turn_counts[run.run, name] = number + more
            while len(self._turn_counts) > _MOST_EXECUTIONS:
                self._turn_counts.popitem(last=False)
            return number


def fitting(turns: Sequence[int], budget: int) -> int:
    """Return how many of the newest turns fit into a budget of tokens. `turns`: tokens of each, oldest first."""
    count = 0
    for tokens in reversed(turns):
        budget -= tokens
        if budget < 0:
            break
        count += 1
    return count


def tokens_of(messages: Iterable[Mapping[str, Any]]) -> int:
    """Estimate the tokens of messages: one for each four characters."""
    characters = 0
    for message in messages:
        content = message.get("content") or ""
        for part in [content] if isinstance(content, str) else content:
            text = part if isinstance(part, str) else part.get("text")
            characters += _ATTACHMENT * _TOKEN if text is None else len(text)
        if message.get("tool_calls"):
            characters += len(json.dumps(message["tool_calls"], ensure_ascii=False))
    return -(-characters // _TOKEN)


def checked_name(name: str) -> str:
    """Return the normalized name of a thread.

    Raises:
        ConfigError: the name is empty, too long, or holds characters that cannot be seen.
    """
    text = unicodedata.normalize("NFC", str(name)).strip()
    if not text:
        raise ConfigError("A thread's name is empty.", remedy="Give it one; --no-thread asks without a thread.")
    if len(text) > LONGEST_NAME:
        raise ConfigError(f"A thread's name has {len(text)} characters.", remedy=f"Use at most {LONGEST_NAME}.")
    for character in text:
        category = unicodedata.category(character)
        if category in _HIDDEN or (category == "Cf" and character not in _JOINERS):
            raise ConfigError(
                f"The thread's name {text!a} holds {character!a}.", remedy="Use characters that can be seen."
            )
    return text
