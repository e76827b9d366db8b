"""The event stream decoder: the standard's cases, and properties that hold however the network cuts the bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.sse import EventTooLarge, ServerSentEvent, SSEDecoder

STREAMS = ["ok_private_stream", "ok_batch_stream", "ok_individual_stream", "err_upstream500_stream"]

# Pieces that meet the decoder's branches far more often than random bytes would.
fragments = st.sampled_from(
    [
        *(b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"\r", b"\n", b"\r\n", b"\n\n", b"x", b"12"),
        *(b"\xef\xbb\xbf", b"\0", b"\xff", b"\xe2\x82", "é€😀".encode(), "\u2028\x85\x0b".encode()),
    ]
)
streams = st.lists(fragments | st.binary(max_size=5), max_size=40).map(b"".join)
# Any text but the two characters that end a line; a lone surrogate has no UTF-8.
lines = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.close()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(bounds)]


class TestEveryChunking:
    @given(streams, st.lists(st.integers(min_value=0), max_size=12))
    def test_gives_the_same_events(self, stream: bytes, places: list[int]) -> None:
        assert decode(*cut(stream, places)) == decode(stream)

    @given(streams)
    def test_gives_the_same_events_byte_by_byte(self, stream: bytes) -> None:
        assert decode(*(bytes([byte]) for byte in stream)) == decode(stream)

    @given(streams, st.lists(st.integers(min_value=0), max_size=12))
    def test_says_the_same_about_a_cut_stream(self, stream: bytes, places: list[int]) -> None:
        whole, pieces = SSEDecoder(), SSEDecoder()
        whole.feed(stream)
        for chunk in cut(stream, places):
            pieces.feed(chunk)
        assert pieces.pending == whole.pending

    def test_reads_one_long_event_from_single_bytes(self) -> None:
        text = "x" * 200_000
        assert decode(*(bytes([byte]) for byte in f"data: {text}\n\n".encode())) == [ServerSentEvent(text)]


class TestLineEnds:
    @given(st.lists(lines.filter(lambda line: not line.startswith("\ufeff"))))
    def test_cr_lf_and_crlf_mean_the_same(self, stream_lines: list[str]) -> None:
        lf, cr, crlf = ((end.join(stream_lines) + end * 2).encode() for end in ("\n", "\r", "\r\n"))
        assert decode(lf) == decode(cr) == decode(crlf)

    def test_an_event_that_ends_in_cr_does_not_wait_for_more(self) -> None:
        assert SSEDecoder().feed(b"data: a\r\r") == [ServerSentEvent("a")]

    def test_a_crlf_cut_in_two_is_one_line_end(self) -> None:
        assert decode(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [ServerSentEvent("a\nb")]

    def test_other_unicode_line_breaks_do_not_end_a_line(self) -> None:
        text = "a\u2028b\u2029c\x0bd\x0ce\x85f\x1cg"
        assert decode(f"data: {text}\n\n".encode()) == [ServerSentEvent(text)]


class TestFields:
    @given(st.lists(lines, min_size=1), st.sampled_from(["\n", "\r", "\r\n"]))
    def test_text_lines_survive_the_round_trip(self, data: list[str], end: str) -> None:
        stream = "".join(f"data: {line}{end}" for line in data) + end
        assert decode(stream.encode()) == [ServerSentEvent("\n".join(data))]

    def test_data_needs_no_space_and_loses_only_one(self) -> None:
        assert decode(b"data:a\ndata: b\ndata:  c\n\n") == [ServerSentEvent("a\nb\n c")]

    def test_a_field_name_alone_is_an_empty_value(self) -> None:
        assert decode(b"data\n\n") == [ServerSentEvent("")]
        assert decode(b"data\ndata\n\n") == [ServerSentEvent("\n")]

    def test_comments_and_unknown_fields_are_ignored(self) -> None:
        assert decode(b": hello\n:\nfoo: bar\nData: x\ndata: a\n\n: bye\n\n") == [ServerSentEvent("a")]

    def test_event_and_retry_belong_to_one_event_and_id_to_all_later_ones(self) -> None:
        assert decode(b"event: e\nid: 7\nretry: 30\ndata: a\n\ndata: b\n\nid\ndata: c\n\n") == [
            ServerSentEvent("a", event="e", id="7", retry=30),
            ServerSentEvent("b", id="7"),
            ServerSentEvent("c"),
        ]

    def test_an_id_with_a_null_and_a_retry_that_is_no_number_are_ignored(self) -> None:
        stream = b"id: 1\nid: 2\0\nretry: +5\nretry: \xd9\xa3\nretry: " + b"9" * 5000 + b"\ndata: a\n\n"
        assert decode(stream) == [ServerSentEvent("a", id="1")]

    def test_a_block_without_data_is_no_event_and_its_type_is_forgotten(self) -> None:
        assert decode(b"event: e\n\ndata: a\n\n") == [ServerSentEvent("a")]


class TestText:
    def test_one_byte_order_mark_at_the_start_is_dropped(self) -> None:
        assert decode(b"\xef", b"\xbb\xbfdata: a\n\n") == [ServerSentEvent("a")]

    def test_a_second_byte_order_mark_is_text(self) -> None:
        assert decode(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n") == [ServerSentEvent("b")]

    def test_a_character_may_be_cut_in_two(self) -> None:
        assert decode(b"data: \xf0\x9f", b"\x98\x80\n\n") == [ServerSentEvent("😀")]

    @given(streams)
    def test_broken_utf8_is_replaced_as_if_the_whole_stream_were_decoded(self, stream: bytes) -> None:
        repaired = stream.decode("utf-8", errors="replace").encode()
        assert decode(stream) == decode(repaired)


class TestEnd:
    def test_an_event_is_dispatched_only_by_a_blank_line(self) -> None:
        decoder = SSEDecoder()
        assert decoder.feed(b"data: a\n") == []
        assert decoder.feed(b"\n") == [ServerSentEvent("a")]

    @pytest.mark.parametrize("rest", [b"data: b\n", b"data: b", b"d", b"event: e\n"])
    def test_an_unfinished_event_is_discarded_and_the_cut_is_told(self, rest: bytes) -> None:
        decoder = SSEDecoder()
        assert decoder.feed(b"data: a\n\n" + rest) == [ServerSentEvent("a")]
        assert decoder.close() == []
        assert decoder.pending

    def test_a_stream_that_ends_after_an_event_is_not_pending(self) -> None:
        decoder = SSEDecoder()
        decoder.feed(b"data: a\n\n: still here\n")
        decoder.close()
        assert not decoder.pending


class TestSize:
    @pytest.mark.parametrize(
        "stream", [b"data: " + b"x" * 100, b"data: 123456\n" * 20, b"x" * 100], ids=["line", "lines", "no field"]
    )
    def test_an_event_over_the_limit_is_refused(self, stream: bytes) -> None:
        with pytest.raises(EventTooLarge, match="64 bytes"):
            SSEDecoder(max_event_bytes=64).feed(stream)

    def test_a_refused_stream_stays_refused(self) -> None:
        decoder = SSEDecoder(max_event_bytes=64)
        for chunk in (b"data: " + b"x" * 100, b"\n\ndata: a\n\n"):
            with pytest.raises(EventTooLarge):
                decoder.feed(chunk)

    def test_the_limit_is_for_one_event_and_not_for_the_stream(self) -> None:
        decoder = SSEDecoder(max_event_bytes=64)
        assert len(decoder.feed(b"data: 0123456789\n\n: comment\n" * 100)) == 100

    def test_comments_between_data_lines_do_not_count(self) -> None:
        decoder = SSEDecoder(max_event_bytes=64)
        assert decoder.feed(b"data: a\n" + b": ping\n" * 100 + b"\n") == [ServerSentEvent("a")]


class TestCaptures:
    @pytest.mark.parametrize("name", STREAMS)
    def test_the_gateways_streams_decode(self, name: str, vector: Callable[[str], dict[str, Any]]) -> None:
        response = vector(name)["exchanges"][1]["response"]
        events = decode(*(chunk.encode() for chunk in response["chunks"]))
        assert [f"data: {event.data}\n\n" for event in events] == response["chunks"]
        if name.startswith("ok"):
            *_, final, done = events
            assert "tee_signature" in json.loads(final.data)
            assert done.data == "[DONE]"
        else:
            assert [json.loads(event.data) for event in events] == [{"error": "Stream processing failed"}]
