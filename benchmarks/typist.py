"""A plain OpenAI-compatible server on this machine that types a Markdown text, token by token, at a steady rate."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from .served import Served

MODEL, OTHER = "typist", "typist-2"
_PROMPT = re.compile(r"(\w+), (\d+) tokens, (\d+) a second")
_TOKEN = 4
"""Characters of a token."""
_TICK = 0.005
_WORDS = (
    "a ledger keeps what was asked and what came back so that anybody can check it later without trusting who wrote it "
    "and each entry names the one before"
).split()


def prompt(kind: str, tokens: int, rate: int) -> str:
    """Return the prompt that a text is typed for: of a kind in `KINDS`, so many tokens, so many a second."""
    return f"{kind}, {tokens} tokens, {rate} a second"


def text_of(kind: str, tokens: int) -> str:
    """Return a Markdown text of a kind."""
    text = "".join(itertools.takewhile(_below(tokens * _TOKEN), KINDS[kind]()))
    return text.rstrip("\n")


def _below(size: int) -> Callable[[str], bool]:
    total = 0

    def below(block: str) -> bool:
        nonlocal total
        before, total = total, total + len(block)
        return before < size

    return below


def _sentence(number: int, words: int = 11) -> str:
    chosen = [_WORDS[(number * 7 + place) % len(_WORDS)] for place in range(words)]
    return f"{' '.join(chosen).capitalize()} **{number}**."


def _prose() -> Iterator[str]:
    for number in itertools.count(1):
        heading = f"## Part {number}\n\n" if number % 5 == 1 else ""
        yield heading + " ".join(_sentence(number * 5 + place) for place in range(5)) + "\n\n"


def _code() -> Iterator[str]:
    yield "The module:\n\n```python\n"
    for number in itertools.count(1):
        yield f"def entry_{number}(ledger: list[int]) -> int:\n    total = sum(ledger[:{number}])\n    return total\n\n"


def _table() -> Iterator[str]:
    yield "The entries:\n\n| number | what it says | amount | checked |\n|---|---|---|---|\n"
    for number in itertools.count(1):
        yield f"| {number} | {_sentence(number, 5)} | {number * 17 % 1000} | yes |\n"


def _list() -> Iterator[str]:
    yield "The steps:\n\n"
    for number in itertools.count(1):
        yield f"{number}. {_sentence(number, 9)}\n"


KINDS: dict[str, Callable[[], Iterator[str]]] = {"prose": _prose, "code": _code, "table": _table, "list": _list}
"""Prose, and one long block of each kind."""


class Typist(Served):
    """Serves from `with` on.

    Attributes:
        texts: by prompt, what is typed for it; a prompt of `prompt` needs none.
        rate: tokens a second, for those.
    """

    def __init__(self, rate: int = 400) -> None:
        self.texts: dict[str, str] = {}
        self.rate = rate
        super().__init__(self._handler())

    def _events(self, asked: str) -> Iterator[bytes]:
        found = _PROMPT.fullmatch(asked)
        text = text_of(found[1], int(found[2])) if found else self.texts.get(asked, asked)
        rate = int(found[3]) if found else self.rate
        tokens = [text[start : start + _TOKEN] for start in range(0, len(text), _TOKEN)]
        began, sent = time.monotonic(), 0
        while sent < len(tokens):
            due = min(len(tokens), int((time.monotonic() - began) * rate) + 1)
            if due > sent:
                yield b"".join(
                    _event({"choices": [{"index": 0, "delta": {"content": one}}]}) for one in tokens[sent:due]
                )
                sent = due
            time.sleep(max(_TICK, min(0.5, began + sent / rate - time.monotonic())))
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "model": MODEL}
        usage = {"prompt_tokens": 1, "completion_tokens": len(tokens), "total_tokens": len(tokens) + 1}
        yield _event(end) + _event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        typist = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path == "/v1/models"
                body = json.dumps(
                    {"data": [{"id": MODEL}, {"id": OTHER}]} if known else {"detail": "Not Found"}
                ).encode()
                self._begin(200 if known else 404, "application/json")
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                self._begin(200, "text/event-stream")
                for event in typist._events(str(body["messages"][-1]["content"])):
                    self.wfile.write(event)
                    self.wfile.flush()

            def _begin(self, status: int, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Connection", "close")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
