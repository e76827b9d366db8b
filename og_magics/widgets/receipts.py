"""The Receipts tab: totals, a chart of the spending, receipts filtered and sorted, their proofs, and a CSV file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import ipywidgets as widgets

from ..core.amounts import format_opg
from ..core.receipt import Receipt
from ..core.status import status_named
from ..display import proofs_bundle
from ..display.panel_snapshot import Totals
from ..display.sanitize import safe_link
from ..ledger import receipts_csv
from .chart import spend_chart
from .html import badge, line, problem
from .worker import PanelWorker

SHOWN = 10
"""Receipts that the table shows, unless more are asked for."""
_ROWS = (SHOWN, 50, 200)
_ORDERS: dict[str, Callable[[Receipt], Any]] = {
    "newest first": lambda one: -one.time,
    "oldest first": lambda one: one.time,
    "highest cost": lambda one: -(one.cost or 0),
    "most tokens": lambda one: -((one.prompt_tokens or 0) + (one.completion_tokens or 0)),
    "model": lambda one: (one.model, -one.time),
    "status": lambda one: (one.status, -one.time),
}
_HEADS = ("Time (UTC)", "Model", "Mode", "Status", "Tokens", "OPG", "Proof", "Payment")


class Receipts:
    """The section that lists receipts, verifies them and exports them."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self._all: Sequence[Receipt] = ()
        self._shown: Sequence[Receipt] = ()
        self.filter = widgets.Text(
            description="Filter", placeholder="model, status, mode, network, hash",
            tooltip="Show the receipts that hold each of these words",
        )  # fmt: skip
        self.order = widgets.Dropdown(options=list(_ORDERS), description="Sort", tooltip="The order of the receipts")
        self.rows = widgets.Dropdown(options=_ROWS, description="Rows", tooltip="How many receipts are shown at most")
        self.totals = widgets.HTML()
        self.table = widgets.HTML(line("Reading the receipts…"))
        self.verify = widgets.Button(
            description="Verify", icon="check", tooltip="Verify the receipts above, offline and on chain; costs nothing"
        )
        self.csv = widgets.Button(
            description="CSV file", tooltip="Write the filtered receipts to a CSV file to download"
        )
        self.link = widgets.HTML()
        self.proofs = widgets.HTML()
        row = widgets.HBox([self.verify, self.csv, self.link])
        choice = widgets.HBox([self.filter, self.order, self.rows])
        for widget, name in (
            (self.totals, "og-sums"), (choice, "og-row"), (self.filter, "og-filter"), (self.order, "og-order"),
            (self.rows, "og-rows"),
            (self.table, "og-receipts"), (self.verify, "og-verify"), (self.csv, "og-csv"), (self.link, "og-link"),
            (self.proofs, "og-proofs"), (row, "og-row"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([self.totals, choice, self.table, row, self.proofs])
        for widget in (self.filter, self.order, self.rows):
            widget.observe(lambda _: self._show(), "value")
        self.verify.on_click(lambda _: self._begin(self.verify, self._verify, self.proofs))
        self.csv.on_click(lambda _: self._begin(self.csv, self._csv, self.link))

    def receipts_are(self, receipts: Sequence[Receipt]) -> None:
        """Show these receipts; they come oldest first."""
        self._all = receipts
        self._worker.put(self.totals, value=_sums(receipts) if receipts else "")
        self._show()

    def _filtered(self) -> list[Receipt]:
        words = self.filter.value.lower().split()
        found = [receipt for receipt in self._all if all(word in _searched(receipt) for word in words)]
        return sorted(found, key=_ORDERS[self.order.value])

    def _show(self) -> None:
        found = self._filtered()
        self._shown = found[: self.rows.value]
        self._worker.put(self.table, value=self._html(len(found)))

    def _html(self, found: int) -> str:
        if not self._all:
            return line("No receipts yet. Each call leaves one.", "og-empty")
        if not found:
            return line(f"None of the {len(self._all)} receipts holds these words.", "og-empty")
        heads = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
        rows = "".join(map(self._row, self._shown))
        shown = f"{len(self._shown)} of {found}" if len(self._shown) < found else f"{found}"
        noun = "receipt" if found == 1 else "receipts"
        note = f"{shown} {noun}" if found == len(self._all) else f"{shown} {noun} found, of {len(self._all)}"
        return (
            f'<div class="og-scroll" tabindex="0" role="region" aria-label="receipts"><table>'
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{line(note)}"
        )

    def _row(self, receipt: Receipt) -> str:
        tokens = "–"
        if receipt.prompt_tokens is not None and receipt.completion_tokens is not None:
            tokens = f"{receipt.prompt_tokens} + {receipt.completion_tokens}"
        mark = {True: "✓", False: "✗", None: "–"}[receipt.enclave_ok]
        status = status_named(receipt.status)
        cells = (
            f"{datetime.fromtimestamp(receipt.time, UTC):%d %b %H:%M:%S}",
            escape(receipt.model),
            escape(receipt.settlement),
            badge(status.words, status.look),
            tokens,
            "–" if receipt.cost is None else format_opg(receipt.cost),
            f'<span class="og-mark-{mark}">{mark}</span>',
            self._payment(receipt),
        )
        return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"

    def _payment(self, receipt: Receipt) -> str:
        payment = receipt.payment_hash or ""
        if not payment:
            return "–"
        code = f'<code title="{escape(payment)}">{escape(payment[:10])}…</code>'
        url = safe_link(self._worker.app.explorer(receipt.network)(payment))
        return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{code}</a>' if url else code

    def _begin(self, button: Any, work: Any, place: Any) -> None:
        self._worker.put(button, disabled=True)

        def work_then_enable() -> None:
            try:
                work()
            finally:
                self._worker.put(button, disabled=False)

        self._worker.aside(work_then_enable, lambda error: self._worker.put(place, value=problem(error)))

    def _verify(self) -> None:
        from ..verification.verifier import COLUMNS, proofs_summary

        self._worker.put(self.proofs, value=line("Checking the proofs…", "og-status"))
        shown, app = self._shown, self._worker.app
        frame = app.records.verify(app.ledger, {receipt.receipt_id for receipt in shown}, online=True)
        about = {
            receipt.receipt_id: f"{datetime.fromtimestamp(receipt.time, UTC):%H:%M:%S} {receipt.model}"
            for receipt in shown
        }
        problems = "".join(line(f"The ledger: {problem}", "og-what") for problem in frame.attrs["problems"])
        table = proofs_bundle(frame, COLUMNS, about)["text/html"]
        self._worker.put(
            self.proofs,
            value=f'{problems}{line(proofs_summary(frame))}<div class="og-scroll" tabindex="0" role="region" '
            f'aria-label="proofs">{table}</div>',
        )
        app.notify()  # receipts whose proofs hold have the status "verified" now

    def _csv(self) -> None:
        content = receipts_csv(self._filtered())
        data = base64.b64encode(content).decode()
        self._worker.put(
            self.link,
            value=f'<a download="receipts.csv" href="data:text/csv;base64,{data}">Download receipts.csv</a> '
            f"({len(content) / 1000:.0f} kB)",
        )


def _searched(receipt: Receipt) -> str:
    """Return the text in which the filter's words are looked for."""
    hashes = (receipt.payment_hash, receipt.authorization_hash, receipt.receipt_id)
    status = (receipt.status, status_named(receipt.status).words)
    words = (receipt.model, *status, receipt.settlement, receipt.network, receipt.cell, *hashes)
    return " ".join(filter(None, words)).lower()


def _sums(receipts: Sequence[Receipt]) -> str:
    return f'<div class="og-top">{_totals(Totals.of(receipts))}{spend_chart(receipts)}</div>'


def _totals(totals: Totals) -> str:
    parts = (
        ("calls", f"{totals.calls:,}"),
        ("tokens", f"{totals.tokens:,}"),
        ("OPG paid", format_opg(totals.paid)),
        ("USD, by list price", f"${totals.usd:.4f}"),
        ("not settled yet", f"{totals.open}"),
    )
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in parts)
    return f'<div class="og-totals">{inner}</div>'
