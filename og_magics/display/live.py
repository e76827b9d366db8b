"""The one display of an answer while it streams: updated in place in a notebook, printed as it comes in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from ..progress import Progress
from ..receipt import Receipt
from .bundle import Explorer, Head, answer_bundle, footer, sorted_images
from .pace import Pace
from .safe import printable, safe_markdown

_STATES = {
    "starting": "starting the local devnet",
    "connecting": "connecting",
    "paying": "paying",
    "waiting": "waiting for the first token",
    "answering": "answering",
}

_MESSAGE = 900
"""Bytes of a display message besides its text."""


class Live(Protocol):
    """Shows one answer from its first moment to its receipt. Used on the thread that runs the cell."""

    def show(self) -> None:
        """Something arrived, or the status may have changed."""

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


def status(progress: Progress) -> str:
    """How far an answer is, in a few words."""
    if progress.tokens > 1:
        return f"{progress.tokens} tokens, {progress.rate:.0f}/s"
    return _STATES.get(progress.state, progress.state) + "…"


class _Rich:
    """A display handle whose bytes on the wire stay linear in the answer."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._id = uuid4().hex
        self._shown = False
        self._pace = Pace(_MESSAGE)
        self._last_status = ""
        self._tokens = 0
        self._again: Callable[[Receipt, Head | None], None] | None = None

    def show(self) -> None:
        progress = self._progress
        if progress.tokens > self._tokens:
            # The status line before must not hold the first words up.
            if self._pace.due(progress.size, at_once=not self._tokens):
                self._tokens = progress.tokens
                self._send(f"{safe_markdown(progress.text)}\n\n*{status(progress)}*")
        elif not self._tokens and (told := status(progress)) != self._last_status and self._pace.due(0):
            self._last_status = told
            self._send(f"*{self._title}: {told}*")

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

    def _send(self, markdown: str) -> None:
        self._pace.sent(len(markdown.encode("utf-8", "replace")))
        self._display({"text/markdown": markdown})

    def _display(self, bundle: Mapping[str, Any]) -> None:
        _show(bundle, display_id=self._id, update=self._shown)
        self._shown = True


class _Plain:
    """A terminal: text as it comes, the footer at the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown = ""

    def show(self) -> None:
        text = self._progress.text
        if len(text) > len(self._shown):
            sys.stdout.write(printable(text[len(self._shown) :]))
            sys.stdout.flush()
            self._shown = text

    def finish(
        self,
        receipt: Receipt,
        text: str,
        explorer: Explorer,
        note: str = "",
        images: Sequence[str] = (),
        head: Head | None = None,
    ) -> None:
        rest = text[len(self._shown) :] if text.startswith(self._shown) else ""
        pictures, links = sorted_images(images)
        lines = [printable(rest), *map(printable, links), *([note] if note else []), footer(receipt, explorer)]
        if pictures:
            lines.insert(1, f"({len(pictures)} images, in the result's .images)")
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    def refresh(self, receipt: Receipt, head: Head | None) -> None:
        pass  # what was printed stays printed

    def drop(self) -> None:
        if self._shown:
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
