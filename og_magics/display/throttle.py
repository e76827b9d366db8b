"""The pace of streamed displays: how often one is sent, and how much in all."""

from __future__ import annotations

import time

HEARTBEAT = 0.1
"""Seconds after which who shows an answer looks again, though nothing was heard."""

_FLOOR = 0.05
"""Seconds between updates, at the least."""
_RATE = 150_000
"""Bytes a second of the piece that grows: a front end has them drawn before the next ones come."""
_SHARE = 3
"""After a piece was made, so many times as long goes to other work: the answer is being read meanwhile."""


class FramePace:
    """The pace of an answer of which only the last piece is sent again."""

    def __init__(self) -> None:
        self._next = float("-inf")

    def wait(self) -> float:
        """Return the seconds until the next frame may be sent, 0 if it may be sent now."""
        return max(0.0, self._next - time.monotonic())

    def sent(self, size: int, seconds: float = 0.0) -> None:
        """Note that a frame of so many bytes was sent, which took so many seconds to make."""
        self._next = time.monotonic() + max(_FLOOR - seconds, size / _RATE, seconds * _SHARE)


_FREE = 16_000
_FACTOR = 8
"""Updates may send so many bytes, and so many times the text: the more text, the slower the pace, linear in all."""


class Pace:
    """The pace of one display that is sent whole: the bytes on the wire stay linear in the text.

    Args:
        message: bytes of an update besides its text.
        free, factor: updates may send so many bytes, and so many times the text.
    """

    def __init__(self, message: int, *, free: int = _FREE, factor: int = _FACTOR) -> None:
        self._message, self._free, self._factor = message, free, factor
        self._sent = 0
        self._last = float("-inf")

    def due(self, size: int, *, part: int | None = None, at_once: bool = False) -> bool:
        """Return True if a text of so many bytes may be sent now; `at_once` if the time since the last does not matter.

        `part`: bytes of it that the update sends, where that is not all.
        """
        if not at_once and time.monotonic() - self._last < _FLOOR:
            return False
        sends = size if part is None else part
        return self._sent + sends + self._message <= self._free + self._factor * size

    def sent(self, size: int) -> None:
        """Note that so many bytes of text were sent."""
        self._sent += size + self._message
        self._last = time.monotonic()
