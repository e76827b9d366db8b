"""What stands for a panel where no widget lives, and its small parts."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from og_magics.core.receipt import Receipt
from og_magics.core.settings import Secret, Settings
from og_magics.display.panel_snapshot import ChatText, Totals, summary_bundle
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
    shown = bundle(Settings(system="Be <b>brief</b>", private_key=Secret("c5" * 32), network="devnet"), RECEIPT, OPEN)
    for text in ("openai/gpt-5", "batch", "0xabc", "2 calls", "0.25 OPG", "The newest 1 of 2 receipts."):
        assert text in shown["text/html"]
        assert text in shown["text/plain"]
    assert "<b>brief" not in shown["text/html"]
    assert "abab" not in str(shown)


def test_a_summary_hides_the_place_of_a_dead_widget_and_is_found_by_its_class():
    html = bundle(Settings())["text/html"]
    assert '<div class="og-summary-1">' in html
    assert ".jp-OutputArea-child:has(.og-summary-1) + .jp-OutputArea-child:not(:has(.og-panel)){display: none}" in html


def test_a_chart_has_a_bar_for_each_day_and_model_and_axes_that_are_read():
    assert spend_chart([]) == ""
    assert spend_chart([OPEN]) == ""
    other = replace(RECEIPT, model="google/<b>gemini</b>", cost=OPG, time=RECEIPT.time + 2 * 86_400)
    chart = spend_chart([RECEIPT, RECEIPT, OPEN, other])
    assert "1.5 OPG in 3 days" in chart
    bars = re.findall(r"<title>([^<]+)</title>", chart)
    assert bars == ["22 Nov, openai/gpt-5: 0.5 OPG", "24 Nov, google/&lt;b&gt;gemini&lt;/b&gt;: 1 OPG"]
    ticks = re.findall(r'text-anchor="end">([^<]+)<', chart)
    assert ticks == ["0", "0.5", "1"]
    assert re.findall(r'text-anchor="middle">([^<]+)<', chart) == ["22 Nov", "23 Nov", "24 Nov"]
    assert "<td>0.5</td>" in chart
    assert "<b>" not in chart


def test_a_chart_of_many_days_and_models_stays_small_and_few():
    many = [
        replace(RECEIPT, model=f"acme/{n % 40}", cost=n * OPG, time=RECEIPT.time + 86_400 * (n % 90))
        for n in range(1, 5_000)
    ]
    chart = spend_chart(many)
    assert "in 14 days" in chart
    assert "other models" in chart
    assert len(re.findall('text-anchor="end"', chart)) <= 6
    assert len(chart) < 20_000


def test_a_summary_shows_the_chat_escaped_and_up_to_a_length():
    chat = [
        ChatText(f"prompt {n} <b>x</b>", "openai/<i>gpt</i>", f"**said {n}** <img src=x>" + "y" * 9_000)
        for n in range(30)
    ]
    told = summary_bundle(Settings(), "", receipts_frame([]), Totals.of([]), lambda *_: "", {}, chat=chat)
    for text in told.values():
        assert "said 29" in text
        assert "said 20" in text
        assert "said 19" not in text
        assert "more characters]" in text
        assert len(text) < 60_000
    assert "<strong>said 29</strong>" in told["text/html"]
    for tag in ("<b>", "<i>", "<img"):
        assert tag not in told["text/html"]


def test_a_book_reads_what_is_new(tmp_path):
    book, ledger = LedgerReader(), open_ledger(tmp_path / "l.db")
    assert book.read(ledger) == set()
    assert book.read(ledger) is None
    assert book.receipts == []
    assert book.read(open_ledger(tmp_path / "other.db")) == set()
