"""The Compare tab: the prompt above, sent to several models at once, with the answers side by side."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from html import escape

import ipywidgets as widgets

from ..conversation import Compared, Comparison, follow
from ..core.errors import ConfigError
from ..core.models import DEFAULTS, offered
from ..core.receipt import Receipt
from ..core.settings import Settings
from ..session.approval import Approver
from .answer import Answer
from .ask import STOPPED
from .html import line, problem
from .panel_request import Asked, ask_of
from .worker import PanelWorker

_FEWEST = 2
"""Models of a comparison."""


class _Column:
    """The column of one model: its name, its numbers and its answer."""

    def __init__(self, worker: PanelWorker) -> None:
        self.head = widgets.HTML()
        self.answer = Answer(worker)
        scrolls = widgets.VBox([self.answer.box])
        scrolls.add_class("og-column-text")
        self.box = widgets.VBox([self.head, scrolls])
        self.head.add_class("og-column-head")
        self.box.add_class("og-column")


class Compare:
    """The section that asks several models.

    Args:
        typed: returns the settings and the prompt; it may block for a moment.
        approve: asks whether so much may be spent.
    """

    def __init__(self, worker: PanelWorker, typed: Callable[[], tuple[Settings, str]], approve: Approver) -> None:
        self._worker, self._typed, self._approve = worker, typed, approve
        self._lock = threading.Lock()
        self._busy, self._stopping = False, False
        self._comparison: Comparison | None = None
        self._columns: list[_Column] = []
        defaults = [DEFAULTS["openai"], DEFAULTS["anthropic"], "", ""]
        self.models = [
            widgets.Combobox(
                value=value, options=offered(), description=f"Model {number}",
                placeholder="provider/model, or empty", ensure_option=False, continuous_update=False,
                tooltip="A model of the list, or any other as provider/model; empty for none",
            )
            for number, value in enumerate(defaults, 1)
        ]  # fmt: skip
        for number, model in enumerate(self.models, 1):
            model.add_class(f"og-model-{number}")
        self.send = widgets.Button(
            description="Ask all",
            button_style="primary",
            tooltip="Send the prompt above to each model; each answer is paid for",
        )
        self.stop = widgets.Button(
            description="Stop all",
            button_style="danger",
            disabled=True,
            tooltip="Stop the models that still answer; text and receipts so far are kept",
        )
        self.status = widgets.HTML(line("The prompt above goes to two to four models at once."))
        self.columns = widgets.HBox([])
        models, row = widgets.HBox(self.models), widgets.HBox([self.send, self.stop, self.status])
        for widget, name in (
            (models, "og-models"), (self.send, "og-ask-all"), (self.stop, "og-stop-all"), (row, "og-row"),
            (self.status, "og-compare-status"), (self.columns, "og-columns"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([models, row, self.columns])
        self.send.on_click(lambda _: self._begin())
        self.stop.on_click(lambda _: self._stop())

    @property
    def busy(self) -> bool:
        """True while answers are on their way."""
        return self._busy

    def receipts_are(self, changed: Collection[str], receipts: Mapping[str, Receipt]) -> None:
        """Update the lines below the answers."""
        if not self._busy:
            for column in self._columns:
                column.answer.refresh(changed, receipts, self._worker.app.explorer)

    def _begin(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy, self._stopping = True, False
        self._buttons()
        self._worker.aside(self._ask, lambda error: self._worker.put(self.status, value=problem(error)))

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            comparison = self._comparison
        for run in comparison.runs if comparison else ():
            run.stop()

    def _ask(self) -> None:
        app = self._worker.app
        try:
            requests = self._requests(*self._typed())
            self._worker.put(self.status, value="")
            self._show([request.turn.request.model for request in requests])
            comparison = app.compare([request.turn for request in requests], approve=self._approve)
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
            self._worker.wake()

    def _requests(self, settings: Settings, prompt: str) -> list[Asked]:
        """Build all requests before any is sent, so that a mistake in one costs nothing."""
        names = [model.value.strip() for model in self.models if model.value.strip()]
        if len(names) < _FEWEST:
            raise ConfigError(
                "Fewer than two models are named, so nothing was sent.", remedy="Name two to four models."
            )
        return [ask_of(self._worker.app, settings, prompt, name) for name in names]

    def _show(self, models: list[str]) -> None:
        while len(self._columns) < len(models):
            self._columns.append(_Column(self._worker))
        columns = self._columns[: len(models)]
        for column, model in zip(columns, models, strict=True):
            column.answer.begin("starting…")
            self._worker.put(column.head, value=_head(model))
        self._worker.put(self.columns, children=tuple(column.box for column in columns))

    def _follow(self, comparison: Comparison) -> None:
        unfinished = dict(enumerate(comparison))
        answers = [column.answer for column in self._columns[: len(unfinished)]]

        def patience() -> float:
            return min(answer.patience() for answer in answers)

        with contextlib.closing(follow(comparison.runs, patience)) as beats:
            for _ in beats:
                if self._worker.closed:
                    break
                for place, part in list(unfinished.items()):
                    if part.run.done:
                        self._end(self._columns[place], unfinished.pop(place))
                    else:
                        self._columns[place].answer.show(part.run.progress)
        for place, part in unfinished.items():
            self._end(self._columns[place], part)

    def _end(self, column: _Column, part: Compared) -> None:
        receipt, error, app = part.receipt, part.error, self._worker.app
        explorer = app.explorer(receipt.network if receipt else "")
        if error is None and receipt is not None:
            images = (part.result.images if part.result else None) or ()
            column.answer.finish([receipt], part.text, explorer, images=images)
        elif isinstance(error, CancelledError) and receipt is not None:
            column.answer.finish([receipt], part.text, explorer, STOPPED)
        elif error is not None:
            column.answer.fail(error, receipt, part.text, explorer)
        self._worker.put(column.head, value=_head(part.label, receipt))

    def _buttons(self) -> None:
        self._worker.put(self.send, disabled=self._busy)
        self._worker.put(self.stop, disabled=not self._busy)


def _head(model: str, receipt: Receipt | None = None) -> str:
    numbers = []
    if receipt is not None:
        numbers += [f"{receipt.latency_s:.2f} s"] if receipt.latency_s is not None else []
        numbers += [f"first token {receipt.ttft_s:.2f} s"] if receipt.ttft_s is not None else []
        numbers += [f"{receipt.completion_tokens} tokens"] if receipt.completion_tokens is not None else []
        numbers += [f"${receipt.usd:.5f}"] if receipt.usd is not None else []
    return f"<strong>{escape(model)}</strong>{line(' · '.join(numbers))}"
