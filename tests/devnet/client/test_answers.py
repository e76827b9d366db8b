"""What the facade gives: chat and completion, streamed and whole, in each settlement mode, on each kind of chain."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from eth_typing import HexStr
from eth_utils.crypto import keccak
from web3 import HTTPProvider, Web3
from web3.logs import DISCARD

import og_magics as og
from og_magics import LLM
from og_magics.devnet import Devnet, contracts

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK: list[dict[str, Any]] = [{"role": "user", "content": "What is x402?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
MODES = og.x402SettlementMode


@pytest.fixture
def llm(llm_of: LLMOf, anywhere: Devnet) -> LLM:
    return llm_of(anywhere)


async def read(stream: Any) -> tuple[str, list[og.StreamChunk]]:
    chunks = [chunk async for chunk in stream]
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), chunks


def relay_events(devnet: Devnet, name: str) -> list[Any]:
    web3 = Web3(HTTPProvider(devnet.rpc_url))
    relay = web3.eth.contract(address=devnet.settlement_relay, abi=contracts.load("SettlementRelay").abi)
    return list(relay.events[name]().get_logs(from_block=0))


def blob_of(devnet: Devnet, blob_id: str) -> Any:
    return httpx.get(f"{devnet.blob_url}/v1/blobs/{blob_id}").json()


class TestChat:
    async def test_a_whole_answer_has_text_usage_and_a_proof_that_holds(self, llm: LLM, anywhere: Devnet) -> None:
        result = await llm.chat(og.TEE_LLM.GPT_5, ASK)
        assert result.chat_output == {"role": "assistant", "content": result.text}
        assert result.text.startswith("**x402** is a way")
        assert result.finish_reason == "stop"
        assert result.usage is not None
        assert result.usage["total_tokens"] == result.usage["prompt_tokens"] + result.usage["completion_tokens"]
        assert (result.tee_id, result.tee_endpoint) == (anywhere.tee_id, anywhere.gateway_url)
        assert result.tee_payment_address == anywhere.pay_to
        assert result.receipt is not None
        assert (result.receipt.status, result.receipt.enclave_ok) == ("served", True)
        assert result.receipt.request == {
            "model": "gpt-5", "messages": ASK, "max_tokens": 100, "temperature": 0.0,
        }  # fmt: skip

    async def test_a_stream_gives_the_same_text_in_pieces_and_the_proof_at_its_end(self, llm: LLM) -> None:
        whole = await llm.chat("openai/gpt-5", ASK)
        text, chunks = await read(await llm.chat("openai/gpt-5", ASK, stream=True))
        assert text == whole.text
        assert len(chunks) > 10
        *pieces, final = chunks
        assert not any(chunk.is_final for chunk in pieces)
        assert final.is_final
        assert final.tee_request_hash == whole.tee_request_hash
        assert final.output is not None
        assert (final.output.text, final.output.usage) == (whole.text, whole.usage)
        assert final.receipt is not None
        assert final.receipt.enclave_ok is True
        assert final.receipt == final.output.receipt
        assert final.authorization_hash == whole.authorization_hash is not None
        assert final.receipt.ttft_s is not None

    async def test_a_completion_answers_a_prompt(self, llm: LLM) -> None:
        result = await llm.completion(og.TEE_LLM.GROK_4, "Say something", max_tokens=8)
        assert result.completion_output is not None
        assert result.completion_output.startswith("Just a prepared sample")
        assert result.chat_output is None
        assert result.finish_reason == "length"
        assert result.receipt is not None
        assert result.receipt.enclave_ok is True

    def test_the_sync_twins_give_the_same(self, llm: LLM) -> None:
        whole = llm.chat_sync("openai/gpt-5", ASK)
        pieces = list(llm.chat_sync("openai/gpt-5", ASK, stream=True))
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.text
        assert pieces[-1].receipt.status == "served"
        assert llm.completion_sync("openai/gpt-5", "Hello").completion_output


class TestParameters:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_max_tokens_ends_an_answer(self, llm: LLM, stream: bool) -> None:
        result = await llm.chat("openai/gpt-5", ASK, max_tokens=3, stream=stream)
        if stream:
            _, chunks = await read(result)
            result = chunks[-1].output
        assert (result.finish_reason, len(result.text.split())) == ("length", 3)

    async def test_a_stop_sequence_is_hashed_though_gateways_drop_it(self, llm: LLM) -> None:
        result = await llm.chat("openai/gpt-5", ASK, stop_sequence=["way"])
        assert result.text.startswith("**x402** is a way to pay")
        assert result.receipt is not None
        assert result.receipt.enclave_ok is True

    async def test_a_json_object_is_one(self, llm: LLM) -> None:
        result = await llm.chat("openai/gpt-5", ASK, response_format=og.ResponseFormat("json_object"))
        assert json.loads(result.text)["simulated"] is True

    async def test_a_json_schema_is_met(self, llm: LLM) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        form = og.ResponseFormat("json_schema", {"name": "n", "schema": schema})
        result = await llm.chat("anthropic/claude-sonnet-4-5", ASK, response_format=form)
        assert isinstance(json.loads(result.text)["n"], int)
        assert result.receipt is not None
        assert result.receipt.enclave_ok is True

    @pytest.mark.parametrize("stream", [False, True])
    async def test_an_image_model_gives_images(self, llm: LLM, stream: bool) -> None:
        result = await llm.chat("openai/gpt-image-2", ASK, stream=stream)
        if stream:
            _, chunks = await read(result)
            assert chunks[-1].images == chunks[-1].output.images
            result = chunks[-1].output
        assert [image[:22] for image in result.images] == ["data:image/png;base64,"]

    async def test_an_image_may_be_asked_about(self, llm: LLM) -> None:
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
        result = await llm.chat("openai/gpt-5", [{"role": "user", "content": parts}])
        assert result.receipt is not None
        assert result.receipt.enclave_ok is True


class TestTools:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_tool_is_called_and_its_result_is_answered(self, llm: LLM, stream: bool) -> None:
        messages = [{"role": "user", "content": "The weather in Oslo?"}]
        called = await llm.chat("openai/gpt-5", messages, tools=[WEATHER], stream=stream)
        if stream:
            _, chunks = await read(called)
            deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
            assert len(deltas) == 1
            called = chunks[-1].output
            assert called.tool_calls[0]["function"]["arguments"] == "".join(d["function"]["arguments"] for d in deltas)
        (call,) = called.tool_calls
        assert (called.finish_reason, call["function"]["name"]) == ("tool_calls", "get_weather")
        assert "index" not in call
        assert json.loads(call["function"]["arguments"]).keys() == {"city"}
        assert called.receipt.enclave_ok is True
        messages += [called.chat_output, {"role": "tool", "tool_call_id": call["id"], "content": "4 degrees"}]
        answered = await llm.chat("openai/gpt-5", messages, tools=[WEATHER])
        assert "4 degrees" in answered.text
        assert answered.receipt is not None
        assert answered.receipt.enclave_ok is True

    async def test_gemini_with_tools_is_asked_for_the_whole_so_that_each_of_its_calls_is_signed(self, llm: LLM) -> None:
        messages = [{"role": "user", "content": "The weather in Oslo?"}]
        chunks = [c async for c in await llm.chat("google/gemini-2.5-flash", messages, tools=[WEATHER], stream=True)]
        (final,) = chunks
        assert final.output is not None
        assert final.output.receipt is not None
        assert final.output.receipt.enclave_ok is True
        assert "stream" not in final.output.receipt.request
        assert [call["function"]["name"] for call in final.choices[0].delta.tool_calls or []] == ["get_weather"]


class TestSettlementModes:
    async def test_private_leaves_nothing_but_the_payment(self, llm: LLM, anywhere: Devnet) -> None:
        names = ("BatchSettlement", "IndividualSettlement")
        before = [len(relay_events(anywhere, name)) for name in names]
        result = await llm.chat("openai/gpt-5", ASK, x402_settlement_mode=MODES.PRIVATE)
        llm.settle(15)
        assert result.payment_hash is not None
        assert result.data_settlement_transaction_hash is None
        # What another test had buffered may have been written meanwhile; this answer is in none of it.
        for event in relay_events(anywhere, "BatchSettlement")[before[0] :]:
            blob = blob_of(anywhere, event["args"]["walrusBlobId"].decode())
            assert not any(result.tee_signature in str(value) for value in blob["values"])
        assert len(relay_events(anywhere, "IndividualSettlement")) == before[1]

    async def test_batch_puts_our_leaf_under_a_root_on_chain(
        self, llm: LLM, anywhere: Devnet, eventually: Callable[..., Any]
    ) -> None:
        result = await llm.chat("openai/gpt-5", ASK, x402_settlement_mode=MODES.BATCH_HASHED)
        assert result.tee_id is not None
        assert result.tee_request_hash is not None
        assert result.tee_output_hash is not None
        values = (
            bytes.fromhex(result.tee_id.removeprefix("0x")),
            bytes.fromhex(result.tee_request_hash),
            bytes.fromhex(result.tee_output_hash),
            base64.b64decode(result.tee_signature or ""),
            result.tee_timestamp,
        )
        leaf = keccak(keccak(encode(("bytes32", "bytes32", "bytes32", "bytes", "uint256"), values)))

        def ours() -> Any:
            for event in reversed(relay_events(anywhere, "BatchSettlement")):
                blob = blob_of(anywhere, event["args"]["walrusBlobId"].decode())
                if "0x" + leaf.hex() in blob["tree"]:
                    return event["args"]["merkleRoot"], blob
            return None

        root, blob = eventually(ours)
        assert blob["tree"][0] == "0x" + root.hex()

    @pytest.mark.parametrize("stream", [False, True])
    async def test_individual_gives_the_transaction_and_the_blob(
        self, llm: LLM, anywhere: Devnet, stream: bool
    ) -> None:
        result = await llm.chat("openai/gpt-5", ASK, x402_settlement_mode=MODES.INDIVIDUAL_FULL, stream=stream)
        if stream:
            _, chunks = await read(result)
            assert chunks[-1].data_settlement_blob_id == chunks[-1].output.data_settlement_blob_id
            result = chunks[-1].output
        (event,) = [
            event
            for event in relay_events(anywhere, "IndividualSettlement")
            if event["transactionHash"].to_0x_hex() == result.data_settlement_transaction_hash
        ]
        assert event["args"]["inputHash"].hex() == result.tee_request_hash
        assert event["args"]["outputHash"].hex() == result.tee_output_hash
        assert event["args"]["walrusBlobId"].decode() == result.data_settlement_blob_id
        blob = blob_of(anywhere, result.data_settlement_blob_id)
        assert blob["output"] == result.text
        assert (result.receipt.data_settlement_hash, result.receipt.blob_id) == (
            result.data_settlement_transaction_hash,
            result.data_settlement_blob_id,
        )


class TestPaymentHash:
    @pytest.mark.ci
    async def test_the_same_result_has_it_once_it_is_settled(
        self, llm: LLM, anywhere: Devnet, signed: Callable[[LLM], list[tuple[str, str]]]
    ) -> None:
        results = [await llm.chat("openai/gpt-5", ASK, max_tokens=n) for n in (5, 10, 20)]
        _, chunks = await read(await llm.chat("openai/gpt-5", ASK, stream=True))
        assert [result.payment_hash for result in [*results, chunks[-1]]] == [None] * 4
        assert llm.settle(20) == 0
        (payment,) = {result.payment_hash for result in [*results, chunks[-1], chunks[-1].output]}
        assert payment is not None
        receipts = llm.journal.receipts()
        assert [receipt.status for receipt in receipts] == ["settled"] * 4
        assert {receipt.payment_hash for receipt in receipts} == {payment}
        web3 = Web3(HTTPProvider(anywhere.rpc_url))
        token = web3.eth.contract(address=anywhere.opg_token, abi=contracts.load("OPG").abi)
        (log,) = token.events.Transfer().process_receipt(
            web3.eth.get_transaction_receipt(HexStr(payment)), errors=DISCARD
        )
        assert sum(receipt.cost for receipt in receipts) == list(log["args"].values())[2]
        costs = [receipt.cost for receipt in receipts[:3]]  # more tokens cost more; the fourth is another prompt's
        assert costs == sorted(costs)
        assert len(signed(llm)) == 1
