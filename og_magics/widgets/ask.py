"""The prompt and its answer: Send, Stop, Retry, and the cell that asks the same."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from html import escape
from typing import Any

import ipywidgets as widgets

from ..conversation import Run, follow
from ..core.errors import ConfigError
from ..core.models import OwnPrices, known_model
from ..core.receipt import Receipt
from ..core.settings import Settings
from ..display import HEARTBEAT
from .answer import Answer
from .html import line, problem
from .panel_request import Asked, ask_of, remember
from .worker import PanelWorker

STOPPED = "Stopped: the answer is not complete. Its receipt shows the cost once the payment settles."


class Ask:
    """The section that sends the prompt. Its buttons start work on other threads and return."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._busy, self._stopping = False, False
        self._run: Run | None = None
        self._asked: Asked | None = None
        self.prompt = widgets.Textarea(
            description="Prompt", placeholder="Ask something. Tab, then Enter, sends it.", rows=4,
            tooltip="The prompt, sent exactly as typed",
        )  # fmt: skip
        self.send = _button(
            "Send", "Send the prompt to the model chosen above; the estimate is the most it can cost", "primary"
        )
        self.stop = _button("Stop", "Stop the answer; the text so far and its receipt are kept", "danger")
        self.retry = _button("Retry", "Send the last prompt again with the settings it had; this is a new paid call")
        self.cell = _button("As a cell", "Show the %%ogchat cell that asks this prompt with these settings")
        self.estimate = widgets.HTML()
        self.source = widgets.HTML()
        self.answer = Answer(worker, "The answer appears here.")
        row = widgets.HBox([self.send, self.stop, self.retry, self.cell, self.estimate])
        for widget, name in (
            (self.prompt, "og-prompt"), (self.send, "og-send"), (self.stop, "og-stop"), (self.retry, "og-retry"),
            (self.cell, "og-as-cell"), (self.estimate, "og-estimate"), (self.source, "og-source"), (row, "og-row"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([self.prompt, row, self.source, self.answer.box])
        self.prompt.observe(self._typing, "value")
        self.send.on_click(lambda _: self._begin(self._current))
        self.retry.on_click(lambda _: self._begin(self._last))
        self.stop.on_click(lambda _: self._stop())
        self.cell.on_click(lambda _: self._show_cell())
        self._buttons()

    @property
    def busy(self) -> bool:
        """True while an answer is on its way."""
        return self._busy

    def settings_are(self, settings: Settings) -> None:
        """Update the estimate."""
        self._worker.put(self.estimate, value=_estimate(settings, self.prompt.value, self._worker.app.prices))

    def receipts_are(self, changed: Collection[str], receipts: Mapping[str, Receipt]) -> None:
        """Update the line below the answer."""
        if not self._busy:
            self.answer.refresh(changed, receipts, self._worker.app.explorer)

    def typed(self) -> tuple[Settings, str]:
        """Wait until no more input arrives, and return the settings and the prompt."""
        while True:
            value = self.prompt.value
            settings = self._worker.settled()
            if value == self.prompt.value:
                return settings, value

    def _typing(self, _: Any) -> None:
        self._worker.wake()

    def _begin(self, request: Callable[[], Asked]) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy, self._stopping = True, False
        self._buttons()
        self._worker.aside(lambda: self._send(request), lambda error: self.answer.fail(error, None, "", _no_link))

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            run = self._run
        if run is not None:
            run.stop()

    def _current(self) -> Asked:
        return ask_of(self._worker.app, *self.typed())

    def _last(self) -> Asked:
        if self._asked is None:
            raise ConfigError("There is no earlier prompt to send again.", remedy="Use Send first.")
        return self._asked

    def _send(self, request: Callable[[], Asked]) -> None:
        app = self._worker.app
        try:
            self.answer.begin("starting…")
            asked = request()
            self._asked = asked
            remember(asked)
            run = app.start(asked.turn)
            with self._lock:
                self._run = run
                stopping = self._stopping
            if stopping:
                run.stop()
            with contextlib.closing(follow([run], HEARTBEAT)) as beats:
                for _ in beats:
                    if self._worker.closed:
                        break
                    self.answer.show(run.progress)
            self._end(run)
        finally:
            with self._lock:
                self._busy, self._run = False, None
            self._buttons()
            self._worker.wake()

    def _end(self, run: Run) -> None:
        app, progress = self._worker.app, run.progress
        try:
            result = run.result()
            if receipts := result.receipts:
                explorer = app.explorer(receipts[-1].network)
                self.answer.finish(receipts, result.text, explorer, images=result.images or ())
            return
        except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever it is, it is shown
            failed = error
        receipt = app.ledger.receipt(progress.receipt_id) if progress.receipt_id else None
        # The receipt may hold more text than was shown so far; show all that was paid for.
        text = (receipt.text if receipt else "") or progress.text
        explorer = _no_link if receipt is None else app.explorer(receipt.network)
        if not isinstance(failed, CancelledError):
            self.answer.fail(failed, receipt, text, explorer)
        elif receipt is not None:
            self.answer.finish([receipt], text, explorer, STOPPED)
        else:
            self.answer.begin("Stopped before anything was sent. Nothing was paid.")

    def _buttons(self) -> None:
        busy = self._busy
        self._worker.put(self.send, disabled=busy)
        self._worker.put(self.stop, disabled=not busy)
        self._worker.put(self.retry, disabled=busy or self._asked is None)

    def _show_cell(self) -> None:
        """Show the cell, or hide it if it is shown."""

        def work() -> None:
            asked = self._current()
            remember(asked)
            hint = line("Copy this cell (a click selects it all), or run %og cell to insert it below.")
            html = f'{hint}<pre class="og-copy" tabindex="0">{escape(asked.cell)}</pre>'
            self._worker.put(self.source, value="" if self.source.value == html else html)

        self._worker.aside(work, lambda error: self._worker.put(self.source, value=problem(error)))


def _button(text: str, tooltip: str, style: str = "") -> Any:
    return widgets.Button(description=text, tooltip=tooltip, button_style=style)


def _no_link(_: str) -> str:
    return ""


def _estimate(settings: Settings, prompt: str, own: OwnPrices) -> str:
    """Return about the most that the prompt can cost: four characters a token, and the longest answer."""
    tokens = (len(prompt) + len(settings.system) + 3) // 4
    amount = f"about {tokens} tokens in, {settings.max_tokens} out at most"
    model = known_model(settings.model, own)
    if model is None or model.price is None:
        return line(f"price not known · {amount}", "og-estimate-line")
    usd = model.price.usd(tokens, settings.max_tokens, images=int(model.draws))
    for_image = ", and 1 image" if model.price.image else ""
    return line(f"at most ${usd:.4f} · {amount}{for_image}", "og-estimate-line")
