"""A registered enclave is one that the chain vouches for, and nobody else does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from og_magics.core.onchain import Unavailable
from og_magics.core.types import Enclave
from og_magics.verification import check_registry

PCR = "0x" + "ab" * 32


def registered(receipt: Any, **changes: Any) -> Enclave:
    key = bytes.fromhex(receipt.public_key)
    return replace(Enclave("https://1.2.3.4", receipt.tee_id, key, registered=True, pcr_hash=PCR), **changes)


def test_a_registered_key_holds(chain: Any) -> None:
    receipt = chain.answer("hello")
    assert check_registry(receipt, registered(receipt)).ok is True


def test_an_id_that_the_registry_does_not_know_fails(chain: Any) -> None:
    verdict = check_registry(chain.answer("hello"), None)
    assert verdict.ok is False
    assert "own word" in verdict.reason


def test_a_registry_that_could_not_be_asked_gives_none_with_the_reason(chain: Any) -> None:
    verdict = check_registry(chain.answer("hello"), Unavailable("The RPC at x cannot be reached."))
    assert (verdict.ok, "cannot be reached" in verdict.reason) == (None, True)


def test_a_receipt_without_an_enclave_gives_none(chain: Any) -> None:
    assert check_registry(replace(chain.answer("hello"), tee_id=None), None).ok is None


@pytest.mark.parametrize("key", ["another", "zz"])
def test_a_key_that_is_not_the_ids_is_left_to_the_column_of_the_enclave(chain: Any, enclaves: Any, key: str) -> None:
    receipt = chain.answer("hello")
    forged = replace(receipt, public_key=enclaves[1].public_key_der.hex() if key == "another" else key)
    verdict = check_registry(forged, registered(receipt))
    assert (verdict.ok, "see `enclave`" in verdict.reason) == (None, True)


def test_the_pinned_code_is_checked(chain: Any) -> None:
    receipt = chain.answer("hello")
    assert check_registry(receipt, registered(receipt), "AB" * 32).ok is True
    assert check_registry(receipt, registered(receipt), "0x" + "cd" * 32).ok is False
    assert check_registry(receipt, registered(receipt, pcr_hash=""), PCR).ok is False


def test_an_answer_about_another_enclave_is_no_answer(chain: Any, enclaves: Any) -> None:
    receipt = chain.answer("hello")
    assert check_registry(receipt, registered(receipt, public_key=enclaves[1].public_key_der)).ok is None
