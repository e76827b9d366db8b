"""A JSON-RPC node over real HTTP whose answers a test writes down."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Refusal(Exception):
    """Raised by a method to answer with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}


@dataclass
class FakeNode:
    """`methods` maps a method to its result, or to a function of its parameters.

    Attributes:
        url: where it listens.
        requests: the body of each HTTP request so far, parsed.
        intercept: may answer a whole request itself, as (status, body).
    """

    methods: dict[str, Any] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    intercept: Callable[[Any], tuple[int, bytes] | None] = lambda request: None
    url: str = ""
    sent: list[str] = field(default_factory=list)

    def answer(self, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        self.requests.append(request)
        intercepted = self.intercept(request)
        if intercepted is not None:
            return intercepted
        answers = [self._one(call) for call in (request if isinstance(request, list) else [request])]
        return 200, json.dumps(answers if isinstance(request, list) else answers[0]).encode()

    def called(self) -> list[str]:
        """The methods called so far, batches written out."""
        return [
            call["method"]
            for request in self.requests
            for call in (request if isinstance(request, list) else [request])
        ]

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            method = self.methods[call["method"]]
            return {**head, "result": method(*call["params"]) if callable(method) else method}
        except KeyError:
            return {**head, "error": {"code": -32601, "message": f"the method {call['method']} does not exist"}}
        except Refusal as refusal:
            return {**head, "error": refusal.error}
        except TypeError as error:
            return {**head, "error": {"code": -32602, "message": f"invalid params: {error}"}}


@pytest.fixture
def node() -> Iterator[FakeNode]:
    fake = FakeNode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            status, body = fake.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def refusal() -> type[Refusal]:
    return Refusal
