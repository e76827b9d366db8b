"""Sessions: when one signature serves many calls, when a new one is made, and what its reason is."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from web3 import HTTPProvider, Web3

from og_magics import LLM
from og_magics.core.errors import OGError, PaymentRejected
from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]
Signed = Callable[[LLM], list[tuple[str, str]]]
DevnetWith = Callable[..., Devnet]


def reasons(llm: LLM, signed: Signed) -> list[str]:
    return [reason for _, reason in signed(llm)]


class TestLateSettlement:
    def test_calls_in_a_row_share_a_session_and_each_route_has_its_own(self, unhurried: LLM, signed: Signed) -> None:
        chats = [unhurried.chat_sync("openai/gpt-5", ASK, max_tokens=3).receipt for _ in range(3)]
        completions = [unhurried.completion_sync("openai/gpt-5", "Hello", max_tokens=3).receipt for _ in range(2)]
        assert [len({receipt.session_id for receipt in group}) for group in (chats, completions)] == [1, 1]
        assert reasons(unhurried, signed) == ["first", "first"]

    def test_a_session_that_the_gateway_has_ended_is_followed_by_another(
        self, llm_of: LLMOf, devnet_with: DevnetWith, signed: Signed
    ) -> None:
        llm = llm_of(devnet_with(settle_after=0.2))
        first = llm.chat_sync("openai/gpt-5", ASK, max_tokens=3)
        assert llm.settle(15) == 0
        second = llm.chat_sync("openai/gpt-5", ASK, max_tokens=3)
        assert reasons(llm, signed) == ["first", "the gateway ended the session before it, and refused to resume it"]
        assert second.authorization_hash == signed(llm)[1][0] != first.authorization_hash
        assert llm.settle(15) == 0
        assert second.payment_hash not in (None, first.payment_hash)

    def test_an_ended_session_is_replaced_once_by_many_calls(
        self, llm_of: LLMOf, devnet_with: DevnetWith, signed: Signed
    ) -> None:
        llm = llm_of(devnet_with(settle_after=0.2))
        llm.chat_sync("openai/gpt-5", ASK, max_tokens=3)
        assert llm.settle(15) == 0

        async def ask() -> list[Any]:
            return await asyncio.gather(*(llm.chat("openai/gpt-5", ASK, max_tokens=3) for _ in range(10)))

        assert len({result.authorization_hash for result in asyncio.run(ask())}) == 1
        assert len(signed(llm)) == 2

    @pytest.mark.ci
    def test_a_session_is_left_before_its_deadline(
        self, llm_of: LLMOf, devnet_with: DevnetWith, signed: Signed, eventually: Callable[..., Any]
    ) -> None:
        # The shortest life that the official facilitator verifies is a little over six seconds.
        llm = llm_of(devnet_with(settle_after=20, max_timeout=9))

        def rotated() -> bool:
            llm.chat_sync("openai/gpt-5", ASK, max_tokens=3)
            time.sleep(0.3)
            return len(signed(llm)) == 2

        eventually(rotated)
        assert reasons(llm, signed)[1] == "the session before it came near its deadline"
        assert {receipt.status for receipt in llm.journal.receipts()} == {"served"}

    def test_a_refused_model_ends_no_session(self, llm: LLM, signed: Signed) -> None:
        for _ in range(2):
            with pytest.raises(OGError, match="does not serve"):
                llm.chat_sync("openai/gpt-nope", ASK)
        assert llm.chat_sync("openai/gpt-5", ASK).text
        assert reasons(llm, signed) == ["first"]

    @pytest.mark.parametrize("fault", ["500", "503", "html", "stream", "cut", "badjson", "nofinal"])
    def test_after_a_failed_call_the_next_one_needs_no_other_signature(
        self, llm: LLM, signed: Signed, fault: str
    ) -> None:
        with pytest.raises(OGError):
            list(llm.chat_sync("openai/gpt-5", [{"role": "user", "content": f"[[fail:{fault}]]"}], stream=True))
        assert llm.chat_sync("openai/gpt-5", ASK).text
        assert reasons(llm, signed) == ["first"]


@pytest.mark.parametrize("scheme", ["upto", "exact"])
class TestAtOnce:
    """A gateway that settles each call before it answers."""

    @pytest.fixture
    def llm(self, llm_of: LLMOf, devnet_with: DevnetWith, scheme: str) -> LLM:
        own = devnet_with(settle_after=0, scheme=scheme)
        llm = llm_of(own)
        self.web3 = Web3(HTTPProvider(own.rpc_url))
        return llm

    def test_each_call_is_one_payment_and_has_its_hash_at_once(self, llm: LLM, signed: Signed) -> None:
        results = [llm.chat_sync("openai/gpt-5", ASK, max_tokens=3) for _ in range(2)]
        hashes = [result.payment_hash for result in results]
        assert len(set(hashes) - {None}) == 2
        for payment in hashes:
            assert self.web3.eth.get_transaction_receipt(payment)["status"] == 1
        assert [result.receipt.status for result in results] == ["settled"] * 2
        assert [result.receipt.session_id for result in results] == [None] * 2
        assert reasons(llm, signed) == ["first", "the gateway has no sessions"]

    def test_a_stream_has_its_hash_when_it_ends(self, llm: LLM) -> None:
        *_, final = llm.chat_sync("openai/gpt-5", ASK, max_tokens=5, stream=True)
        assert final.payment_hash is not None
        assert final.output.payment_hash == final.payment_hash
        assert self.web3.eth.get_transaction_receipt(final.payment_hash)["status"] == 1

    @pytest.mark.ci
    @pytest.mark.parametrize("content", ["Hello", "[[slow:1.2]] Hello"])
    def test_calls_at_once_are_one_payment_each(self, llm: LLM, signed: Signed, content: str) -> None:
        messages = [{"role": "user", "content": content}]

        async def ask() -> list[Any]:
            return await asyncio.gather(*(llm.chat("openai/gpt-5", messages, max_tokens=n) for n in range(1, 6)))

        results = asyncio.run(ask())
        assert [result.usage["completion_tokens"] for result in results] == [1, 2, 3, 4, 5]
        assert len({result.payment_hash for result in results} - {None}) == 5
        assert len(signed(llm)) == 5
        assert llm.settle(5) == 0


class TestWriteAhead:
    @pytest.mark.parametrize("stream", [False, True])
    def test_an_authorization_is_on_disk_before_its_signature_arrives(
        self, llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str, stream: bool
    ) -> None:
        seen: list[Any] = []
        path = ""

        def answer(asked: Any) -> Any:
            if asked.method == "GET":
                return reply(404)
            if "payment-signature" not in asked.headers:
                return reply(402, headers={"PAYMENT-REQUIRED": offer})
            sent = json.loads(base64.b64decode(asked.headers["payment-signature"]))
            with sqlite3.connect(path) as file:
                rows = file.execute("SELECT nonce FROM authorizations").fetchall()
                paid_by = file.execute("SELECT authorization_hash FROM receipts").fetchall()
            file.close()
            seen.append((sent["payload"]["permit2Authorization"]["nonce"], rows, paid_by))
            return reply(500, b'{"error": "enough seen"}')

        llm = llm_of(devnet, gateway_url=serve(answer).url)
        path = llm.settings.ledger
        with pytest.raises(OGError, match="enough seen"):
            list(llm.chat_sync("openai/gpt-5", ASK, stream=stream) or [])
        ((nonce, rows, paid_by),) = seen
        assert [int(str(row[0]), 0) for row in rows] == [int(nonce)]
        assert paid_by[0][0] is not None


class TestRefusal:
    def test_many_calls_of_a_wallet_that_cannot_pay_sign_nothing_and_all_say_why(
        self, llm_of: LLMOf, devnet: Devnet, signed: Signed
    ) -> None:
        llm = llm_of(devnet, account=2)

        async def ask() -> list[Any]:
            calls = (llm.chat("openai/gpt-5", ASK) for _ in range(8))
            return await asyncio.gather(*calls, return_exceptions=True)

        assert {type(error).__name__ for error in asyncio.run(ask())} == {"InsufficientBalance"}
        assert signed(llm) == []
        assert {receipt.status for receipt in llm.journal.receipts()} == {"failed"}

    @pytest.mark.parametrize("with_challenge", [True, False])
    def test_a_gateway_that_asks_again_and_again_gets_one_signature(
        self, llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str, signed: Signed, with_challenge: bool
    ) -> None:

        def answer(asked: Any) -> Any:
            first = "payment-signature" not in asked.headers
            return reply(402, headers={"PAYMENT-REQUIRED": offer} if first or with_challenge else {})

        server = serve(answer)
        llm = llm_of(devnet, gateway_url=server.url)
        with pytest.raises(PaymentRejected, match="did not accept the payment"):
            llm.chat_sync("openai/gpt-5", ASK)
        assert len(signed(llm)) == 1
        assert len(server.posts) == 2

    @pytest.mark.ci
    def test_a_gateway_that_takes_signatures_once_and_says_so_at_once_is_still_paid_by_all(
        self, llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str, signed: Signed
    ) -> None:
        """It never says that it has no sessions, answers slowly, and refuses a signature while that is in use."""
        used, guard = set(), threading.Lock()
        done = json.dumps({"choices": [{"message": {"content": "paid"}, "finish_reason": "stop"}]}).encode()

        def answer(asked: Any) -> Any:
            signature = asked.headers.get("payment-signature")
            with guard:
                if signature is None or signature in used:
                    return reply(402 if asked.method == "POST" else 404, headers={"PAYMENT-REQUIRED": offer})
                used.add(signature)
            threading.Event().wait(1.5)
            return reply(200, done)

        llm = llm_of(devnet, gateway_url=serve(answer).url)

        async def ask() -> list[Any]:
            return await asyncio.gather(*(llm.chat("openai/gpt-5", ASK) for _ in range(6)))

        assert [result.text for result in asyncio.run(ask())] == ["paid"] * 6
        assert len(signed(llm)) == 6
