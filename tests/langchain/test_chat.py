"""`ChatOG`: receipts in code, money that is never paid twice, and what it makes of messages."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import CI

if not CI:
    pytest.importorskip("langchain_core")

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

import og_magics
from og_magics import LLM, Settings, TextGenerationOutput
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.errors import ConfigError, GatewayError, PaymentRefused, UnknownModel
from og_magics.langchain import ChatOG
from og_magics.langchain.messages import sent_messages, whole_message
from og_magics.ledger import Ledger


def lookup(city: str) -> str:
    """Look a city up."""
    return city


@pytest.fixture
def llm(devnet: Devnet, tmp_path: Path) -> Iterator[LLM]:
    """An LLM with a ledger of its own, whose failures are not repeated below LangChain."""
    llm = LLM(settings=Settings.from_env().replace(ledger=str(tmp_path / "own.db"), retries=0))
    yield llm
    runtime.wait(llm.close(), 10)


def ledger_of(llm: LLM) -> Ledger:
    assert isinstance(llm.journal, Ledger)
    return llm.journal


class TestReceipts:
    def test_each_answer_names_its_receipt_which_is_proven_and_becomes_paid(self, llm: LLM) -> None:
        chat = ChatOG(model="gpt-5", llm=llm, max_tokens=20)
        message = chat.invoke("What is x402?")
        metadata = message.response_metadata
        (receipt,) = chat.receipts
        assert (metadata["receipt_id"], metadata["model_name"]) == (receipt.receipt_id, "openai/gpt-5")
        assert (metadata["enclave_ok"], receipt.text) == (True, message.content)
        assert metadata["authorization_hash"] == receipt.authorization_hash
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] == receipt.completion_tokens
        assert llm.settle(30) == 0
        assert chat.receipt_of(message).payment_hash

    def test_a_stream_and_its_receipt_say_the_same(self, llm: LLM) -> None:
        chat = ChatOG(model="gpt-5", llm=llm, max_tokens=20)
        full = AIMessageChunk(content="")
        for chunk in chat.stream("What is x402?"):
            assert isinstance(chunk, AIMessageChunk)
            full = full + chunk
        assert full.content == chat.receipt_of(full).text
        assert [one.receipt_id for one in chat.receipts] == [full.response_metadata["receipt_id"]]

    async def test_calls_of_a_coroutine_have_theirs(self, llm: LLM) -> None:
        chat = ChatOG(model="gpt-5", llm=llm, max_tokens=5)
        answers = await asyncio.gather(*(chat.ainvoke(f"Question {n}") for n in range(3)))
        assert {one.response_metadata["receipt_id"] for one in answers} == {one.receipt_id for one in chat.receipts}
        assert len(chat.receipts) == 3

    async def test_who_leaves_a_stream_keeps_the_receipt_of_what_came(self, llm: LLM) -> None:
        chat = ChatOG(llm=llm)
        for _ in chat.stream("one [[words:300]]"):
            break
        stream = chat.astream("two [[words:300]]")
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # LangChain promises an iterator, and makes a generator
        assert len(chat.receipts) == 2
        while chat._on_their_way:  # noqa: ASYNC110 - the loop closes the generator within LangChain's own
            await asyncio.sleep(0.01)
        assert [one.error for one in chat.receipts] == ["interrupted"] * 2
        assert all(one.text for one in chat.receipts)

    async def test_invoke_works_where_a_loop_runs_as_in_a_cell(self, llm: LLM) -> None:
        assert ChatOG(model="gpt-5", llm=llm, max_tokens=5).invoke("Hello").content

    def test_a_message_without_a_receipt_says_so(self, llm: LLM) -> None:
        with pytest.raises(ConfigError, match="no receipt"):
            ChatOG(llm=llm).receipt_of(AIMessage("by hand"))

    def test_models_with_the_same_settings_share_one_llm_and_its_payment_sessions(self) -> None:
        assert ChatOG(model="gpt-5")._llm is ChatOG(model="gemini-2.5-flash")._llm


class TestMoney:
    def test_a_call_beyond_its_limit_is_refused_by_an_error_of_ours_and_a_retry_signs_nothing(self, llm: LLM) -> None:
        chat = ChatOG(model="gpt-5", llm=llm, max_cost="0.000001").with_retry(wait_exponential_jitter=False)
        with pytest.raises(PaymentRefused):
            chat.invoke("What is x402?")
        assert ledger_of(llm).pending() == []

    def test_a_budget_holds_over_a_batch(self, devnet: Devnet, tmp_path: Path) -> None:
        settings = Settings.from_env().replace(ledger=str(tmp_path / "budget.db"), budget_notebook=1)
        llm = LLM(settings=settings)
        answers = ChatOG(model="gpt-5", llm=llm).batch(["one", "two", "three"], return_exceptions=True)
        runtime.wait(llm.close(), 10)
        assert [type(one).__name__ for one in answers] == ["PaymentRefused"] * 3
        assert ledger_of(llm).pending() == []

    @pytest.mark.parametrize("streamed", [True, False])
    def test_what_may_have_been_paid_is_not_asked_again_by_a_retry(self, llm: LLM, streamed: bool) -> None:
        chat = ChatOG(model="gpt-5", llm=llm, streaming=streamed)
        with pytest.raises(PaymentRefused, match=r"failed \d+ seconds ago.*pay_again=True"):
            chat.with_retry(wait_exponential_jitter=False).invoke("a [[fail:cut]]")
        assert [one.status for one in ledger_of(llm).receipts()] == ["failed"]

    def test_nor_by_the_retry_of_a_whole_chain(self, llm: LLM) -> None:
        chain = ChatPromptTemplate.from_messages([("human", "{text}")]) | ChatOG(llm=llm, streaming=True)
        with pytest.raises(PaymentRefused):
            chain.with_retry(wait_exponential_jitter=False).invoke({"text": "a [[fail:cut]]"})
        assert len(ledger_of(llm).receipts()) == 1

    def test_who_says_so_pays_again(self, llm: LLM) -> None:
        chat = ChatOG(llm=llm, streaming=True, pay_again=True)
        with pytest.raises(GatewayError):
            chat.with_retry(wait_exponential_jitter=False, stop_after_attempt=2).invoke("a [[fail:cut]]")
        assert len(ledger_of(llm).receipts()) == 2

    def test_what_the_gateway_refused_costs_nothing_and_may_be_asked_again_at_once(self, llm: LLM) -> None:
        chat = ChatOG(llm=llm)
        with pytest.raises(GatewayError, match="expires by itself, unpaid"):
            chat.with_retry(wait_exponential_jitter=False).invoke("[[fail:500]]")
        assert len(ledger_of(llm).receipts()) == 3
        assert len({one.authorization_hash for one in ledger_of(llm).receipts()}) == 1

    def test_another_question_is_not_held_back(self, llm: LLM) -> None:
        chat = ChatOG(llm=llm, streaming=True, max_tokens=5)
        with pytest.raises(GatewayError):
            chat.invoke("a [[fail:cut]]")
        assert chat.invoke("b").content


class TestRefusals:
    @pytest.mark.parametrize("word", ["top_p", "parallel_tool_calls", "seed"])
    def test_a_parameter_that_gateways_have_not_is_refused(self, llm: LLM, word: str) -> None:
        with pytest.raises(ConfigError, match=word):
            ChatOG(llm=llm).bind(**{word: 1}).invoke("Hello")
        assert ledger_of(llm).receipts() == []

    def test_a_model_that_there_is_not_is_named(self, llm: LLM) -> None:
        with pytest.raises(UnknownModel):
            ChatOG(model="gpt-nope", llm=llm)

    def test_a_misspelled_field_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="max_token"):
            ChatOG(max_token=3)

    def test_what_an_llm_has_of_its_own_is_not_given_beside_it(self, llm: LLM) -> None:
        with pytest.raises(ConfigError, match="network"):
            ChatOG(llm=llm, network="devnet")

    def test_a_key_is_shown_nowhere(self, devnet: Devnet) -> None:
        key = devnet.accounts[0]["private_key"]
        chat = ChatOG(private_key=key, network="devnet")
        assert key.removeprefix("0x") not in f"{chat!r} {chat.model_dump()} {chat.__dict__}"


class TestMessages:
    def test_thoughts_and_names_stay_here_and_calls_stand_where_they_belong(self) -> None:
        thought: list[Any] = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Paris"}]
        call = {"name": "lookup", "args": {"city": "Paris"}, "id": "c1", "type": "tool_call"}
        sent = sent_messages(
            [
                SystemMessage("s"),
                HumanMessage("hi", name="ann"),
                AIMessage(thought, tool_calls=[call]),
                ToolMessage("found", tool_call_id="c1", name="lookup"),
            ]
        )
        assert [sorted(one) for one in sent] == [
            ["content", "role"], ["content", "role"], ["content", "role", "tool_calls"],
            ["content", "role", "tool_call_id"],
        ]  # fmt: skip
        assert sent[2]["content"] == "Paris"
        assert sent[2]["tool_calls"][0]["function"] == {"name": "lookup", "arguments": '{"city": "Paris"}'}

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ],
    )
    def test_pictures_of_each_form_are_sent_in_one(self, part: dict[str, Any]) -> None:
        (sent,) = sent_messages([HumanMessage([{"type": "text", "text": "What is this?"}, part])])
        assert sent["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

    def test_a_picture_that_a_model_draws_is_a_part_of_its_message(self, llm: LLM) -> None:
        chat = ChatOG(model="google/gemini-2.5-flash-image", llm=llm)
        full = AIMessageChunk(content="")
        for chunk in chat.stream("A cat"):
            assert isinstance(chunk, AIMessageChunk)
            full = full + chunk
        for message in (chat.invoke("A cat"), full):
            assert [part["type"] for part in message.content_blocks][-1] == "image"
            assert message.text

    def test_a_conversation_with_calls_is_signed_as_it_was_sent(self, llm: LLM) -> None:
        chat = ChatOG(llm=llm, max_tokens=20)
        asked: list[Any] = [SystemMessage("Be brief."), HumanMessage("lookup Paris", name="ann")]
        model = chat.bind_tools([lookup], tool_choice="lookup")
        first = model.invoke(asked)
        result = ToolMessage("found", tool_call_id=first.tool_calls[0]["id"], name="lookup")
        assert chat.bind_tools([lookup]).invoke([*asked, first, result]).content
        assert [one.enclave_ok for one in chat.receipts] == [True, True]

    @pytest.mark.parametrize("model", ["openai/gpt-5", "anthropic/claude-sonnet-4-6", "google/gemini-2.5-flash"])
    def test_calls_come_whole_out_of_every_providers_stream(self, llm: LLM, model: str) -> None:
        asked = '[[call:lookup({"city": "Rome"})]][[call:lookup({"city": "Lima"})]]'
        full = AIMessageChunk(content="")
        for chunk in ChatOG(model=model, llm=llm).bind_tools([lookup]).stream(asked):
            assert isinstance(chunk, AIMessageChunk)
            full = full + chunk
        assert [call["args"]["city"] for call in full.tool_calls] == ["Rome", "Lima"]

    def test_arguments_that_are_no_json_are_an_invalid_call_and_no_failure(self, llm: LLM) -> None:
        message = ChatOG(llm=llm, streaming=True).bind_tools([lookup]).invoke("[[call:lookup({not json})]]")
        call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": "{not json}"}}
        whole = whole_message(TextGenerationOutput(chat_output={"content": "", "tool_calls": [call]}), {})
        for one in (message, whole):
            assert (one.tool_calls, [wrong["name"] for wrong in one.invalid_tool_calls]) == ([], ["lookup"])


class TestStructuredOutput:
    def test_what_does_not_fit_is_paid_and_stands_beside_its_error(self, llm: LLM) -> None:
        class Few(BaseModel):
            letters: str

        chat = ChatOG(llm=llm, max_tokens=2)
        found = chat.with_structured_output(Few, method="json_mode", include_raw=True).invoke("Anything")
        assert found["parsed"] is None
        assert found["parsing_error"] is not None
        assert chat.receipt_of(found["raw"]).status == "served"

    def test_a_schema_without_a_name_is_enough(self, llm: LLM) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        for method in ("json_schema", "function_calling"):
            chat = ChatOG(llm=llm).with_structured_output(schema, method=method)
            assert chat.invoke("A number") == {"n": 1}

    def test_a_method_that_there_is_not_is_refused(self, llm: LLM) -> None:
        with pytest.raises(ConfigError, match="xml"):
            ChatOG(llm=llm).with_structured_output({"title": "a"}, method="xml")  # type: ignore[arg-type]  # on purpose


@pytest.mark.ci
def test_no_other_room_imports_langchain() -> None:
    house = Path(og_magics.__file__).parent
    found = set()
    for path in house.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(name.partition(".")[0].startswith("langchain") for name in names):
                found.add(path.relative_to(house).parts[0])
    assert found == {"langchain"}
