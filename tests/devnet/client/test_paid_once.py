"""A good answer is paid once it has begun: it is asked for once, and what came of it is kept, in whatever form."""

from __future__ import annotations

import base64
import gzip
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.core.errors import GatewayError, StreamError
from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]
TEXT = "Grüße aus 世界, and a good deal more of it"
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
WHOLE = json.dumps({"choices": [CHOICE], "model": "gpt-5", "usage": USAGE}, ensure_ascii=False).encode()
EVENTS = [
    {"choices": [{"delta": {"content": TEXT[:20]}, "index": 0}]},
    {"choices": [{"delta": {"content": TEXT[20:]}, "index": 0}]},
    {"choices": [{"delta": {}, "finish_reason": "stop", "index": 0}], "usage": USAGE, "model": "gpt-5"},
]
LINES = [b"data: " + json.dumps(one, ensure_ascii=False).encode() + b"\n\n" for one in EVENTS]
STREAM = b"".join(LINES) + b"data: [DONE]\n\n"
SESSION = b"X-Upto-Session: s1\r\n"


@dataclass
class Counting:
    """A gateway that sends these bytes for each paid request, hangs up, and counts what it served.

    Attributes:
        paid: requests that came with a payment: each is charged.
        accepted: the compressions that each of these asked for.
    """

    answer: bytes = b""
    paid: int = 0
    url: str = ""
    accepted: list[str] = field(default_factory=list)


@pytest.fixture
def counting(offer: str) -> Iterator[Counting]:
    counted = Counting()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head: dict[str, str] = {}
            first = self.rfile.readline()
            while (line := self.rfile.readline().strip()) != b"":
                name, _, value = line.decode().partition(":")
                head[name.lower()] = value.strip()
            self.rfile.read(int(head.get("content-length", "0")))
            if first.startswith(b"GET"):
                self.wfile.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif "payment-signature" in head or "x-upto-session" in head:
                counted.paid += 1
                counted.accepted.append(head.get("accept-encoding", ""))
                self.wfile.write(counted.answer)
            else:
                self.wfile.write(
                    f"HTTP/1.1 402 Pay\r\nPAYMENT-REQUIRED: {offer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        counted.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield counted
        server.shutdown()
        thread.join()


def sized(body: bytes, kind: str = "application/json", more: bytes = b"", length: int | None = None) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body) if length is None else length}\r\n"
    return head.encode() + SESSION + more + b"\r\n" + body


def chunked(*pieces: bytes, kind: str = "application/json", end: bytes = b"0\r\n\r\n") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n".encode()
    return head + SESSION + b"\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + end


def at(content: bytes, mark: bytes, after: int = 0) -> bytes:
    """The content up to this mark, and so many bytes more."""
    return content[: content.index(mark) + after]


UMLAUT, SSE = "ü".encode(), "text/event-stream"

CUT: dict[str, tuple[bytes, bool, str]] = {
    "in the status line": (b"HTTP/1.1 200", False, ""),
    "in the headers": (at(sized(WHOLE), b"Content-Length"), False, ""),
    "after the headers": (sized(b"", length=len(WHOLE)), False, ""),
    "in a key": (at(sized(WHOLE), b'"content"', 4), False, ""),
    "in the text": (at(sized(WHOLE), b" aus", 2), False, "Grüße a"),
    "in a character": (at(sized(WHOLE), UMLAUT, 1), False, "Gr"),
    "after the text": (at(sized(WHOLE), b'"usage"', 3), False, TEXT),
    "before the last byte": (sized(WHOLE)[:-1], False, TEXT),
    "with no length": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + at(WHOLE, b" aus", 2), False, "Grüße a"),
    "in the size of a chunk": (chunked(at(WHOLE, b" aus", 2), end=b"1"), False, "Grüße a"),
    "in a chunk": (at(chunked(WHOLE), b" aus", 2), False, "Grüße a"),
    "between chunks": (chunked(at(WHOLE, b" aus", 2), end=b""), False, "Grüße a"),
    "compressed": (
        sized(gzip.compress(WHOLE)[:-30], more=b"Content-Encoding: gzip\r\n", length=9999), False, "Gr",
    ),
    "stream: before its first event": (sized(b"", SSE, length=len(STREAM)), True, ""),
    "stream: in its first event": (sized(LINES[0][:30], SSE, length=len(STREAM)), True, ""),
    "stream: between events": (sized(LINES[0], SSE, length=len(STREAM)), True, TEXT[:20]),
    "stream: in a character": (sized(LINES[0] + LINES[1][:-20], SSE, length=len(STREAM)), True, TEXT[:20]),
    "stream: in the framing": (chunked(LINES[0], kind=SSE, end=b"f"), True, TEXT[:20]),
    "stream: without an end": (chunked(*LINES[:2], kind=SSE), True, TEXT),
    "whole in place of a stream: in the text": (at(sized(WHOLE), b" aus", 2), True, "Grüße a"),
    "stream in place of the whole: between events": (sized(LINES[0], SSE, length=len(STREAM)), False, TEXT[:20]),
}  # fmt: skip


