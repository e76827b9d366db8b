"""A gateway in front of a devnet's: it answers the questions that a test has scripted, and passes the others on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx

from benchmarks.served import Served

_PIECE = 7
"""Characters of a scripted answer's pieces: markup arrives in parts."""


class Front(Served):
    """Serves from `with` on. Scripts are by prompt; what is scripted is answered without a proof, and never settled.

    Attributes:
        answers: what the model says.
        errors: the error text of a 400.
        breaks: the text of an error event that comes after some words.
    """

    def __init__(self, gateway: str) -> None:
        self.answers: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.breaks: dict[str, str] = {}
        self._http = httpx.Client(base_url=gateway, timeout=60)
        super().__init__(self._handler())

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._http.close()

    def _scripted(self, body: dict[str, Any]) -> Callable[[], tuple[int, str, Iterator[str]]] | None:
        prompt = str((body.get("messages") or [{}])[-1].get("content"))
        if prompt in self.errors:
            return lambda: (400, "application/json", iter([json.dumps({"error": self.errors[prompt]})]))
        if prompt in self.breaks:
            told = _event({"error": self.breaks[prompt]})
            return lambda: (200, "text/event-stream", iter([*_deltas("Some words came. "), told]))
        if prompt in self.answers:
            return lambda: (200, "text/event-stream", _stream(self.answers[prompt], str(body.get("model"))))
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass_on(b"")

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                scripted = front._scripted(json.loads(content))
                paid = "PAYMENT-SIGNATURE" in self.headers or self.headers.get("X-Upto-Session") == "front"
                if scripted is None or not paid:
                    self._pass_on(content)  # who has not paid is told by the devnet how to
                    return
                status, kind, parts = scripted()
                self._answer(status, {"Content-Type": kind, "X-Upto-Session": "front"}, map(str.encode, parts))

            def _pass_on(self, content: bytes) -> None:
                skipped = ("host", "connection", "content-length", "accept-encoding")
                headers = {name: value for name, value in self.headers.items() if name.lower() not in skipped}
                with front._http.stream(self.command, self.path, content=content, headers=headers) as answer:
                    skipped = ("transfer-encoding", "content-length", "connection")
                    kept = {name: value for name, value in answer.headers.items() if name.lower() not in skipped}
                    self._answer(answer.status_code, kept, answer.iter_raw())

            def _answer(self, status: int, headers: dict[str, str], parts: Iterator[bytes]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Connection": "close"}.items():
                    self.send_header(name, value)
                self.end_headers()
                for part in parts:
                    self.wfile.write(part)
                    self.wfile.flush()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _deltas(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        yield _event({"choices": [{"delta": {"content": text[start : start + _PIECE]}}]})


def _stream(text: str, model: str) -> Iterator[str]:
    yield from _deltas(text)
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    yield _event({"choices": [{"delta": {}, "finish_reason": "stop"}], "model": model, "usage": usage})
    yield "data: [DONE]\n\n"
