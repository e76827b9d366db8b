"""The chat: the turns so far, one above the other, and the box in which the next prompt is written."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from typing import Any

import ipywidgets as widgets

from ..conversation import Run, follow
from ..core.models import OwnPrices, known_model
from ..core.receipt import Receipt
from ..core.settings import Settings
from ..display.panel_snapshot import ChatText
from .chat_turn import ChatTurn
from .html import line
from .keys import Keys
from .panel_request import Asked, ask_of, remember
from .question import Question
from .worker import PanelWorker

STOPPED = "Stopped: the answer is not complete. Its receipt shows the cost once the payment settles."
MOST_TURNS = 30
"""Turns that stand in the panel; the receipts of older ones stay in the ledger."""
_KEYS = {
    True: "Ask something. Enter sends it, Shift-Enter begins a new line.",
    False: "Ask something. Ctrl-Enter sends it, Enter begins a new line.",
}


class Ask:
    """The section that sends prompts. Its buttons start work on other threads and return."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._busy, self._stopping = False, False
        self._run: Run | None = None
        self.turns: list[ChatTurn] = []
        self.question = Question(worker)
        self.prompt = widgets.Textarea(
            description="Prompt", placeholder=_KEYS[True], rows=2, tooltip="The prompt, sent exactly as typed"
        )
        self.keys = Keys(self.prompt)
        self.send = _button(
            "Send", "Send the prompt to the model chosen above; the estimate is the most it can cost", "primary"
        )
        self.stop = _button("Stop", "Stop the answer; the text so far and its receipt are kept", "danger")
        self.enter = widgets.Checkbox(
            value=True, indent=False, description="Enter sends",
            tooltip="Enter sends the prompt; otherwise Ctrl-Enter does, and Enter begins a new line",
        )  # fmt: skip
        self.estimate = widgets.HTML()
        self.spoken = widgets.HTML()  # for screen readers: the script makes it a status
        self.older = widgets.HTML(line("Nothing is asked yet. Answers stand here, each with its receipt.", "og-empty"))
        self._list = widgets.VBox([self.older])
        # The outer box scrolls. Its contents stand in reverse, so it stays at their end until a reader scrolls up.
        scrolls = widgets.VBox([self._list])
        row = widgets.HBox([self.send, self.stop, self.enter, self.estimate])
        for widget, name in (
            (self.prompt, "og-prompt"), (self.send, "og-send"), (self.stop, "og-stop"), (self.enter, "og-enter"),
            (self.estimate, "og-estimate"), (row, "og-row"), (scrolls, "og-turns"), (self.older, "og-older"),
            (self.spoken, "og-spoken"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([scrolls, self.question.box, self.prompt, row, self.spoken, self.keys.box])
        self.box.add_class("og-enter-sends")
        self.box.add_class("og-chat")
        self.prompt.observe(self._typing, "value")
        self.enter.observe(self._switch, "value")
        self.send.on_click(lambda _: self._begin(self.typed))
        self.stop.on_click(lambda _: self._stop())
        self._buttons()

    @property
    def busy(self) -> bool:
        """True while an answer is on its way."""
        return self._busy

    @property
    def answer(self) -> Any:
        """The widget of the last answer, None before there is one."""
        return self.turns[-1].answer.box if self.turns else None

    def texts(self) -> list[ChatText]:
        """Return the turns whose answer was begun, as text."""
        return [ChatText(one.prompt, one.asked.turn.request.model, one.text) for one in self.turns if one.asked]

    def settings_are(self, settings: Settings) -> None:
        """Update the estimate."""
        self._worker.put(self.estimate, value=_estimate(settings, self.prompt.value, self._worker.app.prices))

    def receipts_are(self, changed: Collection[str], receipts: Mapping[str, Receipt]) -> None:
        """Update the lines below the answers."""
        for turn in self.turns[: -1 if self._busy else None]:
            turn.answer.refresh(changed, receipts, self._worker.app.explorer)

    def typed(self) -> tuple[Settings, str]:
        """Wait until no more input arrives, and return the settings and the prompt."""
        while True:
            value = self.prompt.value
            settings = self._worker.settled()
            if value == self.prompt.value:
                return settings, value

    def _typing(self, change: Any) -> None:
        prompt = None if self._worker.painting else self.keys.sent(change["new"])
        if prompt is None:
            self._worker.wake()
            return
        self._worker.put(self.prompt, value=prompt)
        self._begin(lambda: (self._worker.settled(), prompt))

    def _switch(self, change: Any) -> None:
        self._worker.mark(self.box, "og-enter-sends", on=change["new"])
        self._worker.put(self.prompt, placeholder=_KEYS[change["new"]])

    def _begin(self, request: Callable[[], tuple[Settings, str]] | ChatTurn) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy, self._stopping = True, False
        self._buttons()
        self._worker.aside(lambda: self._send(request), lambda _: None)

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            run = self._run
        self.question.answer(said=False)
        if run is not None:
            run.stop()

    def _edit(self, turn: ChatTurn) -> None:
        self._worker.put(self.prompt, value=turn.prompt)

    def _send(self, request: Callable[[], tuple[Settings, str]] | ChatTurn) -> None:
        turn: ChatTurn | None = None
        try:
            if isinstance(request, ChatTurn):
                turn = self._new(request.prompt)
                asked = request.asked or ask_of(self._worker.app, self._worker.settled(), request.prompt)
            else:
                settings, prompt = request()
                turn = self._new(prompt)
                if self.prompt.value == prompt:
                    self._worker.put(self.prompt, value="")
                asked = ask_of(self._worker.app, settings, prompt)
            turn.begin(asked)
            remember(asked)
            self._follow(turn, asked)
        except Exception as error:  # noqa: BLE001 - nothing was sent; whatever it is, it is shown
            if turn is not None:
                turn.answer.fail(error, None, "", _no_link)
        finally:
            with self._lock:
                self._busy, self._run = False, None
            self._buttons()
            self._worker.wake()

    def _new(self, prompt: str) -> ChatTurn:
        """Add a turn at the end; beyond so many, the oldest goes."""
        turn = ChatTurn(self._worker, prompt, self._begin, self._edit, remember)
        turn.answer.begin("starting…")
        gone, self.turns = self.turns[: 1 - MOST_TURNS], [*self.turns[1 - MOST_TURNS :], turn]
        if gone or len(self.turns) == 1:
            note = f"The last {MOST_TURNS} turns. The receipts of all are below." if gone else ""
            self._worker.put(self.older, value=line(note))
        self._worker.put(self._list, children=(self.older, *(one.box for one in self.turns)))
        for one in gone:
            close_all(one.box)
        return turn

    def _follow(self, turn: ChatTurn, asked: Asked) -> None:
        run = self._worker.app.start(asked.turn, listening=True, approve=self.question.approve)
        with self._lock:
            self._run = run
            stopping = self._stopping
        if stopping:
            run.stop()
        with contextlib.closing(follow([run], turn.answer.patience, self.question.confirm)) as beats:
            for _ in beats:
                if self._worker.closed:
                    break
                turn.answer.show(run.progress)
        self._end(turn, run)

    def _end(self, turn: ChatTurn, run: Run) -> None:
        app, progress = self._worker.app, run.progress
        try:
            result = run.result()
            if receipts := result.receipts:
                explorer = app.explorer(receipts[-1].network)
                turn.answer.finish(receipts, result.text, explorer, images=result.images or ())
            turn.ended(result.text)
            return
        except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever it is, it is shown
            failed = error
        receipt = app.ledger.receipt(progress.receipt_id) if progress.receipt_id else None
        # The receipt may hold more text than was shown so far; show all that was paid for.
        text = (receipt.text if receipt else "") or progress.text
        explorer = _no_link if receipt is None else app.explorer(receipt.network)
        if not isinstance(failed, CancelledError):
            turn.answer.fail(failed, receipt, text, explorer)
        elif receipt is not None:
            turn.answer.finish([receipt], text, explorer, STOPPED)
        else:
            turn.answer.begin("Stopped before anything was sent. Nothing was paid.")
        turn.ended(text)

    def _buttons(self) -> None:
        busy = self._busy
        if busy or self.turns:
            self._worker.put(self.spoken, value="Answering" if busy else "The answer has ended")
        self._worker.put(self.send, disabled=busy)
        self._worker.put(self.stop, disabled=not busy)
        for turn in self.turns:
            turn.enable(busy=busy)


def close_all(widget: Any) -> None:
    """Close a widget and all widgets in it."""
    for child in getattr(widget, "children", ()):
        close_all(child)
    widget.close()


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
        return line(f"no list price; its receipt tells the cost · {amount}", "og-estimate-line")
    usd = model.price.usd(tokens, settings.max_tokens, images=int(model.draws))
    for_image = ", and 1 image" if model.price.image else ""
    return line(f"at most ${usd:.4f} · {amount}{for_image}", "og-estimate-line")
