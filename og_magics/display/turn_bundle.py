"""The mime bundle of a turn: one answer, or several calls that led to it, with all their receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

from ..core.receipt import MIME, VERSION, Receipt
from ..core.shares import ESTIMATE, PRICES
from .answer_bundle import NO_DOCUMENTS, Documents, Head, answer_bundle, carried, shown_answer
from .footer import Explorer, folded_footer, footer
from .formats import HTML, LATEX, MARKDOWN, PLAIN, shown_as_format
from .sanitize import one_line
from .tool_calls import part_markdown, part_plain, steps_of

PLAINEST = ("md", "image")
"""Formats that show an answer as any answer is shown."""


def turn_bundle(
    receipts: Sequence[Receipt],
    text: str,
    explorer: Explorer,
    note: str = "",
    head: Head | None = None,
    format: str = "md",
    documents: Documents = NO_DOCUMENTS,
) -> dict[str, Any]:
    """Return the mime bundle of a turn: each media type holds all of it, and the receipts all that an audit needs.

    Args:
        receipts: of its calls, the first one first. text: of the last one, shown as the `format` says.
        note: a line of our own about how it ended. head: of the ledger when this is shown.
        documents: attestations that travel with them.
    """
    if len(receipts) == 1 and format in PLAINEST:
        return answer_bundle(receipts[0], text, explorer, note, head, documents)
    answer = answer_shown(receipts[-1], text, format)
    bundle: dict[str, Any] = {
        PLAIN: _joined(steps_plain(receipts), answer[PLAIN], note, turn_footer(receipts, explorer))
    }
    if MARKDOWN in answer:
        remark = f"**{one_line(note)}**" if note else ""
        line = turn_footer_folded(receipts, explorer)
        bundle[MARKDOWN] = _joined(steps_markdown(receipts), answer[MARKDOWN], remark, line)
    if HTML in answer:
        bundle[HTML] = answer[HTML] + html_rest(receipts, explorer, note)
    if LATEX in answer:
        bundle[LATEX] = answer[LATEX]
    if len(receipts) == 1:
        form = receipts[0].to_json()
    else:
        form = {"version": VERSION, "receipts": [receipt.to_json() for receipt in receipts]}
    if format not in PLAINEST:
        form["format"] = format
    return bundle | {MIME: carried(form, head, documents)}


def answer_shown(receipt: Receipt, text: str, format: str) -> dict[str, str]:
    """Return the last answer by media type: in its format where it is text, and not function calls."""
    if format in PLAINEST or receipt.tool_calls or not text or receipt.scrubbed:
        return shown_answer(receipt, text)
    return shown_as_format(text, format)


def steps_markdown(receipts: Sequence[Receipt]) -> list[str]:
    """Return the steps above the answer, a block for each receipt but the last."""
    return ["\n\n".join(map(part_markdown, step)) for step in steps_of(receipts)]


def steps_plain(receipts: Sequence[Receipt]) -> list[str]:
    """Return the steps above the answer as plain text."""
    return ["\n\n".join(map(part_plain, step)) for step in steps_of(receipts)]


def html_rest(receipts: Sequence[Receipt], explorer: Explorer, note: str = "") -> str:
    """Return the HTML below a page: its steps, folded, and the line of its receipts."""
    steps = "\n\n".join(steps_plain(receipts))
    folded = f"<details><summary>{len(receipts)} calls</summary><pre>{escape(steps)}</pre></details>" if steps else ""
    remark = f"<p><strong>{escape(note)}</strong></p>" if note else ""
    return f"{folded}{remark}<p><small>{escape(turn_footer(receipts, explorer))}</small></p>"


def turn_footer(receipts: Sequence[Receipt], explorer: Explorer, *, markdown: bool = False) -> str:
    """Return the footer of one call, or of all calls together."""
    if len(receipts) == 1:
        return footer(receipts[-1], explorer, markdown=markdown)
    line = footer(_total(receipts), explorer, markdown=markdown)
    count = f"{len(receipts)} calls · "
    return line.replace("<sub>", f"<sub>{count}", 1) if markdown else count + line


def turn_footer_folded(receipts: Sequence[Receipt], explorer: Explorer) -> str:
    """Return the same as HTML that also stands in Markdown, with details to unfold."""
    if len(receipts) == 1:
        return folded_footer(receipts[-1], explorer)
    return folded_footer(_total(receipts), explorer, count=f"{len(receipts)} calls")


def _total(receipts: Sequence[Receipt]) -> Receipt:
    """Return the last receipt with the sums of all."""
    last = receipts[-1]
    times = [receipt.latency_s for receipt in receipts]
    took = [time for time in times if time is not None]
    verdicts = {receipt.enclave_ok for receipt in receipts}
    prices = [receipt.usd for receipt in receipts]
    bases = {receipt.cost_basis for receipt in receipts}
    known = [price for price in prices if price is not None]
    return replace(
        last,
        latency_s=sum(took) if len(took) == len(times) else None,
        prompt_tokens=_sum([receipt.prompt_tokens for receipt in receipts]),
        completion_tokens=_sum([receipt.completion_tokens for receipt in receipts]),
        cost=_sum([receipt.cost for receipt in receipts]),
        cost_basis=next((basis for basis in (ESTIMATE, PRICES) if basis in bases), last.cost_basis),
        cost_usd=str(sum(known)) if len(known) == len(prices) else None,
        enclave_ok=False if False in verdicts else None if None in verdicts else True,
        attestation_hash=None if any(one.attestation_hash is None for one in receipts) else last.attestation_hash,
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _joined(steps: Sequence[str], *parts: str) -> str:
    return "\n\n".join(part for part in (*steps, *parts) if part)
