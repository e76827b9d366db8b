"""A streamed cell: its time beside bare httpx, its bytes on the wire and in the saved notebook."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from og_magics.core.receipt import MIME

from .kernel import Cell, kernel
from .network import BareReader
from .report import Row, median_ms

_PRINT = "for token in {text!r}.split(' '):\n    print(token, end=' ', flush=True)"
_TYPING = 4.0
"""Seconds in which a person types a short prompt."""
_TOKENS = 1000  # of the answer whose bytes are counted


def measure(
    info: Mapping[str, Any], folder: str, environment: Mapping[str, str], *, rounds: int, words: int
) -> list[Row]:
    """Rows on streaming; `words` is the length of the answers that are timed."""
    prompt, most = f"[[words:{words}]]", words + 100
    source = f"%%ogchat -n {most}\n{prompt}"
    reader = BareReader(dict(info))
    cells, readings = [], []
    try:
        with kernel(folder, environment) as front:
            front.run("%load_ext og_magics")
            front.run("%%ogchat -n 5\nHello")
            reader.read(prompt, 5)
            for _ in range(rounds):
                cells.append(front.run(source))
                readings.append(reader.read(prompt, most))
            long = front.run(f"%%ogchat -n {_TOKENS}\n[[words:{_TOKENS}]]")
            printed = front.run(_PRINT.format(text=_final(long)[MIME]["text"]))
    finally:
        reader.close()
    start = readings[0].text.split()[0]
    return [
        Row(
            f"streamed %%ogchat, {words} tokens",
            median_ms(cell.wall for cell in cells),
            "ms",
            median_ms(reading.wall for reading in readings),
            "bare httpx",
            ratio_goal=1.05,
        ),
        Row(
            "until its first token is shown",
            median_ms(cell.shown(start) for cell in cells),
            "ms",
            median_ms(reading.first for reading in readings),
            "bare httpx",
        ),
        *first_tokens(folder, environment, start, rounds=rounds, bare=median_ms(reading.first for reading in readings)),
        *_sizes(long, printed),
    ]


def first_tokens(
    folder: str, environment: Mapping[str, str], start: str, *, rounds: int, bare: float = 0.0
) -> list[Row]:
    """Rows on the first token of a fresh kernel, asked at once and after a prompt was typed.

    Args:
        start: with what each answer begins. bare: milliseconds that bare httpx takes for it.
    """
    rows = []
    for name, typing in (("asked at once", 0.0), ("asked after a prompt was typed", _TYPING)):
        seen = []
        for _ in range(rounds):
            with kernel(folder, environment) as front:
                front.run("%load_ext og_magics")
                time.sleep(typing)
                seen.append(front.run("%%ogchat -n 5\nHello").shown(start))
        rows.append(Row(f"until the first token of a fresh kernel, {name}", median_ms(seen), "ms", bare, "bare httpx"))
    return rows


def _final(cell: Cell) -> Any:
    return next(output["data"] for output in cell.outputs if MIME in output["data"])


def _sizes(cell: Cell, printed: Cell) -> list[Row]:
    data = _final(cell)
    receipt, text = data[MIME], len(data[MIME]["text"].encode()) / 1000
    saved, beside = cell.saved() / 1000, cell.saved(without=MIME) / 1000
    return [
        Row(
            f"kernel to front end, {receipt['completion_tokens']:,} tokens in {len(cell.messages)} messages",
            cell.wire / 1000,
            "KB",
            printed.wire / 1000,
            "print()",
            ratio_goal=1.5,
        ),
        Row("longest pause between two updates of it", max(b - a for a, b in pairwise(cell.displays)) * 1000),
        Row("saved output without its receipt", beside, "KB", text, "the text", ratio_goal=3),
        Row("saved receipt, which holds the text too", saved - beside, "KB", text, "the text"),
    ]
