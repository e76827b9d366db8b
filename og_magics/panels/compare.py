"""The panel's comparison: the prompt above to several models at once, their answers side by side."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from html import escape

import ipywidgets as widgets

from ..catalogue import DEFAULTS, TEE_LLM
from ..conversation import Compared, Comparison, follow
from ..display import HEARTBEAT
from ..errors import ConfigError
from ..receipt import Receipt
from ..settings import Settings
from .answer import Answer
from .ask import STOPPED
from .desk import Desk
from .parts import line, problem
from .question import Asked, ask_of

_FEWEST = 2


class _Column:
    """One model's part: a head with its name and numbers, and its answer."""

    def __init__(self, desk: Desk) -> None:
        self.head = widgets.HTML()
        self.answer = Answer(desk, "", small=True)
        self.box = widgets.VBox([self.head, self.answer.box])
        self.head.add_class("og-column-head")
        self.box.add_class("og-column")


class Compare:
    """The section that asks several. `typed` tells the settings and the prompt above; it may block for a moment."""

    def __init__(self, desk: Desk, typed: Callable[[], tuple[Settings, str]]) -> None:
        self._desk, self._typed = desk, typed
        self._lock = threading.Lock()
        self._busy, self._stopping = False, False
        self._comparison: Comparison | None = None
        self._columns: list[_Column] = []
        first = [DEFAULTS["openai"], DEFAULTS["anthropic"], "", ""]
        self.models = [
            widgets.Combobox(
                value=value, options=[model.value for model in TEE_LLM], description=f"Model {number}",
                placeholder="provider/model, or empty", ensure_option=False, continuous_update=False,
                tooltip="A model of the list, or any other as provider/model; empty for none",
            )
            for number, value in enumerate(first, 1)
        ]  # fmt: skip
        for number, box in enumerate(self.models, 1):
            box.add_class(f"og-model-{number}")
        self.send = widgets.Button(
            description="Ask all", button_style="primary", tooltip="Send the prompt above to each model; each is paid"
        )
        self.stop = widgets.Button(
            description="Stop all", button_style="danger", disabled=True, tooltip="Stop those that still answer"
        )
        self.told = widgets.HTML(line("The prompt above goes to two to four models at once."))
        self.columns = widgets.HBox([])
        chosen, row = widgets.HBox(self.models), widgets.HBox([self.send, self.stop, self.told])
        for widget, name in (
            (chosen, "og-models"), (self.send, "og-ask-all"), (self.stop, "og-stop-all"), (row, "og-row"),
            (self.told, "og-compare-told"), (self.columns, "og-columns"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([chosen, row, self.columns])
        self.send.on_click(lambda _: self._begin())
        self.stop.on_click(lambda _: self._stop())

    @property
    def busy(self) -> bool:
        """Whether answers are on their way."""
        return self._busy

    def receipts_are(self, changed: Collection[str], receipts: Mapping[str, Receipt]) -> None:
        """Bring the lines below the answers up to date."""
        if not self._busy:
            for column in self._columns:
                column.answer.refresh(changed, receipts, self._desk.app.explorer)

    def _begin(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy, self._stopping = True, False
        self._buttons()
        self._desk.aside(self._ask, lambda error: self._desk.put(self.told, value=problem(error)))

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            comparison = self._comparison
        for run in comparison.runs if comparison else ():
            run.stop()

    def _ask(self) -> None:
        app = self._desk.app
        try:
            asked = self._asked(*self._typed())
            self._desk.put(self.told, value="")
            self._show([one.turn.question.model for one in asked])
            comparison = app.compare([one.turn for one in asked])
            with self._lock:
                self._comparison = comparison
                stopping = self._stopping
            if stopping:
                self._stop()
            self._follow(comparison)
        finally:
            with self._lock:
                self._busy, self._comparison = False, None
            self._buttons()
            self._desk.wake()

    def _asked(self, settings: Settings, prompt: str) -> list[Asked]:
        """All questions first: a mistake in one is told before any is asked, and paid."""
        names = [box.value.strip() for box in self.models if box.value.strip()]
        if len(names) < _FEWEST:
            raise ConfigError("Fewer than two models are named.", remedy="Name two to four.")
        return [ask_of(self._desk.app, settings, prompt, name) for name in names]

    def _show(self, models: list[str]) -> None:
        while len(self._columns) < len(models):
            self._columns.append(_Column(self._desk))
        shown = self._columns[: len(models)]
        for column, model in zip(shown, models, strict=True):
            column.answer.begin("starting…")
            self._desk.put(column.head, value=_head(model))
        self._desk.put(self.columns, children=tuple(column.box for column in shown))

    def _follow(self, comparison: Comparison) -> None:
        open_ones = dict(enumerate(comparison))
        with contextlib.closing(follow(comparison.runs, HEARTBEAT)) as beats:
            for _ in beats:
                if self._desk.closed:
                    break
                for place, part in list(open_ones.items()):
                    if part.run.done:
                        self._end(self._columns[place], open_ones.pop(place))
                    else:
                        self._columns[place].answer.show(part.run.progress)
        for place, part in open_ones.items():
            self._end(self._columns[place], part)

    def _end(self, column: _Column, part: Compared) -> None:
        receipt, error, app = part.receipt, part.error, self._desk.app
        explorer = app.explorer(receipt.network if receipt else "")
        if error is None and receipt is not None:
            images = (part.result.images if part.result else None) or ()
            column.answer.finish([receipt], part.text, explorer, images=images)
        elif isinstance(error, CancelledError) and receipt is not None:
            column.answer.finish([receipt], part.text, explorer, STOPPED)
        elif error is not None:
            column.answer.fail(error, receipt, part.text, explorer)
        self._desk.put(column.head, value=_head(part.label, receipt))

    def _buttons(self) -> None:
        self._desk.put(self.send, disabled=self._busy)
        self._desk.put(self.stop, disabled=not self._busy)


def _head(model: str, receipt: Receipt | None = None) -> str:
    told = []
    if receipt is not None:
        told += [f"{receipt.latency_s:.2f} s"] if receipt.latency_s is not None else []
        told += [f"first token {receipt.ttft_s:.2f} s"] if receipt.ttft_s is not None else []
        told += [f"{receipt.completion_tokens} tokens"] if receipt.completion_tokens is not None else []
        told += [f"${receipt.usd:.5f}"] if receipt.usd is not None else []
    return f"<strong>{escape(model)}</strong>{line(' · '.join(told))}"
