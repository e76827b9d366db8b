"""The practice network's model: what it says, how it ends, and the words that steer it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from og_magics.devnet.gateway.prices import cost
from og_magics.devnet.model.protocol import Delta, Ending, Fault, Garbage, Piece, Usage
from og_magics.devnet.model.simulated import KNOWN_MODELS, SimulatedModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
UNKNOWN = "Who is Ada?"
PRICE = {"type": "function", "function": {"name": "get_token_price", "parameters": {"type": "object"}}}


def request(content: Any = "What is x402?", model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


async def answer(body: Mapping[str, Any]) -> tuple[list[Piece], Ending]:
    *pieces, ending = [piece async for piece in SimulatedModel(0).answer(body)]
    assert isinstance(ending, Ending)
    return pieces, ending


async def text(body: Mapping[str, Any]) -> str:
    pieces, _ending = await answer(body)
    return "".join(piece.fields.get("content", "") for piece in pieces if isinstance(piece, Delta))


async def called(body: Mapping[str, Any]) -> tuple[str, Any]:
    """Name and arguments of the tool call."""
    pieces, ending = await answer(body)
    assert ending.finish_reason == "tool_calls"
    calls = [p.fields["tool_calls"][0]["function"] for p in pieces if isinstance(p, Delta)]
    return calls[0]["name"], json.loads("".join(call["arguments"] for call in calls))


async def test_an_unknown_question_gets_a_sample_that_says_so_and_repeats_the_question() -> None:
    said = await text(request(UNKNOWN))
    assert said.startswith(
        'Here is a direct answer: a prepared sample of Markdown. No model thought about "Who is Ada?".'
    )
    for part in ("**strong**", "\n1. ", "\n|---|", "\n```python\n", "\n$$"):
        assert part in said


async def test_a_known_question_gets_its_prepared_answer_however_it_is_typed() -> None:
    answers = {await text(request(q)) for q in ("What is x402?", "what is X402", "  What   is\nx402 ?!")}
    assert len(answers) == 1
    assert "402 Payment Required" in answers.pop()


async def test_an_answer_leaves_out_whole_blocks_to_keep_to_its_limit() -> None:
    whole = await text(request())
    for limit in range(60, 160, 20):
        (pieces, ending), said = await answer(request(max_tokens=limit)), await text(request(max_tokens=limit))
        assert len(pieces) <= limit
        assert ending.finish_reason == "stop"
        assert whole.startswith(f"{said}\n\n")


async def test_the_same_request_has_the_same_answer() -> None:
    assert await text(request()) == await text(request())


async def test_the_families_answer_in_different_words() -> None:
    for question in (UNKNOWN, "Explain what a Trusted Execution Environment is in two sentences."):
        models = ("gpt-5", "claude-sonnet-4-6", "gemini-2.5-pro", "grok-4")
        openings = {(await text(request(question, model)))[:40] for model in models}
        assert len(openings) == 4


async def test_the_system_message_and_the_turn_show_in_the_answer() -> None:
    body = request("And now?")
    body["messages"] = [{"role": "system", "content": "Be brief."}, *request()["messages"], *body["messages"]]
    said = await text(body)
    assert "Be brief." in said
    assert "turn 2" in said


async def test_tokens_are_words_and_usage_counts_them() -> None:
    pieces, ending = await answer(request("one two three"))
    assert ending.usage == Usage(3, len(pieces))
    assert all(len(piece.fields["content"].split()) == 1 for piece in pieces if isinstance(piece, Delta))


async def test_the_answer_is_cut_at_max_tokens() -> None:
    pieces, ending = await answer(request(max_tokens=4))
    assert (len(pieces), ending.finish_reason) == (4, "length")


@pytest.mark.parametrize("stop", ["x402", ["never", "x402"]])
async def test_the_answer_ends_before_a_stop_sequence(stop: Any) -> None:
    body = request("Say x402", stop=stop)
    assert (await text(body)).endswith('"Say ')
    assert (await answer(body))[1].finish_reason == "stop"


async def test_the_answer_has_as_many_words_as_asked_for() -> None:
    assert len((await text(request("Tell me more [[words:123]]"))).split()) == 123
    assert len((await text(request("Tell me more [[words:3]]"))).split()) == 3


async def test_json_formats_are_obeyed() -> None:
    assert json.loads(await text(request(response_format={"type": "json_object"})))["simulated"] is True
    schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 18}}, "required": ["age"]}
    asked = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    assert json.loads(await text(request(response_format=asked))) == {"age": 18}


async def test_the_tool_that_the_question_names_is_called_with_valid_arguments() -> None:
    assert await called(request("What is the weather?", tools=[PRICE, WEATHER])) == ("get_weather", {"city": "city"})
    assert await called(request("Hello", tools=[PRICE, WEATHER])) == ("get_token_price", {})


async def test_tool_choice_is_obeyed() -> None:
    tools = [PRICE, WEATHER]
    assert (await text(request(tools=tools, tool_choice="none"))).startswith("**x402**")
    assert (await called(request(tools=tools, tool_choice="required")))[0] == "get_token_price"
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert (await called(request(tools=tools, tool_choice=named)))[0] == "get_weather"


async def test_a_tool_s_result_is_answered_from_and_a_new_question_calls_again() -> None:
    body = request("The weather?", tools=[WEATHER])
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "17 degrees"},
    ]
    assert "The tool get_weather returned 17 degrees." in await text(body)
    body["messages"].append({"role": "user", "content": "And the weather in Rome?"})
    assert (await called(body))[0] == "get_weather"


async def test_a_prompt_is_answered_like_a_message() -> None:
    assert await text({"model": "gpt-5", "prompt": "What is x402?"}) == await text(request())


async def test_half_a_surrogate_pair_does_not_get_into_the_answer() -> None:
    assert (await text(request("broken \ud83d emoji"))).encode()


async def test_attachments_are_mentioned() -> None:
    parts = [{"type": "text", "text": "Describe this"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert '"Describe this (image_url)"' in await text(request(parts))


async def test_image_models_give_one_picture() -> None:
    _pieces, ending = await answer(request("a cat", model="seedream-4.0"))
    (picture,) = ending.images
    assert picture.startswith("data:image/png;base64,")
    assert ending.usage.images == 1


@pytest.mark.parametrize(("word", "kind"), [("500", "500"), ("503", "503"), ("html", "html"), ("stream", "500")])
async def test_failures_are_raised_as_asked(word: str, kind: str) -> None:
    with pytest.raises(Fault) as raised:
        await answer(request(f"Hi [[fail:{word}]]"))
    assert raised.value.kind == kind


@pytest.mark.parametrize(("word", "kind"), [("stream", "500"), ("cut", "cut")])
async def test_a_stream_can_fail_midway(word: str, kind: str) -> None:
    pieces = []
    with pytest.raises(Fault) as raised:  # noqa: PT012 - what came before the failure counts
        async for piece in SimulatedModel(0).answer(request(f"Hi [[fail:{word}]]", stream=True)):
            pieces.append(piece)  # noqa: PERF401 - a comprehension would lose them
    assert raised.value.kind == kind
    assert pieces


async def test_broken_json_and_a_missing_end_are_part_of_the_answer() -> None:
    pieces, _ending = await answer(request("[[fail:badjson]]", stream=True))
    assert any(isinstance(piece, Garbage) for piece in pieces)
    assert (await answer(request("[[fail:nofinal]]", stream=True)))[1].silent


async def test_steering_words_do_not_show_in_the_answer() -> None:
    assert "[[" not in await text(request("Hello [[slow:0]] [[words:30]]"))


def test_only_listed_models_are_known() -> None:
    assert SimulatedModel(0).knows("gpt-5")
    assert not SimulatedModel(0).knows("gpt-nope")
    assert not SimulatedModel(0).knows("openai/gpt-5")


def test_a_call_is_charged_by_its_model_and_rounded_up() -> None:
    assert cost("gpt-5", Usage(1_000_000, 0)) == 625 * 10**16
    assert cost("gpt-5-mini", Usage(0, 1_000_000)) == 10 * 10**18
    assert cost("gpt-5", Usage(0, 0)) == 0
    assert cost("somebody-elses-model", Usage(1, 0)) == 5 * 10**12
    assert 0 < max(cost(model, Usage(50, 150)) for model in KNOWN_MODELS) < 10**17


async def calls(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and arguments, as text, of each call; the deltas joined by their index."""
    pieces, ending = await answer(body)
    joined: dict[int, dict[str, str]] = {}
    for piece in pieces:
        for delta in piece.fields.get("tool_calls", []) if isinstance(piece, Delta) else []:
            call = joined.setdefault(delta["index"], {"id": delta.get("id", ""), "name": "", "arguments": ""})
            for part, value in delta["function"].items():
                call[part] += value
    assert (ending.finish_reason == "tool_calls") is bool(joined)
    assert len({call["id"] for call in joined.values()}) == len(joined)
    return [(call["name"], call["arguments"]) for call in joined.values()]


async def test_a_prompt_names_the_calls_and_their_arguments() -> None:
    prompt = '[[call:get_weather]][[call:get_weather({"city": "Rom)"})]][[call:nothing]][[call:broken({)]] go'
    assert await calls(request(prompt, tools=[WEATHER])) == [
        ("get_weather", '{"city": "city"}'), ("get_weather", '{"city": "Rom)"}'), ("nothing", "{}"), ("broken", "{"),
    ]  # fmt: skip
    assert await calls(request(prompt)) == []  # none is offered
    assert 'No model thought about "go".' in await text(request(prompt))


async def test_functions_are_called_again_for_as_many_rounds_as_the_prompt_says() -> None:
    body = request("[[rounds:2]][[say:Let me look. ]]The weather?", tools=[WEATHER])
    for _ in range(2):
        assert len(await calls(body)) == 1
        assert await text(body) == "Let me look. "
        said = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "get_weather"}}]}
        result = {"role": "tool", "tool_call_id": "c", "content": "17 degrees"}
        body["messages"] = [*body["messages"], said, result, result]
    assert await calls(body) == []
    assert "returned 17 degrees" in await text(body)
