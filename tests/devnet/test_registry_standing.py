"""An enclave's standing on real chains: what is disabled, revoked or retyped vouches for earlier answers alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_utils.crypto import keccak

from og_magics import chain
from og_magics.core.enclave import Enclave, Ending
from og_magics.core.networks import BASE, Network
from og_magics.core.receipt import Receipt
from og_magics.devnet import chain as devnet
from og_magics.devnet import contracts
from og_magics.devnet.operator import Operator
from og_magics.verification import Verdict, check_registry

HOUR = 3600
KEY = b"a key, as DER, of more bytes than a word has"
TEE_ID = keccak(KEY)
PCRS = (b"\1" * 48, b"\2" * 48, b"\3" * 48)
PCR_HASH = keccak(b"".join(PCRS))
EARLIER = Path(__file__).parents[1] / "vectors" / "TEERegistry-earlier.json"


class Registry:
    """A chain with a registry of one enclave, whose clock a test moves."""

    def __init__(self, running: devnet.Chain, advance: Callable[[int], None]) -> None:
        self.network: Network = replace(BASE, rpc_url=running.rpc_url, registry_rpc_url=running.rpc_url)
        self.web3 = devnet.connect(running)
        self.operator = Operator(self.web3)
        self.advance = advance
        self.register(0)
        advance(HOUR)

    def register(self, tee_type: int) -> None:
        ohttp = (0, 0, 0, 0, b"", b"", 0)
        self.do("registerTEE", "0x" + "11" * 20, "https://1.2.3.4", KEY, b"certificate", PCR_HASH, tee_type, ohttp)

    def do(self, name: str, *arguments: Any) -> None:
        self.operator.send(self.operator.contract("TEERegistry").get_function_by_name(name)(*arguments))

    def now(self) -> int:
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def enclave(self) -> Enclave:
        found = chain.enclave_by_id(self.network, "0x" + TEE_ID.hex())
        assert found is not None
        assert found.standing is not None
        return found

    def verdict(self, when: int) -> Verdict:
        (found,) = chain.enclaves_by_id(self.network, ["0x" + TEE_ID.hex()]).values()
        return check_registry(answered(when), found)

    def listed(self) -> list[str]:
        return [one.endpoint for one in chain.active_enclaves(self.network)]


def answered(when: int) -> Receipt:
    return Receipt(
        receipt_id="1", time=float(when), cell="", notebook="", network="base", provider="openai", model="openai/gpt-5",
        settlement="batch", status="served", tee_id="0x" + TEE_ID.hex(), public_key=KEY.hex(), tee_timestamp=when,
    )  # fmt: skip


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[devnet.Chain, Callable[[int], None]]]:
    passed = [-10 * HOUR]
    clock = SimpleNamespace(time=lambda: time.time() + passed[0])
    monkeypatch.setattr("og_magics.devnet.evm.time", clock)
    running = devnet.start_chain("embedded", BASE.chain_id)

    def advance(seconds: int) -> None:
        passed[0] += seconds
        devnet.connect(running).provider.make_request("evm_mine", [])  # type: ignore[arg-type]

    yield running, advance
    running.close()


def anvil() -> Iterator[tuple[devnet.Chain, Callable[[int], None]]]:
    running = devnet.start_chain("anvil", BASE.chain_id)

    def advance(seconds: int) -> None:
        provider = devnet.connect(running).provider
        provider.make_request("evm_increaseTime", [seconds])  # type: ignore[arg-type]
        provider.make_request("evm_mine", [])  # type: ignore[arg-type]

    yield running, advance
    running.close()


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.ci)])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    if request.param == "embedded":
        yield Registry(*request.getfixturevalue("embedded"))
        return
    if not (os.environ.get("OG_ANVIL") or shutil.which("anvil")):
        pytest.skip("anvil is not here")
    for running, advance in anvil():
        yield Registry(running, advance)


def test_one_in_good_standing_vouches_and_tells_its_times(registry: Registry) -> None:
    standing = registry.enclave().standing
    assert standing is not None
    assert (standing.tee_type, standing.enabled, standing.active, standing.approved) == (0, True, True, True)
    assert standing.registered_at == standing.heartbeat_at < registry.now()
    assert standing.endings == {}
    assert registry.verdict(registry.now()).ok is True
    assert registry.listed() == ["https://1.2.3.4"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("disableTEE", TEE_ID), "disabled in the registry"),
        (("revokePCR", PCR_HASH, 0), "measurement was revoked"),
        (("registerTEE", 1), "type 1, validator"),
    ],
)
def test_what_ends_vouches_for_answers_of_before_and_for_none_of_after(
    registry: Registry, change: tuple[Any, ...], said: str
) -> None:
    before = registry.now()
    registry.advance(HOUR)
    if change[0] == "registerTEE":
        registry.register(1)
    else:
        registry.do(*change)
    ended = registry.now()
    registry.advance(HOUR)
    earlier, at, later = (registry.verdict(when) for when in (before, ended + 60, ended + HOUR // 2))
    assert (earlier.ok, at.ok, later.ok) == (True, None, False)
    assert said in earlier.reason
    assert "after this answer" in earlier.reason
    assert said in later.reason
    assert "do not trust" in later.reason
    assert registry.listed() == []


def test_what_is_in_order_again_vouches_again(registry: Registry) -> None:
    registry.do("disableTEE", TEE_ID)
    registry.advance(HOUR)
    registry.do("enableTEE", TEE_ID)
    registry.advance(HOUR)
    assert registry.verdict(registry.now()).ok is True
    assert registry.listed() == ["https://1.2.3.4"]


def test_a_key_that_dates_its_answer_back_is_held_to_this_machines_clock(registry: Registry) -> None:
    before = registry.now()
    registry.advance(HOUR)
    registry.do("disableTEE", TEE_ID)
    registry.advance(HOUR)
    found = registry.enclave()
    verdict = check_registry(replace(answered(before), time=float(registry.now())), found)
    assert (verdict.ok, "dates its answer" in verdict.reason) == (None, True)


def test_one_whose_heartbeats_stopped_is_not_offered_and_vouches_still(registry: Registry) -> None:
    registry.do("setHeartbeatMaxAge", 900)
    registry.advance(HOUR)
    assert registry.listed() == []
    standing = registry.enclave().standing
    assert standing is not None
    assert (standing.active, standing.approved, standing.endings) == (False, True, {})
    assert registry.verdict(registry.now()).ok is True
    beat = registry.now()
    registry.do("heartbeat", TEE_ID, beat, b"")
    assert registry.listed() == ["https://1.2.3.4"]
    standing = registry.enclave().standing
    assert standing is not None
    assert (standing.heartbeat_at >= beat, standing.heartbeat_max_age, standing.active) == (True, 900, True)


def test_a_measurement_that_was_revoked_registers_nobody_and_enables_nobody(registry: Registry) -> None:
    registry.do("revokePCR", PCR_HASH, 0)
    functions = registry.operator.contract("TEERegistry").functions
    with pytest.raises(Exception, match="revoked"):
        functions.enableTEE(TEE_ID).call({"from": registry.operator.address})
    assert functions.isPCRApproved(0, PCR_HASH).call() is False
    assert functions.getApprovedPCRs().call() == []
    registry.do("approvePCR", PCRS, "again", 0)
    assert functions.computePCRHash(PCRS).call() == PCR_HASH
    assert functions.pcrRecords(0, PCR_HASH).call()[3] == "again"
    registry.do("enableTEE", TEE_ID)
    assert registry.verdict(registry.now()).ok is True


def test_of_the_earlier_registry_what_it_does_not_tell_is_not_known(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    earlier, load = json.loads(EARLIER.read_text()), contracts.load
    artifact = contracts.Artifact("TEERegistry", earlier["abi"], bytes.fromhex(earlier["runtime"][2:]))
    monkeypatch.setattr(contracts, "load", lambda name: artifact if name == "TEERegistry" else load(name))
    registry = Registry(*request.getfixturevalue("embedded"))
    standing = registry.enclave().standing
    assert standing is not None
    assert (standing.enabled, standing.heartbeat_max_age) == (True, None)
    assert registry.verdict(registry.now()).ok is True
    before = registry.now()
    registry.advance(HOUR)
    registry.do("setEnabled", TEE_ID, False)  # its event is none that is known
    registry.advance(HOUR)
    standing = registry.enclave().standing
    assert standing is not None
    assert (standing.approved, standing.endings) == (None, {Ending.DISABLED: None})
    verdict = registry.verdict(before)
    assert (verdict.ok, "since when is not known" in verdict.reason) == (None, True)
    assert registry.verdict(standing.heartbeat_at).ok is True
