"""The texts that a scrubbed copy of a notebook must not hold: what was asked and answered, and what functions gave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.receipt import MIME, Receipt
from ..core.redaction import note_address
from ..core.untrusted_json import read_json
from ..ledger.exchanges import Exchanges, asked_in, exchanges_of
from .answer_uses import asked_texts
from .file import answers_of, joined
from .scrub_source import asks, asks_from_python, prompts_in
from .text_search import KnownTexts

_LABELS = frozenset(("role", "type", "name", "id", "tool_call_id", "index", "detail", "published_date"))
"""Keys of messages and calls whose values tell nothing of what was asked."""
_PARTS = frozenset(("tool_calls", "arguments", "citations", "moderation"))
_BINARY = ("application/pdf", "application/octet-stream", "application/zip")
_DATA_URL = re.compile(r"data:[\w./+-]+;base64,")


@dataclass(slots=True)
class Known:
    """Texts of a notebook's exchanges, and what of them is not known here.

    Attributes:
        receipts: of its outputs.
        unknown: places, from 1, of the cells that asked and whose answers stand nowhere here.
        problems: what cannot be read, each with the cell's place; 0 where it is of no cell.
    """

    texts: KnownTexts = field(default_factory=KnownTexts)
    receipts: list[Receipt] = field(default_factory=list)
    unknown: set[int] = field(default_factory=set)
    problems: list[tuple[int, str]] = field(default_factory=list)


def is_binary(kind: object) -> bool:
    """Return True for a media type whose contents cannot be read as text."""
    name = str(kind)
    return (name.startswith(("image/", "audio/", "video/", "font/")) and name != "image/svg+xml") or name in _BINARY


def known_of(content: Mapping[str, Any], notebook: Path, given: Path | None, configured: Path | None) -> Known:
    """Return what a notebook, and the ledgers that belong to it, say of what was asked and answered.

    Args:
        notebook: its file, whose ledgers stand beside it. given, configured: other ledgers, see `exchanges_of`.
    """
    known = Known()
    cells = [
        (place, cell, str(joined(cell.get("source", ""))))
        for place, cell in enumerate(content["cells"], 1)
        if cell.get("cell_type") == "code"
    ]
    shown = {place: list(_receipts(known, place, cell)) for place, cell, _ in cells}
    carried = {receipt.receipt_id for receipt in known.receipts}
    asking = any(map(asks, (source for _, _, source in cells))) or any(shown.values())
    held = exchanges_of(notebook, carried, given, configured) if asking else Exchanges()
    known.problems += [(0, problem) for problem in held.problems]
    for value in held.values:
        _add(known.texts, value)
    for image in held.images:
        _add(known.texts, image)
    for place, cell, source in cells:
        for prompt in prompts_in(source):
            known.texts.add(prompt, part=len(prompt.split()) < 3)
        if asks_from_python(source):
            for text in asked_texts(source):
                known.texts.add(text)
        if asks(source) or shown[place]:
            receipts = shown[place]
            readable = all(one is not None and _is_told(one, held) for one in receipts)
            several = asks_from_python(source) or not receipts  # of which no output says how many
            if not readable or (several and not held.ledgers):
                known.unknown.add(place)
            _add_outputs(known.texts, cell, answers=place in known.unknown)
    if known.texts.full:
        known.problems.append((0, "more was asked and answered than can be looked for, so not all of it was"))
    return known


def _receipts(known: Known, place: int, cell: Mapping[str, Any]) -> Iterator[Receipt | None]:
    """Add what the receipts of a cell hold, and yield them: None for one that cannot be read."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if MIME not in data:
            continue
        for answer in answers_of(data):
            yield answer.receipt
            if answer.receipt is None:
                known.problems.append((place, f"holds a receipt that cannot be read ({answer.problem})"))
                _add_loose(known.texts, data)
                continue
            receipt = answer.receipt
            known.receipts.append(receipt)
            note_address(receipt.payer or "")
            for value in (*asked_in(receipt.request), receipt.text, list(receipt.tool_calls), receipt.gateway_notes):
                _add(known.texts, value)
            _add_loose(known.texts, receipt.extra)


def _is_told(receipt: Receipt, held: Exchanges) -> bool:
    """Return True for a receipt whose texts are known; one of a failed call has none."""
    return not receipt.scrubbed or receipt.receipt_id in held.receipts


def _add_outputs(texts: KnownTexts, cell: Mapping[str, Any], *, answers: bool) -> None:
    """Add the pictures that a cell which asks shows; `answers`: what it prints too, since its answers stand nowhere."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        for kind, value in data.items():
            if is_binary(kind) and isinstance(text := joined(value), str):
                texts.add_picture(text)
        if answers and MIME not in data:
            _add_loose(texts, [output.get("text"), [one for kind, one in data.items() if not is_binary(kind)]])


def _add(texts: KnownTexts, value: Any, *, part: bool = False) -> None:
    """Add the texts of messages, calls, notes or an answer; of JSON text, also its values."""
    if isinstance(value, str):
        if url := _DATA_URL.match(value):
            texts.add_picture(value[url.end() :])
            return
        texts.add(value, part=part)
        if value.lstrip()[:1] in ("{", "["):
            try:
                _add(texts, read_json(value.encode("utf-8", "replace")), part=True)
            except (ValueError, RecursionError):
                return
    elif isinstance(value, Mapping):
        function = value.get("function")
        if isinstance(function, Mapping):  # a call, whose id and name tell nothing
            _add(texts, function.get("arguments"), part=True)
            return
        inner = part or value.get("role") == "tool"
        for name, one in value.items():
            if name not in _LABELS or part:
                _add(texts, one, part=inner or name in _PARTS)
    elif isinstance(value, (list, tuple)):
        for one in value:
            _add(texts, one, part=part)


def _add_loose(texts: KnownTexts, value: Any) -> None:
    """Add the sentences in a value of which it is not known what it holds."""
    value = joined(value)
    if isinstance(value, str):
        if len(value.split()) > 3:
            texts.add(value, part=True)
    elif isinstance(value, Mapping):
        for one in value.values():
            _add_loose(texts, one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            _add_loose(texts, one)
