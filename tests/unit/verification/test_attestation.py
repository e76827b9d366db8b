"""The hardware's attestation: a real document, changes of it, and documents under a root of our own."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.verification import attestation
from og_magics.verification.attestation import Expected, check_attestation, read_document
from og_magics.verification.receipt_attestation import ReceiptAttestations
from og_magics.verification.verdict import Verdict
from tests.attestation_table import (
    HASH,
    KNOWN,
    MADE,
    PCR0,
    REAL,
    Case,
    Forger,
    ReceiptCase,
    cases,
    flipped,
    receipt_cases,
)
from tests.conftest import CI

FORGER = Forger()

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 20) | st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
FIELDS = ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_document_has_its_verdict_and_the_reason(case: Case) -> None:
    verdict = case.check()
    assert verdict.ok is case.ok, verdict.reason
    assert case.says in verdict.reason


@pytest.mark.parametrize("case", list(receipt_cases()), ids=lambda case: case.name)
def test_a_receipts_attestation_has_its_verdict_and_the_reason(case: ReceiptCase) -> None:
    verdict = case.check()
    assert verdict.ok is case.ok, verdict.reason
    assert case.says in verdict.reason


def test_a_document_is_checked_once_however_many_receipts_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(iter(receipt_cases()))
    checked: list[bytes] = []
    real = attestation.signed_document
    monkeypatch.setattr(attestation, "signed_document", lambda one, **how: (checked.append(one), real(one, **how))[1])
    attestations = ReceiptAttestations(case.documents)
    assert all(attestations.check(case.receipt, None, None).ok for _ in range(50))
    assert len(checked) == 1


def test_the_real_document_says_what_is_known_of_it() -> None:
    found = read_document(REAL)
    assert (found.module_id, found.time) == ("i-0340e0cb833504eb6-enc019c12d31f78864d", MADE)
    assert (found.pcr_hash, found.pcrs[0].hex(), found.nonce) == (HASH, PCR0, KNOWN.nonce)
    assert found.user_data[2:34].hex() == "b735546536e78ee12beea2d384fcda35f7491446c6858f79fa7ad5e4ae89b49f"
    assert found.user_data[36:].hex() == "abf9d7453422eb419fc1391604b070a81bd6a61f4d9ae0ee71ab24d77670c154"


def test_no_document_with_one_bit_changed_is_accepted() -> None:
    """Every byte in CI, one of eleven elsewhere; another bit in each."""
    places = range(0, len(REAL), 1 if CI else 11)
    accepted = [at for at in places if check_attestation(flipped(REAL, at, at % 8), KNOWN).ok is not False]
    assert accepted == []


@given(st.binary(max_size=400))
def test_any_bytes_have_a_verdict(data: bytes) -> None:
    assert check_attestation(data, Expected()).ok is False


@given(st.integers(0, len(REAL) - 1), st.integers(0, 200), st.binary(max_size=30))
def test_a_part_of_the_real_document_replaced_is_refused(at: int, cut: int, put: bytes) -> None:
    changed = REAL[:at] + put + REAL[at + cut :]
    if changed.removeprefix(b"\xd2") != REAL:  # the tag in front says the same once more
        assert check_attestation(changed, KNOWN).ok is False


@given(values)
def test_any_value_in_cbor_has_a_verdict(value: Any) -> None:
    assert check_attestation(cbor2.dumps(value), Expected()).ok is False
    assert check_attestation(cbor2.dumps([cbor2.dumps({1: -35}), {}, cbor2.dumps(value), bytes(96)]), KNOWN).ok is False


@given(st.sampled_from(FIELDS), values)
def test_a_signed_document_with_any_value_in_a_field_has_a_verdict(name: str, value: Any) -> None:
    """What the pinned hardware signed is still read with care."""
    document = FORGER.document(**{name: value})
    verdict = check_attestation(document, Expected(nonce=b"n" * 20), root=FORGER.hardware.root)
    assert isinstance(verdict, Verdict)
    if name not in ("module_id", "public_key"):
        assert verdict.ok is not True
