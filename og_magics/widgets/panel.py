"""The whole panel: its sections, the thread that refreshes them, and a summary for where no widget can show."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from typing import Any
from uuid import uuid4

import ipywidgets as widgets

from ..core.errors import OGError
from ..core.receipt import Receipt
from ..display.panel_snapshot import SUMMARY, Totals, summary_bundle
from ..ledger import receipts_frame
from ..session import Session, current
from .ask import Ask
from .compare import Compare
from .health import Health
from .html import problem
from .kernel_busy import CellWatch
from .receipt_reader import LedgerReader
from .receipts import SHOWN, Receipts
from .settings import Choice, Parameters
from .style import sheet
from .wallet import Wallet, network_badge
from .worker import PanelWorker

_REFRESH = 2.0
"""Seconds between refreshes without an event: other processes write to the ledger too."""
_SUMMARY_PAUSE = 5.0
"""Least seconds between two updates of the summary."""
_WALLET_PAUSE = 10.0
"""Least seconds between two automatic readings of the wallet."""

_HEALTH_TAB = 4
"""Index of the Health tab, which checks when it is selected."""

_open: weakref.WeakSet[Panel] = weakref.WeakSet()
_open_lock = threading.Lock()


def panel() -> Panel:
    """Return a control panel of this notebook. Several panels show the same state."""
    return Panel(current())


class Panel(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Settings, questions, wallet, receipts and health of a notebook as widgets. `close()` ends it.

    When displayed, it also writes a summary without widgets, which a saved notebook shows when the panel is gone.
    """

    def __init__(self, app: Session) -> None:
        self._worker = worker = PanelWorker(app)
        self._name = f"{SUMMARY}{uuid4().hex[:12]}"
        self._reader = LedgerReader()
        self._summary: dict[str, str] = {}
        self._summary_due = 0.0
        self._publisher: Any = None
        self._wallet_due, self._wallet_stale = 0.0, False
        self.head = widgets.HTML()
        self.choice, self.ask, self.parameters = Choice(worker), Ask(worker), Parameters(worker)
        self.receipts, self.wallet, self.health = Receipts(worker), Wallet(worker), Health(worker)
        self.compare = Compare(worker, self.ask.typed, self.ask.question.approve)
        self.cells = CellWatch(worker.wake)
        self.tabs = widgets.Tab(
            [self.receipts.box, self.wallet.box, self.parameters.box, self.compare.box, self.health.box],
            titles=("Receipts", "Wallet", "Parameters", "Compare", "Health"),
            selected_index=0,
        )
        self.tabs.add_class("og-tabs")
        self.tabs.observe(self._tab_selected, "selected_index")
        super().__init__([widgets.HTML(sheet(self._name)), self.head, self.choice.box, self.ask.box, self.tabs])
        self.add_class("og-panel")
        self.add_class(f"{self._name}-live")
        worker.open(self._paint)
        with _open_lock:
            _open.add(self)

    def close(self) -> None:
        """Remove the panel and end its threads. The notebook's settings and receipts stay."""
        if not self._worker.closed:
            self._worker.close()
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
        forget = self._worker.app.watch(self._worker.wake)
        try:
            while True:
                wait = _REFRESH
                try:
                    wait = self._refresh()
                except Exception as error:  # noqa: BLE001 - it is shown, and the next refresh may succeed
                    self._worker.put(self.head, value=problem(error))
                if not self._worker.sleep(wait):
                    return
        finally:
            forget()

    def _refresh(self) -> float:
        """Bring up to date what changed, and return the seconds until the next refresh."""
        worker, now = self._worker, time.monotonic()
        asking = self.ask.busy or self.compare.busy
        settings = worker.app.settings
        if not worker.pending:
            for section in (self.choice, self.ask, self.parameters, self.wallet):
                section.settings_are(settings)
        busy, wait = self.cells.busy(now)
        busy_note = (
            '<span class="og-busy" role="status">A cell is running: clicks may wait until it ends.</span>'
            if busy
            else ""
        )
        badge = network_badge(settings.network_name())
        head = f"<strong>og_magics</strong>{badge}{self.wallet.budget_left()}{busy_note}"
        worker.put(self.head, value=f'<div class="og-head">{head}</div>')
        try:
            changed = self._reader.read(worker.app.ledger)
        except OGError as error:
            worker.put(self.receipts.totals, value=problem(error))
            changed = None
        if changed is not None:
            receipts = self._reader.receipts
            self.receipts.receipts_are(receipts)
            known = {receipt.receipt_id: receipt for receipt in receipts}
            self.ask.receipts_are(changed, known)
            self.compare.receipts_are(changed, known)
            self._wallet_stale = True
        if self._wallet_stale and now >= self._wallet_due and not asking:
            self._wallet_stale, self._wallet_due = False, now + _WALLET_PAUSE
            self.wallet.read()
        if now >= self._summary_due and not asking:
            self._summary_due = now + _SUMMARY_PAUSE
            self._republish()
        return min(_REFRESH, wait)

    def _republish(self) -> None:
        if self._publisher is not None and (bundle := self._summarized()) != self._summary:
            self._summary = bundle
            self._publisher.publish(bundle, {}, transient={"display_id": self._name}, update=True)

    def _summarized(self) -> dict[str, str]:
        app = self._worker.app
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
            chat=self.ask.texts(),
        )

    def _tab_selected(self, change: Any) -> None:
        if change["new"] == _HEALTH_TAB and not self._worker.painting:
            self.health.read()


def _all(widget: Any) -> list[Any]:
    """Return a widget and all widgets in it."""
    inner = [found for child in getattr(widget, "children", ()) for found in _all(child)]
    return [widget, *inner]


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    return shell


def _replace(new: Panel, shell: Any) -> None:
    """Close the panel that an earlier run of the same cell showed, since nobody can see it any more."""
    parent = shell.parent_header if hasattr(shell, "parent_header") else {}
    cell = (parent.get("metadata") or {}).get("cellId")
    new._shown_in = (cell, (parent.get("header") or {}).get("msg_id"))
    with _open_lock:
        others = [panel for panel in _open if panel is not new]
    for other in others:
        shown_in = getattr(other, "_shown_in", (None, None))
        if cell and shown_in[0] == cell and shown_in[1] != new._shown_in[1]:
            other.close()


@atexit.register
def _end() -> None:
    with _open_lock:
        panels = list(_open)
    for panel in panels:
        panel.close()
