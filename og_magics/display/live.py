"""The one display of an answer while it streams: updated in place in a notebook, printed as it comes in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from ..core.fork import new_lock
from ..core.progress import Call, Progress, StreamPart
from ..core.receipt import Receipt
from .answer_bundle import NO_DOCUMENTS, Documents, Explorer, Head, shown_answer, sorted_images
from .sanitize import fenced, one_line, printable
from .throttle import Pace
from .tool_calls import part_markdown, part_plain
from .turn_bundle import PLAINEST, turn_bundle, turn_footer

_STATES = {
    "starting": "starting the local devnet",
    "connecting": "connecting",
    "paying": "paying",
    "waiting": "waiting for the first token",
    "answering": "answering",
    "calling": "calling functions",
    "replaying": "showing a recorded answer",
}

_MESSAGE = 900
"""Bytes of a display message besides its text."""


class Live(Protocol):
    """Shows one answer from its first moment to its receipt. Used on the thread that runs the cell."""

    def show(self) -> None:
        """Show the progress as it is now, if it changed."""

    def finish(
        self,
        receipts: Sequence[Receipt],
        text: str,
        explorer: Explorer,
        note: str = "",
        images: Sequence[str] = (),
        head: Head | None = None,
        documents: Documents = NO_DOCUMENTS,
    ) -> None:
        """Show the complete answer, or what there is of it.

        Args:
            receipts: of all calls of the turn. text: of the last one.
            note: why the answer is not complete, "" if it is.
            images: data: URIs or links. head: of the ledger. documents: attestations that travel along.
        """

    def refresh(self, receipts: Sequence[Receipt], head: Head | None) -> None:
        """Show a finished answer again in its place, with these receipts as they are now. Safe on any thread."""

    def drop(self) -> None:
        """Remove the status line: there is no answer."""


def live_for(shell: Any, progress: Progress, title: str, format: str = "md") -> Live:
    """Return the display for a shell: a kernel's front end shows rich output, a terminal plain text.

    Args:
        format: as what the answer is shown, see `formats`; in a terminal it is printed as it comes.
    """
    return _Rich(progress, title, format) if getattr(shell, "kernel", None) is not None else _Plain(progress)


def status(progress: Progress) -> str:
    """Return the progress of an answer in a few words."""
    if progress.tokens > 1 and progress.state != "calling" and progress.state in _STATES:
        return f"{progress.tokens} tokens, {progress.rate:.0f}/s"
    return _STATES.get(progress.state, progress.state) + "…"


class _Rich:
    """A display handle whose bytes on the wire stay linear in the answer."""

    def __init__(self, progress: Progress, title: str, format: str) -> None:
        self._progress = progress
        self._title = one_line(title)
        self._format = format
        self._steps = 0
        self._receipts: dict[str, Receipt] = {}
        self._lock = new_lock()
        self._id = uuid4().hex
        self._shown = False
        self._pace = Pace(_MESSAGE)
        self._last_status = ""
        self._tokens = 0
        self._again: Callable[[Sequence[Receipt], Head | None], None] | None = None
        self._once = not updated_in_place()

    def show(self) -> None:
        progress = self._progress
        if self._once:
            return
        if progress.tokens > self._tokens or progress.steps > self._steps:
            # The status line before must not hold the first words up, nor a text before it a function call.
            once = not self._tokens or progress.steps > self._steps
            if self._pace.due(progress.size, at_once=once):
                self._tokens, self._steps = progress.tokens, progress.steps
                self._send("\n\n".join([*map(self._drawn, progress.parts), f"*{status(progress)}*"]))
        elif not self._tokens and (label := status(progress)) != self._last_status and self._pace.due(0):
            self._last_status = label
            self._send(f"*{self._title}: {label}*")

    def finish(
        self,
        receipts: Sequence[Receipt],
        text: str,
        explorer: Explorer,
        note: str = "",
        images: Sequence[str] = (),
        head: Head | None = None,
        documents: Documents = NO_DOCUMENTS,
    ) -> None:
        self._receipts = {receipt.receipt_id: receipt for receipt in receipts}
        pictures, links = sorted_images(images)
        shown_text = "\n\n".join([text, *links]) if links else text
        if self._format == "image" and pictures:
            for picture in pictures:  # the first in the place of what was shown so far
                self._display(picture)
                self._id, self._shown = uuid4().hex, False
            pictures = []
        self._display(turn_bundle(receipts, shown_text, explorer, note, head, self._format, documents))

        def bundle(changed: Sequence[Receipt], head: Head | None) -> dict[str, Any]:
            with self._lock:
                self._receipts |= {receipt.receipt_id: receipt for receipt in changed}
                return turn_bundle(
                    list(self._receipts.values()), shown_text, explorer, note, head, self._format, documents
                )

        self._again = republisher(self._id, bundle)
        for picture in pictures:
            show_bundle(picture)

    def refresh(self, receipts: Sequence[Receipt], head: Head | None) -> None:
        if self._again is not None:
            self._again(receipts, head)

    def drop(self) -> None:
        if self._shown:
            self._display({"text/plain": ""})

    def _drawn(self, part: StreamPart) -> str:
        """Return a part of the answer so far; a format other than Markdown is shown as code until it is complete."""
        whole = isinstance(part, str) and self._format not in (*PLAINEST, "math")
        return fenced(str(part)) if whole else part_markdown(part)

    def _send(self, markdown: str) -> None:
        self._pace.sent(len(markdown.encode("utf-8", "replace")))
        self._display({"text/markdown": markdown})

    def _display(self, bundle: Mapping[str, Any]) -> None:
        show_bundle(bundle, display_id=self._id, update=self._shown)
        self._shown = True


class _Plain:
    """A terminal: text as it comes, function calls when they have ended, the footer at the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._place = 0
        self._shown = ""

    def show(self) -> None:
        parts = self._progress.parts
        for part in parts[self._place :]:
            if isinstance(part, str):
                self._write(printable(part[len(self._shown) :]))
                self._shown = part
                if part is parts[-1]:
                    return  # it may grow
                self._write("\n")
            elif isinstance(part, Call) and part.state in ("running", "waiting"):
                return
            else:
                self._write(f"{part_plain(part)}\n")
            self._place += 1
            self._shown = ""

    def finish(
        self,
        receipts: Sequence[Receipt],
        text: str,
        explorer: Explorer,
        note: str = "",
        images: Sequence[str] = (),
        head: Head | None = None,
        documents: Documents = NO_DOCUMENTS,
    ) -> None:
        self.show()
        rest = text[len(self._shown) :] if text.startswith(self._shown) else ""
        if not text and not any(isinstance(part, Call) for part in self._progress.parts[-1:]):
            rest = shown_answer(receipts[-1], text)["text/plain"]  # calls that were not made
        pictures, links = sorted_images(images)
        lines = [printable(rest), *map(printable, links), *([note] if note else []), turn_footer(receipts, explorer)]
        if pictures:
            lines.insert(1, f"({len(pictures)} images, in the result's .images)")
        self._write("\n".join(lines) + "\n")

    def _write(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()

    def refresh(self, receipts: Sequence[Receipt], head: Head | None) -> None:
        pass  # what was printed stays printed

    def drop(self) -> None:
        if self._shown:
            self._write("\n")


def updated_in_place() -> bool:
    """Return True where a display can be shown again in its place.

    Not where it is captured, as by %%capture, which keeps each frame as an output of its own; nor in an Output widget,
    which keeps the first one only.
    """
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    if isinstance(InteractiveShell.instance().display_pub, CapturingDisplayPublisher):
        return False
    instances = getattr(sys.modules.get("ipywidgets.widgets.widget"), "_instances", {})
    outputs = (widget for widget in list(instances.values()) if getattr(widget, "_model_name", "") == "OutputModel")
    return not any(getattr(output, "msg_id", "") for output in outputs)


def show_bundle(bundle: Mapping[str, Any], **how: Any) -> None:
    from IPython.display import display

    show: Callable[..., Any] = display  # IPython's has no types
    show(dict(bundle), raw=True, **how)


def republisher(
    display_id: str, bundle: Callable[[Sequence[Receipt], Head | None], dict[str, Any]]
) -> Callable[[Sequence[Receipt], Head | None], None] | None:
    """Return a function that shows a display again, on any thread; None where its output was captured.

    The publisher is remembered: at that later time a cell may have put another one in its place, to capture what it
    shows itself.
    """
    from IPython.core.interactiveshell import InteractiveShell

    publisher: Any = InteractiveShell.instance().display_pub
    if getattr(publisher, "session", None) is None:
        return None

    def again(receipts: Sequence[Receipt], head: Head | None) -> None:
        publisher.publish(bundle(receipts, head), {}, transient={"display_id": display_id}, update=True)

    return again
