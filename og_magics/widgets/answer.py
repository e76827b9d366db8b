"""One answer in the panel: a row of Output widgets, in which the front end draws Markdown as it draws any output.

Only the last of them is set again while text arrives: setting `outputs` clears a widget and draws it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from ..core.gateway_notes import note_lines
from ..core.progress import Progress, StreamPart
from ..core.receipt import Receipt
from ..display.answer_bundle import shown_answer, sorted_images
from ..display.footer import Explorer
from ..display.live import status
from ..display.markdown import to_html
from ..display.pieces import SMALL, Pieces
from ..display.throttle import HEARTBEAT, FramePace
from ..display.tool_calls import steps_of
from ..display.turn_bundle import turn_footer
from .html import line, problem
from .worker import PanelWorker

Bundle = Mapping[str, str]
_DRAWING = 12_000
"""Bytes that an update counts more than it has: an Output widget is drawn anew, where a display is only changed."""


class Answer:
    """Shows one answer. `box` is its widget; methods are called by the thread that follows the run."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self._layout = widgets.Layout(margin="0")
        self._rows: list[Any] = []
        self._text = widgets.VBox([])
        self._note, self._footer = widgets.HTML(), widgets.HTML()
        self.box = widgets.VBox([self._text, self._note, self._footer])
        for widget, name in (
            (self._text, "og-text"), (self._note, "og-remark"), (self._footer, "og-footer"), (self.box, "og-answer"),
        ):  # fmt: skip
            widget.add_class(name)
        self._receipts: list[Receipt] = []
        self._progress: Progress | None = None
        self._start()

    def begin(self, message: str) -> None:
        """Clear the answer and show a message in its place."""
        self._start()
        self._receipts = []
        self._clear()
        self._worker.put(self._footer, value="")
        self._worker.put(self._note, value=line(message, "og-status"))

    def show(self, progress: Progress) -> None:
        """Show the text, the calls and the status so far, unless the last update is too recent."""
        self._progress = progress
        if self._has_news(progress):
            if not self._tokens or progress.steps > self._steps or not self._pace.wait():
                self._show_text(progress)
        elif not self._tokens and not self._pace.wait():
            self._worker.put(self._note, value=line(status(progress), "og-status"))

    def patience(self) -> float:
        """Return the seconds after which `show` is to be called again, though nothing was heard."""
        waits = self._progress is not None and self._has_news(self._progress)
        return (self._pace.wait() if waits else 0) or HEARTBEAT

    def finish(
        self, receipts: Sequence[Receipt], text: str, explorer: Explorer, note: str = "", images: Sequence[str] = ()
    ) -> None:
        """Show the final answer; `note` says why it broke off. `receipts` are of its calls, oldest first."""
        self._end(receipts, text)
        pictures, links = sorted_images(images)
        if pictures:
            self._add(tuple(map(_output, pictures)))
        beside = [*links, *note_lines(receipts[-1].gateway_notes)]
        self._worker.put(self._note, value="".join(map(line, beside)) + line(note, "og-what"))
        self._receipts = list(receipts)
        self._show_footer(explorer)

    def fail(self, error: BaseException, receipt: Receipt | None, text: str, explorer: Explorer) -> None:
        """Show an error; the text that had arrived and its receipt stay."""
        self._end([receipt] if receipt else [], text)
        self._worker.put(self._note, value=problem(error))
        if receipt is not None:
            self._receipts = [receipt]
            self._show_footer(explorer)

    def refresh(
        self, changed: Collection[str], receipts: Mapping[str, Receipt], explorer: Callable[[str], Explorer]
    ) -> None:
        """Update the line below the answer if one of its receipts has changed.

        Args:
            changed: ids of the receipts that changed.
            receipts: current receipts by id.
            explorer: returns the explorer of a network, by its name.
        """
        if any(receipt.receipt_id in changed for receipt in self._receipts):
            self._receipts = [receipts.get(receipt.receipt_id, receipt) for receipt in self._receipts]
            self._show_footer(explorer(self._receipts[-1].network))

    def _show_footer(self, explorer: Explorer) -> None:
        footer = turn_footer(self._receipts, explorer, markdown=True).removeprefix("<sub>").removesuffix("</sub>")
        self._worker.put(self._footer, value=to_html(footer))

    def _start(self) -> None:
        self._pieces, self._pace = Pieces(SMALL), FramePace()
        self._progress = None
        self._tokens = self._steps = 0

    def _has_news(self, progress: Progress) -> bool:
        return progress.tokens > self._tokens or progress.steps > self._steps

    def _show_text(self, progress: Progress) -> None:
        if not self._tokens:
            self._worker.put(self._note, value="")
        self._tokens, self._steps = progress.tokens, progress.steps
        self._pace.sent(_DRAWING + self._draw(progress.parts, status(progress)))

    def _draw(self, parts: Sequence[StreamPart], message: str = "") -> int:
        """Show these parts, those that are drawn already aside; return the characters that were sent."""
        first = self._pieces.closed
        closed = self._pieces.close(parts)
        shown = [*closed, self._pieces.last(parts, message)]
        for place, bundle in enumerate(shown, first):
            self._put(place, bundle)
        return sum(len(text) for bundle in shown for text in bundle.values())

    def _end(self, receipts: Sequence[Receipt], text: str) -> None:
        """Show the whole answer. What was streamed stays as it is, unless it is something else."""
        streamed = self._progress
        if streamed is not None and text and streamed.text.endswith(text):
            self._draw(streamed.parts)
            return
        steps: list[StreamPart] = [part for step in steps_of(receipts) for part in step]
        self._pieces = Pieces(SMALL)
        self._clear()
        if steps or text:
            self._draw([*steps, *([text] if text else [])])
        if not text and receipts and (calls := shown_answer(receipts[-1], "")["text/markdown"]):
            self._add((_output({"text/markdown": calls}),))

    def _put(self, place: int, bundle: Bundle) -> None:
        output = _output(bundle)
        if place < len(self._rows):
            self._worker.put(self._rows[place], outputs=(output,))
        else:
            self._add((output,))

    def _clear(self) -> None:
        rows, self._rows = self._rows, []
        self._worker.put(self._text, children=())
        for row in rows:
            row.close()

    def _add(self, outputs: tuple[dict[str, Any], ...]) -> None:
        self._rows.append(widgets.Output(outputs=outputs, layout=self._layout))
        self._worker.put(self._text, children=tuple(self._rows))


def _output(bundle: Bundle) -> dict[str, Any]:
    return {"output_type": "display_data", "data": dict(bundle), "metadata": {}}
