"""The handshake against gateways written as plain functions: who signs, who waits, who is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from og_magics.core.errors import ChainError, InsufficientBalance, LedgerError, PaymentRefused, PaymentRejected
from og_magics.core.types import ChatRequest, Settlement, x402SettlementMode
from og_magics.ledger import Ledger
from og_magics.payment import Budget, PaymentAuth, Payments, Policy, Wallet

KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
"""A development key that everybody knows."""

TOKEN, PAYEE, FACILITATOR = (f"0x{digit * 40}" for digit in "123")
POLICY = Policy("eip155:31337", TOKEN, None, max_amount=10**18, max_deadline=900)
CHAT = "/v1/chat/completions"
SIGNATURE, SESSION = "PAYMENT-SIGNATURE", "X-Upto-Session"

Handler = Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response]]


def challenge(error: str = "Payment required", scheme: str = "upto", seconds: int = 300) -> dict[str, str]:
    offer = {
        "scheme": scheme,
        "network": "eip155:31337",
        "asset": TOKEN,
        "amount": str(10**17),
        "payTo": PAYEE,
        "maxTimeoutSeconds": seconds,
        "extra": {"name": "OPG", "version": "1", "assetTransferMethod": "permit2", "facilitatorAddress": FACILITATOR},
    }
    resource = {"url": "http://gateway", "description": "", "mimeType": "application/json"}
    required = {"x402Version": 2, "error": error, "resource": resource, "accepts": [offer]}
    return {"PAYMENT-REQUIRED": base64.b64encode(json.dumps(required).encode()).decode()}


def session_of(request: httpx.Request) -> str:
    return hashlib.sha256(request.headers[SIGNATURE].encode()).hexdigest()


class Bench:
    """One wallet at one gateway; the clock can be moved."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.ahead = 0.0
        self.payments = Payments(Wallet.from_key(KEY), ledger, lambda: time.time() + self.ahead)
        self.requests: list[httpx.Request] = []
        self.gate = asyncio.Event()
        self.handler: Handler = self.settles_late
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._handle), base_url="http://gateway")

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        # The request is the same object each time: its headers are copied as they were sent.
        self.requests.append(httpx.Request("POST", request.url, headers=request.headers.copy()))
        return await self.handler(request)

    def forget_sessions(self) -> None:
        self.payments = Payments(Wallet.from_key(KEY), self.ledger, lambda: time.time() + self.ahead)

    def question(self, path: str = CHAT, policy: Policy = POLICY) -> tuple[str, PaymentAuth]:
        question = ChatRequest(path, "openai/gpt-5", {"model": "gpt-5"}, x402SettlementMode.PRIVATE)
        receipt_id = self.ledger.open(question, "devnet", time.time())
        auth = self.payments.pay_for(receipt_id, policy, gateway="http://gateway", path=path, note=lambda _: None)
        return receipt_id, auth

    async def ask(self, path: str = CHAT) -> httpx.Response:
        return await self.client.post(path, json={}, auth=self.question(path)[1])

    @property
    def signatures(self) -> list[str]:
        return list(dict.fromkeys(r.headers[SIGNATURE] for r in self.requests if SIGNATURE in r.headers))

    @property
    def reasons(self) -> list[str]:
        return [authorization.reason for authorization in self.ledger.pending()]

    async def settles_late(self, request: httpx.Request) -> httpx.Response:
        """The gateway of the network: a signature is a session, and its id is told."""
        if SESSION in request.headers:
            return httpx.Response(200, json={}, headers={SESSION: request.headers[SESSION]})
        if SIGNATURE in request.headers:
            return httpx.Response(200, json={}, headers={SESSION: session_of(request)})
        return httpx.Response(402, headers=challenge())

    async def until(self, check: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not check():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)


