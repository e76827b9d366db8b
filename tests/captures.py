"""Answers captured from the real gateway, read by the client: `python -m tests.captures` prints one line each.

`vectors/gateway-captures.json.gz` holds, for each case, the requests that were sent and the answers as they came, with
the key of the gateway, and what a plain reading of their JSON gives (`expected`).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from og_magics.core.errors import GatewayError, OGError
from og_magics.core.types import Enclave, Outcome
from og_magics.gateway.failures import failure_of
from og_magics.gateway.reading import body_of, read_json
from og_magics.gateway.transcript import Transcript
from og_magics.verification.enclave import EnclaveCheck, EnclaveEvidence, check_enclave, pem_to_der

FILE = Path(__file__).parent / "vectors" / "gateway-captures.json.gz"

REFUSED = "a payment is refused: tests/unit/payment/test_captured_refusals.py"
ELSEWHERE = {
    "dead-session-reused": REFUSED, "payment-garbage": REFUSED, "permit-amount-both": REFUSED,
    "permit-amount-less": REFUSED, "permit-amount": REFUSED, "permit-expired": REFUSED, "permit-signature": REFUSED,
    "restart-after-old-session": REFUSED, "wallet-empty": REFUSED, "wallet-no-allowance": REFUSED,
    "wallet-no-allowance-2": REFUSED,
    "other-paths": "routes that the client does not use; the devnet answers them alike",
    "profile": "keys and registry of the gateway, no call",
    "restart-while-down": "the connection is closed unanswered: tests/devnet/client/test_failures.py",
    "twenty-at-once": "counts of requests, and no answers: tests/devnet/client/test_proven.py asks 20 at once",
}  # fmt: skip
"""Captured cases without an answer to a paid call, by their short names, and where what they show is tested."""


@dataclass
class Exchange:
    """One captured request and its answer."""

    case: str
    path: str
    asked: str
    status: int
    headers: dict[str, str]
    body: str
    key: str
    expected: dict[str, Any] | None


@dataclass
class Reading:
    """What the client reads in an answer."""

    outcome: Outcome
    check: EnclaveCheck | None
    error: OGError | None


def exchanges() -> Iterator[Exchange]:
    """Yield all captured exchanges, but for offers of payment."""
    for case in json.loads(gzip.decompress(FILE.read_bytes())):
        for one in case["exchanges"]:
            fields = {name: one[name] for name in ("path", "asked", "status", "headers", "body", "expected")}
            yield Exchange(case=case["name"], key=case["signing_key"] or "", **fields)


async def read(exchange: Exchange) -> Reading:
    """Read an answer as the client does."""
    body = httpx.ByteStream(exchange.body.encode())
    response = httpx.Response(exchange.status, headers=exchange.headers, stream=body)
    transcript = Transcript(Enclave(""))
    if not response.is_success:
        content = await response.aread()
        return Reading(transcript.outcome(0.0, None), None, failure_of(response, "no-such-model", content))
    asked = json.loads(exchange.asked)
    try:
        answer: Any = None
        if asked.get("stream"):
            answer = await body_of(response, lambda _part: None)
        if answer is None or isinstance(answer, dict):
            transcript.take(answer or read_json(await response.aread(), 200), response.headers)
            transcript.whole()
        else:
            async for event in answer:
                transcript.add(event, response.headers)
            transcript.final()
    except OGError as error:
        return Reading(transcript.outcome(0.0, None), None, error)
    outcome = transcript.outcome(0.0, None)
    evidence = EnclaveEvidence(
        exchange.path, asked, outcome.text, outcome.tool_calls, outcome.finish_reason, outcome.tee_id,
        outcome.tee_signature, outcome.tee_timestamp, outcome.tee_request_hash, outcome.tee_output_hash,
        pem_to_der(exchange.key),
    )  # fmt: skip
    return Reading(outcome, check_enclave(evidence), None)


def difference(exchange: Exchange, reading: Reading) -> str:
    """Return how a reading differs from the plain one; "" where it is equal."""
    expected = exchange.expected
    if expected is None:
        if not isinstance(reading.error, GatewayError) or reading.error.status != exchange.status:
            return f"status {exchange.status} is not told"
        reason = _plain_reason(exchange.body)
        return "" if reason[:80] in str(reading.error) else f"its reason is lost: {reason[:80]}"
    outcome = reading.outcome
    found = {
        "text": outcome.text,
        "calls": [[one["function"]["name"], _arguments(one["function"]["arguments"])] for one in outcome.tool_calls],
        "finish": outcome.finish_reason,
        "tokens": [outcome.prompt_tokens, outcome.completion_tokens],
        "error": reading.error is not None,
    }
    if expected["error"]:
        found |= {
            name: expected[name] for name in ("finish", "tokens", "calls")
        }  # of an answer that broke off, its text counts
    differs = [f"{name} {found[name]!r}, not {expected[name]!r}" for name in found if found[name] != expected[name]]
    if reading.check is not None and reading.check.ok is False:
        differs.append(f"an honest signature is called false: {reading.check.reason}")
    return "; ".join(differs)


def _arguments(text: str) -> Any:
    """Return the arguments of a call; as text where they are no JSON, as where a gateway joined two calls."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain_reason(body: str) -> str:
    content = json.loads(body)
    reason = content.get("error") or content.get("detail")
    return " ".join(str(reason).split()).rstrip(".")


async def main() -> int:
    """Print the table, and return the number of differences."""
    verdicts, differences = Counter[str](), 0
    for exchange in exchanges():
        reading = await read(exchange)
        differs = difference(exchange, reading)
        check = reading.check
        verdict = "error" if check is None else {True: "signed", False: "FALSE", None: "in part"}[check.ok]
        verdicts[verdict] += 1
        differences += bool(differs)
        note = differs or (check.reason if check is not None and check.ok is None else "")
        print(f"{exchange.case:<55} {exchange.status} {verdict:<8} {'DIFFERS' if differs else 'equal':<8} {note}"[:240])
    for name, where in ELSEWHERE.items():
        print(f"{name:<55} no answer to a paid call: {where}")
    print(", ".join(f"{count} {name}" for name, count in verdicts.most_common()), f"; {differences} differ")
    return differences


if __name__ == "__main__":
    sys.exit(bool(asyncio.run(main())))
