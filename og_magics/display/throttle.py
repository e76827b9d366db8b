"""The pace of streamed displays: how often one is sent, and how much in all."""

from __future__ import annotations

import time

HEARTBEAT = 0.1
"""Seconds after which who shows an answer looks again, though nothing was heard."""

_FLOOR = 0.05
"""Seconds between updates, at the least."""
_RATE = 150_000
"""Bytes a second of the piece that grows: a front end has them drawn before the next ones come."""
_SHARE, _LONGEST_SHARE = 2, 0.1
"""After a piece was made, so many times as long goes to other work: the answer is being read meanwhile. At most so many
seconds: the first piece of its kind takes long."""
_FREE, _PRINTED = 32_000, 800
"""Bytes that may be sent in any case, and for each token: one and a half times those of the message that prints it."""
_ANYWAY = 120_000
"""Bytes a second that may be sent in any case: so a slow answer flows, though printing it would send less."""


class FramePace:
    """The pace of an answer of which a part, or all, is sent again while it grows."""

    def __init__(self) -> None:
        self._next = float("-inf")
        self._sent = 0

    def wait(self) -> float:
        """Return the seconds until the next frame may be sent, 0 if it may be sent now."""
        return max(0.0, self._next - time.monotonic())

    def affords(self, tokens: int, seconds: float) -> bool:
        """Return True if what was sent is little for an answer that has so many tokens since so many seconds.

        That is what printing its tokens would send, and half as much again, or what any front end takes in that time.
        """
        return self._sent <= _FREE + max(_PRINTED * tokens, _ANYWAY * seconds)

    def sent(self, size: int, seconds: float = 0.0) -> None:
        """Note that a frame of so many bytes was sent, which took so many seconds to make."""
        self._sent += size
        self._next = time.monotonic() + max(_FLOOR - seconds, size / _RATE, min(seconds * _SHARE, _LONGEST_SHARE))
