"""Repetitions: bounded, with the same payment, and never of what was shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tenacity import wait_fixed

from og_magics.client import retry
from og_magics.client.requests import chat_request
from og_magics.core.errors import GatewayError, GatewayUnreachable, ModelNotSupported, PaymentRejected, StreamError
from og_magics.core.progress import Progress
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.display.live import status

if TYPE_CHECKING:
    from og_magics import LLM

    from .conftest import LLMOf

Signed = Callable[["LLM"], list[tuple[str, str]]]

ASK = [{"role": "user", "content": "What is x402?"}]


def signatures(server: Any) -> list[str]:
    return [asked.headers["payment-signature"] for asked in server.posts if "payment-signature" in asked.headers]


class Failing:
    """A gateway that fails so often, and then serves an answer without a proof."""

    def __init__(self, devnet: Devnet, offer: str, reply: Any, failures: list[Any]) -> None:
        self._offer, self._reply, self._failures = offer, reply, list(failures)

    def __call__(self, asked: Any) -> Any:
        if asked.method == "GET":
            return self._reply(404)
        if "payment-signature" not in asked.headers and "x-upto-session" not in asked.headers:
            return self._reply(402, headers={"PAYMENT-REQUIRED": self._offer})
        if self._failures:
            return self._failures.pop(0)
        body = {"choices": [{"message": {"content": "at last"}, "finish_reason": "stop"}], "model": "gpt-5"}
        return self._reply(200, json.dumps(body).encode(), headers={"X-Upto-Session": "s1"})


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_followed_by_the_same_payment(
    llm_of: LLMOf, devnet: Devnet, signed: Signed, serve: Any, reply: Any, offer: str, status: int
) -> None:
    server = serve(Failing(devnet, offer, reply, [reply(status, b"{}"), reply(status, b"{}")]))
    llm = llm_of(devnet, gateway_url=server.url, retries=2)
    assert llm.chat_sync("openai/gpt-5", ASK).text == "at last"
    assert len(signatures(server)) == 3
    assert len(set(signatures(server))) == 1
    assert [reason for _, reason in signed(llm)] == ["first"]


def test_the_gateways_own_pause_is_kept(llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str) -> None:
    server = serve(Failing(devnet, offer, reply, [reply(429, b"{}", headers={"Retry-After": "1"})]))
    llm = llm_of(devnet, gateway_url=server.url, retries=1)
    states: list[str] = []
    progress = Progress()
    progress.changed = lambda: states.append(status(progress))
    parameters = {"max_tokens": 100, "temperature": 0.0}
    request = chat_request("openai/gpt-5", ASK, settlement="batch", parameters=parameters, origin=("", ""))
    result = runtime.wait(llm.answer(request, progress))
    assert result.text == "at last"
    assert result.receipt is not None
    assert (result.receipt.latency_s or 0) >= 1
    assert "the gateway answered 429, asking again in 1 s…" in states


def test_a_pause_that_is_too_long_is_not_waited_for(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str
) -> None:
    server = serve(Failing(devnet, offer, reply, [reply(429, b"{}", headers={"Retry-After": "3600"})]))
    llm = llm_of(devnet, gateway_url=server.url, retries=3)
    with pytest.raises(GatewayError) as caught:
        llm.chat_sync("openai/gpt-5", ASK)
    assert caught.value.retry_after == 3600


def test_repetitions_are_bounded(llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str) -> None:
    server = serve(Failing(devnet, offer, reply, [reply(503, b"{}")] * 9))
    llm = llm_of(devnet, gateway_url=server.url, retries=2)
    with pytest.raises(GatewayError):
        llm.chat_sync("openai/gpt-5", ASK)
    assert len(signatures(server)) == 3
    assert [receipt.status for receipt in llm.journal.receipts()] == ["failed"]


def test_a_gateway_that_is_down_is_tried_again_and_then_told(llm_of: LLMOf, devnet: Devnet, signed: Signed) -> None:
    llm = llm_of(devnet, gateway_url="http://127.0.0.1:9", retries=1)
    with pytest.raises(GatewayUnreachable, match="Nothing was sent"):
        llm.chat_sync("openai/gpt-5", ASK)
    assert signed(llm) == []


def test_a_mistake_is_not_repeated(llm_of: LLMOf, devnet: Devnet, signed: Signed) -> None:
    llm = llm_of(devnet, retries=3)
    with pytest.raises(ModelNotSupported):
        llm.chat_sync("openai/no-such-model", ASK)
    assert (llm.journal.receipts()[0].latency_s or 0) < 30
    assert len(signed(llm)) == 1


def test_a_stream_that_has_shown_something_is_never_started_again(llm_of: LLMOf, devnet: Devnet) -> None:
    llm = llm_of(devnet, retries=3)
    pieces: list[str] = []
    stream = llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "[[fail:cut]]"}], stream=True)
    with pytest.raises(StreamError) as caught:
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(pieces) == caught.value.partial.text
    assert "".join(pieces).count("a prepared sample") == 1


@pytest.mark.parametrize("event", [b'data: {"error": "busy"}\n\n', b"data: {\n\n", b": wait\n\n", b""])
def test_a_stream_that_began_is_not_asked_for_again_though_it_showed_nothing(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str, event: bytes
) -> None:
    broken = reply(200, event, headers={"Content-Type": "text/event-stream"})
    server = serve(Failing(devnet, offer, reply, [broken] * 4))
    llm = llm_of(devnet, gateway_url=server.url, retries=3)
    with pytest.raises(StreamError) as caught:
        list(llm.chat_sync("openai/gpt-5", ASK, stream=True))
    assert "may be charged" in caught.value.money
    assert len(signatures(server)) == 1
    assert [receipt.status for receipt in llm.journal.receipts()] == ["failed"]


def test_a_payment_is_the_same_bytes_each_time(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str
) -> None:
    server = serve(Failing(devnet, offer, reply, [reply(500, b"{}")]))
    llm_of(devnet, gateway_url=server.url, retries=1).chat_sync("openai/gpt-5", ASK)
    nonces = {json.loads(base64.b64decode(s))["payload"]["permit2Authorization"]["nonce"] for s in signatures(server)}
    assert len(nonces) == 1


class TestSettledMeanwhile:
    """A session whose earlier calls are settled while a failed call waits for its repetition."""

    def test_the_gateways_error_is_what_the_user_sees_and_nothing_more_is_signed(
        self, llm_of: LLMOf, devnet: Devnet, signed: Signed, serve: Any, reply: Any, offer: str
    ) -> None:
        served = {"choices": [{"message": {"content": "first"}, "finish_reason": "stop"}], "model": "gpt-5"}
        failed = reply(500, b'{"error": "Request processing failed"}')
        over = reply(402, b'{"error": "Session expired or exhausted"}')
        used = reply(402, headers={"PAYMENT-REQUIRED": offer})
        first = reply(200, json.dumps(served).encode(), headers={"X-Upto-Session": "s1"})
        server = serve(Failing(devnet, offer, reply, [first, failed, over, used]))
        llm = llm_of(devnet, gateway_url=server.url, retries=3)
        assert llm.chat_sync("openai/gpt-5", ASK).text == "first"
        with pytest.raises(GatewayError, match="processing failed") as caught:
            llm.chat_sync("openai/gpt-5", ASK)
        assert isinstance(caught.value.__cause__, PaymentRejected)
        assert "may be charged" in caught.value.money
        assert "Nothing more was signed" in str(caught.value)
        assert len(set(signatures(server))) == len(signed(llm)) == 1
        *_, receipt = llm.journal.receipts()
        assert (receipt.status, receipt.error) == ("failed", f"{type(caught.value).__name__}: {caught.value.what}")
        assert receipt.authorization_hash == signed(llm)[0][0]
        server.asked.clear()
        assert llm.chat_sync("openai/gpt-5", ASK).text == "at last"
        assert len(signed(llm)) == 2

    @pytest.mark.ci
    def test_a_devnet_that_settles_before_the_repetition_shows_the_failure_and_is_paid_once(
        self,
        llm_of: LLMOf,
        devnet_with: Any,
        signed: Signed,
        transfers: Callable[[Devnet], list[int]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(retry, "_backoff", wait_fixed(3))  # the session, idle for a second, is settled before
        devnet = devnet_with(settle_after=1)
        llm = llm_of(devnet, retries=1)
        for _ in range(5):  # on a busy machine the second call may come too late to share the session
            assert llm.chat_sync("openai/gpt-5", ASK, max_tokens=3).text
            with pytest.raises(GatewayError) as caught:
                llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "[[fail:500]]"}])
            assert caught.value.status == 500
            if isinstance(caught.value.__cause__, PaymentRejected):
                break
        else:
            pytest.fail("no call was settled before its repetition")
        hashes = [authorization for authorization, _ in signed(llm)]
        assert {receipt.authorization_hash for receipt in llm.journal.receipts()} == set(hashes)
        assert len(transfers(devnet)) == len(hashes)  # the failed calls cost nothing
