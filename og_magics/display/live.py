"""An answer while it streams: a row of pieces in a notebook, printed as it comes in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..core.fork import new_lock
from ..core.progress import Call, Progress
from ..core.receipt import Receipt
from .answer_bundle import NO_DOCUMENTS, Documents, Head, shown_answer, sorted_images
from .footer import Explorer
from .outlets import asks_once, outlet_here, republisher, show_bundle
from .pieces import LARGE, SMALL, Pieces
from .sanitize import one_line, printable
from .seams import Seams
from .throttle import HEARTBEAT, FramePace
from .tool_calls import part_plain
from .turn_bundle import PLAINEST, turn_bundle, turn_footer

_STATES = {
    "starting": "starting the practice network",
    "connecting": "connecting",
    "paying": "paying",
    "waiting": "waiting for the first token",
    "answering": "answering",
    "calling": "calling functions",
    "replaying": "showing a recorded answer",
}

_STATUS = 2.0
"""Seconds between updates of a status that has an output of its own."""


class Live(Protocol):
    """Shows one answer from its first moment to its receipt. Used on the thread that runs the cell."""

    def show(self) -> None:
        """Show the progress as it is now, if it changed and it is time to."""

    def patience(self) -> float:
        """Return the seconds after which `show` is to be called again, though nothing was heard."""

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
    if getattr(shell, "kernel", None) is None:
        return _Plain(progress)
    return _Rich(progress, title, format, small=asks_once(shell))


def status(progress: Progress) -> str:
    """Return the progress of an answer in a few words."""
    if progress.tokens > 1 and progress.state != "calling" and progress.state in _STATES:
        return f"{progress.tokens} tokens, {progress.rate:.0f}/s"
    return _STATES.get(progress.state, progress.state) + "…"


class _Rich:
    """A row of pieces in a notebook: only the last one is sent again, and at the end one bundle has all."""

    def __init__(self, progress: Progress, title: str, format: str, *, small: bool) -> None:
        self._progress = progress
        self._title = one_line(title)
        self._format = format
        self._steps = 0
        self._receipts: dict[str, Receipt] = {}
        self._lock = new_lock()
        self._outlet = outlet_here()
        self._small = small
        self._pieces = Pieces(SMALL if small else LARGE, as_code=format not in (*PLAINEST, "math"))
        self._pace = FramePace()
        self._seams: Seams | None = None
        self._outputs = 0
        self._last_status = ""
        self._next_status = 0.0
        self._tokens = 0
        self._again: Callable[[Sequence[Receipt], Head | None], None] | None = None

    def show(self) -> None:
        progress = self._progress
        if not self._outlet.live:
            return
        if self._has_news():
            # The status line before must not hold the first words up, nor a text before it a function call.
            if not self._tokens or progress.steps > self._steps or not self._pace.wait():
                self._show_text()
        elif not self._tokens and (label := status(progress)) != self._last_status and not self._pace.wait():
            self._last_status = label
            self._send(0, [{"text/markdown": f"*{self._title}: {label}*"}], time.monotonic())

    def patience(self) -> float:
        return (self._pace.wait() if self._outlet.live and self._has_news() else 0) or HEARTBEAT

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
            self._outlet.finish(pictures[0])  # in the place of what was shown so far
            self._outlet = outlet_here()
            for picture in pictures[1:]:
                show_bundle(picture)
            pictures = []

        def bundle(changed: Sequence[Receipt], head: Head | None) -> dict[str, Any]:
            with self._lock:
                self._receipts |= {receipt.receipt_id: receipt for receipt in changed}
                return turn_bundle(
                    list(self._receipts.values()), shown_text, explorer, note, head, self._format, documents
                )

        self._again = republisher(self._outlet.finish(bundle([], head)), bundle)
        for picture in pictures:
            show_bundle(picture)

    def refresh(self, receipts: Sequence[Receipt], head: Head | None) -> None:
        if self._again is not None:
            self._again(receipts, head)

    def drop(self) -> None:
        self._outlet.drop()

    def _has_news(self) -> bool:
        return self._progress.tokens > self._tokens or self._progress.steps > self._steps

    def _show_text(self) -> None:
        began, progress = time.monotonic(), self._progress
        self._tokens, self._steps = progress.tokens, progress.steps
        parts, first, label = progress.parts, self._pieces.closed, status(progress)
        closed = self._pieces.close(parts, progress.rate)
        if (joined := self._pieces.join(parts)) is not None:
            rest = [self._pieces.last(parts), {"text/markdown": f"*{label}*"}]
            self._join_pieces(self._place(first), joined, rest, began)
            return
        if not self._pieces.closed or not self._small:  # a loop has many outputs, and front ends show fifty
            self._send(first, [*closed, self._pieces.last(parts, label)], began)
            return
        # Below several pieces the status is an output of its own: it goes down with them, and none gets lower.
        shown = [*closed, self._pieces.last(parts)]
        if closed or began >= self._next_status:
            shown.append({"text/markdown": f"*{label}*"})
            self._next_status = began + _STATUS
        if any(seam > first for seam in self._pieces.seams):
            self._join_blocks(first, shown)
        elif self._seams is not None and 0 < (place := self._seams.place - first) < len(shown):
            shown.insert(place, self._rules())
        self._send(self._place(first), shown, began)

    def _join_pieces(self, place: int, joined: dict[str, str], rest: list[dict[str, str]], began: float) -> None:
        """Show one piece in place of all that are complete; `place` is that of the one that has grown until now."""
        self._seams = Seams(2) if self._pieces.seams else None
        if self._seams is not None:
            rest.insert(1, self._rules())
        self._outlet.join(place, joined, *rest)
        self._note(0, [joined, *rest], began)

    def _join_blocks(self, first: int, shown: list[dict[str, str]]) -> None:
        """Show the rules for the seams of these pieces, which come after; their places are there before."""
        self._seams = self._seams or Seams(self._pieces.closed + 1)
        if 0 < (place := self._seams.place - first) < len(shown):
            shown.insert(place, self._rules())
        new = shown[max(0, self._outputs - self._place(first)) :]
        self._outlet.put(self._outputs, *[dict.fromkeys(bundle, "") for bundle in new[:-1]], *new[-1:])
        self._outputs += len(new)
        self._outlet.put(self._seams.place, self._rules())

    def _rules(self) -> dict[str, str]:
        seams = self._pieces.seams
        return (
            {} if self._seams is None else self._seams.bundle((self._place(one - 1), self._place(one)) for one in seams)
        )

    def _place(self, piece: int) -> int:
        """Return the place of a piece in the row of outputs, in which the rules for seams may stand before it."""
        return piece + (self._seams is not None and piece >= self._seams.place)

    def _send(self, first: int, shown: Sequence[Mapping[str, str]], began: float) -> None:
        self._outlet.put(first, *shown)
        self._note(first, shown, began)

    def _note(self, first: int, shown: Sequence[Mapping[str, str]], began: float) -> None:
        """Note what was sent: the pace follows from it."""
        self._outputs = max(self._outputs, first + len(shown))
        size = sum(len(content.encode("utf-8", "replace")) for bundle in shown for content in bundle.values())
        self._pace.sent(size, time.monotonic() - began)


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

    def patience(self) -> float:
        return HEARTBEAT

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
