"""A streamed cell: its time beside bare httpx, its bytes on the wire and in the saved notebook."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from og_magics.core.receipt import MIME

from .kernel import Cell, kernel
from .network import BareReader
from .report import Row, median_ms

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
            opening = front.run("%%ogchat -n 5\nHello")
            reader.read(prompt, 5)
            for _ in range(rounds):
                cells.append(front.run(source))
                readings.append(reader.read(prompt, most))
            long = front.run(f"%%ogchat -n {_TOKENS}\n[[words:{_TOKENS}]]")
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
        Row("until the first token of a fresh kernel", opening.shown(start) * 1000),
        *_sizes(long),
    ]


def _sizes(cell: Cell) -> list[Row]:
    data = cell.outputs[-1]["data"]
    receipt, text = data[MIME], len(data[MIME]["text"].encode()) / 1000
    saved, beside = cell.saved() / 1000, cell.saved(without=MIME) / 1000
    return [
        Row(
            f"kernel to front end, {receipt['completion_tokens']:,} tokens in {len(cell.messages)} messages",
            cell.wire / 1000,
            "KB",
            text,
            "the text",
            value_goal=100,
        ),
        Row("longest pause between two updates of it", max(b - a for a, b in pairwise(cell.displays)) * 1000),
        Row("saved output without its receipt", beside, "KB", text, "the text", ratio_goal=3),
        Row("saved receipt, which holds the text too", saved - beside, "KB", text, "the text"),
    ]
