"""From the gateway's events to one answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.errors import GatewayProtocolError, StreamError
from og_magics.core.types import Enclave, StreamChunk
from og_magics.gateway.reading import events, read_json
from og_magics.gateway.transcript import Transcript

ENCLAVE = Enclave("https://gateway", tee_id="0xaa", payment_address="0xbb")
END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}], "model": "gpt-5"}


def transcribed(*happened: Any) -> tuple[Transcript, list[StreamChunk]]:
    transcript = Transcript(ENCLAVE)
    chunks = [transcript.add(event, {}) for event in happened]
    return transcript, [chunk for chunk in chunks if chunk is not None]


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


class TestDeltas:
    @given(
        calls=st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=40)), min_size=1, max_size=4),
        places=st.lists(st.integers(0, 200), max_size=12),
        data=st.data(),
    )
    def test_tool_calls_are_joined_however_they_are_split_and_interleaved(
        self, calls: list[tuple[str, str]], places: list[int], data: st.DataObject
    ) -> None:
        queues = []
        for index, (name, arguments) in enumerate(calls):
            head = {"index": index, "id": f"call_{index}", "type": "function"}
            pieces = [{**head, "function": {"name": name, "arguments": ""}}]
            pieces += [{"index": index, "function": {"arguments": piece}} for piece in cut(arguments, places)]
            queues.append(pieces)
        happened = []
        while any(queues):
            ready = [queue for queue in queues if queue]
            happened.append(delta(tool_calls=[data.draw(st.sampled_from(ready)).pop(0)]))
        transcript, chunks = transcribed(*happened, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
        assert len(chunks) == len(happened)
        assert transcript.tool_calls == [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(calls)
        ]
        assert transcript.output().finish_reason == "tool_calls"

    @given(text=st.text(st.characters(exclude_categories=["Cs"])), places=st.lists(st.integers(0, 200), max_size=12))
    def test_text_is_joined_however_it_is_split(self, text: str, places: list[int]) -> None:
        transcript, chunks = transcribed(*(delta(content=piece) for piece in cut(text, places)), END)
        assert transcript.output().text == text
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text

    def test_a_message_counts_as_a_delta(self) -> None:
        transcript, chunks = transcribed({"choices": [{"message": {"role": "assistant", "content": "all"}}]}, END)
        assert (transcript.output().text, len(chunks)) == ("all", 1)

    def test_a_call_without_an_index_stands_where_it_is_in_its_list(self) -> None:
        calls = [{"id": str(n), "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(2)]
        transcript, _ = transcribed(delta(tool_calls=calls), END)
        assert [call["function"]["name"] for call in transcript.tool_calls] == ["f0", "f1"]

    def test_usage_that_comes_with_every_event_holds_nothing_back(self) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        _, chunks = transcribed(*(delta(content=word) | {"usage": usage} for word in "abc"), END)
        assert [chunk.choices[0].delta.content for chunk in chunks] == ["a", "b", "c"]

    def test_an_end_that_is_spread_over_events_is_one_final_chunk(self) -> None:
        transcript, chunks = transcribed(
            delta(content="a"),
            {"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
            {"choices": [], "tee_signature": "c2ln", "tee_timestamp": 5, "images": ["data:,"]},
        )
        final = transcript.final()
        assert len(chunks) == 1
        assert (final.choices[0].finish_reason, final.choices[0].delta.content) == ("stop", "b")
        assert (final.usage.total_tokens if final.usage else None, final.tee_signature) == (3, "c2ln")
        assert (final.images, final.tee_id, final.tee_payment_address) == (["data:,"], "0xaa", "0xbb")

    def test_a_stream_without_an_end_is_incomplete(self) -> None:
        transcript, _ = transcribed(delta(content="a"))
        with pytest.raises(StreamError, match="before the answer was complete"):
            transcript.final()


class TestMalformed:
    VALUES: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(
                "choices delta message content tool_calls index id function name arguments images usage finish_reason "
                "role model prompt_tokens tee_signature tee_timestamp text".split()
            ),
            inner,
            max_size=4,
        ),
        max_leaves=15,
    )  # fmt: skip

    @given(
        happened=st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "model", "images"]), VALUES), max_size=4)
    )
    def test_an_event_of_any_form_is_read_or_refused_and_never_breaks_the_outcome(self, happened: list[Any]) -> None:
        transcript = Transcript(ENCLAVE)
        try:
            for event in happened:
                transcript.add(event, {})
            transcript.final()
        except StreamError:
            pass
        json.dumps(transcript.outcome(0.0, None).text)
        transcript.output()

    @given(body=st.dictionaries(st.sampled_from(["choices", "usage", "model", "images"]), VALUES))
    def test_a_body_of_any_form_is_read_or_refused(self, body: dict[str, Any]) -> None:
        transcript = Transcript(ENCLAVE)
        with contextlib.suppress(GatewayProtocolError):
            transcript.take(body, {})
        transcript.output()

    @pytest.mark.parametrize("count", [2**64, -1, 1.5, "many", None, True, [], float("inf")])
    def test_numbers_that_no_ledger_can_hold_are_left_out(self, count: Any) -> None:
        transcript, _ = transcribed(END | {"tee_timestamp": 2**64})
        assert transcript.final().tee_timestamp is None
        transcript, _ = transcribed(END | {"usage": {"prompt_tokens": count, "completion_tokens": 2}})
        assert transcript.outcome(0.0, None).prompt_tokens is None


class TestEvents:
    @staticmethod
    async def read(*pieces: bytes, content_type: str = "text/event-stream") -> list[dict[str, Any]]:
        async def body() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        response = httpx.Response(200, content=body(), headers={"Content-Type": content_type})
        return [event async for event in events(response)]

    async def test_events_are_read_up_to_done_and_the_rest_is_left_out(self) -> None:
        assert await self.read(b'data: {"a": 1}\n\ndata:{"a"', b": 2}\n\ndata: [DONE]\n\n", b"data: nonsense\n\n") == [
            {"a": 1},
            {"a": 2},
        ]

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            (b"data: {\n\n", "not JSON"),
            (b"data: 5\n\n", "not JSON"),
            (b'data: {"error": "Stream processing failed"}\n\n', "Stream processing failed"),
            (b'data: {"error": {"message": "overloaded"}}\n\n', "overloaded"),
            (b'data: {"a": 1}', "in the middle of an event"),
        ],
    )
    async def test_an_event_that_is_none_breaks_the_stream(self, sent: bytes, words: str) -> None:
        with pytest.raises(StreamError, match=words) as caught:
            await self.read(b'data: {"a": 0}\n\n', sent)
        assert "may be charged" in caught.value.money

    async def test_a_page_is_no_stream(self) -> None:
        with pytest.raises(GatewayProtocolError, match="HTML"):
            await self.read(b"<html>data: {}</html>", content_type="text/html; charset=utf-8")

    async def test_half_of_a_surrogate_pair_is_replaced_and_a_whole_one_kept(self) -> None:
        (event,) = await self.read(b'data: {"half": "a\\ud83d", "whole": "\\uD83D\\uDE00"}\n\n')
        assert event == {"half": "a?", "whole": "\U0001f600"}
        assert read_json(b'{"half": "\\udc00"}', 200) == {"half": "?"}


class TestCaptures:
    @pytest.mark.parametrize("mode", ["private", "batch", "individual"])
    async def test_a_stream_of_the_real_gateway_is_read_whole(
        self, vector: Callable[[str], dict[str, Any]], mode: str
    ) -> None:
        exchanges = vector(f"ok_{mode}_stream")["exchanges"]
        answers = [e["response"] for e in exchanges if e["response"]["chunks"][0].startswith("data:")]
        assert answers
        for answer in answers:
            transcript = Transcript(ENCLAVE)
            for event in await TestEvents.read(*(piece.encode() for piece in answer["chunks"])):
                transcript.add(event, httpx.Headers(answer["headers"]))
            final = transcript.final()
            assert final.tee_output_hash == keccak(transcript.output().text.encode()).hex()
            assert (final.data_settlement_blob_id is not None) == (mode == "individual")
            assert final.usage is not None

    @pytest.mark.parametrize(
        "name",
        ["ok_private_nonstream", "ok_batch_nonstream", "ok_individual_nonstream", "ok_completion", "err_ok_tools"],
    )
    def test_an_answer_of_the_real_gateway_is_read_whole(
        self, vector: Callable[[str], dict[str, Any]], name: str
    ) -> None:
        for exchange in vector(name)["exchanges"]:
            answer = exchange["response"]
            if answer["status"] != 200:
                continue
            transcript = Transcript(ENCLAVE)
            transcript.take(read_json("".join(answer["chunks"]).encode(), 200), httpx.Headers(answer["headers"]))
            output = transcript.output()
            signed = json.dumps(output.tool_calls, sort_keys=True) if output.tool_calls else output.text
            assert output.tee_output_hash == keccak(signed.encode()).hex()
            assert (output.completion_output is not None) == (name == "ok_completion")
            assert (output.data_settlement_blob_id is not None) == ("individual" in name)
