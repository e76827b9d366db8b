"""Answers in another form than was asked for, and answers that end anywhere: what came is read."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from og_magics.core.errors import GatewayError, StreamError
from og_magics.core.types import Enclave
from og_magics.core.untrusted_json import read_cut_json
from og_magics.gateway.bounds import Bounds, watch
from og_magics.gateway.reading import body_of
from og_magics.gateway.transcript import Transcript

TEXT = 'Grüße, 世界 \U0001f600 "quoted" \\ and [a, {b}]\n' + "more of it " * 3
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
WHOLE: dict[str, Any] = {
    "id": "c1",
    "model": "gpt-5",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    "usage": USAGE,
    "tee_signature": "c2ln",
}
FORMS = [json.dumps(WHOLE).encode(), json.dumps(WHOLE, ensure_ascii=False, indent=1).encode()]


def stream_of(text: str) -> bytes:
    pieces = [{"choices": [{"delta": {"content": text[at : at + 7]}, "index": 0}]} for at in range(0, len(text), 7)]
    pieces.append({"choices": [{"delta": {}, "finish_reason": "stop", "index": 0}], "usage": USAGE})
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in pieces) + b"data: [DONE]\n\n"


async def read(
    content: bytes, kind: str = "application/json", *, step: int = 0, lost: bool = False, encoding: str = "identity"
) -> tuple[Transcript, Exception | None]:
    """Read a body in pieces of so many bytes, after which the connection is lost."""

    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(content), step or max(len(content), 1)):
            yield content[at : at + (step or len(content))]
        if lost:
            raise httpx.ReadError("gone")

    response = httpx.Response(200, content=body(), headers={"Content-Type": kind, "Content-Encoding": encoding})
    watch(response, Bounds(most=1 << 20))
    transcript = Transcript(Enclave(""))
    try:
        answer = await body_of(response, lambda part: transcript.take_cut(part, {}))
        if isinstance(answer, dict):
            transcript.take(answer, {})
            transcript.whole()
        else:
            async for event in answer:
                transcript.add(event, {})
            transcript.final()
    except GatewayError as error:
        return transcript, error
    return transcript, None


def text_of(transcript: Transcript) -> str:
    return transcript.outcome(0.0, None).text


@pytest.mark.parametrize("content", FORMS, ids=["escaped", "in UTF-8"])
async def test_wherever_a_whole_answer_is_cut_its_text_up_to_there_is_kept(content: bytes) -> None:
    kept = ""
    for end in range(len(content)):
        transcript, error = await read(content[:end], lost=True)
        assert isinstance(error, StreamError), end
        assert error.cut
        assert "may be charged" in error.money
        assert TEXT.startswith(text_of(transcript)), (end, text_of(transcript))
        assert len(text_of(transcript)) >= len(kept), end
        kept = text_of(transcript)
    assert kept == TEXT


@pytest.mark.parametrize("content", FORMS, ids=["escaped", "in UTF-8"])
async def test_one_whose_length_nobody_said_is_cut_as_well_and_its_text_kept(content: bytes) -> None:
    for end in range(content.index(b"more of it") + 5, len(content)):
        transcript, error = await read(content[:end])
        assert isinstance(error, StreamError)
        assert error.cut
        assert TEXT.startswith(text_of(transcript))
        assert len(text_of(transcript)) > 20


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain", ""])
@pytest.mark.parametrize("step", [0, 1])
async def test_a_whole_answer_is_read_whatever_it_is_called(kind: str, step: int, lost: bool) -> None:
    transcript, error = await read(b"\xef\xbb\xbf \n" + FORMS[1], kind, step=step, lost=lost)
    assert error is None, "where all of it is there, the end of the connection is not missed"
    assert text_of(transcript) == TEXT
    assert transcript.outcome(0.0, None).completion_tokens == 7


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain", ""])
@pytest.mark.parametrize("step", [0, 1])
async def test_a_stream_is_read_whatever_it_is_called(kind: str, step: int) -> None:
    transcript, error = await read(stream_of(TEXT), kind, step=step)
    assert error is None
    assert text_of(transcript) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("content", [FORMS[0], stream_of(TEXT)], ids=["whole", "stream"])
async def test_what_was_compressed_unasked_is_read_all_the_same(content: bytes, encoding: str) -> None:
    packed = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    for step in (0, 1):
        transcript, error = await read(packed, encoding=encoding, step=step)
        assert error is None
        assert text_of(transcript) == TEXT


async def test_wherever_a_compressed_answer_is_cut_its_text_up_to_there_is_kept() -> None:
    packed, longest = gzip.compress(FORMS[1]), ""
    for end in range(1, len(packed)):
        transcript, error = await read(packed[:end], encoding="gzip", lost=True)
        assert error is None or isinstance(error, StreamError)
        assert TEXT.startswith(text_of(transcript))
        longest = max(longest, text_of(transcript), key=len)
    assert longest == TEXT


async def test_a_compressed_answer_that_is_larger_than_it_may_be_is_not_unpacked() -> None:
    _, error = await read(gzip.compress(b" " * (1 << 26)), encoding="gzip")
    assert isinstance(error, StreamError)
    assert "larger than 1 MiB" in error.what


async def test_a_compression_that_is_not_known_is_an_error_that_says_so_and_its_bytes_are_kept() -> None:
    for lost in (False, True):
        transcript, error = await read(b"\x0b\x00\xff", encoding="br", lost=lost)
        assert isinstance(error, StreamError)
        assert "compressed (br)" in error.what or lost
        assert "may be charged" in str(error)
        assert text_of(transcript) == "data:application/octet-stream;encoding=br;base64,CwD/"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"a": "x', {"a": "x"}),
        (b'{"a": "x\\', {"a": "x"}),
        (b'{"a": "x\\\\', {"a": "x\\"}),
        (b'{"a": "x\\u00e', {"a": "x"}),
        (b'{"a": "x\\\\u00e', {"a": "x\\u00e"}),
        (b'{"a": "x\\ud83d', {"a": "x"}),
        (b'{"a": "x\\ud83d\\ude', {"a": "x"}),
        (b'{"a": "x\xc3', {"a": "x"}),
        (b'{"a": "x", "b', {"a": "x"}),
        (b'{"a": "x", "b":', {"a": "x"}),
        (b'{"a": [1, 2, tr', {"a": [1, 2]}),
        (b'{"a": {"b": fal', {"a": {}}),
        (b'{"a": "x"', {"a": "x"}),
        (b"{", {}),
    ],
)
def test_json_that_was_cut_is_read_up_to_there(content: bytes, expected: Any) -> None:
    assert read_cut_json(content) == expected


@pytest.mark.parametrize("content", [b"", b"nonsense", b"}", b'{"a": ]', b"[" * 100])
def test_what_is_no_beginning_of_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_cut_json(content)
