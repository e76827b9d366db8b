"""Each failure: the right class, a message that says what, what of the money, and what next, and a receipt that tells."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import og_magics as og
from og_magics import LLM, errors
from og_magics.core.types import TextGenerationOutput
from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]


def ask(fault: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"[[fail:{fault}]] Hello"}]


def failure(llm: LLM, messages: Any = None, model: str = "openai/gpt-5", stream: bool = False) -> errors.OGError:
    """The error of a call, after its receipt was found to tell it."""
    before = len(llm.journal.receipts())
    with pytest.raises(errors.OGError) as caught:
        list(llm.chat_sync(model, messages or ASK, stream=stream))
    error = caught.value
    *_, receipt = llm.journal.receipts()
    assert len(llm.journal.receipts()) == before + 1
    assert receipt.status == "failed"
    details = f" ({error.details[:300]})" if error.details else ""
    assert receipt.error == f"{type(error).__name__}: {error.what}{details}"
    assert error.money
    assert error.remedy
    assert str(error) == f"{error.what} {error.money} {error.remedy}"
    return error


class TestStatus:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("fault", "kind", "status", "words"),
        [
            ("503", errors.GatewayError, 503, "Pricing unavailable"),
            ("html", errors.GatewayProtocolError, 502, "an HTML page"),
        ],
    )
    def test_a_failing_gateway_is_told(
        self, llm: LLM, fault: str, kind: type[errors.GatewayError], status: int, words: str, stream: bool
    ) -> None:
        error = failure(llm, ask(fault), stream=stream)
        assert type(error) is kind
        assert isinstance(error, errors.GatewayError)
        assert (error.status, words in error.what) == (status, True)

    def test_a_failing_model_is_a_500(self, llm: LLM) -> None:
        error = failure(llm, ask("500"))
        assert isinstance(error, errors.GatewayError)
        assert (error.status, "Request processing failed" in error.what) == (500, True)

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_model_that_is_not_served_is_told_by_name(self, llm: LLM, stream: bool) -> None:
        error = failure(llm, model="openai/gpt-nope", stream=stream)
        assert isinstance(error, errors.ModelNotSupported)
        assert "gpt-nope" in error.what
        assert "nothing is charged" in error.money

    def test_a_model_that_gateways_removed_is_refused_before_anything_is_signed(self, llm: LLM) -> None:
        error = failure(llm, model="nous/hermes-4-70b")
        assert isinstance(error, errors.UnknownModel)
        assert "nous/hermes-4-405b" in error.remedy
        *_, receipt = llm.journal.receipts()
        assert receipt.authorization_hash is None

    def test_json_that_ends_in_the_middle_is_an_answer_that_was_cut(self, llm: LLM) -> None:
        error = failure(llm, ask("badjson"))
        assert isinstance(error, errors.StreamError)
        assert "its JSON ends in the middle" in error.what

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", errors.GatewayProtocolError),
            (b"[]", errors.GatewayProtocolError),
            (b'{"choices": []}', errors.GatewayProtocolError),
            (b'{"choices": ["x"]}', errors.GatewayProtocolError),
            (b"<html>", errors.GatewayProtocolError),
        ],
        ids=["empty", "list", "no choices", "no choice", "page"],
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_an_answer_that_is_no_answer_is_told(
        self, llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, body: bytes, kind: type[Exception], stream: bool
    ) -> None:
        llm = llm_of(devnet, gateway_url=serve(lambda _: reply(200, body)).url)
        assert isinstance(failure(llm, stream=stream), kind)


class TestStreams:
    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ("stream", "Stream processing failed"),
            ("cut", "cut"),
            ("nofinal", "before the answer was complete"),
            ("badjson", "not JSON"),
        ],
    )
    def test_a_stream_that_breaks_raises_with_what_had_arrived(self, llm: LLM, fault: str, words: str) -> None:
        error = failure(llm, ask(fault), stream=True)
        assert isinstance(error, errors.StreamError)
        assert words in error.what
        assert isinstance(error.partial, TextGenerationOutput)
        assert error.partial.text.startswith("Here is a direct answer")
        receipt = error.partial.receipt
        assert receipt is not None
        assert (receipt.status, receipt.text) == ("failed", error.partial.text)
        assert receipt.authorization_hash is not None
        assert "may be charged" in error.money

    async def test_what_arrives_before_a_stream_breaks_is_given(self, llm: LLM) -> None:
        text = ""
        stream = await llm.chat("openai/gpt-5", ask("cut"), stream=True)
        with pytest.raises(errors.StreamError) as caught:  # noqa: PT012 - the loop is what raises
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
        assert text == caught.value.partial.text

    def test_a_model_that_fails_at_once_breaks_the_stream_off_with_nothing(self, llm: LLM) -> None:
        error = failure(llm, ask("500"), stream=True)
        assert isinstance(error, errors.StreamError)
        assert error.partial.text == ""

    def test_a_whole_answer_that_is_cut_may_be_charged(self, llm: LLM) -> None:
        error = failure(llm, ask("cut"))
        assert isinstance(error, errors.StreamError)
        assert error.cut
        assert "may be charged" in error.money

    def test_a_page_instead_of_a_stream_is_told(self, llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any) -> None:
        server = serve(lambda _: reply(200, b"<html>", {"Content-Type": "text/html"}))
        error = failure(llm_of(devnet, gateway_url=server.url), stream=True)
        assert isinstance(error, errors.GatewayProtocolError)
        assert "HTML" in error.what


class TestDown:
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_gateway_that_is_down_costs_nothing(
        self, llm_of: LLMOf, devnet: Devnet, closed_port: int, stream: bool
    ) -> None:
        llm = llm_of(devnet, gateway_url=f"http://127.0.0.1:{closed_port}")
        error = failure(llm, stream=stream)
        assert isinstance(error, errors.GatewayUnreachable)
        assert str(closed_port) in error.what
        assert "nothing was paid" in error.money

    def test_a_gateway_that_goes_down_later_leaves_the_llm_usable(
        self, llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any
    ) -> None:
        llm = llm_of(devnet, timeout=0.4)
        slow = [{"role": "user", "content": "[[slow:20]] Hello"}]
        error = failure(llm, slow)
        assert isinstance(error, errors.GatewayUnreachable)
        assert "did not answer in time" in error.what
        assert "OG_TIMEOUT" in error.remedy
        assert llm.chat_sync("openai/gpt-5", ASK).text

    @pytest.mark.ci
    def test_settlements_that_cannot_be_read_are_told_and_calls_go_on(
        self, llm_of: LLMOf, devnet: Devnet, closed_port: int
    ) -> None:
        llm = llm_of(devnet, rpc_url=f"http://127.0.0.1:{closed_port}")
        assert llm.chat_sync("openai/gpt-5", ASK).payment_hash is None
        with pytest.raises(errors.ChainError, match=str(closed_port)):
            llm.settle(0.5)


class TestWallets:
    def test_a_wallet_without_opg_is_told_its_balance(self, llm_of: LLMOf, devnet: Devnet) -> None:
        llm = llm_of(devnet, account=2)
        error = failure(llm)
        assert isinstance(error, errors.InsufficientBalance)
        assert "holds 0 OPG" in error.what
        assert f"{devnet.profile.cap} OPG are missing" in error.what
        assert "Nothing was signed" in error.money
        assert devnet.accounts[2]["address"] in error.what

    def test_a_wallet_without_an_allowance_is_told_so_and_approval_mends_it(
        self, llm_of: LLMOf, devnet_with: Any
    ) -> None:
        llm = llm_of(devnet_with(), account=1)
        error = failure(llm, stream=True)
        assert isinstance(error, errors.AllowanceRequired)
        assert "ensure_opg_approval" in error.remedy
        assert "To approve it moves nothing" in error.what
        assert "Nothing was signed" in error.money
        assert llm.journal.pending() == []
        approval = llm.ensure_opg_approval(min_allowance=5)
        assert (approval.allowance_before, approval.tx_hash is not None) == (0, True)
        assert approval.allowance_after >= 5 * 10**18
        again = llm.ensure_opg_approval(min_allowance=5)
        assert (again.tx_hash, again.allowance_before) == (None, approval.allowance_after)
        assert llm.chat_sync("openai/gpt-5", ASK).text


class TestArguments:
    """What is wrong with a question is told before anything is sent, and leaves no receipt."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda llm: llm.chat_sync("openai/gpt-5", []),
            lambda llm: llm.chat_sync("openai/gpt-5", "Hello"),
            lambda llm: llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "  "}]),
            lambda llm: llm.chat_sync("openai/gpt-5", [{"role": "user"}]),
            lambda llm: llm.chat_sync("openai/gpt-5", [{"role": "boss", "content": "Hello"}]),
            lambda llm: llm.chat_sync("openai/gpt-5", [{"role": "user", "content": b"Hello"}]),
            lambda llm: llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "\ud800"}]),
            lambda llm: llm.chat_sync("gpt-nope", ASK),
            lambda llm: llm.chat_sync("", ASK),
            lambda llm: llm.chat_sync("openai/gpt-5", ASK, max_tokens=0),
            lambda llm: llm.chat_sync("openai/gpt-5", ASK, temperature=float("nan")),
            lambda llm: llm.chat_sync("openai/gpt-5", ASK, x402_settlement_mode="public"),
            lambda llm: llm.chat_sync("openai/gpt-5", ASK, tools=[{"type": "function"}]),
            lambda llm: llm.chat_sync("openai/gpt-5", ASK, tools=["get_weather"]),
            lambda llm: llm.chat_sync(
                "anthropic/claude-sonnet-4-5", ASK, response_format=og.ResponseFormat("json_object")
            ),
            lambda llm: llm.completion_sync("openai/gpt-5", " \n"),
            lambda llm: llm.completion_sync("openai/gpt-5", None),
        ],
    )
    def test_a_wrong_argument_is_refused(self, llm: LLM, call: Any) -> None:
        with pytest.raises(errors.ConfigError) as caught:
            call(llm)
        assert caught.value.remedy
        assert llm.journal.receipts() == []


