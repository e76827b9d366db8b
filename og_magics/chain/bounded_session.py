"""HTTP to a node whose answers are bounded, in bytes as they are unpacked and in time: a node is somebody's."""

from __future__ import annotations

import time
from typing import Any

import requests

MOST_BYTES = 128 * 1024 * 1024
"""Of one answer, when it is unpacked."""

MOST_SECONDS = 120.0
"""From an answer's first byte to its last one."""

_PIECE = 64 * 1024


class AnswerTooLarge(ValueError):
    """An answer is larger, or takes longer, than any that a node gives to what is asked here."""


class BoundedSession(requests.Session):
    """A session that reads each answer piece by piece, and no further than its bounds."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request, and read its answer.

        Raises:
            AnswerTooLarge: it is beyond the bounds.
        """
        response = super().send(request, **options | {"stream": True})
        content, end = bytearray(), time.monotonic() + MOST_SECONDS
        for piece in response.iter_content(_PIECE):
            content += piece
            if len(content) > MOST_BYTES or time.monotonic() > end:
                response.close()
                raise AnswerTooLarge(f"more than {MOST_BYTES // 2**20} MiB, or {MOST_SECONDS:.0f} s")
        response._content = bytes(content)
        return response
