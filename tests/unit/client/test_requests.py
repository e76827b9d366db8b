"""The bodies that are sent, and the arguments that are refused before anything is paid."""

from __future__ import annotations

import re
from typing import Any

import pytest

from og_magics import TEE_LLM, ResponseFormat, x402SettlementMode
from og_magics.client.requests import chat_request, completion_request, whole_where_calls_are_joined
from og_magics.core.errors import ConfigError
from og_magics.core.options import BODY
from og_magics.core.types import ChatRequest

ASK: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


PARAMETERS = ("max_tokens", "temperature", "stream", "aspect_ratio", "resolution")


def chat(messages: Any = None, model: Any = "openai/gpt-5", **changes: Any) -> ChatRequest:
    parameters = {"max_tokens": 100, "temperature": 0.0, "stream": False}
    parameters |= {name: changes.pop(name) for name in PARAMETERS if name in changes}
    arguments = {"settlement": "batch", "origin": ("3", "notes.ipynb"), "parameters": parameters}
    return chat_request(model, ASK if messages is None else messages, **(arguments | changes))


def completion(prompt: Any, **changes: Any) -> ChatRequest:
    parameters = {"max_tokens": 100, "temperature": 0.0}
    parameters |= {name: changes.pop(name) for name in PARAMETERS if name in changes}
    arguments = {"settlement": "private", "origin": ("", ""), "parameters": parameters}
    return completion_request("openai/gpt-5", prompt, **(arguments | changes))


class TestBodies:
    def test_what_was_not_asked_for_is_not_in_the_body(self) -> None:
        question = chat()
        assert question.body == {"model": "gpt-5", "messages": ASK, "max_tokens": 100, "temperature": 0.0}
        assert (question.model, question.provider, question.path) == ("openai/gpt-5", "openai", "/v1/chat/completions")
        assert (question.cell, question.notebook, question.stream) == ("3", "notes.ipynb", False)
        assert question.settlement is x402SettlementMode.BATCH_HASHED

    def test_everything_that_was_asked_for_is(self) -> None:
        form = ResponseFormat("json_object")
        body = chat(stop_sequence="end", temperature=1, tools=[TOOL], response_format=form, stream=True).body
        assert body == {
            "model": "gpt-5",
            "messages": ASK,
            "max_tokens": 100,
            "temperature": 1.0,
            "stream": True,
            "stop": ["end"],
            "tools": [TOOL],
            "tool_choice": "auto",
            "response_format": {"type": "json_object"},
        }
        assert isinstance(body["temperature"], float)

    def test_the_body_is_a_copy_of_the_messages(self) -> None:
        messages = [dict(ASK[0])]
        body = chat(messages).body
        messages[0]["content"] = "changed"
        messages.append({})
        assert body["messages"] == ASK

    def test_a_developer_s_message_goes_as_the_system_s_that_gateways_sign_it_as(self) -> None:
        assert chat([{"role": "developer", "content": "be"}, *ASK]).body["messages"][0]["role"] == "system"

    def test_a_model_whose_streamed_calls_are_joined_is_asked_for_the_whole(self) -> None:
        asked = chat(model="google/gemini-2.5-flash", tools=[TOOL], stream=True)
        assert asked.stream
        assert not whole_where_calls_are_joined(asked).stream
        for other in (chat(model="google/gemini-2.5-flash", stream=True), chat(tools=[TOOL], stream=True)):
            assert whole_where_calls_are_joined(other) is other

    def test_a_completion_has_a_prompt(self) -> None:
        question = completion("Once", stop_sequence=["."])
        assert question.path == "/v1/completions"
        assert question.body == {
            "model": "gpt-5", "prompt": "Once", "max_tokens": 100, "temperature": 0.0, "stop": ["."],
        }  # fmt: skip

    @pytest.mark.parametrize("model", list(TEE_LLM))
    def test_every_model_of_the_sdk_goes_without_its_provider(self, model: TEE_LLM) -> None:
        question = chat(model=model)
        assert f"{question.provider}/{question.body['model']}" == model.value

    def test_a_model_newer_than_the_catalogue_is_taken_as_it_is(self) -> None:
        assert chat(model="acme/m-1:large").body["model"] == "m-1:large"

    def test_an_assistant_without_content_and_a_tool_result_are_taken(self) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages = [
            *ASK,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": ""},
        ]
        assert chat(messages).body["messages"] == messages

    @pytest.mark.parametrize(
        "name", ["individual", "INDIVIDUAL_FULL", "individual-full", x402SettlementMode.INDIVIDUAL_FULL]
    )
    def test_a_mode_may_be_named_in_several_ways(self, name: Any) -> None:
        assert chat(settlement=name).settlement is x402SettlementMode.INDIVIDUAL_FULL


