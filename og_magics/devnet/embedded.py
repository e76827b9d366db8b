"""The embedded chain behind HTTP, in a thread of this process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping

import uvicorn

from og_magics.core.errors import DevnetError

from ..core.loopback import LocalOnly, Receive, Scope, Send
from .evm import Evm
from .genesis import GenesisAccount
from .rpc import Rpc

_KEEP_ALIVE_SECONDS = 75  # longer than clients keep an idle connection for reuse


class EmbeddedChain:
    """A chain that lives as long as this object: nothing is kept on disk.

    Requests are answered one after another on the server's event loop. That is the lock round the chain: py-evm
    is not thread safe, and its work takes milliseconds.

    Args:
        chain_id: its chain id.
        genesis: address -> account in the first block.
        port: to listen at, on loopback; 0 takes a free one.

    Raises:
        DevnetError: the port is taken.
    """

    def __init__(self, chain_id: int, genesis: Mapping[str, GenesisAccount], port: int = 0) -> None:
        self.chain_id = chain_id
        self._rpc = Rpc(Evm(chain_id, genesis))
        self._socket = _listen(port)
        self.rpc_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(
                LocalOnly(self._serve),
                log_config=None,
                access_log=False,
                lifespan="off",
                interface="asgi3",
                ws="none",
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._run, name="og-devnet-chain", daemon=True)

    def start(self) -> EmbeddedChain:
        """Listen. Returns when requests are answered."""
        self._thread.start()
        self._server.ready.wait()
        return self

    def close(self) -> None:
        """Stop listening and forget the chain. May be called twice."""
        if self._thread.is_alive():
            self._server.should_exit = True
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        if scope["method"] != "POST":
            await _respond(send, 405, b'{"error":"JSON-RPC is spoken with POST"}')
            return
        parts = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        await _respond(send, 200, self._rpc.answer(b"".join(parts)))


class _Server(uvicorn.Server):
    """A uvicorn server that signals when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only for a named protocol; with it, each answer would wait 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise DevnetError(
            f"The chain cannot listen on port {port}: {error.strerror}.", remedy="Choose another --rpc-port."
        ) from error
    return listener


async def _respond(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
