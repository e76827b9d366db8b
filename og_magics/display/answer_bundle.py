"""The mime bundle of a finished answer, and its footer."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.progress import SCRUBBED
from ..core.receipt import MIME, Receipt
from .footer import Explorer, folded_footer, footer
from .sanitize import fenced, one_line, safe_markdown

_INLINE_IMAGE = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,")
"""Raster images only: an SVG is a document, and may hold scripts."""
_LONGEST_LINK = 500

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
    markdown = f"{shown['text/markdown']}{remark}\n\n{folded_footer(receipt, explorer)}"
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


def _calls(receipt: Receipt) -> str:
    lines = []
    for call in receipt.tool_calls:
        function = call.get("function") or {}
        lines.append(f"{function.get('name')}({function.get('arguments', '')})")
    return "\n".join(lines)