class TestRefusals:
    @pytest.mark.parametrize(
        "changes",
        [
            {"max_tokens": 0},
            {"max_tokens": 1.5},
            {"max_tokens": True},
            {"temperature": -1},
            {"temperature": 2.5},
            {"temperature": float("nan")},
            {"temperature": "hot"},
            {"settlement": "public"},
            {"tools": [{}]},
            {"tools": TOOL},
            {"tools": [{"type": "function", "function": {"parameters": {}}}]},
            {"tools": [dict(TOOL, default=float("inf"))]},
            {"tools": [dict(TOOL, default=object())]},
            {"stop_sequence": ["a", "b", "c", "d", "e"]},
            {"stop_sequence": ["a", ""]},
            {"stop_sequence": [5]},
            {"model": "gpt-nope"},
            {"model": "/gpt-5"},
            {"model": "openai/"},
        ],
        ids=lambda changes: re.sub(" at 0x[0-9a-f]+", "", str(changes)),
    )
    def test_an_argument_that_would_be_paid_and_refused_is_refused_first(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            chat(**changes)

    @pytest.mark.parametrize(
        "messages",
        [
            [],
            "Hello",
            {"role": "user"},
            [None],
            [{"content": "Hello"}],
            [{"role": "user", "content": ""}],
            [{"role": "user", "content": []}],
            [{"role": "user", "content": b"bytes"}],
            [{"role": "user", "content": {"type": "text", "text": "Hello"}}],
            [{"role": "user", "content": ["Hello"]}],
            [{"role": "user", "content": [{"type": "text"}]}],
            [{"role": "system", "content": None}],
            [{"role": "tool", "content": "5"}],
            [{"role": "alien", "content": "Hello"}],
            [{"role": "user", "content": "\udc80"}],
        ],
        ids=repr,
    )
    def test_messages_that_say_nothing_are_refused(self, messages: Any) -> None:
        with pytest.raises(ConfigError):
            chat(messages)

    @pytest.mark.parametrize("prompt", ["", " \n", None, 5, "\ud800"], ids=repr)
    def test_a_prompt_that_says_nothing_is_refused(self, prompt: Any) -> None:
        with pytest.raises(ConfigError):
            completion(prompt)

    def test_a_model_that_is_nearly_known_is_suggested(self) -> None:
        with pytest.raises(ConfigError) as caught:
            chat(model="gpt-55")
        assert "Did you mean gpt-5" in caught.value.remedy


class TestImages:
    @pytest.mark.parametrize(
        ("model", "options"),
        [
            ("openai/gpt-image-2", {"aspect_ratio": "16:9"}),
            ("google/gemini-2.5-flash-image", {"aspect_ratio": "1:1"}),
            ("bytedance/seedance-5.0", {"aspect_ratio": "4:3", "resolution": "2K"}),
            ("acme/paints", {"aspect_ratio": "2:1", "resolution": "8K"}),
        ],
    )
    def test_an_image_model_has_its_options_in_the_body(self, model: str, options: dict[str, str]) -> None:
        assert chat(model=model, **options).body.items() >= options.items()

    def test_auto_is_no_aspect_ratio(self) -> None:
        assert "aspect_ratio" not in chat(model="openai/gpt-image-2", aspect_ratio="auto").body

    @pytest.mark.parametrize(
        ("model", "options", "reason"),
        [
            ("openai/gpt-5", {"aspect_ratio": "16:9"}, "makes no images"),
            ("openai/gpt-5", {"resolution": "2K"}, "makes no images"),
            ("openai/gpt-image-2", {"resolution": "2K"}, "has no resolution"),
            ("bytedance/seedance-5.0", {"resolution": "4K"}, "has no resolution"),
            ("openai/gpt-image-2", {"aspect_ratio": "wide"}, "aspect_ratio is 'wide'"),
            ("acme/paints", {"aspect_ratio": "0:1"}, "aspect_ratio is '0:1'"),
        ],
    )
    def test_an_option_that_the_model_lacks_is_refused_unpaid(
        self, model: str, options: dict[str, str], reason: str
    ) -> None:
        with pytest.raises(ConfigError, match=reason):
            chat(model=model, **options)

    @pytest.mark.parametrize(
        ("model", "url", "count", "reason"),
        [
            ("openai/gpt-image-2", "data:image/png;base64,AAAA", 10, ""),
            ("openai/gpt-image-2", "data:image/png;base64,AAAA", 11, "10 reference images at most"),
            ("bytedance/seedream-4.0", "https://a.org/b.png", 1, "as data: URIs only"),
            ("x-ai/grok-imagine-image", "data:image/png;base64,AAAA", 1, "draws from text alone"),
            ("zai/glm-image", "data:image/png;base64,AAAA", 1, "draws from text alone"),
            ("openai/gpt-5", "https://a.org/b.png", 30, ""),
            ("acme/paints", "https://a.org/b.png", 30, ""),
        ],
    )
    def test_reference_images_are_those_that_the_model_takes(
        self, model: str, url: str, count: int, reason: str
    ) -> None:
        parts = [{"type": "text", "text": "Draw it."}] + [{"type": "image_url", "image_url": {"url": url}}] * count
        messages = [{"role": "user", "content": parts}]
        if reason:
            with pytest.raises(ConfigError, match=reason):
                chat(messages, model=model)
        else:
            assert chat(messages, model=model).body["messages"] == messages

    def test_nothing_asks_for_reasoning_effort_by_itself(self) -> None:
        assert "reasoning_effort" not in BODY
