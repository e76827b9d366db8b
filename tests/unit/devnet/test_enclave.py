"""The hashes that the devnet's enclave signs, against answers of a real gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from og_magics.devnet.gateway.enclave import canonical_request, output_hash, request_hash, signed_output

MODEL = "gpt-4.1-2025-04-14"
TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"messages": [{"role": "user", "content": "again tokens=3"}]},
            "b77e6aa9d3ba9baf471f3f2b7bb5b9a695db506faa0233bbc9c31a8e897a516f",
        ),
        ({"prompt": "tokens=3"}, "eaba25c721b42565227e4b837c6f3d3eb476a6e636a78fac4092115742682d42"),
        (
            {
                "messages": [{"role": "user", "content": "tool=1"}],
                "tools": [{"type": "function", "function": TOOL}],
                "tool_choice": "auto",
            },
            "d8db81d9d80c38d00f7cd90d3fe0bba7a1a9f6843d703b75152d80570fa722e4",
        ),
    ],
    ids=["chat", "completion", "tools"],
)
def test_a_request_is_hashed_as_the_real_gateway_hashed_it(body: dict[str, Any], expected: str) -> None:
    sent = {"model": MODEL, "max_tokens": 100, "temperature": 0.0, "stream": True} | body
    assert request_hash(canonical_request(sent)).hex() == expected


def test_an_answer_is_hashed_as_the_real_gateway_hashed_it() -> None:
    text = "tok0 tok1 tok2 "
    assert output_hash(text).hex() == "83ac6fbfa1016fa3b537a9bbbc43c1a239ece7a8f05a1a2ea2d9184015794646"
    call = {"index": 0, "id": "call_1", "type": "function"}
    call["function"] = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    hashed = output_hash(signed_output("", [call])).hex()
    assert hashed == "1f0f20185d50442efcef1911793ef7e5e09834db7c50217a15c779df0db9b122"


def test_only_what_the_hash_covers_is_canonical() -> None:
    body = {
        "model": "gpt-5",
        "messages": [
            {"role": "developer", "content": "Be brief.", "name": "boss"},
            {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "file", "file": {"filename": "a.pdf", "file_data": "x"}}]},
            {"role": "assistant", "content": None},
            {"role": "tool", "content": "42", "tool_call_id": "call_1", "extra": 1},
        ],
        "temperature": 1,
        "stop": [],
        "seed": 4,
        "user": "me",
        "web_search": True,
    }  # fmt: skip
    assert json.loads(canonical_request(body)) == {
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "file", "filename": "a.pdf"}]},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "42", "tool_call_id": "call_1"},
        ],
        "temperature": 1.0,
        "web_search": True,
    }
    assert '"temperature": 1.0' in canonical_request(body)
