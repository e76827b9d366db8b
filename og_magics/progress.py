"""Where an answer stands while it is being made: written on the background loop, read by whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Progress:
    """One answer on its way. It is written on one thread; any other may read it at any moment.

    Attributes:
        state: "starting" (a devnet), "connecting", "paying", "waiting" (for the first token), "answering".
        receipt_ids: of the receipts that were opened for it, oldest first.
        changed: called after each change, on the thread that made it; it must not block, nor raise.
        size: bytes of the text so far, in UTF-8.
        tokens: pieces of text that have arrived.
    """

    state: str = "connecting"
    receipt_ids: list[str] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None
    size: int = 0
    tokens: int = 0
    _pieces: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _first: float | None = None

    @property
    def receipt_id(self) -> str | None:
        """The call's receipt, once it is open."""
        return self.receipt_ids[-1] if self.receipt_ids else None

    @property
    def text(self) -> str:
        """What has arrived."""
        return "".join(self._pieces)

    @property
    def ttft(self) -> float | None:
        """Seconds from the start to the first piece of text, None before it."""
        return None if self._first is None else self._first - self._began

    @property
    def rate(self) -> float:
        """Pieces of text a second, since the first; 0 before the second."""
        if self._first is None or self.tokens < 2:
            return 0.0
        return self.tokens / max(time.monotonic() - self._first, 0.001)

    def note(self, state: str) -> None:
        """Set the state."""
        self.state = state
        self.changed()

    def opened(self, receipt_id: str) -> None:
        """A receipt was opened for it."""
        self.receipt_ids.append(receipt_id)
        self.changed()

    def add(self, text: str) -> None:
        """A piece of the answer arrived."""
        if text:
            if self._first is None:
                self._first = time.monotonic()
            self._pieces.append(text)
            self.size += len(text.encode("utf-8", "replace"))
            self.tokens += 1
            self.changed()
