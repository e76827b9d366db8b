"""Individual settlements as the real gateway and its facilitator made them: each holds, and each lie about it is found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.onchain import Blob, IndividualEvent, OnchainData
from og_magics.core.receipt import Receipt
from og_magics.verification import SettledData, check_data, check_enclave, evidence_of
from og_magics.verification.enclave import pem_to_der
from og_magics.verification.hashing import NO_ENCLAVE
from og_magics.verification.verdict import Verdict

CAPTURED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "individual-blobs.json").read_text(encoding="utf-8")
)


def receipt_of(case: dict[str, Any]) -> Receipt:
    proof = case["proof"]
    return Receipt(
        "r", 0.0, "1", "n", "base", "openai", "openai/gpt-5", "individual", "settled", path=case["path"],
        request=json.loads(case["request"]), text=case["text"], finish_reason="stop", tee_id=proof["tee_id"],
        tee_signature=proof["tee_signature"], tee_timestamp=proof["tee_timestamp"],
        request_hash=proof["tee_request_hash"], output_hash=proof["tee_output_hash"],
        data_settlement_hash=case["event"]["transaction"], blob_id=case["event"]["blob_id"],
        public_key=pem_to_der(case["key"]).hex(),
    )  # fmt: skip


def verdict(case: dict[str, Any], blob: str | None = None, **changes: Any) -> Verdict:
    told = case["event"]
    event = IndividualEvent(
        told["transaction"], 1, bytes.fromhex(told["tee_id"][2:]), told["address"], bytes.fromhex(told["input_hash"]),
        bytes.fromhex(told["output_hash"]), told["timestamp"], told["blob_id"], bytes.fromhex(told["signature"]),
    )  # fmt: skip
    blobs = {told["blob_id"]: Blob((blob or case["blob"]).encode())}
    facts = OnchainData(told["timestamp"] + 9999, individuals=(replace(event, **changes),), blobs=blobs)
    return check_data(receipt_of(case), SettledData(facts))


@pytest.mark.parametrize("case", CAPTURED.values(), ids=list(CAPTURED))
def test_it_holds_and_says_where_the_blob_lacks_the_text(case: dict[str, Any]) -> None:
    assert check_enclave(evidence_of(receipt_of(case))).ok is True
    found = verdict(case)
    assert found.ok is True, found.reason
    assert ("does not hold the answer's text" in found.reason) is not case["text_in_blob"]


@pytest.mark.parametrize("case", CAPTURED.values(), ids=list(CAPTURED))
def test_written_again_by_javascript_it_holds(case: dict[str, Any]) -> None:
    assert '"temperature":0.0' in case["blob"] or "temperature" not in case["blob"]
    assert verdict(case, case["blob"].replace('"temperature":0.0', '"temperature":0')).ok is True


@pytest.mark.parametrize("case", CAPTURED.values(), ids=list(CAPTURED))
def test_each_changed_part_of_a_blob_is_found(case: dict[str, Any]) -> None:
    def changed(change: Any) -> str:
        held = json.loads(case["blob"])
        change(held)
        return json.dumps(held)

    def other_question(held: Any) -> None:
        held["input"].update(prompt="another", messages=[{"role": "user", "content": "another"}])

    def other_answer(held: Any) -> None:
        choice = held["output"]["choices"][0]
        choice.pop("delta", None)
        choice.update({"text": "another"} if "text" in choice else {"message": {"content": "another"}})

    for change, named in (
        (other_question, "its input has another hash"),
        (other_answer, "its output has another hash"),
        (lambda held: held["output"].update(tee_output_hash="11" * 32), "its output names another hash"),
        (lambda held: held["output"].update(tee_signature="AAAA"), "its tee_signature is another"),
        (lambda held: held.update(teeId="0x" + "11" * 32), "its teeId is another"),
        (lambda held: held.update(timestamp="5"), "its timestamp is another"),
        (lambda held: held.update(output={}), "its output is no answer"),
        (lambda held: held.update(output=None), "no input and output"),
    ):
        found = verdict(case, changed(change))
        assert (found.ok, named in found.reason) == (False, True), found.reason


def test_placeholders_prove_nothing_and_are_no_lie() -> None:
    case = next(iter(CAPTURED.values()))
    found = verdict(case, tee_id=NO_ENCLAVE, signature=b"")
    assert (found.ok, "proves nothing" in found.reason) == (None, True)
    for changes in ({"tee_id": f"0x{NO_ENCLAVE.hex()}"}, {"tee_signature": "0x"}):
        check = check_enclave(evidence_of(replace(receipt_of(case), **changes)))
        assert (check.ok, "proves nothing" in check.reason) == (None, True)
