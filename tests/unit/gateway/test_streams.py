"""Streams as providers send them, each odd in one way: text, calls, counts and the end are what a person reads in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.errors import StreamError
from og_magics.core.types import Enclave
from og_magics.gateway.reading import events
from og_magics.gateway.transcript import Transcript

STREAMS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "streams.json").read_text(encoding="utf-8")
)
"""Name -> `stream`, the bytes as text; `text`, `calls` ([id, name, arguments]), `finish`, `tokens`, `error`."""


async def read(*pieces: bytes) -> Transcript:
    """Read a stream that arrives in these pieces."""

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    response = httpx.Response(200, content=body(), headers={"Content-Type": "text/event-stream"})
    transcript = Transcript(Enclave(""))
    try:
        async for event in events(response):
            transcript.add(event, {})
        transcript.final()
    except StreamError as error:
        error.partial = transcript
        raise
    return transcript


def found(transcript: Transcript) -> dict[str, Any]:
    outcome = transcript.outcome(0.0, None)
    calls = [
        [call.get("id"), call["function"].get("name"), call["function"].get("arguments")] for call in outcome.tool_calls
    ]
    tokens = [outcome.prompt_tokens, outcome.completion_tokens]
    return {"text": outcome.text, "calls": calls, "finish": outcome.finish_reason, "tokens": tokens}


@pytest.mark.parametrize("name", STREAMS)
async def test_it_is_read_as_a_person_reads_it(name: str) -> None:
    expected = {"calls": [], "tokens": [None, None], "error": None} | STREAMS[name]
    stream, error = expected.pop("stream").encode(), expected.pop("error")
    if error is None:
        assert found(await read(stream)) == expected
        return
    with pytest.raises(StreamError, match=error) as caught:
        await read(stream)
    assert found(caught.value.partial)["text"] == expected["text"]  # what had come is kept


@given(st.sampled_from([name for name, one in STREAMS.items() if not one.get("error")]), st.data())
async def test_however_its_bytes_arrive_it_is_the_same(name: str, data: st.DataObject) -> None:
    stream = STREAMS[name]["stream"].encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert found(await read(*pieces)) == found(await read(stream))
