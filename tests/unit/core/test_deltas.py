"""Pieces of function calls become the calls that a person reads in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.deltas import CallDeltas


def joined(*events: Any) -> list[dict[str, Any]]:
    deltas = CallDeltas()
    for event in events:
        deltas.add(event)
    return deltas.calls


def piece(name: Any = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    # Sorted by key, as the real gateway sends whole answers: what comes first must not matter.
    function = {key: value for key, value in (("arguments", arguments), ("name", name)) if value is not None}
    return fields | ({"function": function} if function else {})


def read(calls: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(call.get("id"), call["function"].get("name"), call["function"].get("arguments")) for call in calls]


TWO = [("a", "f", "{}"), ("b", "g", "{}")]


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        ([[piece("f", "{}", id="a", index=0)], [piece("g", "{}", id="b", index=1)]], TWO),
        ([[piece("f", "{}", id="a", index=0)], [piece("g", "{}", id="b", index=0)]], TWO),
        ([[piece("f", "{}", id="a", index=None)], [piece("g", "{}", id="b", index=None)]], TWO),
        ([[piece("f", "{}", id="a")], [piece("g", "{}", id="b")]], TWO),
        ([[piece("f", "{}", id="a"), piece("g", "{}", id="b")]], TWO),
        ([[piece("g", "{}", id="b", index=2)], [piece("f", "{}", id="a", index=1)]], TWO),
        ([[piece("f", "{", id="a")], [piece("g", "{", id="b")], [piece(None, "}", id="a")], [piece(None, "}", id="b")]], TWO),
        ([[piece("f", "{}")], [piece("f", "{}")]], [(None, "f", "{}")] * 2),
        ([[piece("f", ""), piece("g", "")]], [(None, "f", ""), (None, "g", "")]),
        ([[piece("f", '{"x":', index=0)], [piece(None, "1}", index=0)]], [(None, "f", '{"x":1}')]),
        ([[piece("f", "{", id="a", index=0)], [piece("", "}", id="", index=0)]], [("a", "f", "{}")]),
        ([[piece("f", "{}", id="a", index=0)], [piece(None, "", id="", index=0)]], [("a", "f", "{}")]),
        ([[piece("f", "{}", index=0)], [piece("f", "", index=0)]], [(None, "f", "{}")]),
        ([[piece("f", "{", id="a", index=0)], [piece("f", "}", id="a", index=0)]], [("a", "f", "{}")]),
        ([[piece("get_", id="a", index=0)], [piece("price", index=0)], [piece(None, "{}", index=0)]], [("a", "get_price", "{}")]),
        ([[piece("f", {"x": 1}, id="a")]], [("a", "f", '{"x": 1}')]),
        ([piece("f", "{}", id=7)], [("7", "f", "{}")]),
        ([None, [], ["text"], [None], [piece("f", "{}", id="a")]], [("a", "f", "{}")]),
    ],
)  # fmt: skip
def test_a_person_reads_these_calls(events: list[Any], calls: list[tuple[Any, ...]]) -> None:
    assert read(joined(*events)) == calls


def test_what_belongs_to_a_call_stays_with_it_and_what_never_came_is_not_there() -> None:
    assert joined([{"index": 0, "extra_content": {"sign": "x"}, "function": {"name": "f", "arguments": None}}]) == [
        {"extra_content": {"sign": "x"}, "function": {"name": "f", "arguments": ""}}
    ]


_JSON = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3).map(json.dumps)
_CALLS = st.lists(st.tuples(st.sampled_from(["f", "get_price", "add"]), _JSON), min_size=1, max_size=4)


@given(_CALLS, st.sampled_from(["each", "none", "null", "same", "one"]), st.booleans(), st.booleans(), st.data())
def test_however_they_are_cut_and_numbered_the_calls_come_out(
    calls: list[tuple[str, str]], numbering: str, with_ids: bool, repeats_name: bool, data: st.DataObject
) -> None:
    deltas = CallDeltas()
    for number, (name, arguments) in enumerate(calls):
        index = {"each": number, "one": number + 1, "same": 0, "null": None, "none": None}[numbering]
        place = {} if numbering == "none" else {"index": index}
        cuts = sorted(data.draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        if numbering == "same" and not with_ids:
            cuts = [cut for cut in cuts if cut]  # a name alone at the same index may be that of the call before
        parts = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        for turn, part in enumerate(parts):
            head = {"id": f"call-{number}", "type": "function"} if with_ids and not turn else {}
            deltas.add([piece(name if not turn or (repeats_name and with_ids) else None, part, **place, **head)])
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in deltas.calls] == calls
