"""The panel as a whole: its sections, the thread that keeps them up to date, and what stands where no widget can."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from typing import Any
from uuid import uuid4

import ipywidgets as widgets

from ..app import App, current
from ..display.summary import Totals, summary_bundle
from ..errors import OGError
from ..ledger import receipts_frame
from ..receipt import Receipt
from .ask import Ask
from .book import Book
from .cells import CellWatch
from .compare import Compare
from .desk import Desk
from .health import Health
from .parts import problem
from .receipts import SHOWN, Receipts
from .settings import Choice, Parameters
from .style import sheet
from .wallet import Wallet, network_badge

_LOOK = 2.0
"""Seconds after which the painter looks again though it was not woken: other processes write to the ledger too."""
_SUMMARY = 5.0
"""Seconds between updates of the summary, at the least."""
_READ_WALLET = 10.0
"""Seconds between readings of the wallet that nobody asked for, at the least."""

_HEALTH = 4
"""The tab that asks when it is turned to."""

_open: weakref.WeakSet[Panel] = weakref.WeakSet()
_open_lock = threading.Lock()


def panel() -> Panel:
    """A control panel of this notebook. Show as many as you like: they are views of one state."""
    return Panel(current())


class Panel(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Settings, questions, wallet, receipts and health of a notebook as widgets. `close()` ends it.

    Displayed, it puts a summary without widgets beside itself, which a saved notebook shows when the panel is gone.
    """

    def __init__(self, app: App) -> None:
        self._desk = desk = Desk(app)
        self._name = f"og-summary-{uuid4().hex[:12]}"
        self._book = Book()
        self._summary: dict[str, str] = {}
        self._summary_due = 0.0
        self._publisher: Any = None
        self._wallet_due, self._wallet_stale = 0.0, False
        self.head = widgets.HTML()
        self.choice, self.ask, self.parameters = Choice(desk), Ask(desk), Parameters(desk)
        self.receipts, self.wallet, self.health = Receipts(desk), Wallet(desk), Health(desk)
        self.compare = Compare(desk, self.ask.typed)
        self.cells = CellWatch(desk.wake)
        self.tabs = widgets.Tab(
            [self.receipts.box, self.wallet.box, self.parameters.box, self.compare.box, self.health.box],
            titles=("Receipts", "Wallet", "Parameters", "Compare", "Health"),
            selected_index=0,
        )
        self.tabs.add_class("og-tabs")
        self.tabs.observe(self._turned, "selected_index")
        super().__init__([widgets.HTML(sheet(self._name)), self.head, self.choice.box, self.ask.box, self.tabs])
        self.add_class("og-panel")
        self.add_class(f"{self._name}-live")
        desk.open(self._paint)
        with _open_lock:
            _open.add(self)

    def close(self) -> None:
        """Take it away, and stop what it asks."""
        if not self._desk.closed:
            self._desk.close()
            self.cells.close()
            for widget in _all(self):
                with contextlib.suppress(Exception):  # at the interpreter's end, the front end may be gone
                    widgets.Widget.close(widget)

    def _ipython_display_(self, **_: Any) -> None:
        from IPython.display import display

        shell = _shell()
        self._summary = self._summarized()
        show: Any = display
        if getattr(shell, "kernel", None) is None:
            show({"text/plain": self._summary["text/plain"]}, raw=True)
            return
        _replace(self, shell)
        publisher = shell.display_pub
        self._publisher = publisher if getattr(publisher, "session", None) is not None else None
        show(self._summary, raw=True, display_id=self._name)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        show({"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}, raw=True)

    # -- the painter's thread ------------------------------------------------------------------

    def _paint(self) -> None:
        forget = self._desk.app.watch(self._desk.wake)
        try:
            while True:
                wait = _LOOK
                try:
                    wait = self._look()
                except Exception as error:  # noqa: BLE001 - it is shown, and the next look may go well
                    self._desk.put(self.head, value=problem(error))
                if not self._desk.sleep(wait):
                    return
        finally:
            forget()

    def _look(self) -> float:
        """Bring all that changed up to date; the seconds until the next look."""
        desk, now = self._desk, time.monotonic()
        asking = self.ask.busy or self.compare.busy
        settings = desk.app.settings
        if not desk.pending:
            for section in (self.choice, self.ask, self.parameters, self.wallet):
                section.settings_are(settings)
        busy, wait = self.cells.busy(now)
        told = (
            '<span class="og-busy" role="status">A cell is running: clicks may wait until it ends.</span>'
            if busy
            else ""
        )
        badge = network_badge(settings.network_name())
        desk.put(self.head, value=f'<div class="og-head"><strong>og_magics</strong>{badge}{told}</div>')
        try:
            changed = self._book.read(desk.app.ledger)
        except OGError as error:
            desk.put(self.receipts.table, value=problem(error))
            changed = None
        if changed is not None:
            receipts = self._book.receipts
            self.receipts.receipts_are(receipts)
            known = {receipt.receipt_id: receipt for receipt in receipts}
            self.ask.receipts_are(changed, known)
            self.compare.receipts_are(changed, known)
            self._wallet_stale = True
        if self._wallet_stale and now >= self._wallet_due and not asking:
            self._wallet_stale, self._wallet_due = False, now + _READ_WALLET
            self.wallet.read()
        if now >= self._summary_due and not asking:
            self._summary_due = now + _SUMMARY
            self._republish()
        return min(_LOOK, wait)

    def _republish(self) -> None:
        if self._publisher is not None and (bundle := self._summarized()) != self._summary:
            self._summary = bundle
            self._publisher.publish(bundle, {}, transient={"display_id": self._name}, update=True)

    def _summarized(self) -> dict[str, str]:
        app = self._desk.app
        receipts: list[Receipt] = app.records.receipts()
        latest = receipts[-SHOWN:]
        return summary_bundle(
            app.settings,
            self.wallet.account.address if self.wallet.account else "",
            receipts_frame(latest),
            Totals.of(receipts),
            lambda network, transaction: app.explorer(network)(transaction),
            {receipt.receipt_id: receipt.enclave_ok for receipt in latest},
            name=self._name,
        )

    def _turned(self, change: Any) -> None:
        if change["new"] == _HEALTH and not self._desk.painting:
            self.health.read()


def _all(widget: Any) -> list[Any]:
    """A widget and all that is in it."""
    inner = [one for child in getattr(widget, "children", ()) for one in _all(child)]
    return [widget, *inner]


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    return shell


def _replace(new: Panel, shell: Any) -> None:
    """A cell that runs again shows another panel in the place of its first, which nobody can see any more."""
    parent = shell.parent_header if hasattr(shell, "parent_header") else {}
    cell = (parent.get("metadata") or {}).get("cellId")
    new._shown_in = (cell, (parent.get("header") or {}).get("msg_id"))
    with _open_lock:
        others = [one for one in _open if one is not new]
    for other in others:
        where = getattr(other, "_shown_in", (None, None))
        if cell and where[0] == cell and where[1] != new._shown_in[1]:
            other.close()


@atexit.register
def _end() -> None:
    with _open_lock:
        panels = list(_open)
    for one in panels:
        one.close()
