"""Each request that is on its way has a connection of its own, is sent by it once the certificate fits, and leaves it to
the next one."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from og_magics.core.errors import GatewayUnreachable
from og_magics.core.types import ChatRequest, Enclave, x402SettlementMode
from og_magics.gateway import GatewayClient, connections

PEM = serialization.Encoding.PEM


@dataclass
class Server:
    """A server that answers nothing before `together` requests have arrived.

    Attributes:
        opened: connections so far. open: connections now. read: what came in by them, after TLS.
    """

    together: int = 1
    opened: int = 0
    open: int = 0
    read: bytearray = field(default_factory=bytearray)
    waiting: list[asyncio.StreamWriter] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    certificate: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened, self.open = self.opened + 1, self.open + 1
        try:
            while data := await reader.readuntil(b"\r\n\r\n"):
                self.read += data
                length = int(data.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.read += await reader.readexactly(length)
                self.waiting.append(writer)
                self.arrived.set()
                if len(self.waiting) >= self.together:
                    for one in self.waiting:
                        one.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                    self.waiting.clear()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@contextlib.asynccontextmanager
async def running(folder: Path, together: int = 1) -> AsyncIterator[Server]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "enclave")]
    )  # the same one for each: only the key differs
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(made.public_bytes(PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    server = Server(together, certificate=made.public_bytes(serialization.Encoding.DER))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


@contextlib.asynccontextmanager
async def client_of(enclave: Enclave) -> AsyncIterator[GatewayClient]:
    client = GatewayClient(enclave, timeout=20)
    try:
        yield client
    finally:
        await client.close()


async def ask(client: GatewayClient, prompt: str = "a prompt of somebody") -> bytes:
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": prompt}]}
    async with client.post(
        ChatRequest("/v1/chat/completions", "openai/gpt-5", body, x402SettlementMode.PRIVATE), None
    ) as response:
        return await response.aread()


async def until(server: Server, open: int) -> None:
    for _ in range(200):
        if server.open == open:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{server.open} connections are open, and not {open}")


async def test_as_many_connections_as_requests_at_once_and_no_more_for_later_ones(tmp_path: Path) -> None:
    async with (
        running(tmp_path, together=30) as server,
        client_of(Enclave(server.url, tls_certificate=server.certificate)) as client,
    ):
        assert await asyncio.gather(*(ask(client) for _ in range(30))) == [b"{}"] * 30
        assert server.opened == 30
        server.together = 1
        for _ in range(5):
            await ask(client)
        assert server.opened == 30


async def test_what_nobody_uses_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.1)
    async with (
        running(tmp_path, together=8) as server,
        client_of(Enclave(server.url, tls_certificate=server.certificate)) as client,
    ):
        await asyncio.gather(*(ask(client) for _ in range(8)))
        await until(server, open=0)
        server.together = 1
        assert await ask(client) == b"{}"
        assert server.opened == 9


async def test_a_server_with_another_certificate_gets_no_byte_of_any_prompt(tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    async with running(tmp_path / "true") as true, running(tmp_path) as false:
        async with client_of(Enclave(false.url, tls_certificate=true.certificate)) as client:
            for _ in range(3):
                failed = await asyncio.gather(*(ask(client) for _ in range(10)), return_exceptions=True)
                assert all(isinstance(one, GatewayUnreachable) and not one.transient for one in failed), failed
        assert false.read == b""
        async with client_of(Enclave(false.url, tls_certificate=false.certificate)) as client:
            await ask(client)  # what it would have read
        assert b"a prompt of somebody" in false.read


async def test_after_a_pin_no_connection_of_before_is_used(tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    async with running(tmp_path / "true") as true, running(tmp_path) as server:
        client = GatewayClient(Enclave(server.url), timeout=20, verify=False)
        try:
            await ask(client)
            before = bytes(server.read)
            client.pin(true.certificate)  # of another: the open connection would still lead to the first
            with pytest.raises(GatewayUnreachable):
                await ask(client)
            assert bytes(server.read) == before
        finally:
            await client.close()


async def test_a_cancelled_request_leaves_no_connection_to_the_next_one(tmp_path: Path) -> None:
    async with (
        running(tmp_path, together=2) as server,
        client_of(Enclave(server.url, tls_certificate=server.certificate)) as client,
    ):
        asking = asyncio.create_task(ask(client, "first"))
        await server.arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(server, open=0)
        server.together = 1
        server.waiting.clear()
        assert await ask(client, "second") == b"{}"
        assert server.opened == 2


async def test_closing_closes_what_is_on_its_way(tmp_path: Path) -> None:
    async with running(tmp_path, together=2) as server:
        client = GatewayClient(Enclave(server.url, tls_certificate=server.certificate), timeout=20)
        asking = asyncio.create_task(ask(client))
        await server.arrived.wait()
        await client.close()
        await until(server, open=0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
