"""One answer in the panel, cut into pages so that only the last page is sent again while text arrives.

A page is an HTML widget. Its renderer lets no HTML of the answer through and fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from ..core.gateway_notes import note_lines
from ..core.progress import Progress
from ..core.receipt import Receipt
from ..display.answer_bundle import shown_answer, sorted_images
from ..display.footer import Explorer
from ..display.live import status
from ..display.markdown import blocks, to_html
from ..display.throttle import Pace
from ..display.tool_calls import part_html, steps_of
from ..display.turn_bundle import turn_footer
from .html import line, problem
from .worker import PanelWorker

_MESSAGE = 900
"""Bytes of a widget's message besides its value."""
_FREE, _FACTOR = 3_000, 5
"""Bytes sent without a pause, and bytes sent for each byte of text at most; see `Pace`."""
_PAGE = 1_000
"""Least characters of a page; a long text has longer pages, so that they stay few."""
_PAGES = 8
"""Pages that exist from the start."""


class Answer:
    """Shows one answer after the other. `box` is its widget; methods are called by the thread that follows the run."""

    def __init__(self, worker: PanelWorker, empty: str, *, small: bool = False) -> None:
        self._worker = worker
        self._layout, self._style = widgets.Layout(), widgets.HTML().style
        self._pages = [self._new(line(empty, "og-empty")), *(self._new() for _ in range(1 if small else _PAGES - 1))]
        self._text = widgets.VBox(self._pages)
        self._note, self._footer = self._new(), self._new()
        # The outer box scrolls, and stays at the end of the inner one while text arrives.
        self.box = widgets.VBox([widgets.VBox([self._text, self._note, self._footer])])
        self.box.add_class("og-answer")
        for widget, name in ((self._text, "og-text"), (self._note, "og-remark"), (self._footer, "og-footer")):
            widget.add_class(name)
        self._receipts: list[Receipt] = []
        self._steps = 0
        self._pace = Pace(_MESSAGE)
        self._tokens, self._kept, self._page, self._status = 0, 0, 0, ""
        self._reset()

    def begin(self, message: str) -> None:
        """Clear the last answer and show a message in its place."""
        self._reset()
        self._receipts = []
        for widget in (*self._pages[1:], self._note, self._footer):
            self._worker.put(widget, value="")
        self._put(0, line(message, "og-status"))

    def show(self, progress: Progress) -> None:
        """Show the text, the calls and the status so far, unless the last update is too recent."""
        message = status(progress)
        if progress.steps != self._steps and self._pace.due(progress.size, at_once=True):
            self._steps = progress.steps
            calls = "".join(part_html(part) for part in progress.parts if not isinstance(part, str))
            self._pace.sent(len(calls))
            self._worker.put(self._note, value=calls)
        if progress.tokens == self._tokens:
            if not self._tokens and message != self._status and self._pace.due(0):
                self._status = message
                self._put(0, line(message, "og-status"))
            return
        text = progress.text[self._kept :]
        if self._pace.due(progress.size, part=len(text.encode("utf-8", "replace")), at_once=not self._tokens):
            self._tokens = progress.tokens
            text = self._next_page(text)
            self._put(self._page, to_html(text) + line(message, "og-status"))

    def finish(
        self, receipts: Sequence[Receipt], text: str, explorer: Explorer, note: str = "", images: Sequence[str] = ()
    ) -> None:
        """Show the final answer; `note` says why it broke off. `receipts` are of its calls, oldest first."""
        self._write(receipts[-1], text)
        pictures, links = sorted_images(images)
        drawn = "".join(_picture(picture) for picture in pictures)
        beside = [*links, *note_lines(receipts[-1].gateway_notes)]
        calls = "".join(part_html(part) for step in steps_of(receipts) for part in step if not isinstance(part, str))
        self._worker.put(self._note, value=calls + drawn + "".join(map(line, beside)) + line(note, "og-what"))
        self._receipts = list(receipts)
        self._show_footer(explorer)

    def fail(self, error: BaseException, receipt: Receipt | None, text: str, explorer: Explorer) -> None:
        """Show an error; the text that had arrived and its receipt stay."""
        self._write(receipt, text)
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

    def _reset(self) -> None:
        self._pace = Pace(_MESSAGE, free=_FREE, factor=_FACTOR)
        self._steps = 0
        self._tokens, self._kept, self._page, self._status = 0, 0, 0, ""

    def _next_page(self, text: str) -> str:
        """Finish the page if it is long enough, and return the text that belongs to the page after it."""
        starts = blocks(text)
        end = starts[-1] if starts else 0
        if end < max(_PAGE, self._kept // _PAGES):
            return text
        self._put(self._page, to_html(text[:end]))
        self._kept += end
        self._page += 1
        if self._page == len(self._pages):
            self._pages.append(self._new())
            self._worker.put(self._text, children=tuple(self._pages))
        return text[end:]

    def _write(self, receipt: Receipt | None, text: str) -> None:
        if not text:
            calls = "" if receipt is None else shown_answer(receipt, "")["text/plain"]
            self._put(0, f"<pre>{escape(calls)}</pre>" if calls else "")
            return
        whole = to_html(text)
        done = "".join(page.value for page in self._pages[: self._page])
        if not whole.startswith(
            done
        ):  # the end of a text can change its start: Markdown may define a link's target there
            done = ""
            for page in self._pages[1 : self._page + 1]:
                self._worker.put(page, value="")
            self._page = 0
        self._put(self._page, whole[len(done) :])

    def _put(self, page: int, html: str) -> None:
        self._pace.sent(len(html.encode("utf-8", "replace")))
        self._worker.put(self._pages[page], value=html)

    def _new(self, html: str = "") -> Any:
        """Return an HTML widget that shares layout and style with the others, since each of these is a message."""
        return widgets.HTML(html, layout=self._layout, style=self._style)


def _picture(picture: dict[str, str]) -> str:
    kind, data = next(iter(picture.items()))
    return f'<img alt="an image of the answer" src="data:{escape(kind)};base64,{escape(data)}">'
