"""The bodies that are sent, and the arguments that are refused before anything is paid."""

from __future__ import annotations

import re
from typing import Any

import pytest

from og_magics import TEE_LLM, ResponseFormat, x402SettlementMode
from og_magics.calls.questions import chat_question, completion_question
from og_magics.errors import ConfigError
from og_magics.types import Question

ASK: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(messages: Any = None, model: Any = "openai/gpt-5", **changes: Any) -> Question:
    arguments: dict[str, Any] = {
        "max_tokens": 100,
        "stop_sequence": None,
        "temperature": 0.0,
        "tools": None,
        "tool_choice": None,
        "response_format": None,
        "web_search": False,
        "settlement": "batch",
        "stream": False,
        "origin": ("3", "notes.ipynb"),
    }
    return chat_question(model, ASK if messages is None else messages, **(arguments | changes))


def completion(prompt: Any, **changes: Any) -> Question:
    arguments: dict[str, Any] = {
        "max_tokens": 100,
        "stop_sequence": None,
        "temperature": 0.0,
        "web_search": False,
        "settlement": "private",
        "origin": ("", ""),
    }
    return completion_question("openai/gpt-5", prompt, **(arguments | changes))


class TestBodies:
    def test_what_was_not_asked_for_is_not_in_the_body(self) -> None:
        question = chat()
        assert question.body == {"model": "gpt-5", "messages": ASK, "max_tokens": 100, "temperature": 0.0}
        assert (question.model, question.provider, question.path) == ("openai/gpt-5", "openai", "/v1/chat/completions")
        assert (question.cell, question.notebook, question.stream) == ("3", "notes.ipynb", False)
        assert question.settlement is x402SettlementMode.BATCH_HASHED

    def test_everything_that_was_asked_for_is(self) -> None:
        form = ResponseFormat("json_object")
        body = chat(
            stop_sequence="end", temperature=1, tools=[TOOL], response_format=form, web_search=True, stream=True
        ).body
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
            "web_search": True,
        }
        assert isinstance(body["temperature"], float)

    def test_the_body_is_a_copy_of_the_messages(self) -> None:
        messages = [dict(ASK[0])]
        body = chat(messages).body
        messages[0]["content"] = "changed"
        messages.append({})
        assert body["messages"] == ASK

    def test_a_completion_has_a_prompt(self) -> None:
        question = completion("Once", web_search=True, stop_sequence=["."])
        assert question.path == "/v1/completions"
        assert question.body == {
            "model": "gpt-5", "prompt": "Once", "max_tokens": 100, "temperature": 0.0, "stop": ["."], "web_search": True,
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
