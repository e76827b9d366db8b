"""An answer as a row of pieces: while it grows, only the last of them changes, so little is sent and drawn again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from ..core.progress import Call, StreamPart
from .borders import BorderFinder
from .markdown import to_html
from .sanitize import fenced
from .table_rows import rows_html
from .tool_calls import part_markdown

MOST = 40
"""Pieces of an answer. Front ends fold away what comes after 50 outputs."""
_SLOW = 50
"""Tokens a second below which nearly each of them is sent by itself, with the piece that it belongs to."""
_BEGUN = re.compile(r"\n {0,3}\Z")
"""A line that nothing is on yet: it may go to the next piece, and is shown there."""


@dataclass(frozen=True, slots=True)
class PieceSize:
    """The size of a piece, at which the next one begins.

    Attributes:
        least: characters, at the least. share: part of all that stands before it, at the least.
        inside: characters after which a block of code, a list or a table is divided.
    """

    least: int
    share: float
    inside: int = 4_000


SMALL = PieceSize(1_500, 0.05, 2_000)
"""For a cell that asks once."""
LARGE = PieceSize(4_000, 1.0)
"""For a loop or a function, so that most answers are a single output, and many of them are not folded away."""
_TINY = PieceSize(250, 0.0, 400)
"""For a cell that asks once, while its answer is slow: a piece is hardly larger than the message around it."""


class Pieces:
    """The pieces of one answer, as mime bundles. Each holds whole blocks, and is as safe by itself as all of it is.

    Args:
        as_code: the text is no Markdown yet: it is shown as code until it is complete.
        as_html: a piece is HTML, for a place that has no Markdown; there are no parts but one text.
    """

    def __init__(self, size: PieceSize, *, as_code: bool = False, as_html: bool = False) -> None:
        self._size = size
        self._as_code = as_code
        self._as_html = as_html
        self._finders: defaultdict[int, BorderFinder] = defaultdict(BorderFinder)  # by the place of a part
        self._closed = 0
        self._before = 0
        self._place = self._offset = 0  # where the last piece begins: a part, and a character of it
        self._prefix = ""
        self._rows = False
        self._end, self._suffix = 0, ""  # of what stands before it, in its part
        self.seams: list[int] = []
        """The pieces that go on with a block of the piece before them."""

    @property
    def closed(self) -> int:
        """The number of pieces that will not change any more: the place of the last one."""
        return self._closed

    def close(self, parts: Sequence[StreamPart], rate: float = inf) -> list[dict[str, str]]:
        """Return the pieces that are complete since the last call.

        Args:
            parts: all that have arrived.
            rate: tokens a second: where they are slow, the pieces of a cell that asks once are smaller, but for the
                first: most answers are a single output, at whatever rate they come.
        """
        found = []
        while self._closed < MOST - 1 and (piece := self._cut(parts, self._size_at(rate))):
            self._closed += 1
            found.append(piece)
        return found

    def _size_at(self, rate: float) -> PieceSize:
        return _TINY if rate < _SLOW and self._closed and self._size is SMALL else self._size

    def join(self, parts: Sequence[StreamPart]) -> dict[str, str] | None:
        """Return one piece in place of all that are complete, if there is no room for another one; else None.

        The one that still grows is then the second.
        """
        if self._closed < MOST - 1:
            return None
        self.seams = [1] if self._closed in self.seams else []
        self._closed = 1
        before = [_unix(part) for part in parts[: self._place + (self._end > 0)]]
        if self._end:
            before[-1] = f"{str(before[-1])[: self._end]}{self._suffix}"
        return self._markdown(before)

    def last(self, parts: Sequence[StreamPart], status: str = "") -> dict[str, str]:
        """Return the piece that still grows, and a line below it."""
        rest = self._rest(parts)
        if rest and isinstance(rest[-1], str):
            rest[-1] = _BEGUN.sub("", rest[-1])
        return self._drawn(rest, status)

    def _rest(self, parts: Sequence[StreamPart]) -> list[StreamPart]:
        """Return what has arrived since the last border."""
        rest = [_unix(part) for part in parts[self._place :]]
        if rest and isinstance(rest[0], str):
            rest[0] = self._prefix + rest[0][self._offset :]
        return rest

    def _cut(self, parts: Sequence[StreamPart], size: PieceSize) -> dict[str, str] | None:
        """Divide the last piece at its first border, if it has one; return what stands before it."""
        rest = self._rest(parts)
        wanted = int(self._before * size.share)
        least = 1 if self._rows else max(size.least, wanted)
        inside = max(size.inside, wanted)
        held = 0
        for place, part in enumerate(rest):
            if place and held >= least:
                return self._close(rest[:place], place, 0)
            if isinstance(part, str):
                border = self._finders[place].find(part, max(least - held, 1), inside, lines=self._as_code)
                if border:
                    begun = self._offset - len(self._prefix) if place == 0 else 0
                    shown = [*rest[:place], part[: border.offset] + border.suffix]
                    piece = self._close(shown, place, begun + border.offset + border.skipped)
                    self._prefix, self._rows = border.prefix, border.rows
                    self._end, self._suffix = self._offset - border.skipped, border.suffix
                    if border.within:
                        self.seams.append(self._closed + 1)
                    return piece
            elif isinstance(part, Call) and part.state in ("running", "waiting"):
                return None  # it will look different
            held += _size(part)
        return None

    def _close(self, shown: list[StreamPart], places: int, offset: int) -> dict[str, str]:
        piece = self._drawn(shown)
        self._before += sum(map(_size, shown))
        self._place += places
        self._offset, self._prefix, self._rows = offset, "", False
        self._end, self._suffix = 0, ""
        self._finders.clear()
        return piece

    def _drawn(self, parts: Sequence[StreamPart], status: str = "") -> dict[str, str]:
        if self._rows and len(parts) == 1:
            return {"text/html": rows_html(str(parts[0]), status)}
        if self._as_html:
            return {"text/html": "".join(map(to_html, map(str, parts)))}
        return self._markdown(parts, status)

    def _markdown(self, parts: Sequence[StreamPart], status: str = "") -> dict[str, str]:
        return {"text/markdown": "\n\n".join([*map(self._part, parts), *([f"*{status}*"] if status else [])])}

    def _part(self, part: StreamPart) -> str:
        return fenced(str(part)) if self._as_code and isinstance(part, str) else part_markdown(part)


def _unix(part: StreamPart) -> StreamPart:
    return part.replace("\r\n", "\n").replace("\r", "\n") if isinstance(part, str) else part


def _size(part: StreamPart) -> int:
    if isinstance(part, Call):
        return len(part.name) + len(part.arguments) + len(part.result)
    return len(part) if isinstance(part, str) else len(part.text) + len(part.why)
