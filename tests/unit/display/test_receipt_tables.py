"""Receipts and proofs as tables, beside the DataFrames that hold the values."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pandas as pd
import pytest

from og_magics.core.receipt import Receipt
from og_magics.display import proofs_bundle, receipts_bundle, shown_as
from og_magics.ledger import receipts_frame

PAID = "0x" + "cd" * 32
EVIL = '<script>alert(1)</script>"onmouseover="x'
RECEIPT = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="base", provider="openai",
    model="openai/gpt-5", settlement="batch", status="settled", payment_hash=PAID, cost=1_443_750_000_000_000,
    prompt_tokens=7, completion_tokens=28,
)  # fmt: skip


def page(network: str, transaction: str) -> str:
    return f"https://{network}.example/tx/{transaction}"


def nowhere(network: str, transaction: str) -> str:
    return ""


class Tags(HTMLParser):
    """The tags of a text, and the links' targets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "a":
            self.links.append(dict(attrs)["href"])


def shown(*receipts: Receipt, where=page) -> dict[str, str]:
    return receipts_bundle(receipts_frame(receipts), where, {"01": True})


def test_a_receipt_is_a_row_with_a_badge_a_mark_and_a_link_to_its_payment():
    bundle = shown(RECEIPT)
    assert Tags(bundle["text/html"]).links == [f"https://base.example/tx/{PAID}"]
    for text in ("2026-11-22", "openai/gpt-5", ">settled</span>", "7+28", "0.001444", "✓"):
        assert text in bundle["text/html"]
    assert bundle["text/plain"].splitlines()[1].split()[2:] == [
        "openai/gpt-5", "batch", "settled", "7+28", "0.001444", "✓", PAID,
    ]  # fmt: skip


def test_what_is_not_known_is_a_dash():
    open_one = replace(RECEIPT, receipt_id="02", payment_hash=None, cost=None, prompt_tokens=None, status="served")
    assert shown(open_one)["text/plain"].splitlines()[1].split()[2:] == [
        "openai/gpt-5", "batch", "to", "be", "settled", "-", "-", "–", "-",
    ]  # fmt: skip


def test_no_receipts_are_a_table_without_rows():
    assert shown()["text/plain"].endswith("0 receipts")


@pytest.mark.parametrize("name", ["model", "settlement", "status", "payment_hash", "network"])
def test_untrusted_text_is_shown_as_text(name):
    tags = Tags(shown(replace(RECEIPT, **{name: EVIL}))["text/html"])
    assert tags.tags <= {"table", "thead", "tbody", "tr", "th", "td", "span", "a", "code", "p"}
    assert tags.attributes <= {"style", "href", "target", "rel", "title"}


@pytest.mark.parametrize(
    ("payment", "url"),
    [
        (PAID, "javascript:alert(1)//"), (PAID, ""), (PAID, "data:text/html,x"), (PAID, 'https://e/"><script>'),
        ("0xfeed", "https://e/"), ("../../evil", "https://e/"), (PAID + "?x", "https://e/"),
    ],
)  # fmt: skip
def test_only_a_transaction_with_a_page_on_the_web_is_a_link(payment, url):
    receipt = replace(RECEIPT, payment_hash=payment)
    assert Tags(shown(receipt, where=lambda network, tx: url)["text/html"]).links == []


def test_of_many_the_newest_are_shown():
    bundle = shown(*(replace(RECEIPT, receipt_id=f"{n:04}", model=f"m/{n:04}") for n in range(300)))
    assert "m/0299" in bundle["text/html"]
    assert "m/0100" not in bundle["text/html"]
    assert bundle["text/plain"].endswith("The newest 100 of 300 receipts.")


def test_amounts_of_a_file_may_be_anything():
    frame = receipts_frame([RECEIPT])
    for value in (Decimal("NaN"), Decimal("-1"), Decimal("1E-30"), None, "x"):
        frame.loc[0, "cost_opg"] = value
        assert "1 receipt" in receipts_bundle(frame, nowhere, {})["text/plain"]


def test_a_proof_is_a_mark_in_its_column_and_the_reason_at_the_end():
    frame = pd.DataFrame(
        [["01", True, False, "payment: <b>It</b> failed."], ["02", None, True, "enclave: Not asked."]],
        columns=["receipt_id", "enclave", "payment", "reason"],
    ).astype({"enclave": object, "payment": object})
    bundle = proofs_bundle(frame, ("enclave", "payment"), {"01": "cell 3"})
    assert [line.split()[:4] for line in bundle["text/plain"].splitlines()[1:3]] == [
        ["cell", "3", "✓", "✗"],
        ["02…", "–", "✓", "enclave:"],
    ]
    assert "<b>" not in bundle["text/html"]
    assert "✗" in bundle["text/html"]


def test_a_shown_frame_stays_a_plain_frame_and_hands_nothing_on():
    frame = receipts_frame([RECEIPT])
    assert shown_as(frame, lambda: {"text/plain": "mine"}) is frame
    assert type(frame) is pd.DataFrame
    assert frame._repr_mimebundle_() == {"text/plain": "mine"}
    for derived in (frame.copy(), frame[frame.status == "settled"], frame.head()):
        assert not hasattr(derived, "_repr_mimebundle_")
    pd.testing.assert_frame_equal(frame, receipts_frame([RECEIPT]))


def test_a_frame_that_got_other_columns_is_shown_as_any_other():
    frame = shown_as(receipts_frame([RECEIPT]), lambda: {"text/plain": "mine"})
    frame["mine"] = 1
    assert frame._repr_mimebundle_() == {}
