"""One turn of the chat: the prompt, its answer, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as widgets

from .answer import Answer
from .html import line
from .panel_request import Asked
from .worker import PanelWorker

_LONGEST = 20_000
"""Characters of a prompt that are shown; all of it is sent."""
_HINT = "Click it to copy it, or run %og cell to insert it below."


class ChatTurn:
    """A prompt and its answer, with Copy, Retry, Edit and As a cell below.

    Args:
        retry, edit: called with this turn at a click.
        chosen: called with what a click on As a cell shows.
    """

    def __init__(
        self,
        worker: PanelWorker,
        prompt: str,
        retry: Callable[[ChatTurn], None],
        edit: Callable[[ChatTurn], None],
        chosen: Callable[[Asked], None],
    ) -> None:
        self._worker, self._chosen = worker, chosen
        self.prompt = prompt
        self.asked: Asked | None = None
        self.text = ""
        self.answer = Answer(worker)
        self.head, self.raw, self.source = widgets.HTML(), widgets.HTML(), widgets.HTML()
        look = {"layout": widgets.Layout(), "style": {}}
        self.copy = widgets.Button(description="Copy", tooltip="Copy the answer's text", **look)
        self.retry = widgets.Button(
            description="Retry", tooltip="Send this prompt again with the settings it had; a new paid call", **look
        )
        self.edit = widgets.Button(description="Edit", tooltip="Put this prompt into the box below", **look)
        self.cell = widgets.Button(
            description="As a cell", tooltip="Show the %%ogchat cell that asks this with these settings", **look
        )
        self.actions = widgets.HBox([self.copy, self.retry, self.edit, self.cell])
        said = (
            prompt if len(prompt) <= _LONGEST else f"{prompt[:_LONGEST]}\n[{len(prompt) - _LONGEST:,} more characters]"
        )
        you = widgets.HTML(f'<p class="og-who">You</p><div class="og-said">{escape(said)}</div>')
        self.box = widgets.VBox([you, self.head, self.answer.box, self.actions, self.raw, self.source])
        for widget, name in (
            (you, "og-you"), (self.head, "og-model-name"), (self.raw, "og-raw"), (self.source, "og-source"),
            (self.copy, "og-copy-answer"), (self.retry, "og-retry"), (self.edit, "og-edit"), (self.cell, "og-as-cell"),
            (self.actions, "og-actions"), (self.box, "og-turn"),
        ):  # fmt: skip
            widget.add_class(name)
        self.copy.on_click(lambda _: self._show_text())
        self.retry.on_click(lambda _: retry(self))
        self.edit.on_click(lambda _: edit(self))
        self.cell.on_click(lambda _: self._show_cell())
        self.enable(busy=True)

    def begin(self, asked: Asked) -> None:
        """Note what is asked, and name the model that answers."""
        self.asked = asked
        self._worker.put(self.head, value=f'<p class="og-who">{escape(asked.turn.request.model)}</p>')
        self._worker.put(self.cell, disabled=False)

    def ended(self, text: str) -> None:
        """Keep the answer's text for Copy."""
        self.text = text
        self._worker.put(self.raw, value=f"<pre hidden>{escape(text)}</pre>" if text else "")
        self._worker.put(self.copy, disabled=not text)

    def enable(self, *, busy: bool) -> None:
        """Enable what can be done now; while an answer is on its way, nothing else is sent."""
        self._worker.put(self.copy, disabled=not self.text)
        self._worker.put(self.retry, disabled=busy)
        self._worker.put(self.cell, disabled=self.asked is None)

    def _show_text(self) -> None:
        """Show the text to be copied by hand. Where the panel's script runs, it copies the text and sends no click."""
        shown = f'{line("Select it, and copy it.")}<pre class="og-copy" tabindex="0">{escape(self.text)}</pre>'
        self._toggle(shown)

    def _show_cell(self) -> None:
        if self.asked is not None:
            self._chosen(self.asked)
            self._toggle(f'{line(_HINT)}<pre class="og-copy" tabindex="0">{escape(self.asked.cell)}</pre>')

    def _toggle(self, shown: str) -> None:
        self._worker.put(self.source, value="" if self.source.value == shown else shown)
