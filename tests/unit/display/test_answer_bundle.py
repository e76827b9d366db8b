"""What a cell keeps of an answer."""

from __future__ import annotations

import json
from dataclasses import replace

from og_magics.core.receipt import MIME, Receipt
from og_magics.display import answer_bundle, footer, receipts_table
from og_magics.display.answer_bundle import sorted_images

RECEIPT = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="base", provider="openai",
    model="openai/gpt-5", settlement="batch", status="served", authorization_hash="0x" + "ab" * 32, cap=10**17,
    cost_usd="0.000289", prompt_tokens=7, completion_tokens=28, enclave_ok=True, text="hi",
)  # fmt: skip


def nowhere(_: str) -> str:
    return ""


def explorer(transaction: str) -> str:
    return f"https://basescan.org/tx/{transaction}"


def test_the_footer_says_model_tokens_cost_mode_proof_and_payment():
    assert footer(RECEIPT, nowhere) == (
        "openai/gpt-5 · 7 + 28 tokens · ~$0.000289 · proof ✓ · payment: pending 0xabababab… · batch"
    )


def test_a_settled_payment_shows_what_it_cost_and_links_to_its_transaction():
    settled = replace(RECEIPT, status="settled", payment_hash="0x" + "cd" * 32, cost=1_443_750_000_000_000)
    line = footer(settled, explorer, markdown=True)
    assert "0.001444 OPG" in line
    assert f"[0xcdcdcdcd…](https://basescan.org/tx/0x{'cd' * 32})" in line


def test_a_proof_that_does_not_hold_is_loud():
    assert "DOES NOT HOLD" in footer(replace(RECEIPT, enclave_ok=False), nowhere)
    assert "no proof" in footer(replace(RECEIPT, enclave_ok=None), nowhere)


def test_the_devnet_is_named_so_that_nobody_takes_it_for_more():
    assert "practice network" in footer(replace(RECEIPT, network="devnet"), nowhere)


def test_the_bundle_has_markdown_plain_text_and_the_receipt():
    bundle = answer_bundle(RECEIPT, "**hi**", nowhere)
    assert set(bundle) == {"text/markdown", "text/plain", MIME}
    assert bundle["text/plain"].startswith("**hi**\n\nopenai/gpt-5")
    assert Receipt.from_json(json.loads(json.dumps(bundle[MIME]))) == RECEIPT


def test_the_ledgers_head_travels_with_the_receipt_and_is_no_part_of_it():
    form = answer_bundle(RECEIPT, "hi", nowhere, head=(7, "ab" * 32))[MIME]
    assert form["ledger"] == {"length": 7, "head": "ab" * 32}
    assert Receipt.from_json(form) == RECEIPT


def test_what_is_paid_without_a_transaction_yet_says_so():
    assert "paid (transaction not found yet)" in footer(replace(RECEIPT, status="paid"), nowhere)


def test_what_expired_says_that_nothing_was_paid():
    assert "nothing paid: the payment expired" in footer(replace(RECEIPT, status="expired"), nowhere)


def test_a_hash_that_would_draw_a_link_of_its_own_is_not_linked():
    forged = replace(RECEIPT, payment_hash="0x1) [paid](https://evil.example", status="settled")
    assert "](" not in footer(forged, explorer, markdown=True)


def test_a_function_call_is_shown_as_code():
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": "```"}'}}
    bundle = answer_bundle(replace(RECEIPT, tool_calls=(call,)), "", nowhere)
    assert "````\nf(" in bundle["text/markdown"]


def test_a_model_name_cannot_draw_a_footer_of_its_own():
    line = footer(replace(RECEIPT, model="x/<b>**paid**</b>"), nowhere, markdown=True)
    assert "<b>" not in line
    assert "**paid**" not in line


def test_only_raster_images_that_came_with_the_answer_are_shown():
    png = "data:image/png;base64,AAAA"
    pictures, links = sorted_images([png, "https://e.example/x.png", "data:image/svg+xml;base64,AAAA", "javascript:1"])
    assert [p["image/png"] for p in pictures] == ["AAAA"]
    assert links == ["https://e.example/x.png", "data:image/svg+xml;base64,AAAA", "javascript:1"]


def test_the_table_has_a_line_for_each_receipt():
    lines = receipts_table([RECEIPT, replace(RECEIPT, cost=10**17, payment_hash="0xcd")]).splitlines()
    assert len(lines) == 3
    assert lines[0].split()[:2] == ["time", "(UTC)"]
    assert "7+28" in lines[1]
    assert "0.1" in lines[2]
