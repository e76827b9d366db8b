"""The one display of an answer while it streams: updated in place in a notebook, printed as it comes in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from ..receipt import Receipt
from ..types import Progress, StreamChunk
from .bundle import Explorer, Head, answer_bundle, footer, sorted_images
from .safe import printable, safe_markdown

_STATES = {
    "starting": "starting the local devnet",
    "connecting": "connecting",
    "paying": "paying",
    "waiting": "waiting for the first token",
    "answering": "answering",
}

_FLOOR = 0.05
"""Seconds between updates, at the least."""
_MESSAGE = 900
"""Bytes of a display message besides its text."""
_ALLOWED = 16_000
_FACTOR = 10
"""Updates may send so many bytes, and so many times the text: the more text, the slower the pace, linear in all."""


class Live(Protocol):
    """Shows one answer from its first moment to its receipt. Used on the thread that runs the cell."""

    def show(self, chunk: StreamChunk | None) -> None:
        """A chunk arrived; or None: nothing did, and the status may have changed."""

    def finish(
        self,
        receipt: Receipt,
        text: str,
        explorer: Explorer,
        note: str = "",
        images: Sequence[str] = (),
        head: Head | None = None,
    ) -> None:
        """The answer is complete (or broke off, as `note` says). `images` are data: URIs or links, `head` the
        ledger's."""

    def refresh(self, receipt: Receipt, head: Head | None) -> None:
        """What finished has another receipt now: show it in the same place, where that can be. From any thread."""

    def drop(self) -> None:
        """Nothing came of it: take the status line away."""


def live_for(shell: Any, progress: Progress, title: str) -> Live:
    """The display that suits a shell: a kernel's front end shows rich output, a terminal plain text."""
    return _Rich(progress, title) if getattr(shell, "kernel", None) is not None else _Plain(progress)


class _Meter:
    """Text so far, and how fast it comes."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.pieces: list[str] = []
        self.size = 0
        self._tokens = 0
        self._first = 0.0

    def add(self, chunk: StreamChunk) -> None:
        piece = chunk.choices[0].delta.content
        if piece:
            self._first = self._first or time.monotonic()
            self._tokens += 1
            self.pieces.append(piece)
            self.size += len(piece.encode("utf-8", "replace"))

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def status(self) -> str:
        if self._tokens > 1:
            rate = self._tokens / max(time.monotonic() - self._first, 0.001)
            return f"{self._tokens} tokens, {rate:.0f}/s"
        return _STATES.get(self.progress.state, self.progress.state) + "…"


class _Rich:
    """A display handle whose bytes on the wire stay linear in the answer."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._meter = _Meter(progress)
        self._title = title
        self._id = uuid4().hex
        self._shown = False
        self._sent = 0
        self._last = 0.0
        self._last_status = ""
        self._pending = False
        self._texted = False
        self._again: Callable[[Receipt, Head | None], None] | None = None

    def show(self, chunk: StreamChunk | None) -> None:
        if chunk is not None:
            self._meter.add(chunk)
            self._pending = True
        now = time.monotonic()
        first = self._meter.size > 0 and not self._texted  # the status line before must not hold the first words up
        if now - self._last < _FLOOR and not first:
            return
        if self._meter.size:
            if self._pending and self._sent + self._meter.size + _MESSAGE <= _ALLOWED + _FACTOR * self._meter.size:
                self._texted = True
                self._send(now, f"{safe_markdown(self._meter.text)}\n\n*{self._meter.status()}*")
        elif (status := self._meter.status()) != self._last_status:
            self._last_status = status
            self._send(now, f"*{self._title}: {status}*")

    def finish(
        self,
        receipt: Receipt,
        text: str,
        explorer: Explorer,
        note: str = "",
        images: Sequence[str] = (),
        head: Head | None = None,
    ) -> None:
        pictures, links = sorted_images(images)
        told = "\n\n".join([text, *links]) if links else text
        self._display(answer_bundle(receipt, told, explorer, note, head))
        self._again = _republisher(self._id, lambda now, head: answer_bundle(now, told, explorer, note, head))
        for picture in pictures:
            _show(picture)

    def refresh(self, receipt: Receipt, head: Head | None) -> None:
        if self._again is not None:
            self._again(receipt, head)

    def drop(self) -> None:
        if self._shown:
            self._display({"text/plain": ""})

    def _send(self, now: float, markdown: str) -> None:
        self._sent += len(markdown.encode("utf-8", "replace")) + _MESSAGE
        self._last = now
        self._pending = False
        self._display({"text/markdown": markdown})

    def _display(self, bundle: Mapping[str, Any]) -> None:
        _show(bundle, display_id=self._id, update=self._shown)
        self._shown = True


class _Plain:
    """A terminal: text as it comes, the footer at the end."""

    def __init__(self, progress: Progress) -> None:
        self._meter = _Meter(progress)

    def show(self, chunk: StreamChunk | None) -> None:
        if chunk is not None:
            self._meter.add(chunk)
            sys.stdout.write(printable(chunk.choices[0].delta.content or ""))
            sys.stdout.flush()

    def finish(
        self,
        receipt: Receipt,
        text: str,
        explorer: Explorer,
        note: str = "",
        images: Sequence[str] = (),
        head: Head | None = None,
    ) -> None:
        shown = self._meter.text
        rest = text[len(shown) :] if text.startswith(shown) else ""
        pictures, links = sorted_images(images)
        lines = [printable(rest), *map(printable, links), *([note] if note else []), footer(receipt, explorer)]
        if pictures:
            lines.insert(1, f"({len(pictures)} images, in the result's .images)")
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    def refresh(self, receipt: Receipt, head: Head | None) -> None:
        pass  # what was printed stays printed

    def drop(self) -> None:
        if self._meter.size:
            sys.stdout.write("\n")


def _show(bundle: Mapping[str, Any], **how: Any) -> None:
    from IPython.display import display

    show: Callable[..., Any] = display  # IPython's has no types
    show(dict(bundle), raw=True, **how)


def _republisher(
    display_id: str, bundle: Callable[[Receipt, Head | None], dict[str, Any]]
) -> Callable[[Receipt, Head | None], None] | None:
    """Shows a display again, on any thread; None where its output was captured, and there is no front end to tell.

    The publisher is remembered: at that later time a cell may have put another one in its place, to capture what it
    shows itself.
    """
    from IPython.core.interactiveshell import InteractiveShell

    publisher: Any = InteractiveShell.instance().display_pub
    if getattr(publisher, "session", None) is None:
        return None

    def again(receipt: Receipt, head: Head | None) -> None:
        publisher.publish(bundle(receipt, head), {}, transient={"display_id": display_id}, update=True)

    return again