def of_wallet(limit: int) -> Budget:
    return Budget("The wallet's budget of a day", limit, 3600.0, "OG_BUDGET_DAY", of_wallet=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
async def bench(ledger: Ledger) -> AsyncIterator[Bench]:
    bench = Bench(ledger)
    yield bench
    await bench.client.aclose()


class TestSessions:
    async def test_a_session_is_sent_alone_and_a_signature_alone(self, bench: Bench) -> None:
        for _ in range(3):
            assert (await bench.ask()).status_code == 200
        sent = [(SIGNATURE in request.headers, SESSION in request.headers) for request in bench.requests]
        assert sent == [(False, False), (True, False), (False, True), (False, True)]

    async def test_a_path_has_a_session_of_its_own(self, bench: Bench) -> None:
        await bench.ask()
        await bench.ask("/v1/completions")
        assert len(bench.signatures) == 2
        assert bench.reasons == ["first", "first"]

    async def test_a_session_is_left_while_a_long_answer_can_still_be_settled_before_its_deadline(
        self, bench: Bench
    ) -> None:
        # Of 300 seconds: an answer of a minute, 100 idle seconds and the reaper come after the last question.
        for bench.ahead in (0, 50, 100, 115):
            await bench.ask()
        assert len(bench.signatures) == 1
        bench.ahead = 125
        await bench.ask()
        assert bench.reasons == ["first", "the session before it came near its deadline"]

    async def test_a_session_of_ten_minutes_is_left_before_the_gateways_own_cutoff(self, bench: Bench) -> None:
        async def long_lived(request: httpx.Request) -> httpx.Response:
            if SIGNATURE in request.headers or SESSION in request.headers:
                return await bench.settles_late(request)
            return httpx.Response(402, headers=challenge(seconds=600))

        bench.handler = long_lived
        for bench.ahead in (0, 400, 415):
            await bench.ask()
        assert len(bench.signatures) == 1
        bench.ahead = 425
        await bench.ask()
        assert len(bench.signatures) == 2

    async def test_a_session_that_rested_is_left_before_a_gateway_settles_it_under_a_call(self, bench: Bench) -> None:
        _, auth = bench.question()
        await bench.client.post(CHAT, json={}, auth=auth)
        bench.ahead = 58  # the answer still runs: nothing of it was charged yet
        await bench.ask()
        auth.note_end(None)
        bench.ahead = 110
        await bench.ask()
        assert len(bench.signatures) == 1
        bench.ahead = 115
        await bench.ask()
        assert bench.reasons[1:] == ["the session before it was not used for a minute, after which gateways settle it"]

    async def test_a_session_is_left_before_its_cap_is_reached(self, bench: Bench) -> None:
        for expected in (1, 1, 2):
            _, auth = bench.question()
            await bench.client.post(CHAT, json={}, auth=auth)
            auth.note_end(3 * 10**16)  # of 0.1 OPG
            assert len(bench.signatures) == expected
        assert bench.reasons == ["first", "the session before it came near its cap"]

    async def test_a_session_that_is_over_is_followed_by_one_more_signature(self, bench: Bench) -> None:
        await bench.ask()
        over, used = session_of(bench.requests[-1]), bench.signatures[0]

        async def handler(request: httpx.Request) -> httpx.Response:
            if request.headers.get(SESSION) == over or request.headers.get(SIGNATURE) == used:
                return httpx.Response(402, json={"error": "Session expired or exhausted"})
            return await bench.settles_late(request)

        bench.handler = handler
        receipts = [bench.question() for _ in range(5)]
        await asyncio.gather(*(bench.client.post(CHAT, json={}, auth=auth) for _, auth in receipts))
        assert bench.reasons == ["first", "the gateway ended the session before it, and refused to resume it"]
        new = bench.ledger.pending()[1].hash
        assert {bench.ledger.receipt(receipt_id).authorization_hash for receipt_id, _ in receipts} == {new}

    async def test_the_same_question_sent_again_sends_the_same_payment(self, bench: Bench) -> None:
        async def breaks(request: httpx.Request) -> httpx.Response:
            if SIGNATURE in request.headers:
                raise httpx.ReadError("gone")
            return await bench.settles_late(request)

        _, auth = bench.question()
        bench.handler = breaks
        with pytest.raises(httpx.ReadError):
            await bench.client.post(CHAT, json={}, auth=auth)
        bench.handler = bench.settles_late
        assert (await bench.client.post(CHAT, json={}, auth=auth)).status_code == 200
        assert len(bench.signatures) == 1
        assert len(bench.requests) == 3

    async def test_after_a_failure_that_names_no_session_the_next_question_sends_the_same_signature(
        self, bench: Bench
    ) -> None:
        async def proxy_fails(request: httpx.Request) -> httpx.Response:
            return (
                httpx.Response(502, text="<html>")
                if SIGNATURE in request.headers
                else await bench.settles_late(request)
            )

        bench.handler = proxy_fails
        assert (await bench.ask()).status_code == 502
        bench.handler = bench.settles_late
        assert (await bench.ask()).status_code == 200
        assert (len(bench.signatures), bench.reasons) == (1, ["first"])

    async def test_what_was_not_sent_can_be_withdrawn_and_paid_elsewhere(self, bench: Bench) -> None:
        async def goes_away(request: httpx.Request) -> httpx.Response:
            if SIGNATURE in request.headers:
                raise httpx.ConnectError("refused")
            return await bench.settles_late(request)

        bench.handler = goes_away
        receipt_id, auth = bench.question()
        with pytest.raises(httpx.ConnectError):
            await bench.client.post(CHAT, json={}, auth=auth)
        assert bench.ledger.receipt(receipt_id).authorization_hash is not None
        await auth.withdraw()
        assert bench.ledger.receipt(receipt_id).authorization_hash is None
        bench.handler = bench.settles_late
        other = bench.payments.pay_for(receipt_id, POLICY, gateway="http://other", path=CHAT, note=lambda _: None)
        assert (await bench.client.post(CHAT, json={}, auth=other)).status_code == 200
        assert bench.ledger.receipt(receipt_id).authorization_hash == bench.ledger.pending()[1].hash


class TestStampedes:
    async def test_first_calls_share_one_signature(self, bench: Bench) -> None:
        assert {response.status_code for response in await asyncio.gather(*(bench.ask() for _ in range(20)))} == {200}
        assert (len(bench.signatures), bench.reasons) == (1, ["first"])
        assert len(bench.requests) == 21

    async def test_calls_do_not_wait_for_a_first_answer_that_is_slow(self, bench: Bench) -> None:
        async def slow_first(request: httpx.Request) -> httpx.Response:
            if SIGNATURE in request.headers and sum(SIGNATURE in r.headers for r in bench.requests) == 1:
                await bench.gate.wait()
            return await bench.settles_late(request)

        bench.handler = slow_first
        first = asyncio.create_task(bench.ask())
        await bench.until(lambda: bench.signatures)
        assert {r.status_code for r in await asyncio.gather(*(bench.ask() for _ in range(5)))} == {200}
        assert not first.done()
        bench.gate.set()
        await first
        assert len(bench.signatures) == 1

    async def test_one_that_is_cancelled_while_it_asks_for_the_terms_makes_way(self, bench: Bench) -> None:
        async def hangs_once(request: httpx.Request) -> httpx.Response:
            if len(bench.requests) == 1:
                await bench.gate.wait()
            return await bench.settles_late(request)

        bench.handler = hangs_once
        first = asyncio.create_task(bench.ask())
        await bench.until(lambda: bench.requests)
        others = [asyncio.create_task(bench.ask()) for _ in range(4)]
        await asyncio.sleep(0)
        first.cancel()
        assert {response.status_code for response in await asyncio.gather(*others)} == {200}
        assert first.cancelled()
        assert len(bench.signatures) == 1

    async def test_one_that_is_cancelled_after_it_signed_leaves_its_signature_to_the_others(self, bench: Bench) -> None:
        async def hangs_once(request: httpx.Request) -> httpx.Response:
            if SIGNATURE in request.headers and sum(SIGNATURE in r.headers for r in bench.requests) == 1:
                await bench.gate.wait()
            return await bench.settles_late(request)

        bench.handler = hangs_once
        first = asyncio.create_task(bench.ask())
        await bench.until(lambda: bench.signatures)
        others = [asyncio.create_task(bench.ask()) for _ in range(4)]
        await asyncio.sleep(0)
        first.cancel()
        assert {response.status_code for response in await asyncio.gather(*others)} == {200}
        assert len(bench.signatures) == 1

    @pytest.mark.parametrize("delay", [0.0, 0.7])
    async def test_a_refusal_is_told_to_all_that_waited_and_none_signs_again(self, bench: Bench, delay: float) -> None:
        async def refuses(request: httpx.Request) -> httpx.Response:
            if SIGNATURE in request.headers:
                await asyncio.sleep(delay)
                return httpx.Response(402, headers=challenge("permit2_insufficient_balance"))
            return httpx.Response(402, headers=challenge())

        bench.handler = refuses
        told = await asyncio.gather(*(bench.ask() for _ in range(10)), return_exceptions=True)
        assert {getattr(error, "reason", error) for error in told} == {"permit2_insufficient_balance"}
        assert len(bench.signatures) == 1

    async def test_an_exact_payment_is_for_one_question(self, bench: Bench) -> None:
        async def exact(request: httpx.Request) -> httpx.Response:
            if SIGNATURE not in request.headers:
                return httpx.Response(402, headers=challenge(scheme="exact"))
            return httpx.Response(200, json={}, headers={"PAYMENT-RESPONSE": "e30="})

        bench.handler = exact
        await asyncio.gather(*(bench.ask() for _ in range(6)))
        assert len(bench.signatures) == 6
        assert sum(SIGNATURE in request.headers for request in bench.requests) == 6

    async def test_a_gateway_without_sessions_is_paid_once_a_question(self, bench: Bench) -> None:
        used = set()

        async def once(request: httpx.Request) -> httpx.Response:
            signature = request.headers.get(SIGNATURE)
            if signature is None or signature in used:
                return httpx.Response(402, headers=challenge())
            used.add(signature)
            await asyncio.sleep(0.05)
            return httpx.Response(200, json={})

        bench.handler = once
        auths = [bench.question() for _ in range(8)]
        await asyncio.gather(*(bench.client.post(CHAT, json={}, auth=auth) for _, auth in auths))
        paid_by = [bench.ledger.receipt(receipt_id).authorization_hash for receipt_id, _ in auths]
        assert len(set(paid_by)) == 8
        assert all(auth.settled for _, auth in auths)
        assert bench.reasons == ["first"] + ["the gateway has no sessions"] * 7


class TestRefusals:
    @pytest.mark.parametrize(
        "headers",
        [{}, challenge("invalid_permit2_signature"), {"PAYMENT-REQUIRED": "nonsense"}],
        ids=["bare", "told", "nonsense"],
    )
    async def test_a_fresh_signature_that_is_refused_is_the_only_one(
        self, bench: Bench, headers: dict[str, str]
    ) -> None:
        async def refuses(request: httpx.Request) -> httpx.Response:
            return httpx.Response(402, headers=headers if SIGNATURE in request.headers else challenge())

        bench.handler = refuses
        with pytest.raises(PaymentRejected) as caught:
            await bench.ask()
        assert caught.value.reason == (
            "invalid_permit2_signature" if len(headers.get("PAYMENT-REQUIRED", "")) > 20 else "no reason given"
        )
        assert len(bench.signatures) == 1
        bench.handler = bench.settles_late
        assert (await bench.ask()).status_code == 200
        assert len(bench.signatures) == 2
        assert bench.reasons[1].startswith("the gateway refused the one before it")

    async def test_a_gateway_that_ends_every_session_is_left_after_a_few(self, bench: Bench) -> None:
        await bench.ask()

        async def ends(request: httpx.Request) -> httpx.Response:
            return httpx.Response(402) if SESSION in request.headers else await bench.settles_late(request)

        bench.handler = ends
        assert (await bench.ask()).status_code == 200
        assert len(bench.signatures) == 1  # the same one resumed the session

    async def test_a_question_that_may_have_been_served_is_not_paid_with_a_second_signature(self, bench: Bench) -> None:
        await bench.ask()

        async def loses_the_answer(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadError("gone")

        async def ended(request: httpx.Request) -> httpx.Response:
            return httpx.Response(402)

        _, auth = bench.question()
        bench.handler = loses_the_answer
        with pytest.raises(httpx.ReadError):
            await bench.client.post(CHAT, json={}, auth=auth)
        bench.handler = ended
        with pytest.raises(PaymentRejected, match="may have been charged"):
            await bench.client.post(CHAT, json={}, auth=auth)
        assert len(bench.ledger.pending()) == 1

    async def test_a_session_dearer_than_a_call_may_be_is_not_used_for_it(self, bench: Bench) -> None:
        await bench.ask()
        _, auth = bench.question(policy=replace(POLICY, max_amount=1))
        with pytest.raises(PaymentRefused, match="--max-cost"):
            await bench.client.post(CHAT, json={}, auth=auth)

    async def test_a_budget_counts_what_is_authorized(self, bench: Bench) -> None:
        await bench.ask()
        cap = bench.ledger.pending()[0].cap
        budget = Budget("The budget of a day", 2 * cap - 1, 3600.0, "OG_BUDGET_DAY")
        bench.forget_sessions()
        _, auth = bench.question(policy=replace(POLICY, budgets=(budget,)))
        with pytest.raises(PaymentRefused, match="OG_BUDGET_DAY"):
            await bench.client.post(CHAT, json={}, auth=auth)
        assert len(bench.ledger.pending()) == 1

    async def test_a_budget_of_the_wallet_counts_what_other_notebooks_signed(
        self, bench: Bench, tmp_path: Path, state_folder: Path
    ) -> None:
        _, auth = bench.question(policy=replace(POLICY, budgets=(of_wallet(10**30),)))
        assert (await bench.client.post(CHAT, json={}, auth=auth)).status_code == 200
        cap = bench.ledger.pending()[0].cap
        with Ledger(tmp_path / "elsewhere" / "n.db") as ledger:
            other = Bench(ledger)
            for limit, allowed in ((2 * cap - 1, False), (2 * cap, True)):
                _, auth = other.question(policy=replace(POLICY, budgets=(of_wallet(limit),)))
                if allowed:
                    assert (await other.client.post(CHAT, json={}, auth=auth)).status_code == 200
                else:
                    with pytest.raises(PaymentRefused, match="The wallet's budget of a day does not allow it"):
                        await other.client.post(CHAT, json={}, auth=auth)
                    assert (other.signatures, ledger.pending()) == ([], [])
            await other.client.aclose()

    @pytest.mark.parametrize("of_the_wallet", [False, True])
    async def test_a_ledger_that_was_changed_by_hand_pays_nothing(
        self, bench: Bench, state_folder: Path, of_the_wallet: bool
    ) -> None:
        await bench.ask()
        bench.forget_sessions()
        sent = len(bench.signatures)
        with sqlite3.connect(bench.ledger.path) as connection:
            connection.execute("UPDATE authorizations SET cap = '-100000000000000000000'")
        connection.close()
        budget = replace(of_wallet(10**30), of_wallet=of_the_wallet)
        _, auth = bench.question(policy=replace(POLICY, budgets=(budget,)))
        with pytest.raises(LedgerError, match="changed by hand"):
            await bench.client.post(CHAT, json={}, auth=auth)
        assert len(bench.signatures) == sent

    async def test_before_a_budget_refuses_what_was_settled_meanwhile_is_looked_for(self, bench: Bench) -> None:
        await bench.ask()
        (pending,) = bench.ledger.pending()
        budget = Budget("The budget of a day", pending.cap + 5, 3600.0, "OG_BUDGET_DAY")
        bench.forget_sessions()

        async def fails() -> None:
            raise ChainError("The RPC is down.")

        async def finds() -> None:
            bench.ledger.settle(Settlement(pending.hash, "0x7", 5, 1, "0x8", 9))

        for look, accepted in ((fails, False), (finds, True)):
            bench.payments.look = look
            _, auth = bench.question(policy=replace(POLICY, budgets=(budget,)))
            if accepted:
                assert (await bench.client.post(CHAT, json={}, auth=auth)).status_code == 200
            else:
                with pytest.raises(PaymentRefused, match="not settled yet"):
                    await bench.client.post(CHAT, json={}, auth=auth)
        assert bench.ledger.committed(POLICY.network) == pending.cap + 5

    async def test_a_wallet_without_the_funds_signs_nothing(self, bench: Bench) -> None:
        seen = []

        async def poor(cap: int, *, by_permit2: bool) -> None:
            seen.append((cap, by_permit2))
            raise InsufficientBalance("It holds too little.")

        bench.payments.check_funds = poor
        with pytest.raises(InsufficientBalance):
            await bench.ask()
        assert seen == [(10**17, True)]
        assert (bench.ledger.pending(), bench.signatures) == ([], [])

    async def test_what_cannot_be_written_down_is_not_sent(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> None:
            raise LedgerError("The disk is full.")

        monkeypatch.setattr(bench.ledger, "authorize", full)
        with pytest.raises(LedgerError):
            await bench.ask()
        assert bench.signatures == []

    async def test_an_answer_that_needs_no_payment_is_not_paid(self, bench: Bench) -> None:
        async def free(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={})

        bench.handler = free
        assert (await bench.ask()).status_code == 200
        assert bench.ledger.pending() == []

    async def test_an_answer_to_a_session_that_failed_keeps_it(self, bench: Bench) -> None:
        await bench.ask()

        async def fails(_: httpx.Request) -> httpx.Response:
            return httpx.Response(500)

        bench.handler = fails
        assert (await bench.ask()).status_code == 500
        bench.handler = bench.settles_late
        await bench.ask()
        assert len(bench.signatures) == 1

    def test_a_blocking_client_is_refused(self, ledger: Ledger) -> None:
        payments = Payments(Wallet.from_key(KEY), ledger, time.time)
        question = ChatRequest(CHAT, "openai/gpt-5", {}, x402SettlementMode.PRIVATE)
        auth = payments.pay_for(
            ledger.open(question, "devnet", 0), POLICY, gateway="http://gateway", path=CHAT, note=lambda _: None
        )
        with httpx.Client() as client, pytest.raises(RuntimeError, match="AsyncClient"):
            client.get("http://127.0.0.1:9", auth=auth)
