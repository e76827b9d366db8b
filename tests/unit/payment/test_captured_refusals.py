"""Payments that the real gateway refused, as captured: the client reads why, and signs once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from og_magics.core.errors import PaymentRejected
from og_magics.payment.authorize import decode_challenge

from ...devnet_captures import cases, short
from .test_handshake import CHAT, POLICY, SESSION, SIGNATURE, Bench, bench, ledger

__all__ = ["bench", "ledger"]


def answer(exchange: dict[str, Any]) -> httpx.Response:
    headers = [(name, value) for name, value in exchange["answer_headers"] if name != "Transfer-Encoding"]
    return httpx.Response(exchange["status"], headers=headers, content=exchange["answer"].encode())


def refusal(case: dict[str, Any]) -> str:
    """Return why the signed request of a case was refused; "" where none was."""
    last = case["exchanges"][-1]
    header = answer(last).headers.get("PAYMENT-REQUIRED")
    return "" if header is None or "pay" not in last else decode_challenge(header).error or ""


CASES = {short(case["name"]): case for case in cases() if all(one["status"] == 402 for one in case["exchanges"])}
REFUSED = {name: reason for name, case in CASES.items() if case["exchanges"] and (reason := refusal(case))}
OVER = [name for name, case in CASES.items() if case["exchanges"] and not refusal(case)]


def test_each_reason_is_among_them() -> None:
    assert set(REFUSED.values()) == {
        "No matching payment requirements", "Payment required", "invalid_permit2_signature", "permit2_allowance_required",
        "permit2_amount_mismatch", "permit2_deadline_expired", "permit2_insufficient_balance",
    }  # fmt: skip
    assert set(OVER) == {"dead-session-reused", "restart-after-old-session"}


@pytest.mark.parametrize("name", REFUSED)
async def test_its_reason_is_told_and_nothing_more_is_signed(bench: Bench, name: str) -> None:
    offered, *_, refused = CASES[name]["exchanges"]

    async def as_captured(request: httpx.Request) -> httpx.Response:
        return answer(refused if SIGNATURE in request.headers else offered)

    bench.handler = as_captured
    (offer,) = decode_challenge(answer(offered).headers["PAYMENT-REQUIRED"]).accepts
    policy = replace(POLICY, network=offer.network, token=offer.asset, max_amount=int(offer.amount))
    receipt_id, auth = bench.question(policy=policy)
    with pytest.raises(PaymentRejected, match=REFUSED[name]) as caught:
        await bench.client.post(CHAT, json={}, auth=auth)
    assert caught.value.reason == REFUSED[name]
    assert "took nothing" in caught.value.money
    assert len(bench.signatures) == len(bench.ledger.pending()) == 1
    assert bench.ledger.receipt(receipt_id).authorization_hash == bench.ledger.pending()[0].hash


@pytest.mark.parametrize("name", OVER)
async def test_a_session_that_is_over_is_gone_on_with_by_its_signature_or_another(bench: Bench, name: str) -> None:
    await bench.ask()
    over = CASES[name]["exchanges"][-1]

    async def as_captured(request: httpx.Request) -> httpx.Response:
        return answer(over) if SESSION in request.headers else await bench.settles_late(request)

    bench.handler = as_captured
    assert (await bench.ask()).status_code == 200
    assert len(bench.signatures) == 1
    bench.ahead = time.time()  # far past the deadline of what was signed: only another signature can pay
    assert (await bench.ask()).status_code == 200
    assert len(bench.signatures) == 2
