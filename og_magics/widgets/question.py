"""A question with Yes and No: whether so much may be spent, and whether a function may be called."""

from __future__ import annotations

import threading

import ipywidgets as widgets

from ..core.estimate import Estimate
from ..core.progress import Confirmable, SpendRequest
from ..display.sanitize import printable
from .html import line
from .worker import PanelWorker

_LONGEST = 2_000
"""Characters of a function's arguments that are shown."""
_LOOK = 0.2
"""Seconds after which a question looks whether its panel is closed."""


class Question:
    """A box that is hidden but while something is asked. `ask` blocks the thread that asks; clicks answer it."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self._answered = threading.Event()
        self._said: bool | None = None
        self.text = widgets.HTML()
        self.yes = widgets.Button(description="Yes", button_style="primary", tooltip="Yes, go on")
        self.no = widgets.Button(description="No", tooltip="No: nothing is sent and nothing is paid for it")
        row = widgets.HBox([self.yes, self.no])
        self.box = widgets.VBox([self.text, row])
        for widget, name in (
            (self.yes, "og-yes"), (self.no, "og-no"), (row, "og-row"), (self.box, "og-question"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box.layout.display = "none"
        self.yes.on_click(lambda _: self.answer(said=True))
        self.no.on_click(lambda _: self.answer(said=False))

    def answer(self, *, said: bool) -> None:
        """Answer what is asked; without a question, nothing happens."""
        self._said = said
        self._answered.set()

    def ask(self, text: str) -> bool | None:
        """Show a question and wait for its answer; None if the panel is closed meanwhile."""
        self._said = None
        self._answered.clear()
        self._worker.put(self.text, value=f'<div role="alert">{line(printable(text), "og-what")}</div>')
        self._worker.put(self.box.layout, display="")
        try:
            while not self._answered.wait(_LOOK):
                if self._worker.closed:
                    return None
            return self._said
        finally:
            self._worker.put(self.box.layout, display="none")

    def approve(self, _: Estimate, what: str) -> bool | None:
        """Ask whether a prompt may be sent that could cost much."""
        return self.ask(f"{what} Send it?")

    def confirm(self, asked: Confirmable) -> bool | None:
        """Ask whether a function may be called, or more be spent than was agreed."""
        if isinstance(asked, SpendRequest):
            return self.ask(f"{asked.text} Go on?")
        arguments = " ".join(asked.arguments.split())
        if len(arguments) > _LONGEST:
            arguments = f"{arguments[:_LONGEST]}… [{len(arguments) - _LONGEST:,} more characters]"
        marked = ", which writes or spends" if asked.guarded else ""
        return self.ask(f"The model wants to call {asked.name}({arguments}){marked}. Allow it?")
