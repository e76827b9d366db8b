"""The mime bundle of a finished answer, and its footer."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..core.amounts import format_opg
from ..core.gateway_notes import PREPARED
from ..core.networks import described
from ..core.progress import SCRUBBED
from ..core.receipt import MIME, Receipt
from ..core.settlement_modes import MODES
from ..core.shares import ESTIMATE, PRICES
from .sanitize import fenced, one_line, safe_link, safe_markdown

Explorer = Callable[[str], str]
"""Function from a transaction's hash to the URL of its page, or ""."""

_INLINE_IMAGE = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,")
"""Raster images only: an SVG is a document, and may hold scripts."""
_LONGEST_LINK = 500

_MODES = {mode.value: mode.name for mode in MODES}


Head = tuple[int, str]
"""Head of the ledger: number of journal entries, and the hash of the last."""


Documents = Mapping[str, bytes]
"""Attestations of enclaves' hardware, by their SHA-256 (hex): those that one output carries."""
NO_DOCUMENTS: Documents = {}


def answer_bundle(
    receipt: Receipt,
    text: str,
    explorer: Explorer,
    note: str = "",
    head: Head | None = None,
    documents: Documents = NO_DOCUMENTS,
) -> dict[str, Any]:
    """Return the mime bundle of an answer: Markdown, plain text, and the receipt with all that an audit needs.

    `note` is a line of our own about how it ended ("interrupted"). `head` is the ledger's when this is shown: kept
    outside of the ledger, it shows later whether the ledger's end was cut off. `documents` travel with the receipt.
    """
    shown = shown_answer(receipt, text)
    plain = "\n\n".join(part for part in (shown["text/plain"], note, footer(receipt, explorer)) if part)
    remark = f"\n\n**{one_line(note)}**" if note else ""
    markdown = f"{shown['text/markdown']}{remark}\n\n{footer(receipt, explorer, markdown=True)}"
    return {"text/markdown": markdown, "text/plain": plain, MIME: carried(receipt.to_json(), head, documents)}


def carried(form: dict[str, Any], head: Head | None, documents: Documents) -> dict[str, Any]:
    """Return a receipt's form with the ledger's head at the time it is shown, and with attestations."""
    if head:
        form = form | {"ledger": {"length": head[0], "head": head[1]}}
    if documents:
        texts = {hash: base64.b64encode(document).decode() for hash, document in documents.items()}
        form = form | {"attestations": texts}
    return form


def shown_answer(receipt: Receipt, text: str) -> dict[str, str]:
    """Return the text above the footer by media type: the answer, and the function calls that the model requests."""
    if receipt.scrubbed:
        return {"text/plain": SCRUBBED, "text/markdown": SCRUBBED}
    calls = _calls(receipt)
    plain, markdown = [text, calls], [text and safe_markdown(text), calls and fenced(calls)]
    return {"text/plain": "\n\n".join(filter(None, plain)), "text/markdown": "\n\n".join(filter(None, markdown))}


def sorted_images(images: Sequence[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Return inline images as mime bundles, and the other ones as lines of text: nothing is fetched."""
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
    """Return one line: model, tokens, cost, settlement mode, the enclave's proof, the payment."""
    name = one_line(receipt.model) if markdown else receipt.model
    tokens = "tokens not reported"
    if receipt.prompt_tokens is not None and receipt.completion_tokens is not None:
        tokens = f"{receipt.prompt_tokens} + {receipt.completion_tokens} tokens"
    network = described(receipt.network)
    if not network.paid:
        parts = [name, tokens, "not paid, not proven"]
        if receipt.replayed:
            parts.append(_replayed(receipt))
        line = " · ".join(part for part in parts if part)
        return f"<sub>{line}</sub>" if markdown else line
    mode = _MODES.get(receipt.settlement, receipt.settlement)
    parts = [name, tokens, _cost(receipt), mode, _proof(receipt), _hardware(receipt)]
    parts.append(_payment(receipt, explorer, markdown=markdown))
    if network.local:
        parts.append(_practice(receipt))
    if receipt.replayed:
        parts.append(_replayed(receipt))
    line = " · ".join(part for part in parts if part)
    return f"<sub>{line}</sub>" if markdown else line


def _practice(receipt: Receipt) -> str:
    maker = receipt.gateway_notes.get("answered_by", "")
    if maker == PREPARED:
        return "practice network, prepared answer"
    return f"practice network, answered by {maker}" if maker else "practice network"


def _replayed(receipt: Receipt) -> str:
    return f"replayed: asked {datetime.fromtimestamp(receipt.time, UTC):%Y-%m-%d %H:%M} UTC, nothing paid now"


_SPLIT = {PRICES: " (split by prices)", ESTIMATE: " (estimate)"}
"""Marks of a cost that is a share of one payment, and not known for certain."""


def _cost(receipt: Receipt) -> str:
    if receipt.cost is not None:
        return f"{format_opg(receipt.cost)} OPG" + _SPLIT.get(receipt.cost_basis or "", "")
    return f"~${receipt.usd:.6f}" if receipt.usd is not None else ""


def _proof(receipt: Receipt) -> str:
    if receipt.enclave_ok is None and receipt.replayed:  # a signature may hold with a key that nobody here knows
        return "no proof: key not checked" if receipt.tee_signature else "no proof"
    if receipt.enclave_ok is None:
        return "enclave proof: none"
    return "enclave proof ✓" if receipt.enclave_ok else "enclave proof ✗ DOES NOT HOLD"


def _hardware(receipt: Receipt) -> str:
    return "not attested" if receipt.tee_signature and receipt.attestation_hash is None else ""


def _payment(receipt: Receipt, explorer: Explorer, *, markdown: bool) -> str:
    if receipt.payment_hash:
        url = safe_link(explorer(receipt.payment_hash))
        short = receipt.payment_hash[:10] + "…"
        return f"paid [{short}]({url})" if markdown and url else f"paid {short}"
    if receipt.authorization_hash and receipt.status == "expired":
        return f"authorized {receipt.authorization_hash[:10]}…, expired: nothing was paid"
    if receipt.authorization_hash and receipt.status == "paid":
        return f"authorized {receipt.authorization_hash[:10]}…, paid: transaction not found yet"
    if receipt.authorization_hash:
        return f"authorized {receipt.authorization_hash[:10]}…, settles later"
    return "nothing paid"


def _calls(receipt: Receipt) -> str:
    lines = []
    for call in receipt.tool_calls:
        function = call.get("function") or {}
        lines.append(f"{function.get('name')}({function.get('arguments', '')})")
    return "\n".join(lines)
