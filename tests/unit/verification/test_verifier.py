"""What is said about receipts as a whole: which are not asked, and how it is told in a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from og_magics.core.networks import BASE, BASE_SEPOLIA
from og_magics.core.onchain import OnchainData
from og_magics.core.receipt import Authorization, Receipt
from og_magics.verification import Verdict
from og_magics.verification.verifier import COLUMNS, proofs_frame, proofs_summary, prove, reason_of, with_payments

RECEIPT = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="base", provider="openai",
    model="openai/gpt-5", settlement="batch", status="served",
)  # fmt: skip
SIGNED = Authorization(
    hash="0x" + "ab" * 32, scheme="upto", network="eip155:8453", payer="0x" + "11" * 20, pay_to="0x" + "22" * 20,
    token="0x" + "33" * 20, cap=10**17, nonce=1, deadline=1795343749, gateway="", path="", created=1795343449,
)  # fmt: skip
DOWN = replace(BASE, rpc_url="http://127.0.0.1:9", registry_rpc_url="http://127.0.0.1:9")


def reasons(networks):
    (proof,) = prove([RECEIPT], networks, data_of=lambda network, receipts: OnchainData(0))
    return {proof.verdicts[name].reason for name in ("registry", "payment", "data")}


def test_an_offline_check_and_an_unknown_network_are_told_apart():
    (offline,) = reasons(None)
    (unknown,) = reasons({})
    assert "offline" in offline
    assert "network" in unknown


def test_proofs_with_the_same_reason_share_it():
    same, other = Verdict(None, "Not asked."), Verdict(False, "No.")
    verdicts = dict.fromkeys(COLUMNS, same) | {"enclave": Verdict(True, "Yes."), "data": other}
    assert reason_of(verdicts, COLUMNS) == "attestation, registry, payment, ledger: Not asked. data: No."
    assert reason_of(verdicts, ("enclave",)) == "All proofs hold."


@pytest.mark.parametrize(
    ("oks", "line"),
    [
        ([], "0 receipts, 0 with every proof, none failed."),
        ([True], "1 receipt, 1 with every proof, none failed."),
        ([True, None], "2 receipts, 1 with every proof, 1 with proofs that are not known, none failed."),
        ([True, False, False], "3 receipts, 1 with every proof, 2 FAILED."),
    ],
)
def test_one_line_counts_what_holds_and_what_does_not(oks, line):
    proofs = prove([replace(RECEIPT, receipt_id=str(i)) for i in range(len(oks))], None)
    proofs = [
        replace(proof, verdicts=dict.fromkeys(COLUMNS, Verdict(True, "")) | {"data": Verdict(ok, "")})
        for proof, ok in zip(proofs, oks, strict=True)
    ]
    assert proofs_summary(proofs_frame(proofs)) == line


def test_a_payment_that_cannot_be_looked_for_leaves_the_receipt_as_it_is():
    receipt = replace(RECEIPT, authorization=SIGNED, authorization_hash=SIGNED.hash)
    assert with_payments([receipt, RECEIPT], {}) == [receipt, RECEIPT]
    assert with_payments([receipt], {"base": DOWN}) == [receipt]
    assert with_payments([receipt], {"base": BASE_SEPOLIA}) == [receipt]  # of another chain than it says


@pytest.mark.parametrize("name", ["payer", "pay_to", "token"])
def test_an_address_that_is_none_is_not_asked_about(name):
    signed = replace(SIGNED, **{name: "0x<script>"})
    receipt = replace(RECEIPT, authorization=signed, authorization_hash=signed.hash)
    assert with_payments([receipt], {"base": DOWN}) == [receipt]


@pytest.mark.parametrize(
    "changes", [{"token": "0x" + "33" * 20}, {"token": BASE.opg_token, "deadline": SIGNED.created + 10**9}]
)
def test_a_strangers_authorization_is_not_looked_for_through_years_of_blocks(changes, monkeypatch):
    """Of a worthless token, or of a time without an end: no request is sent."""
    monkeypatch.setattr("og_magics.chain.find_settlements", lambda *_, **__: pytest.fail("the chain was read"))
    signed = replace(SIGNED, **changes)
    receipt = replace(RECEIPT, authorization=signed, authorization_hash=signed.hash)
    assert with_payments([receipt], {"base": DOWN}) == [receipt]
