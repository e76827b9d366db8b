"""Bounds on what a gateway may send: bytes, and time without a piece of the answer and in all."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from ..core.errors import GatewayProtocolError, StreamError

MIB = 1 << 20
_TEXT_FLOOR = 8 * MIB
_BYTES_OF_A_TOKEN = 8 * 1024
"""Of a stream: an event around each token, with what providers add to it."""
ERROR_BODY = 256 * 1024
"""Bytes of an answer that is an error: its reason stands at its beginning."""
SMALL_BODY = 4 * MIB
"""Bytes of a key, of a list of models, of a report on health."""
AFTER_DONE = 256 * 1024
"""Bytes that may follow the end of a stream."""

_GZIP = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_GZIP_BEGINS = 0x1F
_WATCHED = "og_magics.bounds"
MAY_BE_CHARGED = "The call may be charged, by no more than its authorization allows."
KEPT = "What had arrived is kept; ask again for the rest: that is another call, with its own price."
NOTHING_SERVED = "Nothing was answered; what was signed expires by itself, unpaid."


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one answer.

    Attributes:
        most: bytes of its body.
        idle: seconds without a piece of the answer; comments and keep-alives are none.
        total: seconds for all of it.
    """

    most: int = 64 * MIB
    idle: float = 120.0
    total: float = 1800.0

    def for_text(self, max_tokens: object) -> Bounds:
        """Return the bounds of an answer of so many tokens, of a model that draws no pictures."""
        if not isinstance(max_tokens, int) or max_tokens <= 0:
            return self
        return Bounds(min(self.most, _TEXT_FLOOR + max_tokens * _BYTES_OF_A_TOKEN), self.idle, self.total)


class Clock:
    """The time that is left for one answer."""

    def __init__(self, bounds: Bounds) -> None:
        now = asyncio.get_running_loop().time()
        self._bounds, self._end, self._useful = bounds, now + bounds.total, now

    def heard(self) -> None:
        """Note a piece of the answer."""
        self._useful = asyncio.get_running_loop().time()

    async def next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        """Return the next piece of a body; None at its end.

        Raises:
            StreamError: the time is over.
        """
        limit = min(self._end, self._useful + self._bounds.idle)
        try:
            async with asyncio.timeout_at(limit):
                return await anext(pieces, None)
        except TimeoutError:
            idle = limit < self._end
            seconds = self._bounds.idle if idle else self._bounds.total
            raise StreamError(
                f"The gateway sent nothing of the answer for {seconds:.0f} s."
                if idle
                else f"The answer was not complete after {seconds:.0f} s.",
                money=MAY_BE_CHARGED,
                remedy="What had arrived is kept; "
                f"{'OG_TIMEOUT' if idle else 'OG_CALL_TIMEOUT'} (seconds) lets it take longer.",
            ) from None


def watch(response: httpx.Response, bounds: Bounds) -> httpx.Response:
    """Let a body be read within these bounds; its time runs from now."""
    response.extensions[_WATCHED] = bounds, Clock(bounds)
    return response


def watched(response: httpx.Response) -> tuple[Bounds, Clock]:
    """Return the bounds of a body, and its time."""
    if _WATCHED not in response.extensions:
        watch(response, Bounds())
    bounds, clock = response.extensions[_WATCHED]
    return bounds, clock


async def bounded(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield a body's pieces within its bounds.

    Raises:
        StreamError: it is larger, or takes longer; or it is compressed, and the compression is broken or cut.
    """
    bounds, clock = watched(response)
    # No compression is asked for. What comes all the same is paid for: another one than gzip comes as it is.
    coded = encoding_of(response) in _GZIP
    pieces, size = (_inflated(response.aiter_raw()) if coded else response.aiter_raw()), 0
    while (piece := await clock.next(pieces)) is not None:
        size += len(piece)
        if size > bounds.most:
            raise StreamError(
                f"The answer is larger than {bounds.most / MIB:.0f} MiB: reading was stopped.",
                money=MAY_BE_CHARGED,
                remedy="What had arrived is kept. Ask for fewer tokens, or allow more with OG_MAX_ANSWER (MiB).",
            )
        yield piece


async def _inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a gzip stream's content, in pieces of a bounded size: a few bytes could hold gigabytes.

    Raises:
        StreamError: it is broken, or its end is missing.
    """
    stream, plain = zlib.decompressobj(_GZIP_OR_ZLIB), None
    try:
        async for piece in pieces:
            if plain is None and piece:  # only the header says that it is compressed
                plain = piece[0] != _GZIP_BEGINS and piece[0] & 0x0F != zlib.DEFLATED
            if plain:
                yield piece
                continue
            rest = piece
            while rest and not stream.eof:
                yield stream.decompress(rest, MIB)
                rest = stream.unconsumed_tail
    except zlib.error:
        raise StreamError("The compressed answer is broken.", money=MAY_BE_CHARGED, remedy=KEPT, cut=True) from None
    if not stream.eof and not plain:
        raise StreamError("The compressed answer was cut.", money=MAY_BE_CHARGED, remedy=KEPT, cut=True)


async def read_up_to(response: httpx.Response, most: int, seconds: float) -> bytes:
    """Return the beginning of a body: at most so many bytes, of those that come in so many seconds."""
    refuse_compressed(response)
    read = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in response.aiter_bytes():
                read += piece[: most - len(read)]
                if len(read) >= most:
                    break
    except TimeoutError:
        pass
    return bytes(read)


def encoding_of(response: httpx.Response) -> str:
    """Return the name of a body's compression; "identity" or "" for none."""
    return str(response.headers.get("content-encoding", "identity")).strip().lower()


def is_unreadable(response: httpx.Response) -> bool:
    """Return True for a body that is compressed in a way that is not read here."""
    return encoding_of(response) not in ("", "identity", *_GZIP)


def refuse_compressed(response: httpx.Response) -> None:
    """Raise GatewayProtocolError for a compressed body."""
    encoding = encoding_of(response)
    if encoding not in ("", "identity"):
        raise GatewayProtocolError(
            f"The gateway sent a compressed answer ({encoding[:40]}), which was not asked for.",
            status=response.status_code,
            money=MAY_BE_CHARGED if response.is_success else NOTHING_SERVED,
            remedy="A proxy may stand in between; %og network shows the address that was asked.",
        )
