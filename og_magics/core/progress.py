"""The progress of one answer while it is being made: written on the background loop, read by whoever shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from .untrusted_json import read_json

INTERRUPTED = "Interrupted: the answer is not complete."
MORE_ROUNDS = "Not complete: the model asked for more functions, and no round was left."
UNFIT = "This answer does not have the form that was asked for."
SCRUBBED = "(The text was removed.)"
"""Stands for a prompt or an answer in a notebook whose texts were removed."""

STATUS_NOTES = (INTERRUPTED, MORE_ROUNDS, UNFIT)
"""Notes that may stand below an answer that is not the end of its turn: fixed words, which an audit knows."""


@dataclass
class Call:
    """A function call that a model asked for, on its way.

    Attributes:
        name, arguments: as the model wrote them; the arguments are JSON text, or meant to be.
        state: "waiting" (for a person's word), "running", "done", "failed", "refused" or "stopped".
        result: the text that the model gets of it, "" before that.
        seconds: that the function took.
        guarded: it writes or spends.
    """

    name: str
    arguments: str
    state: str = "running"
    result: str = ""
    seconds: float = 0.0
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """A request to repair the answer before it, which did not have the form that was asked for.

    Attributes:
        why: the reason, as the model gets it. text: what had come, where that is not shown beside this.
    """

    why: str
    text: str = ""


StreamPart = str | Call | RepairRequest


@dataclass(frozen=True)
class SpendRequest:
    """A call that could cost more than was agreed, on its way.

    Attributes:
        text: what it could cost, and what was agreed, in one sentence.
    """

    text: str


Confirmable = Call | SpendRequest
"""A question to a person while an answer is made."""


def _unheard() -> None:
    """Tell nobody of a change."""


def _unheard_failure(error: Exception) -> None:
    """Tell nobody of a failure."""


@dataclass
class Progress:
    """One answer on its way. It is written on one thread; any other may read it at any moment.

    Attributes:
        state: "starting" (a devnet), "connecting", "paying", "waiting" (for the first token), "answering",
            "calling" (functions); "replaying" where a recorded answer is shown; else in words, why it waits.
        receipt_ids: of the receipts that were opened for it, oldest first.
        changed: called after each change, on the thread that made it; it must not block, nor raise.
        size: bytes of the text so far, in UTF-8; of what functions were given and returned, too.
        tokens: pieces of text that have arrived.
        steps: changes of function calls so far.
        listening: somebody follows who answers when a call is to be confirmed.
        refused: called with each failure after which the call is tried again, as `changed` is.
    """

    state: str = "connecting"
    receipt_ids: list[str] = field(default_factory=list)
    changed: Callable[[], None] = _unheard
    size: int = 0
    tokens: int = 0
    steps: int = 0
    listening: bool = False
    refused: Callable[[Exception], None] = _unheard_failure
    _inserted: list[tuple[int, Call | RepairRequest]] = field(default_factory=list)
    _asked: deque[tuple[Confirmable, Future[bool | None]]] = field(default_factory=deque)
    _pieces: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _first: float | None = None

    @property
    def receipt_id(self) -> str | None:
        """The call's receipt, once it is open."""
        return self.receipt_ids[-1] if self.receipt_ids else None

    @property
    def text(self) -> str:
        """The text that has arrived."""
        return "".join(self._pieces)

    @property
    def parts(self) -> list[StreamPart]:
        """The parts that have arrived, in order: text, function calls, and repair requests."""
        parts: list[StreamPart] = []
        begin = 0
        for place, one in [*self._inserted, (len(self._pieces), "")]:
            text = "".join(self._pieces[begin:place])
            parts += [part for part in (text, one) if part != ""]
            begin = place
        return parts

    @property
    def ttft(self) -> float | None:
        """Seconds from the start to the first piece of text, None before it."""
        return None if self._first is None else self._first - self._began

    @property
    def answering_for(self) -> float:
        """Seconds since the first piece of text, 0 before it."""
        return 0.0 if self._first is None else time.monotonic() - self._first

    @property
    def rate(self) -> float:
        """Pieces of text a second, since the first; 0 before the second."""
        if self._first is None or self.tokens < 2:
            return 0.0
        return self.tokens / max(self.answering_for, 0.001)

    def note(self, state: str) -> None:
        """Set the state."""
        self.state = state
        self.changed()

    def opened(self, receipt_id: str) -> None:
        """Note the id of a receipt that was opened for the answer."""
        self.receipt_ids.append(receipt_id)
        self.changed()

    def add(self, text: str) -> None:
        """Append a piece of the answer."""
        if text:
            if self._first is None:
                self._first = time.monotonic()
            self._pieces.append(text)
            self.size += len(text.encode("utf-8", "replace"))
            self.tokens += 1
            self.changed()

    def append(self, part: Call | RepairRequest) -> None:
        """Append a function call, or a request to repair the answer."""
        self._inserted.append((len(self._pieces), part))
        self.step(part.arguments if isinstance(part, Call) else part.why)

    def step(self, text: str = "") -> None:
        """Note that a function call changed; `text` is what it shows now, if anything."""
        self.size += len(text.encode("utf-8", "replace"))
        self.steps += 1
        self.changed()

    def request_confirmation(self, call: Confirmable) -> Future[bool | None]:
        """Ask the reader of this progress to confirm a call; None where nobody can be asked."""
        answer: Future[bool | None] = Future()
        if self.listening:
            self._asked.append((call, answer))
            self.changed()
        else:
            answer.set_result(None)
        return answer

    def answer_confirmations(self, person: Callable[[Confirmable], bool | None]) -> None:
        """Answer all that is asked by now, one call after another, on this thread."""
        while self._asked:
            call, answer = self._asked.popleft()
            if answer.set_running_or_notify_cancel():
                answer.set_result(person(call))


def is_failure(result: str) -> bool:
    """Return True for the result of a function that says that it failed: a JSON object of `error` alone."""
    if not result.startswith('{"error":'):
        return False
    try:
        return set(read_json(result.encode("utf-8", "surrogatepass"))) == {"error"}
    except ValueError:
        return False
