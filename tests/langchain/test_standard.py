"""LangChain's own tests of a chat model, as its integrations run them: of the class, and of answers of the devnet."""

from __future__ import annotations

from typing import Any

import pytest

from ..conftest import CI

if not CI:
    pytest.importorskip("langchain_tests")

from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from og_magics.langchain import ChatOG

pytestmark = pytest.mark.ci


class TestClass(ChatModelUnitTests):  # type: ignore[misc,unused-ignore]  # Any where it is not installed
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOG

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "openai/gpt-5"}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().standard_chat_model_params
        del params["api_key"]  # a wallet pays; there is no key of an account
        return params


class TestOnTheDevnet(ChatModelIntegrationTests):  # type: ignore[misc,unused-ignore]  # Any where it is not installed
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOG

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "openai/gpt-5", "max_tokens": 60}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "anthropic/claude-sonnet-4-6"