class TestLedger:
    def test_where_receipts_cannot_be_written_nothing_is_asked(
        self, llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "no.db").mkdir()
        server = serve(lambda _: reply())
        llm = llm_of(devnet, gateway_url=server.url, ledger=str(tmp_path / "no.db"))
        with pytest.raises(errors.LedgerError):
            llm.chat_sync("openai/gpt-5", ASK)
        assert server.asked == []


class TestDescription:
    @pytest.mark.parametrize("told", ["/nowhere/devnet.json", "{}", "{"])
    def test_a_devnet_that_is_not_described_is_told(self, llm_of: LLMOf, devnet: Devnet, told: str) -> None:
        with pytest.raises(errors.ConfigError, match="devnet"):
            llm_of(devnet, devnet=told).chat_sync("openai/gpt-5", ASK)

    def test_a_description_may_be_in_a_file(self, llm_of: LLMOf, devnet: Devnet, tmp_path: Path) -> None:
        (tmp_path / "devnet.json").write_text(json.dumps(devnet.info))
        llm = llm_of(devnet, devnet=str(tmp_path / "devnet.json"))
        assert asyncio.run(llm.chat("openai/gpt-5", ASK)).text


def test_data_that_a_gateway_could_not_leave_on_chain_is_told(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str
) -> None:
    def gateway(asked: Any) -> Any:
        if asked.method == "GET":
            return reply(404)
        if "payment-signature" not in asked.headers:
            return reply(402, headers={"PAYMENT-REQUIRED": offer})
        answer = {"choices": [{"message": {"content": "served"}, "finish_reason": "stop"}], "model": "gpt-5"}
        answer |= {"data_settlement_success": False, "data_settlement_error": "no\x1b[2J room"}
        return reply(200, json.dumps(answer).encode(), headers={"X-Upto-Session": "s1"})

    llm = llm_of(devnet, gateway_url=serve(gateway).url)
    receipt = llm.chat_sync("openai/gpt-5", ASK, x402_settlement_mode=og.x402SettlementMode.INDIVIDUAL_FULL).receipt
    assert "could not leave the answer's data on chain: no[2J room." in receipt.enclave_reason
