"""What stands for a panel where no widget lives, and its small parts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from og_magics.core.receipt import Receipt
from og_magics.core.settings import Secret, Settings
from og_magics.display.panel_snapshot import Totals, summary_bundle
from og_magics.ledger import open_ledger, receipts_frame
from og_magics.widgets.chart import spend_chart
from og_magics.widgets.receipt_reader import LedgerReader

OPG = 10**18
RECEIPT = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="", network="devnet", provider="openai",
    model="openai/gpt-5", settlement="batch", status="settled", cost=OPG // 4, cost_usd="0.05", prompt_tokens=7,
    completion_tokens=28, payment_hash="0x" + "cd" * 32,
)  # fmt: skip
OPEN = replace(RECEIPT, receipt_id="02", status="served", cost=None, payment_hash=None, prompt_tokens=None)


def bundle(settings: Settings, *receipts: Receipt, name: str = "og-summary-1") -> dict[str, str]:
    totals = Totals.of(receipts)
    return summary_bundle(settings, "0xabc", receipts_frame(receipts[-1:]), totals, lambda *_: "", {}, name=name)


def test_totals_count_what_is_known():
    assert Totals.of([RECEIPT, OPEN]) == Totals(calls=2, tokens=63, paid=OPG // 4, usd=Decimal("0.10"), open=1)
    assert str(Totals.of([])) == "0 calls, 0 tokens, 0 OPG paid, $0.0000 by list price, 0 to be settled"


def test_a_summary_has_the_settings_the_totals_and_the_newest_receipts():
    shown = bundle(Settings(system="Be <b>brief</b>", private_key=Secret("ab" * 32), network="devnet"), RECEIPT, OPEN)
    for text in ("openai/gpt-5", "BATCH_HASHED", "0xabc", "2 calls", "0.25 OPG", "The newest 1 of 2 receipts."):
        assert text in shown["text/html"]
        assert text in shown["text/plain"]
    assert "<b>brief" not in shown["text/html"]
    assert "abab" not in str(shown)


def test_a_summary_hides_the_place_of_a_dead_widget_and_is_found_by_its_class():
    html = bundle(Settings())["text/html"]
    assert '<div class="og-summary-1">' in html
    assert ".jp-OutputArea-child:has(.og-summary-1) + .jp-OutputArea-child:not(:has(.og-panel)){display: none}" in html


def test_a_chart_ends_at_what_was_paid_and_has_few_points():
    assert spend_chart([]) == ""
    assert spend_chart([OPEN]) == ""
    chart = spend_chart([RECEIPT] * 10_000)
    assert "2500 OPG in 10000 calls" in chart
    assert len(chart) < 3_000
    assert spend_chart([RECEIPT, OPEN]).count("points=") == 2


def test_a_book_reads_what_is_new(tmp_path):
    book, ledger = LedgerReader(), open_ledger(tmp_path / "l.db")
    assert book.read(ledger) == set()
    assert book.read(ledger) is None
    assert book.receipts == []
    assert book.read(open_ledger(tmp_path / "other.db")) == set()
