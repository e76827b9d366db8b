"""What an aggregator's answer means for a receipt's data: found, differs, not there yet, expired, or a placeholder.

Blobs come over HTTP from servers on this machine, which answer as aggregators do.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from benchmarks.served import Served
from og_magics.chain.blobs import fetch
from og_magics.core.networks import BASE, BASE_SEPOLIA
from og_magics.core.onchain import BLOBS_KEPT, SETTLES_WITHIN, Blob
from og_magics.core.settings import Settings
from og_magics.verification import Verdict, check_data
from og_magics.verification.hashing import NO_ENCLAVE

DAY = 24 * 60 * 60
YET, EXPIRED = SETTLES_WITHIN - 1, BLOBS_KEPT
BETWEEN = 30 * DAY

Aggregator = Callable[[dict[str, bytes], int], str]


@pytest.fixture
def aggregator() -> Iterator[Aggregator]:
    """Starts a server with some blobs, which has one answer for all others."""
    with ExitStack() as stack:

        def start(blobs: dict[str, bytes], otherwise: int = 404) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    content = blobs.get(self.path.removeprefix("/v1/blobs/"))
                    self.send_response(otherwise if content is None else 200)
                    self.end_headers()
                    self.wfile.write(content or b'{"error": {"status": "NOT_FOUND"}}')

                def log_message(self, *arguments: Any) -> None:
                    pass

            return stack.enter_context(Served(Handler)).url

        yield start


def settled(chain: Any, mode: str) -> Any:
    receipt = chain.answer("ours", mode)
    if mode == "individual":
        return chain.individual(receipt)
    chain.batch([receipt, chain.answer("another")])
    return receipt


def judged(chain: Any, receipt: Any, age: float, url: str, *mirrors: str) -> Verdict:
    """The verdict at an age of the answer, with the blobs that these aggregators give."""
    chain.read_at = receipt.tee_timestamp + age
    chain.blobs = fetch(url, chain.blobs, mirrors=mirrors)
    return check_data(receipt, chain.settled)


def stored(chain: Any) -> dict[str, bytes]:
    return {one: blob.content for one, blob in chain.blobs.items()}


MODES = pytest.mark.parametrize("mode", ["batch", "individual"])


@MODES
@pytest.mark.parametrize("age", [60, BETWEEN, EXPIRED + DAY])
def test_a_blob_that_is_there_proves_the_answer_at_any_age(
    chain: Any, aggregator: Aggregator, mode: str, age: float
) -> None:
    receipt = settled(chain, mode)
    assert judged(chain, receipt, age, aggregator(stored(chain), 404)).ok is True


@MODES
@pytest.mark.parametrize(
    ("age", "word"), [(60, "Not there yet"), (YET, "Not there yet"), (BETWEEN, "not over"), (EXPIRED, "Expired")]
)
def test_a_blob_that_no_aggregator_has_is_told_apart_by_the_age_of_the_answer(
    chain: Any, aggregator: Aggregator, mode: str, age: float, word: str
) -> None:
    receipt = settled(chain, mode)
    verdict = judged(chain, receipt, age, aggregator({}, 404))
    assert verdict.ok is None
    assert word in verdict.reason, verdict.reason
    assert ("20 weeks" in verdict.reason) is (word == "Expired")


@MODES
@pytest.mark.parametrize("status", [500, 429, 403])
def test_an_aggregator_that_does_not_answer_has_not_said_that_a_blob_expired(
    chain: Any, aggregator: Aggregator, mode: str, status: int
) -> None:
    receipt = settled(chain, mode)
    verdict = judged(chain, receipt, EXPIRED, aggregator({}, status))
    assert verdict.ok is None
    assert f"could not be read: the aggregator answered with HTTP {status}" in verdict.reason


@MODES
def test_a_blob_of_something_else_differs(chain: Any, aggregator: Aggregator, mode: str) -> None:
    receipt = settled(chain, mode)
    others = dict.fromkeys(stored(chain), json.dumps({"input": "a", "output": "b", "values": [], "tree": []}).encode())
    verdict = judged(chain, receipt, BETWEEN, aggregator(others, 404))
    assert verdict.ok is False
    assert "is not" in verdict.reason


@MODES
def test_nothing_on_chain_is_not_there_yet_and_missing_later(chain: Any, mode: str) -> None:
    receipt = chain.answer("ours", mode)
    for age, ok in ((YET, None), (SETTLES_WITHIN, False)):
        verdict = judged(chain, receipt, age, "http://127.0.0.1:9")
        assert verdict.ok is ok
        assert verdict.reason.startswith("Not there yet") is (ok is None)


@pytest.mark.parametrize("changes", [{"tee_id": NO_ENCLAVE}, {"signature": b""}])
def test_an_event_with_a_placeholder_is_neither_proof_nor_lie(chain: Any, changes: dict[str, bytes]) -> None:
    receipt = chain.individual(chain.answer("ours", "individual"), **changes)
    verdict = check_data(receipt, chain.settled)
    assert (verdict.ok, verdict.reason.partition(":")[0]) == (None, "Placeholder")


@pytest.mark.parametrize("changes", [{"tee_id": NO_ENCLAVE}, {"signature": b""}])
def test_an_event_of_another_exchange_is_a_lie_with_a_placeholder_too(chain: Any, changes: dict[str, bytes]) -> None:
    receipt = chain.individual(chain.answer("ours", "individual"), output_hash=b"\1" * 32, **changes)
    assert check_data(receipt, chain.settled).ok is False


@pytest.mark.parametrize("field", [{"tee_id": "0x" + NO_ENCLAVE.hex()}, {"tee_signature": ""}])
def test_a_leaf_with_a_placeholder_is_neither_proof_nor_lie(chain: Any, field: dict[str, str]) -> None:
    receipt = chain.answer("ours")
    chain.batch([replace(receipt, **field), chain.answer("another")])
    verdict = check_data(receipt, chain.settled)
    assert (verdict.ok, verdict.reason.partition(":")[0]) == (None, "Placeholder")


@pytest.mark.parametrize(
    ("field", "value"), [("teeId", "0x" + NO_ENCLAVE.hex()), ("teeSignature", "0x"), ("teeSignature", None)]
)
def test_a_placeholder_in_a_blob_says_nothing_against_its_event(chain: Any, field: str, value: str | None) -> None:
    receipt = chain.individual(chain.answer("ours", "individual"))
    chain.write(receipt.blob_id, **{field: value})
    assert check_data(receipt, chain.settled).ok is True
    chain.write(receipt.blob_id, **{field: base64.b64encode(b"another").decode()})
    assert check_data(receipt, chain.settled).ok is False


class TestMirrors:
    def test_what_one_aggregator_lacks_another_gives(self, chain: Any, aggregator: Aggregator) -> None:
        receipt = settled(chain, "batch")
        whole = stored(chain)
        assert judged(chain, receipt, BETWEEN, aggregator({}, 404), aggregator(whole, 404)).ok is True
        assert fetch(aggregator({}, 503), whole, mirrors=[aggregator(whole, 404)])["tree-0"].content

    def test_absent_is_what_all_of_them_lack(self, aggregator: Aggregator) -> None:
        lacks, fails = aggregator({}, 404), aggregator({}, 503)
        assert fetch(lacks, ["a"], mirrors=[lacks])["a"].absent
        for url, mirror in ((lacks, fails), (fails, lacks), (lacks, "http://127.0.0.1:9")):
            found = fetch(url, ["a"], mirrors=[mirror])["a"]
            assert (found.content, found.absent) == (None, False)
            assert found.problem

    def test_nobody_else_is_asked_for_what_was_given(self, aggregator: Aggregator) -> None:
        assert fetch(aggregator({"a": b"tree"}, 404), ["a"], mirrors=["http://127.0.0.1:9"]) == {"a": Blob(b"tree")}

    def test_payments_on_base_have_their_blobs_on_the_main_network_and_a_setting_is_asked_alone(self) -> None:
        for network in (BASE, BASE_SEPOLIA):
            assert network.blob_mirrors
            assert not any("testnet" in one for one in (network.blob_url, *network.blob_mirrors))
        own = Settings(blob_url="http://mine").apply(BASE)
        assert (own.blob_url, own.blob_mirrors) == ("http://mine", ())
