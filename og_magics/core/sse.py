"""Server-sent events: bytes in, events out.

An incremental decoder after the WHATWG standard
(https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation). It knows nothing
of HTTP: the client feeds it whatever the network delivers, cut anywhere.

Lines are split before they are decoded. A line end is never part of a UTF-8 sequence, so the text is the same as
if the whole stream were decoded first, and each byte is looked at once however small the chunks are.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Bytes that one event may hold by default: generated images travel inside events."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event holds more bytes than the decoder accepts. The stream cannot be read further."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event.

    Attributes:
        data: the `data` lines, joined by a line feed.
        event: the event's type.
        id: the last event id seen on the stream so far (it outlives the event that set it).
        retry: the reconnection time that this event asked for, in milliseconds.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


class SSEDecoder:
    """Decode one event stream.

    Args:
        max_event_bytes: how many bytes one event may hold, its unfinished line included.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._first_line = True
        self._after_cr = False
        self._data: list[str] = []
        self._data_bytes = 0
        self._event = ""
        self._retry: int | None = None
        self._last_id = ""
        self._cut = False

    @property
    def pending(self) -> bool:
        """True while an event has begun and not ended. True after `close` means that the stream was cut."""
        return self._cut or bool(self._line or self._data or self._event)

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the stream and return the events that they complete, in order.

        Raises:
            EventTooLarge: the event being read is over the limit; so does every later call that brings bytes.
        """
        events: list[ServerSentEvent] = []
        if not data:
            return events
        # A CR ended its line at once; the LF of a CRLF that arrives after it ends nothing more.
        start = 1 if self._after_cr and data[0] == ord("\n") else 0
        self._after_cr = data[-1] == ord("\r")
        for end in _LINE_END.finditer(data, start):
            self._extend_line(data[start : end.start()])
            line = bytes(self._line)
            self._line.clear()
            if event := self._end_line(line):
                events.append(event)
            start = end.end()
        self._extend_line(data[start:])
        return events

    def close(self) -> list[ServerSentEvent]:
        """Take the end of the stream. No event comes of it: the standard drops one that no blank line ended.

        `pending` says if there was one.
        """
        self._cut = self.pending
        self._line.clear()
        self._reset_event()
        return []

    def _extend_line(self, piece: bytes) -> None:
        self._line += piece
        if self._data_bytes + len(self._line) > self._max_event_bytes:
            raise EventTooLarge(f"One event of the stream holds more than {self._max_event_bytes} bytes.")

    def _end_line(self, line: bytes) -> ServerSentEvent | None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        raw_name, _, raw_value = line.partition(b":")
        value = raw_value.removeprefix(b" ").decode("utf-8", errors="replace")
        # A comment is a field without a name, and falls through like any unknown field.
        match raw_name:
            case b"data":
                self._data.append(value)
                self._data_bytes += len(raw_value) + 1
            case b"event":
                self._event = value
            case b"id" if "\0" not in value:
                self._last_id = value
            case b"retry" if value.isascii() and value.isdigit():
                # int() refuses thousands of digits, and no such time means anything.
                with contextlib.suppress(ValueError):
                    self._retry = int(value)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event = None
        if self._data:
            event = ServerSentEvent("\n".join(self._data), self._event or "message", self._last_id, self._retry)
        self._reset_event()
        return event

    def _reset_event(self) -> None:
        self._data = []
        self._data_bytes = 0
        self._event = ""
        self._retry = None
