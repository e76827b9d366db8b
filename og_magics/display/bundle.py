"""The mime bundle of a finished answer, and its footer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ..amounts import format_opg
from ..receipt import MIME, Receipt
from .safe import fenced, one_line, safe_link, safe_markdown

Explorer = Callable[[str], str]
"""From a transaction's hash to the URL of a page that shows it, or ""."""

_INLINE_IMAGE = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,")
"""Raster images only: an SVG is a document, and may hold scripts."""
_LONGEST_LINK = 500

SCRUBBED = "(The text was removed.)"
"""Stands where a prompt or an answer was, in a notebook that was scrubbed."""

_MODES = {"private": "PRIVATE", "batch": "BATCH_HASHED", "individual": "INDIVIDUAL_FULL"}


Head = tuple[int, str]
"""Of the ledger: how many entries its journal has, and the hash of the last."""


def answer_bundle(
    receipt: Receipt, text: str, explorer: Explorer, note: str = "", head: Head | None = None
) -> dict[str, Any]:
    """What a cell keeps of an answer: Markdown, plain text, and the receipt with all that an audit needs.

    `note` is a line of our own about how it ended ("interrupted"). `head` is the ledger's when this is shown: kept
    outside of the ledger, it shows later whether the ledger's end was cut off.
    """
    shown = shown_answer(receipt, text)
    plain = "\n\n".join(part for part in (shown["text/plain"], note, footer(receipt, explorer)) if part)
    told = f"\n\n**{one_line(note)}**" if note else ""
    markdown = f"{shown['text/markdown']}{told}\n\n{footer(receipt, explorer, markdown=True)}"
    return {"text/markdown": markdown, "text/plain": plain, MIME: with_head(receipt.to_json(), head)}


def with_head(form: dict[str, Any], head: Head | None) -> dict[str, Any]:
    """What travels with an output, and where the ledger stood when it was shown."""
    return form | {"ledger": {"length": head[0], "head": head[1]}} if head else form


def shown_answer(receipt: Receipt, text: str) -> dict[str, str]:
    """What is shown above the footer, by media type: the text, and the function calls that the model asks for."""
    if receipt.scrubbed:
        return {"text/plain": SCRUBBED, "text/markdown": SCRUBBED}
    calls = _calls(receipt)
    plain, markdown = [text, calls], [text and safe_markdown(text), calls and fenced(calls)]
    return {"text/plain": "\n\n".join(filter(None, plain)), "text/markdown": "\n\n".join(filter(None, markdown))}


def sorted_images(images: Sequence[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Images that travel with the answer, as mime bundles, and the rest as lines of text: nothing is fetched."""
    pictures: list[dict[str, str]] = []
    links: list[str] = []
    for image in images:
        inline = _INLINE_IMAGE.match(image)
        if inline:
            pictures.append({inline[1]: image[inline.end() :], "text/plain": f"<{inline[1]}>"})
        else:
            links.append(image[:_LONGEST_LINK])
    return pictures, links


def footer(receipt: Receipt, explorer: Explorer, *, markdown: bool = False) -> str:
    """One line: model, tokens, cost, settlement mode, the enclave's proof, the payment."""
    name = one_line(receipt.model) if markdown else receipt.model
    tokens = "tokens not reported"
    if receipt.prompt_tokens is not None and receipt.completion_tokens is not None:
        tokens = f"{receipt.prompt_tokens} + {receipt.completion_tokens} tokens"
    parts = [name, tokens, _cost(receipt), _MODES.get(receipt.settlement, receipt.settlement), _proof(receipt)]
    parts.append(_payment(receipt, explorer, markdown=markdown))
    if receipt.network == "devnet":
        parts.append("devnet, simulated")
    if receipt.replayed:
        asked = datetime.fromtimestamp(receipt.time, UTC)
        parts.append(f"replayed: asked {asked:%Y-%m-%d %H:%M} UTC, nothing paid now")
    line = " · ".join(part for part in parts if part)
    return f"<sub>{line}</sub>" if markdown else line


def _cost(receipt: Receipt) -> str:
    if receipt.cost is not None:
        return f"{format_opg(receipt.cost)} OPG"
    return f"~${receipt.usd:.6f}" if receipt.usd is not None else ""


def _proof(receipt: Receipt) -> str:
    if receipt.enclave_ok is None:
        return "enclave proof: none"
    return "enclave proof ✓" if receipt.enclave_ok else "enclave proof ✗ DOES NOT HOLD"


def _payment(receipt: Receipt, explorer: Explorer, *, markdown: bool) -> str:
    if receipt.payment_hash:
        url = safe_link(explorer(receipt.payment_hash))
        short = receipt.payment_hash[:10] + "…"
        return f"paid [{short}]({url})" if markdown and url else f"paid {short}"
    if receipt.authorization_hash and receipt.status == "expired":
        return f"authorized {receipt.authorization_hash[:10]}…, expired: nothing was paid"
    if receipt.authorization_hash:
        return f"authorized {receipt.authorization_hash[:10]}…, settles later"
    return "nothing paid"


def _calls(receipt: Receipt) -> str:
    lines = []
    for call in receipt.tool_calls:
        function = call.get("function") or {}
        lines.append(f"{function.get('name')}({function.get('arguments', '')})")
    return "\n".join(lines)
