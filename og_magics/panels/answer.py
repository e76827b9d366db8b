"""One answer in the panel. It is cut into pages: what is finished is not sent again, so that the end can be sent often.

A page is a widget of HTML, made by a renderer that lets no HTML of the answer through and fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from ..display.bundle import Explorer, shown_answer, sorted_images
from ..display.calls import part_html, steps_of
from ..display.live import status
from ..display.markdown import blocks, to_html
from ..display.pace import Pace
from ..display.turn import turn_footer
from ..progress import Progress
from ..receipt import Receipt
from .desk import Desk
from .parts import line, problem

_MESSAGE = 900
"""Bytes of a widget's message besides its value."""
_FREE, _FACTOR = 3_000, 5
_PAGE = 1_000
"""Characters of a page, at the least; a long text has longer ones, so that they stay few."""
_PAGES = 8
"""That are there from the start."""


class Answer:
    """Shows one answer after the other. `box` is its widget; all else is for the thread that follows the run."""

    def __init__(self, desk: Desk, empty: str, *, small: bool = False) -> None:
        self._desk = desk
        self._layout, self._style = widgets.Layout(), widgets.HTML().style
        self._pages = [self._new(line(empty, "og-empty")), *(self._new() for _ in range(1 if small else _PAGES - 1))]
        self._text = widgets.VBox(self._pages)
        self._note, self._footer = self._new(), self._new()
        # Two boxes: the outer one scrolls, and stays at the end of what is in the inner one.
        self.box = widgets.VBox([widgets.VBox([self._text, self._note, self._footer])])
        self.box.add_class("og-answer")
        for widget, name in ((self._text, "og-text"), (self._note, "og-remark"), (self._footer, "og-footer")):
            widget.add_class(name)
        self._receipts: list[Receipt] = []
        self._steps = 0
        self._pace = Pace(_MESSAGE)
        self._tokens, self._kept, self._page, self._told = 0, 0, 0, ""
        self._begin()

    def begin(self, told: str) -> None:
        """Another answer comes."""
        self._begin()
        self._receipts = []
        for widget in (*self._pages[1:], self._note, self._footer):
            self._desk.put(widget, value="")
        self._put(0, line(told, "og-status"))

    def show(self, progress: Progress) -> None:
        """Something arrived, or the status may have changed."""
        told = status(progress)
        if progress.steps != self._steps and self._pace.due(progress.size, at_once=True):
            self._steps = progress.steps
            calls = "".join(part_html(part) for part in progress.parts if not isinstance(part, str))
            self._pace.sent(len(calls))
            self._desk.put(self._note, value=calls)
        if progress.tokens == self._tokens:
            if not self._tokens and told != self._told and self._pace.due(0):
                self._told = told
                self._put(0, line(told, "og-status"))
            return
        text = progress.text[self._kept :]
        if self._pace.due(progress.size, part=len(text.encode("utf-8", "replace")), at_once=not self._tokens):
            self._tokens = progress.tokens
            text = self._turn(text)
            self._put(self._page, to_html(text) + line(told, "og-status"))

    def finish(
        self, receipts: Sequence[Receipt], text: str, explorer: Explorer, note: str = "", images: Sequence[str] = ()
    ) -> None:
        """It is complete, or broke off, as `note` says. `receipts` are those of its calls, the first one first."""
        self._write(receipts[-1], text)
        pictures, links = sorted_images(images)
        drawn = "".join(_picture(picture) for picture in pictures)
        calls = "".join(part_html(part) for step in steps_of(receipts) for part in step if not isinstance(part, str))
        self._desk.put(self._note, value=calls + drawn + "".join(map(line, links)) + line(note, "og-what"))
        self._receipts = list(receipts)
        self._foot(explorer)

    def fail(self, error: BaseException, receipt: Receipt | None, text: str, explorer: Explorer) -> None:
        """It failed; what had arrived stays, with its receipt."""
        self._write(receipt, text)
        self._desk.put(self._note, value=problem(error))
        if receipt is not None:
            self._receipts = [receipt]
            self._foot(explorer)

    def refresh(
        self, changed: Collection[str], receipts: Mapping[str, Receipt], explorer: Callable[[str], Explorer]
    ) -> None:
        """Bring the line below the answer up to date, if it is about receipts that have changed.

        Args:
            changed: ids. receipts: as they are now, by their ids. explorer: of a network's name.
        """
        if any(one.receipt_id in changed for one in self._receipts):
            self._receipts = [receipts.get(one.receipt_id, one) for one in self._receipts]
            self._foot(explorer(self._receipts[-1].network))

    def _foot(self, explorer: Explorer) -> None:
        told = turn_footer(self._receipts, explorer, markdown=True).removeprefix("<sub>").removesuffix("</sub>")
        self._desk.put(self._footer, value=to_html(told))

    def _begin(self) -> None:
        self._pace = Pace(_MESSAGE, free=_FREE, factor=_FACTOR)
        self._steps = 0
        self._tokens, self._kept, self._page, self._told = 0, 0, 0, ""

    def _turn(self, text: str) -> str:
        """Begin another page if there is enough for one; what is left for the last."""
        starts = blocks(text)
        end = starts[-1] if starts else 0
        if end < max(_PAGE, self._kept // _PAGES):
            return text
        self._put(self._page, to_html(text[:end]))
        self._kept += end
        self._page += 1
        if self._page == len(self._pages):
            self._pages.append(self._new())
            self._desk.put(self._text, children=tuple(self._pages))
        return text[end:]

    def _write(self, receipt: Receipt | None, text: str) -> None:
        if not text:
            calls = "" if receipt is None else shown_answer(receipt, "")["text/plain"]
            self._put(0, f"<pre>{escape(calls)}</pre>" if calls else "")
            return
        whole = to_html(text)
        done = "".join(page.value for page in self._pages[: self._page])
        if not whole.startswith(done):  # the end of a text can change what stands before: a link's target is told there
            done = ""
            for page in self._pages[1 : self._page + 1]:
                self._desk.put(page, value="")
            self._page = 0
        self._put(self._page, whole[len(done) :])

    def _put(self, page: int, html: str) -> None:
        self._pace.sent(len(html.encode("utf-8", "replace")))
        self._desk.put(self._pages[page], value=html)

    def _new(self, html: str = "") -> Any:
        """Widgets of HTML share what can be shared: each costs bytes."""
        return widgets.HTML(html, layout=self._layout, style=self._style)


def _picture(picture: dict[str, str]) -> str:
    kind, data = next(iter(picture.items()))
    return f'<img alt="an image of the answer" src="data:{escape(kind)};base64,{escape(data)}">'
