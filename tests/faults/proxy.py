"""A proxy between a client and a gateway that breaks what passes through it, at one stage of a paid call, in one way.

It speaks HTTP/1.1 well enough to know where it is; what it sends on are the bytes as they came, but for its faults.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, Self

STAGES = ("connect", "key", "first request", "challenge", "paid request", "head", "body", "end")
KINDS = ("drop", "delay", "truncate", "duplicate", "corrupt")
COMBINATIONS = [(stage, kind) for stage in STAGES for kind in KINDS if stage != "connect" or kind in ("drop", "delay")]

_UPSTREAM_SILENT = 6.0
"""Seconds after which a gateway that waits for the rest of a broken request is hung up on."""


class _Broken(Exception):
    """This connection ends here."""


@dataclass(frozen=True)
class Fault:
    """What happens at a stage.

    Attributes:
        stage, kind: one of `COMBINATIONS`.
        times: so often it strikes; then all passes untouched.
        skip: so many times the stage is passed before.
        at: 0 to 1, where in the bytes of that stage.
        delay: seconds.
        flips: bytes that are changed.
        polite: a connection is closed and not reset; with "drop" of a request, the gateway gets it all the same.
        deaf: after a "drop", no connection is accepted for `delay` seconds.
    """

    stage: str
    kind: str
    times: int = 1
    skip: int = 0
    at: float = 0.5
    delay: float = 0.3
    flips: int = 1
    polite: bool = True
    deaf: bool = False

    @classmethod
    def draw(cls, stage: str, kind: str, chance: random.Random) -> Fault:
        return cls(
            stage,
            kind,
            times=chance.choice([1, 1, 1, 2, 99]),
            skip=chance.choice([0, 0, 1, 2]) if stage == "connect" else 0,
            at=chance.random(),
            delay=chance.choice([0.1, 0.5, 2.5]),
            flips=chance.choice([1, 1, 2, 20]),
            polite=chance.random() < 0.5,
            deaf=kind == "drop" and chance.random() < 0.5,
        )


@dataclass
class Taken:
    """A whole paid request that the gateway was given, what paid for it (a nonce or a session id), and the status."""

    body: bytes
    payment: str
    status: int = 0


@dataclass
class Proxy:
    """One listener, with its faults; `async with` it.

    Attributes:
        taken: the paid requests that reached the gateway whole.
        sessions: the nonce of the authorization behind each of the gateway's session ids.
        struck: the faults that came to pass, in order.
        keep_alive: False closes a connection after each answer.
        faulty: False lets everything pass.
        url: of the gateway as it is seen through this proxy.
    """

    upstream: tuple[str, int]
    faults: tuple[Fault, ...]
    chance: random.Random
    keep_alive: bool = True
    taken: list[Taken] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)
    struck: list[Fault] = field(default_factory=list)
    faulty: bool = True
    url: str = ""

    def __post_init__(self) -> None:
        self._passed = dict.fromkeys(self.faults, 0)
        self._serving: set[asyncio.Task[None]] = set()
        self._deaf: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.heal()
        self._server.close()
        await self._server.wait_closed()

    async def heal(self) -> None:
        """From now on everything passes, on new connections: bytes too many may still be on the old ones."""
        self.faulty = False
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._deaf is not None:
            await self._deaf

    def served_by(self, question: str) -> set[int]:
        """The nonces of the authorizations with which a question was sent and, as far as is known, served."""
        payments = {t.payment for t in self.taken if t.status in (0, 200) and question.encode() in t.body}
        return {int(self.sessions.get(payment, payment)) for payment in payments}

    # -- a connection --------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            await self._connection(reader, writer)
        except (_Broken, ConnectionError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._strikes("connect")
        if fault is not None and fault.kind == "drop":
            self._hang_up(writer, fault)
        if fault is not None:
            await asyncio.sleep(fault.delay)
        while head := await _head(reader):
            request = head + await reader.readexactly(int(_header(head, "content-length") or 0))
            await self._exchange(request, head, writer)
            if self.faulty and not self.keep_alive:
                return  # without a word of warning, so that the next request may run into it

    async def _exchange(self, request: bytes, head: bytes, client: asyncio.StreamWriter) -> None:
        payment = _nonce(_header(head, "payment-signature")) or _header(head, "x-upto-session")
        stage = "key" if head.startswith(b"GET") else "paid request" if payment else "first request"
        taken = Taken(request[len(head) :], payment) if payment else None
        fault = self._strikes(stage) if stage != "key" else None
        match fault.kind if fault else None:
            case "drop" if fault:
                if fault.polite:
                    await self._forward(request, payment, taken, lambda answer: _drain(answer, None))
                self._hang_up(client, fault)
            case "delay" if fault:
                await asyncio.sleep(fault.delay)
            case "truncate" if fault:
                _, upstream = await asyncio.open_connection(*self.upstream)
                upstream.write(request[: int(len(request) * fault.at)])
                await _close(upstream)
                raise _Broken
            case "duplicate":
                second = Taken(taken.body, taken.payment) if taken else None
                await asyncio.gather(
                    self._forward(request, payment, taken, lambda answer: self._relay(answer, stage, client)),
                    self._forward(request, payment, second, lambda answer: _drain(answer, None)),
                )
                return
            case "corrupt" if fault:
                request, taken = self._flipped(request, fault), None
        await self._forward(request, payment, taken, lambda answer: self._relay(answer, stage, client))

    async def _forward(
        self,
        request: bytes,
        payment: str,
        taken: Taken | None,
        use: Callable[[asyncio.StreamReader], Awaitable[None]],
    ) -> None:
        reader, writer = await asyncio.open_connection(*self.upstream)
        try:
            writer.write(request)
            if taken is not None:
                self.taken.append(taken)
            async with asyncio.timeout(_UPSTREAM_SILENT):
                head = await _head(reader)
            if taken is not None:
                taken.status = int(head.split()[1])
            # Also of a request that was changed on its way and served all the same: its session is used again.
            session = _header(head, "x-upto-session")
            if session and payment and session != payment:
                self.sessions[session] = payment
            answer = asyncio.StreamReader()
            pump = asyncio.create_task(_pump(head, reader, answer))
            try:
                await use(answer)
            finally:
                # An answer whose reader is gone is read to its end or left, as the connections of real proxies are.
                if self.chance.random() < 0.5:
                    await pump
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
        finally:
            await _close(writer)

    async def _relay(self, answer: asyncio.StreamReader, asked: str, client: asyncio.StreamWriter) -> None:
        head = await _head(answer)
        if asked != "paid request":
            whole = head + b"".join([piece async for piece in _pieces(head, answer)])
            stage = "key" if asked == "key" else "challenge"
            await self._send(whole, self._strikes(stage), client)
            return
        await self._send(head, self._strikes("head"), client)
        fault, length = self._strikes("body"), int(_header(head, "content-length") or 0)
        chunked = not length
        struck_at = int(fault.at * (20 if chunked else length)) if fault else 0
        seen = 0
        async for piece in _pieces(head, answer):
            last = piece == b"0\r\n\r\n" if chunked else seen + len(piece) == length
            amount = 1 if chunked else len(piece)
            strikes = fault is not None and (last or seen <= struck_at < seen + amount)
            seen += amount
            if strikes and not (last and chunked):
                if fault is not None and fault.kind == "truncate" and chunked:  # a stream that seems to end
                    client.write(b"0\r\n\r\n")
                    await client.drain()
                    raise _Broken
                await self._send(piece, fault, client)
                fault = None
            else:
                await self._send(piece, self._strikes("end") if last else None, client)

    async def _send(self, data: bytes, fault: Fault | None, client: asyncio.StreamWriter) -> None:
        match fault.kind if fault else None:
            case "drop" if fault:
                self._hang_up(client, fault)
            case "delay" if fault:
                await asyncio.sleep(fault.delay)
            case "truncate" if fault:
                client.write(data[: int(len(data) * fault.at)])
                await client.drain()
                self._hang_up(client, fault)
            case "duplicate":
                data += data
            case "corrupt" if fault:
                data = self._flipped(data, fault)
        client.write(data)
        return await client.drain()

    def _hang_up(self, client: asyncio.StreamWriter, fault: Fault) -> NoReturn:
        if fault.deaf and self._deaf is None:
            self._deaf = asyncio.create_task(self._be_deaf(fault.delay))
        if fault.polite:
            client.close()
        else:
            client.transport.abort()
        raise _Broken

    async def _be_deaf(self, seconds: float) -> None:
        port = self._server.sockets[0].getsockname()[1]
        self._server.close()
        await asyncio.sleep(seconds)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)

    def _flipped(self, data: bytes, fault: Fault) -> bytes:
        changed = bytearray(data)
        start = int(fault.at * len(data))
        for _ in range(fault.flips):
            near = self.chance.randrange(200) if fault.flips > 1 else 0
            changed[(start + near) % len(data)] ^= 1 << self.chance.randrange(8)
        return bytes(changed)

    def _strikes(self, stage: str) -> Fault | None:
        for fault in self.faults:
            if fault.stage == stage and self.faulty:
                passed = self._passed[fault]
                self._passed[fault] = passed + 1
                if fault.skip <= passed < fault.skip + fault.times:
                    self.struck.append(fault)
                    return fault
        return None


async def _pump(head: bytes, reader: asyncio.StreamReader, answer: asyncio.StreamReader) -> None:
    """Copy an answer to its end."""
    answer.feed_data(head)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        async for piece in _pieces(head, reader):
            answer.feed_data(piece)
    answer.feed_eof()


async def _drain(answer: asyncio.StreamReader, _client: None) -> None:
    while await answer.read(65536):
        pass


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Up to the empty line; b"" when the other side has closed."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


async def _pieces(head: bytes, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The body as it stands on the wire: chunk by chunk, or some bytes at a time."""
    if "chunked" in _header(head, "transfer-encoding"):
        while True:
            size = await reader.readuntil(b"\r\n")
            chunk = size + await reader.readexactly(int(size, 16) + 2)
            yield chunk
            if int(size, 16) == 0:
                return
    left = int(_header(head, "content-length") or 0)
    while left:
        piece = await reader.read(min(left, 256))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


def _header(head: bytes, name: str) -> str:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.decode("latin-1").lower() == name:
            return value.decode("latin-1").strip()
    return ""


def _nonce(signature: str) -> str:
    """The nonce of the authorization in a PAYMENT-SIGNATURE header, in decimal; "" without one."""
    if not signature:
        return ""
    sent: Any = json.loads(base64.b64decode(signature))
    return str(int(str(sent["payload"]["permit2Authorization"]["nonce"]), 0))
