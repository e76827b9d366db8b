"""The panel's question and answer: Send, Stop, Retry, and the cell that would ask the same."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from html import escape
from typing import Any

import ipywidgets as widgets

from ..catalogue import PRICES, price_usd
from ..conversation import Run, follow
from ..display import HEARTBEAT
from ..errors import ConfigError
from ..receipt import Receipt
from ..settings import Settings
from .answer import Answer
from .desk import Desk
from .parts import line, problem
from .question import Asked, ask_of, remember

STOPPED = "Stopped: the answer is not complete. Its receipt tells what it costs, once it settles."


class Ask:
    """The section that asks. Its buttons queue and return."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._busy, self._stopping = False, False
        self._run: Run | None = None
        self._asked: Asked | None = None
        self.prompt = widgets.Textarea(
            description="Prompt", placeholder="Ask something. Tab, then Enter, sends it.", rows=4,
            tooltip="The prompt, sent exactly as typed",
        )  # fmt: skip
        self.send = _button("Send", "Ask the model that is chosen above; costs what is estimated at most", "primary")
        self.stop = _button("Stop", "Stop the answer; what has arrived stays, with its receipt", "danger")
        self.retry = _button("Retry", "Ask the last question again, as it was asked")
        self.cell = _button("As a cell", "Show the %%ogchat cell that asks this prompt with these settings")
        self.estimate = widgets.HTML()
        self.source = widgets.HTML()
        self.answer = Answer(desk, "The answer comes here.")
        row = widgets.HBox([self.send, self.stop, self.retry, self.cell, self.estimate])
        for widget, name in (
            (self.prompt, "og-prompt"), (self.send, "og-send"), (self.stop, "og-stop"), (self.retry, "og-retry"),
            (self.cell, "og-as-cell"), (self.estimate, "og-estimate"), (self.source, "og-source"), (row, "og-row"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([self.prompt, row, self.source, self.answer.box])
        self.prompt.observe(self._typing, "value")
        self.send.on_click(lambda _: self._begin(self._new))
        self.retry.on_click(lambda _: self._begin(self._again))
        self.stop.on_click(lambda _: self._stop())
        self.cell.on_click(lambda _: self._show_cell())
        self._buttons()

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._busy

    def settings_are(self, settings: Settings) -> None:
        """Bring the estimate up to date."""
        self._desk.put(self.estimate, value=_estimate(settings, self.prompt.value))

    def receipts_are(self, changed: Collection[str], receipts: Mapping[str, Receipt]) -> None:
        """Bring the line below the answer up to date."""
        if not self._busy:
            self.answer.refresh(changed, receipts, self._desk.app.explorer)

    def typed(self) -> tuple[Settings, str]:
        """The settings and the prompt, once it is quiet. Blocks for a moment."""
        while True:
            value = self.prompt.value
            settings = self._desk.settled()
            if value == self.prompt.value:
                return settings, value

    def _typing(self, _: Any) -> None:
        self._desk.wake()

    def _begin(self, ask: Callable[[], Asked]) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy, self._stopping = True, False
        self._buttons()
        self._desk.aside(lambda: self._ask(ask), lambda error: self.answer.fail(error, None, "", _nowhere))

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            run = self._run
        if run is not None:
            run.stop()

    def _new(self) -> Asked:
        return ask_of(self._desk.app, *self.typed())

    def _again(self) -> Asked:
        if self._asked is None:
            raise ConfigError("Nothing was asked yet.")
        return self._asked

    def _ask(self, ask: Callable[[], Asked]) -> None:
        app = self._desk.app
        try:
            self.answer.begin("starting…")
            asked = ask()
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
                    if self._desk.closed:
                        break
                    self.answer.show(run.progress)
            self._end(run)
        finally:
            with self._lock:
                self._busy, self._run = False, None
            self._buttons()
            self._desk.wake()

    def _end(self, run: Run) -> None:
        app, progress = self._desk.app, run.progress
        try:
            result = run.result()
            if receipts := result.receipts:
                explorer = app.explorer(receipts[-1].network)
                self.answer.finish(receipts, result.text, explorer, images=result.images or ())
            return
        except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever it is, it is shown
            failed = error
        receipt = app.ledger.receipt(progress.receipt_id) if progress.receipt_id else None
        # The receipt may hold more than was shown: what is shown now is what the receipt is about.
        text = (receipt.text if receipt else "") or progress.text
        explorer = _nowhere if receipt is None else app.explorer(receipt.network)
        if not isinstance(failed, CancelledError):
            self.answer.fail(failed, receipt, text, explorer)
        elif receipt is not None:
            self.answer.finish([receipt], text, explorer, STOPPED)
        else:
            self.answer.begin("Stopped before anything was sent. Nothing was paid.")

    def _buttons(self) -> None:
        busy = self._busy
        self._desk.put(self.send, disabled=busy)
        self._desk.put(self.stop, disabled=not busy)
        self._desk.put(self.retry, disabled=busy or self._asked is None)

    def _show_cell(self) -> None:
        """Show it, or hide it if it is shown."""

        def work() -> None:
            asked = self._new()
            remember(asked)
            hint = line("Copy it (a click selects it all), or run %og cell to have it put below.")
            html = f'{hint}<pre class="og-copy" tabindex="0">{escape(asked.cell)}</pre>'
            self._desk.put(self.source, value="" if self.source.value == html else html)

        self._desk.aside(work, lambda error: self._desk.put(self.source, value=problem(error)))


def _button(text: str, tooltip: str, style: str = "") -> Any:
    return widgets.Button(description=text, tooltip=tooltip, button_style=style)


def _nowhere(_: str) -> str:
    return ""


def _estimate(settings: Settings, prompt: str) -> str:
    """The most that the prompt can cost, roughly: four characters a token, and the longest answer."""
    tokens = (len(prompt) + len(settings.system) + 3) // 4
    told = f"about {tokens} tokens in, {settings.max_tokens} out at most"
    usd = price_usd(settings.model, tokens, settings.max_tokens) if settings.model in PRICES else None
    return line(f"at most ${usd:.4f} · {told}" if usd is not None else f"price not known · {told}", "og-estimate-line")
