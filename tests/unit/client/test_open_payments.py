"""All that a ledger has open is looked for: whoever signed it, on whichever network; and each payment counts once."""

from __future__ import annotations

import asyncio
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from og_magics import LLM
from og_magics.cli import main
from og_magics.client import SettlementWatcher
from og_magics.client.open_payments import look_for_wallet
from og_magics.core.accounts import WalletCheck, account_of
from og_magics.core.errors import ChainError
from og_magics.core.payment_states import Commitment, MoneyState
from og_magics.core.runtime import runtime
from og_magics.core.settings import Secret, Settings
from og_magics.ledger import Ledger, open_ledger
from og_magics.session.open_payments import open_payments, open_payments_note, settle_ledger
from og_magics.session.session import Session

from .conftest import FakeChain, Lies, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "0x" + "11" * 32
ONE, TWO = signed(1), signed(2, payer="0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
ELSEWHERE = signed(3, network="eip155:84532")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path / "tour.db")
    for one in (ONE, TWO):
        ledger.authorize(one)
    yield ledger
    ledger.close()


@pytest.fixture
def settings(ledger: Ledger, fake_chain: FakeChain) -> Settings:
    return Settings(
        network="base", rpc_url=fake_chain.url, ledger=str(ledger.path), private_key=Secret(KEY), watch=False
    )


@pytest.fixture
def llm_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Settings], LLM]]:
    monkeypatch.setattr("og_magics.client.llm._prepared", weakref.WeakSet())  # without those of other tests
    made: list[LLM] = []

    def make(settings: Settings) -> LLM:
        made.append(LLM(settings=settings))
        made[-1].prepare()
        return made[-1]

    yield make
    for llm in made:
        runtime.wait(llm.close(), 10)


def test_a_payment_counts_once_however_many_llms_there_are(
    ledger: Ledger, fake_chain: FakeChain, settings: Settings, llm_of: Callable[[Settings], LLM]
) -> None:
    llms = [llm_of(settings) for _ in range(3)]
    session = Session(settings)
    assert set(open_payments(session, 0)) == {ONE.hash, TWO.hash}
    fake_chain.pay(ONE)
    assert set(open_payments(session, 0)) == {TWO.hash}
    assert [llm.settle(0) for llm in llms] == [1, 1, 1]


def test_what_was_left_open_is_looked_for_when_the_network_is_used_again(
    ledger: Ledger, fake_chain: FakeChain, settings: Settings, llm_of: Callable[[Settings], LLM]
) -> None:
    fake_chain.pay(ONE)
    fake_chain.pay(TWO)
    llm_of(settings.replace(watch=True))
    end = time.monotonic() + 20
    while ledger.pending() and time.monotonic() < end:
        time.sleep(0.02)
    assert ledger.pending() == [], "a new kernel, with another wallet, found both"


def test_another_network_than_the_one_in_use_is_looked_at_without_a_key(ledger: Ledger, fake_chain: FakeChain) -> None:
    fake_chain.pay(TWO)
    left = settle_ledger(ledger, Settings(base_rpc_url=fake_chain.url), 0)
    assert list(left) == [ONE.hash]
    assert ledger.money(TWO.hash) is MoneyState.SETTLED


def test_the_rpc_of_the_network_in_use_is_not_asked_about_another(ledger: Ledger, fake_chain: FakeChain) -> None:
    with pytest.raises(ChainError, match=r"127\.0\.0\.1:9 cannot be reached"):
        settle_ledger(ledger, Settings(network="base-sepolia", rpc_url=fake_chain.url, base_rpc_url=NOWHERE), 0)
    assert fake_chain.asked == []


def test_a_chain_that_cannot_be_read_does_not_hide_the_others(ledger: Ledger, fake_chain: FakeChain) -> None:
    ledger.authorize(ELSEWHERE)
    fake_chain.pay(ONE)
    settings = Settings(network="base-sepolia", rpc_url=NOWHERE, base_rpc_url=fake_chain.url)
    left = settle_ledger(ledger, settings, 0)
    assert set(left) == {TWO.hash, ELSEWHERE.hash}
    assert "cannot be reached" in left[ELSEWHERE.hash]
    assert "It may be settled until" in left[TWO.hash]


def test_what_was_signed_for_a_devnet_that_is_gone_is_not_waited_for(ledger: Ledger, fake_chain: FakeChain) -> None:
    ledger.authorize(signed(4, network="eip155:31337"))
    for one in (ONE, TWO):
        fake_chain.pay(one)
    assert settle_ledger(ledger, Settings(base_rpc_url=fake_chain.url), 0) == {}


def test_where_nothing_may_be_asked_nothing_is(ledger: Ledger, fake_chain: FakeChain) -> None:
    left = settle_ledger(ledger, Settings(base_rpc_url=fake_chain.url, replay="only"), 0)
    assert set(left) == {ONE.hash, TWO.hash}
    assert fake_chain.asked == []


def test_the_command_settles_a_ledger_and_says_why_the_rest_is_open(
    ledger: Ledger, fake_chain: FakeChain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BASE_MAINNET_RPC", fake_chain.url)
    fake_chain.pay(ONE)
    fake_chain.pay(TWO)
    fake_chain.lies = Lies(no_logs=True)
    assert main(["receipts", "--ledger", str(ledger.path), "--settle", "--timeout", "0"]) == 0
    told = capsys.readouterr().err
    assert "2 payments are not settled yet." in told
    assert f"{ONE.hash[:10]}… Its nonce is used: it is paid." in told
    fake_chain.lies = Lies()
    assert main(["receipts", "--ledger", str(ledger.path), "--settle", "--timeout", "0"]) == 0
    assert capsys.readouterr().err == ""
    assert ledger.pending() == []
    monkeypatch.setenv("OG_LEDGER", str(ledger.path))
    assert main(["receipts", "--settle"]) == 0
    assert main(["receipts", "--settle", "tour.ipynb", "--json"]) == 0


def test_the_note_is_bounded() -> None:
    note = open_payments_note({f"0x{n:064x}": "Why." for n in range(100)})
    assert note.startswith("100 payments are not settled yet.")
    assert len(note.splitlines()) == 12


def test_other_ledgers_of_the_wallet_are_looked_at_before_its_budget_refuses(
    ledger: Ledger, fake_chain: FakeChain, tmp_path: Path, state_folder: Path
) -> None:
    network = fake_chain.network()
    account = account_of(network, ONE.payer)
    mine = signed(7)
    with Ledger(tmp_path / "elsewhere" / "n.db") as other:
        other.authorize(mine, wallet=WalletCheck(account, lambda committed: None))
    assert ledger.wallet_commitment(account).open == ONE.cap + mine.cap
    fake_chain.pay(mine)
    watcher = SettlementWatcher(network, ledger, confirmations=3)
    asyncio.run(look_for_wallet(watcher, network, ledger, ONE.payer, 3))
    assert ledger.wallet_commitment(account) == Commitment(ONE.cap + 5, ONE.cap)
    with Ledger(other.path) as other:
        assert other.money(mine.hash) is MoneyState.SETTLED
