"""Threads: turns that know those before them, kept in the ledger.

A turn in a thread sends the system prompt of now, the messages of the turns before it, and its own. What is asked again
by the same cell takes the place of what that cell asked before, and knows only what stands before that place. A turn
that failed, was interrupted or ended in calls that nobody ran is not kept: the thread stays as it was.

The budget counts all that is sent. Turns are left out whole, the oldest first; the system prompt and the new question
always go.
"""

from __future__ import annotations

import json
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConfigError
from ..ledger import KeptTurn, Ledger, ThreadStore, ThreadSummary, place_of
from ..origin import Execution, execution
from ..types import Question
from .answers import Answer

LONGEST_NAME = 80
"""Characters."""

_TOKEN = 4
"""Characters, about."""
_ATTACHMENT = 1000
"""Tokens that a picture or a file in a message is taken for."""
_MOST = 200
"""Runs of cells whose questions are counted."""
_HIDDEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Format characters that words and emoji are written with; the others can make two names look the same."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a thread a turn stands, and what it knows of the thread.

    Attributes:
        name: of the thread.
        left_out, left_tokens: the earlier turns that did not fit into the budget, and about how much they hold.
    """

    name: str
    left_out: int
    left_tokens: int
    _store: ThreadStore
    _thread: str
    _own: int
    _execution: Execution
    _number: int

    @property
    def note(self) -> str:
        """What to tell of what was left out; "" if nothing was."""
        if not self.left_out:
            return ""
        turns = "1 earlier turn" if self.left_out == 1 else f"{self.left_out} earlier turns"
        was = "was" if self.left_out == 1 else "were"
        return (
            f"{turns} of thread {self.name!r} {was} left out (about {self.left_tokens:,} tokens, the oldest). "
            "%og use --thread-tokens N lets a thread send more."
        )

    def keep(self, answer: Answer, question: Question) -> Answer:
        """Put the turn that began with this question and came to this answer into the thread; the same answer, which
        now tells of it.

        Raises:
            LedgerError: it could not be written; the answer and its receipt are not touched by that.
        """
        answer.thread, answer.left_out = self.name, self.left_out
        messages = answer.messages[len(question.body["messages"]) - self._own :]
        if messages and not messages[-1].get("tool_calls"):
            receipts = tuple(receipt.receipt_id for receipt in answer.receipts)
            kept = KeptTurn(self._execution, self._number, time.time(), tokens_of(messages), tuple(messages), receipts)
            self._store.keep(self.name, self._thread, kept)
        return answer


class Threads:
    """The threads of a notebook. All methods may be called from any thread, and raise LedgerError where the ledger
    cannot be read or written."""

    def __init__(self, ledger: Callable[[], Ledger]) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._asked: OrderedDict[tuple[str, str], int] = OrderedDict()

    @property
    def _store(self) -> ThreadStore:
        return self._ledger().threads

    def list(self) -> Sequence[ThreadSummary]:
        """All, the last used first."""
        return self._store.all()

    def names(self) -> Sequence[str]:
        """Of all, the last used first; none where there is no ledger yet, which this does not make."""
        return [thread.name for thread in self.list()] if self._ledger().path.is_file() else []

    def show(self, name: str) -> Sequence[KeptTurn]:
        """The turns of a thread, oldest first.

        Raises:
            ConfigError: there is no such thread.
        """
        return self._store.turns(checked_name(name))

    def fork(self, name: str, new: str, at: int | None = None) -> int:
        """A new thread that begins with the first `at` turns of another, or all; how many these are.

        Raises:
            ConfigError: there is no such thread, or there is one of the new name; or `at` is no number of turns.
        """
        if at is not None and at < 0:
            raise ConfigError(f"--at is {at}.", remedy="Give the number of turns to take over, 0 or more.")
        return self._store.fork(checked_name(name), checked_name(new), at)

    def rename(self, name: str, new: str) -> None:
        """Give a thread another name.

        Raises:
            ConfigError: there is no such thread, or there is one of the new name.
        """
        self._store.rename(checked_name(name), checked_name(new))

    def reset(self, name: str) -> int:
        """Take all turns out of a thread; how many there were. Their receipts stay.

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

    def place(self, name: str, question: Question, budget: int) -> tuple[Question, Place]:
        """The question as it is asked in a thread, after its earlier turns; and where in the thread that is.

        Args:
            budget: tokens that may be sent, about.

        Raises:
            ConfigError: no name for a thread.
        """
        name, run = checked_name(name), execution()
        store, number = self._store, self._count(run, name)
        thread, turns = store.find(name)
        index, _ = place_of(turns, run, number)
        own = list(question.body["messages"])
        first = next((i for i, message in enumerate(own) if message.get("role") != "system"), len(own))
        fits = fitting([turn.tokens for turn in turns[:index]], budget - tokens_of(own))
        sent = [message for turn in turns[index - fits : index] for message in turn.messages]
        left = turns[: index - fits]
        place = Place(name, len(left), sum(turn.tokens for turn in left), store, thread, len(own) - first, run, number)
        messages = [*own[:first], *sent, *own[first:]]
        return replace(question, body={**question.body, "messages": messages}), place

    def _count(self, run: Execution, name: str) -> int:
        """Which question of this run in this thread this is, from 0."""
        if not run.run:
            return 0
        with self._lock:
            number = self._asked.pop((run.run, name), 0)
            self._asked[run.run, name] = number + 1
            while len(self._asked) > _MOST:
                self._asked.popitem(last=False)
            return number


def fitting(turns: Sequence[int], budget: int) -> int:
    """How many of the newest turns fit together into a budget. `turns`: their tokens, oldest first."""
    count = 0
    for tokens in reversed(turns):
        budget -= tokens
        if budget < 0:
            break
        count += 1
    return count


def tokens_of(messages: Iterable[Mapping[str, Any]]) -> int:
    """About how many tokens messages hold: one for each four characters."""
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
    """A thread's name as it is kept.

    Raises:
        ConfigError: it is empty, too long, or holds characters that cannot be seen.
    """
    text = unicodedata.normalize("NFC", str(name)).strip()
    if not text:
        raise ConfigError("A thread's name is empty.", remedy="Give it one; --no-thread asks without a thread.")
    if len(text) > LONGEST_NAME:
        raise ConfigError(f"A thread's name has {len(text)} characters.", remedy=f"Use at most {LONGEST_NAME}.")
    for c in text:
        category = unicodedata.category(c)
        if category in _HIDDEN or (category == "Cf" and c not in _JOINERS):
            raise ConfigError(f"The thread's name {text!a} holds {c!a}.", remedy="Use characters that can be seen.")
    return text