def test_wherever_it_is_cut_it_is_asked_for_once_and_what_came_is_kept(
    llm_of: LLMOf, devnet: Devnet, counting: Counting, report: Callable[[str], None]
) -> None:
    llm = llm_of(devnet, gateway_url=counting.url, retries=3, watch=False)
    for where, (answer, stream, kept) in CUT.items():
        counting.answer, counting.paid = answer, 0
        with pytest.raises(GatewayError) as caught:
            _ask(llm, stream=stream)
        assert counting.paid == 1, where
        assert "may be charged, by no more than its authorization allows" in str(caught.value), where
        *_, receipt = llm.journal.receipts()
        assert receipt.status == "failed", where
        assert receipt.text.startswith(kept), where
        assert TEXT.startswith(receipt.text), where
        assert "empty deque" not in str(caught.value), where
        if kept:
            assert isinstance(caught.value, StreamError), where
            assert caught.value.partial.text == receipt.text, where
            assert caught.value.partial.receipt == receipt, where
            assert "What had arrived is kept" in caught.value.remedy, where
    report(f"cut at {len(CUT)} places: sent once each time, and what had come was kept")
    assert len(llm.journal.receipts()) == len(CUT)
    assert llm.journal.audit().ok


COMPLETE: dict[str, tuple[bytes, bool]] = {
    "whole in place of a stream": (sized(WHOLE), True),
    "whole in place of a stream, called a stream": (sized(WHOLE, SSE), True),
    "whole in place of a stream, called a text": (sized(WHOLE, "text/plain"), True),
    "whole in place of a stream, in chunks": (chunked(*(WHOLE[i : i + 1] for i in range(len(WHOLE)))), True),
    "stream in place of the whole": (sized(STREAM, SSE), False),
    "stream in place of the whole, called JSON": (sized(STREAM), False),
    "stream, called JSON": (chunked(*LINES, b"data: [DONE]\n\n"), True),
    "compressed": (sized(gzip.compress(WHOLE), more=b"Content-Encoding: gzip\r\n"), False),
    "stream, compressed": (sized(gzip.compress(STREAM), SSE, more=b"Content-Encoding: gzip\r\n"), True),
    "called compressed, and is not": (sized(WHOLE, more=b"Content-Encoding: br\r\n"), False),
    "called compressed by gzip, and is not": (sized(WHOLE, more=b"Content-Encoding: gzip\r\n"), False),
    "stream, called compressed, and is not": (sized(STREAM, SSE, more=b"Content-Encoding: zstd\r\n"), True),
    "shorter than it was said to be": (sized(WHOLE, length=len(WHOLE) + 7), False),
    "without its last chunk": (chunked(WHOLE, end=b""), False),
    "stream without its end": (chunked(*LINES, kind=SSE, end=b""), True),
    "stream cut in its end": (chunked(*LINES, b"data: [DO", kind=SSE, end=b""), True),
}


def test_a_complete_answer_is_shown_in_whatever_form_it_came(llm_of: LLMOf, devnet: Devnet, counting: Counting) -> None:
    llm = llm_of(devnet, gateway_url=counting.url, retries=3, watch=False)
    for form, (answer, stream) in COMPLETE.items():
        counting.answer, counting.paid = answer, 0
        assert _ask(llm, stream=stream) == TEXT, form
        assert counting.paid == 1, form
        *_, receipt = llm.journal.receipts()
        assert (receipt.status, receipt.text, receipt.completion_tokens) == ("served", TEXT, 7), form


BR = (
    "G2sAAKwLuENL8qPVyGDFCPO13AiCX3cuh/fK6pO3Rfa2YKbc0Vyz6HT1CZBig2uRty+6bmNjb92CEPQ7nm7j3DyH+Si3HNp6P3f49AMZctBGbIMG"
    "Wl6KZNycNhAD88tq"
)
ZSTD = (
    "KLUv/QRo3QIAwsYVFLA9IAyMSrEMUkHRMSqOhxLQWQN52uin89oH4+W0aNXj7JOPPQj61+68V/Jg/JXrypkehL8SXf"
    "usRQ/GLzjrZzB+NWTtig+CAOPxUvJ9LmC8XelNlz4HAKYtth4="
)
"""An answer as Node's brotli and as zstd packed it, in base64."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "packed"), [("br", BR), ("zstd", ZSTD), ("gzip, br", BR), ("", BR)])
def test_an_answer_in_a_compression_that_is_not_read_is_kept_as_it_came_and_not_asked_for_again(
    llm_of: LLMOf, devnet: Devnet, counting: Counting, name: str, packed: str, stream: bool
) -> None:
    llm = llm_of(devnet, gateway_url=counting.url, retries=3, watch=False)
    more = f"Content-Encoding: {name}\r\n".encode() if name else b""
    counting.answer = sized(base64.b64decode(packed), SSE if stream and name else "application/json", more=more)
    with pytest.raises(StreamError) as caught:
        _ask(llm, stream=stream)
    assert counting.paid == 1
    assert set(counting.accepted) == {"identity"}
    (receipt,) = llm.journal.receipts()
    assert (receipt.status, receipt.text.rpartition(",")[2]) == ("failed", packed)
    assert caught.value.partial.text == receipt.text
    said = str(caught.value)
    assert f"compressed ({name})" in said if name else "bytes that are no text" in said
    assert "kept as it came" in said
    assert "may be charged, by no more than its authorization allows" in said


def _ask(llm: Any, *, stream: bool) -> str:
    if not stream:
        return str(llm.chat_sync("openai/gpt-5", ASK).text)
    output = None
    for chunk in llm.chat_sync("openai/gpt-5", ASK, stream=True):
        output = chunk.output or output
    return str(output.text)
