"""A registered enclave is one that the chain vouches for, and nobody else does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from og_magics.core.enclave import Enclave, Ending, Standing
from og_magics.core.onchain import Unavailable
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
    verdict = check_registry(chain.answer("hello"), Unavailable("The blockchain node at x cannot be reached."))
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


def standing(receipt: Any, **changes: Any) -> Enclave:
    when = receipt.tee_timestamp
    settled = {"registered_at": when - 9_000, "heartbeat_at": when - 60, "read_at": when + 60}
    return registered(receipt, standing=Standing(**settled | changes))


def judged(receipt: Any, **changes: Any) -> tuple[bool | None, str]:
    verdict = check_registry(receipt, standing(receipt, **changes))
    return verdict.ok, verdict.reason


def test_the_times_of_an_enclave_are_held_against_the_answers(chain: Any) -> None:
    receipt = replace(chain.answer("hello"), time=0.0)
    when = receipt.tee_timestamp
    assert judged(receipt)[0] is True
    ok, reason = judged(receipt, registered_at=when + 500)
    assert (ok, "after this answer" in reason) == (None, True)
    ok, reason = judged(receipt, read_at=when - 4_000)
    assert (ok, "lags behind" in reason) == (None, True)
    assert judged(receipt, read_at=when - 4_000, heartbeat_max_age=5_000)[0] is True


@pytest.mark.parametrize("ending", Ending)
def test_what_ended_is_told_with_its_time(chain: Any, ending: Ending) -> None:
    receipt = replace(chain.answer("hello"), time=0.0)
    when = receipt.tee_timestamp
    for since, expected in ((when + 500, True), (when + 60, None), (when - 60, None), (when - 500, False), (0, False)):
        ok, reason = judged(receipt, endings={ending: since})
        assert (ok, ending.value in reason) == (expected, True)


def test_since_when_is_not_known_only_an_answer_before_the_last_heartbeat_holds(chain: Any) -> None:
    receipt = replace(chain.answer("hello"), time=0.0)
    ends: dict[Ending, int | None] = {Ending.DISABLED: None}
    assert judged(receipt, endings=ends)[0] is None
    assert judged(receipt, endings=ends, heartbeat_at=receipt.tee_timestamp)[0] is True


def test_of_several_endings_the_worst_decides_and_all_such_are_told(chain: Any) -> None:
    receipt = replace(chain.answer("hello"), time=0.0)
    when = receipt.tee_timestamp
    ok, reason = judged(receipt, endings={Ending.REVOKED: when - 500, Ending.DISABLED: when - 500})
    assert (ok, "revoked" in reason, "disabled" in reason) == (False, True, True)
    ok, reason = judged(receipt, endings={Ending.REVOKED: when + 500, Ending.DISABLED: when - 500})
    assert (ok, "revoked" in reason) == (False, False)
