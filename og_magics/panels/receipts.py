"""The panel's receipts: totals, a chart of what was spent, the latest rows, their proofs, and a file to take along."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import ipywidgets as widgets

from ..amounts import format_opg
from ..display import proofs_bundle
from ..display.safe import safe_link
from ..display.summary import Totals
from ..ledger import receipts_csv
from ..receipt import Receipt
from .chart import spend_chart
from .desk import Desk
from .parts import badge, line, problem

SHOWN = 10
_KINDS = {
    **dict.fromkeys(("settled", "verified"), "good"),
    **dict.fromkeys(("authorized", "served"), "open"),
    "failed": "bad",
}
_HEADS = ("Time (UTC)", "Model", "Mode", "Status", "Tokens", "OPG", "Proof", "Payment")


class Receipts:
    """The section of receipts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: Sequence[Receipt] = ()
        self.table = widgets.HTML(line("Reading the receipts…"))
        self.verify = widgets.Button(
            description="Verify", icon="check", tooltip="Check every proof of the rows above, on chain too"
        )
        self.csv = widgets.Button(description="CSV file", tooltip="Make a CSV file of all receipts, to download")
        self.link = widgets.HTML()
        self.proofs = widgets.HTML()
        row = widgets.HBox([self.verify, self.csv, self.link])
        for widget, name in (
            (self.table, "og-receipts"), (self.verify, "og-verify"), (self.csv, "og-csv"), (self.link, "og-link"),
            (self.proofs, "og-proofs"), (row, "og-row"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([self.table, row, self.proofs])
        self.verify.on_click(lambda _: self._begin(self.verify, self._verify, self.proofs))
        self.csv.on_click(lambda _: self._begin(self.csv, self._csv, self.link))

    def receipts_are(self, receipts: Sequence[Receipt]) -> None:
        """Show these, oldest first."""
        self._shown = receipts[-SHOWN:]
        self._desk.put(self.table, value=self._html(receipts))

    def _html(self, receipts: Sequence[Receipt]) -> str:
        if not receipts:
            return line("No receipts yet. Each call leaves one.", "og-empty")
        heads = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
        rows = "".join(map(self._row, reversed(self._shown)))
        left = len(receipts) - len(self._shown)
        note = line(f"The newest {len(self._shown)} of {len(receipts)}.") if left else ""
        return (
            f'<div class="og-top">{_totals(Totals.of(receipts))}{spend_chart(receipts)}</div>'
            f'<div class="og-scroll" tabindex="0" role="region" aria-label="receipts"><table>'
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{note}"
        )

    def _row(self, receipt: Receipt) -> str:
        tokens = "–"
        if receipt.prompt_tokens is not None and receipt.completion_tokens is not None:
            tokens = f"{receipt.prompt_tokens} + {receipt.completion_tokens}"
        mark = {True: "✓", False: "✗", None: "–"}[receipt.enclave_ok]
        cells = (
            f"{datetime.fromtimestamp(receipt.time, UTC):%d %b %H:%M:%S}",
            escape(receipt.model),
            escape(receipt.settlement),
            badge(receipt.status, _KINDS.get(receipt.status, "plain")),
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
        url = safe_link(self._desk.app.explorer(receipt.network)(payment))
        return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{code}</a>' if url else code

    def _begin(self, button: Any, work: Any, place: Any) -> None:
        self._desk.put(button, disabled=True)

        def done() -> None:
            try:
                work()
            finally:
                self._desk.put(button, disabled=False)

        self._desk.aside(done, lambda error: self._desk.put(place, value=problem(error)))

    def _verify(self) -> None:
        from ..verification import COLUMNS, told

        self._desk.put(self.proofs, value=line("Checking the proofs…", "og-status"))
        shown, app = self._shown, self._desk.app
        frame = app.records.verify(app.ledger, {receipt.receipt_id for receipt in shown}, online=True)
        about = {
            receipt.receipt_id: f"{datetime.fromtimestamp(receipt.time, UTC):%H:%M:%S} {receipt.model}"
            for receipt in shown
        }
        problems = "".join(line(f"The ledger: {problem}", "og-what") for problem in frame.attrs["problems"])
        table = proofs_bundle(frame, COLUMNS, about)["text/html"]
        self._desk.put(
            self.proofs,
            value=f'{problems}{line(told(frame))}<div class="og-scroll" tabindex="0" role="region" '
            f'aria-label="proofs">{table}</div>',
        )
        app.tell()  # what holds is "verified" now

    def _csv(self) -> None:
        content = receipts_csv(self._desk.app.ledger.receipts())
        data = base64.b64encode(content).decode()
        self._desk.put(
            self.link,
            value=f'<a download="receipts.csv" href="data:text/csv;base64,{data}">Download receipts.csv</a> '
            f"({len(content) / 1000:.0f} kB)",
        )


def _totals(totals: Totals) -> str:
    parts = (
        ("calls", f"{totals.calls:,}"),
        ("tokens", f"{totals.tokens:,}"),
        ("OPG paid", format_opg(totals.paid)),
        ("USD, by list price", f"${totals.usd:.4f}"),
        ("to settle", f"{totals.open}"),
    )
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in parts)
    return f'<div class="og-totals">{inner}</div>'
