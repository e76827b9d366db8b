"""The budgets of a wallet, over all the notebooks that spend it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.accounts import Committed, WalletAccount, WalletCheck, account_of
from og_magics.core.errors import LedgerError, PaymentRefused
from og_magics.core.networks import BASE, devnet
from og_magics.core.payment_states import MARGIN, Commitment
from og_magics.ledger import Ledger
from og_magics.ledger.wallet_file import WalletFile
from og_magics.payment import Budget

SEPOLIA = "eip155:84532"
ACCOUNT = WalletAccount("0xPayer", SEPOLIA, SEPOLIA)
PLAY = WalletAccount("0xPayer", SEPOLIA, SEPOLIA, real_money=False)


def under(limit: int, account: WalletAccount = ACCOUNT, since: float | None = None) -> WalletCheck:
    """A wallet's budget, for authorizations of 10 base units each."""
    budget = Budget("The wallet's budget", limit, None, "%og budget", of_wallet=True)

    def check(committed: Committed) -> None:
        found = committed(since)
        budget.refuse(10, found.total, found.open)

    return WalletCheck(account, check)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Callable[[str], Ledger]]:
    """Ledgers of notebooks in folders of their own."""
    opened: list[Ledger] = []

    def open_in(name: str) -> Ledger:
        opened.append(Ledger(tmp_path / name / ".og" / "n.db"))
        return opened[-1]

    yield open_in
    for ledger in opened:
        ledger.close()


def held() -> list[tuple[Any, ...]]:
    """The rows of the wallet's file."""
    with sqlite3.connect(WalletFile().path) as connection:
        found = connection.execute("SELECT hash, cap, signed, paid FROM payments ORDER BY created").fetchall()
    connection.close()
    return found


class TestNotebooks:
    def test_what_one_signed_leaves_less_for_the_other(self, folders: Callable[[str], Ledger], make: Any) -> None:
        one, other = folders("one"), folders("other")
        one.authorize(make.authorization(1, cap=10), wallet=under(25))
        other.authorize(make.authorization(2, cap=10), wallet=under(25))
        for ledger in (one, other):
            with pytest.raises(PaymentRefused, match=r"0\.00000000000000002 of"):
                ledger.authorize(make.authorization(3, cap=10), wallet=under(25))
            assert ledger.wallet_commitment(ACCOUNT) == Commitment(20, 20)
            assert ledger.committed(SEPOLIA) == 10
        assert len(held()) == 2

    def test_the_stricter_of_both_holds(self, folders: Callable[[str], Ledger], make: Any) -> None:
        ledger = folders("one")

        def own(committed: Committed) -> None:
            if committed(None).total + 10 > 15:
                raise PaymentRefused("This notebook's budget does not allow it.")

        ledger.authorize(make.authorization(1, cap=10), own, under(100))
        with pytest.raises(PaymentRefused, match="This notebook's"):
            ledger.authorize(make.authorization(2, cap=10), own, under(100))
        assert ledger.wallet_commitment(ACCOUNT).total == 10, "what was reserved for it was taken back"
        assert [row[0] for row in held()] == [make.authorization(1).hash]

    def test_what_was_settled_or_expired_counts_so_for_all(self, folders: Callable[[str], Ledger], make: Any) -> None:
        one, other = folders("one"), folders("other")
        for number in (1, 2, 3):
            one.authorize(make.authorization(number, cap=10), wallet=under(100))
        one.settle(make.settlement(make.authorization(1), 3))
        one.expire(make.authorization(2).hash, make.block())
        one.mark_used(make.authorization(3).hash, make.block())
        assert other.wallet_commitment(ACCOUNT) == Commitment(13, 10)
        one.unsettle(make.authorization(1).hash, make.block())
        one.settle(make.settlement(make.authorization(2), 4))
        assert other.wallet_commitment(ACCOUNT) == Commitment(24, 20)

    def test_wallets_chains_and_devnets_count_for_themselves(self, folders: Callable[[str], Ledger], make: Any) -> None:
        one, other = folders("one"), folders("other")
        one.authorize(make.authorization(1, cap=10), wallet=under(10))
        for account in (
            WalletAccount("0xOther", SEPOLIA, SEPOLIA),
            WalletAccount("0xPayer", BASE.caip2, BASE.caip2),
            WalletAccount("0xPayer", SEPOLIA, f"{SEPOLIA}@7"),
        ):
            assert other.wallet_commitment(account).total == 0
        info = dict.fromkeys(("rpc_url", "opg_token", "tee_registry", "blob_url", "settlement_relay"), "x")
        first, second = (
            account_of(devnet({**info, "chain_id": 31337, "started": start}), "0x1") for start in (1_000, 2_000)
        )
        assert first.network == second.network
        signed = make.authorization(2, cap=10, payer="0x1", network=first.network, created=1_500)
        one.authorize(signed, wallet=under(10, first))
        assert [one.wallet_commitment(account).total for account in (first, second)] == [10, 0]
        assert account_of(BASE, "0x1").chain == BASE.caip2

    def test_only_a_days_payments_count_for_a_day(self, folders: Callable[[str], Ledger], make: Any) -> None:
        one, other = folders("one"), folders("other")
        one.authorize(make.authorization(1, cap=10, created=1_000), wallet=under(10))
        one.authorize(make.authorization(2, cap=10, created=2_000), wallet=under(10, since=1_500.0))
        assert other.wallet_commitment(ACCOUNT, 1_500.0).total == 10
        assert other.wallet_commitment(ACCOUNT).total == 20

    def test_amounts_beyond_64_bits_are_exact(self, folders: Callable[[str], Ledger], make: Any) -> None:
        folders("one").authorize(make.authorization(1, cap=2**255 + 1), wallet=under(2**256))
        assert folders("other").wallet_commitment(ACCOUNT).total == 2**255 + 1

    def test_a_second_time_changes_nothing(self, folders: Callable[[str], Ledger], make: Any) -> None:
        ledger = folders("one")
        for _ in range(2):
            ledger.authorize(make.authorization(1, cap=10), wallet=under(10))
        assert ledger.wallet_commitment(ACCOUNT).total == 10

    def test_ledgers_with_open_payments_are_known(self, folders: Callable[[str], Ledger], make: Any) -> None:
        one, other, gone = folders("one"), folders("other"), folders("gone")
        for number, ledger in enumerate((one, other, gone), 1):
            ledger.authorize(make.authorization(number, cap=10), wallet=under(100))
        gone.close()
        gone.path.unlink()
        assert one.wallet_ledgers(ACCOUNT) == [other.path]
        other.expire(make.authorization(2).hash, make.block())
        assert one.wallet_ledgers(ACCOUNT) == []


def _sign(path: str, authorization: Any, start: Any, ended: Any) -> None:
    """Sign in a process of its own, as a kernel does, once all are ready."""
    with Ledger(path) as ledger:
        start.wait(60)
        try:
            ledger.authorize(authorization, wallet=under(79))
        except PaymentRefused as error:
            ended.put(error.what)
        else:
            ended.put("")


def test_twenty_processes_in_twenty_folders_sign_what_the_wallet_has_room_for(
    tmp_path: Path, make: Any, report: Callable[[str], None]
) -> None:
    processes = multiprocessing.get_context("fork")
    with Ledger(tmp_path / "first" / ".og" / "n.db") as first:
        first.authorize(make.authorization(100, cap=3), wallet=under(79))
        start, ended = processes.Barrier(20), processes.Queue()
        paths = [tmp_path / f"{number}" / ".og" / "n.db" for number in range(20)]
        running = [
            processes.Process(target=_sign, args=(str(path), make.authorization(number, cap=10), start, ended))
            for number, path in enumerate(paths)
        ]
        for one in running:
            one.start()
        ends = [ended.get(timeout=120) for _ in running]
        for one in running:
            one.join(60)
            assert one.exitcode == 0
        assert sum(not refused for refused in ends) == 7
        assert {refused.partition(" does")[0] for refused in ends if refused} == {"The wallet's budget"}
        assert first.wallet_commitment(ACCOUNT) == Commitment(73, 73)
    signed = 0
    for path in paths:
        with Ledger(path) as ledger:
            signed += len(ledger.pending())
            assert ledger.audit().ok
    report(f"{signed} of {len(ends)} signed, {len(ends) - signed} were refused")
    assert signed == 7


def _killed(path: str, authorization: Any, where: str) -> None:
    """Die at one step of an authorization."""

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with Ledger(path) as ledger:
        setattr(ledger if where == "_write_authorization" else ledger._wallets, where, die)
        ledger.authorize(authorization, wallet=under(100))


LIMIT = 299


def _sign_until_refused(path: str, first: int, make: Any) -> None:
    with Ledger(path) as ledger, contextlib.suppress(PaymentRefused):
        for number in range(1_000):
            ledger.authorize(make.authorization(first + number, cap=10), wallet=under(LIMIT))


def _sign_on_a_full_disk(path: str, make: Any, ended: Any) -> None:
    with Ledger(path) as ledger:
        ledger.authorize(make.authorization(1), wallet=under(10**30))
        ledger.expire(make.authorization(1).hash, make.block())
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            ledger.authorize(make.authorization(2), wallet=under(10**30))
        except LedgerError as error:
            refused = error.what, error.remedy
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        pending = len(ledger.pending())
    ended.put((*refused, pending))


class TestKills:
    """A kill between two writes: nothing was sent then, and what was reserved ends with its deadline."""

    @pytest.mark.parametrize(
        ("where", "rows", "signed"), [("reserve", 0, 0), ("_write_authorization", 1, 0), ("confirm", 1, 1)]
    )
    def test_it_counts_until_its_deadline_is_past(
        self, tmp_path: Path, make: Any, where: str, rows: int, signed: int, folders: Callable[[str], Ledger]
    ) -> None:
        authorization = make.authorization(1, cap=10)
        other = folders("other")
        other.authorize(make.authorization(2, cap=10), wallet=under(100))
        process = multiprocessing.get_context("fork").Process(
            target=_killed, args=(str(tmp_path / "one" / ".og" / "n.db"), authorization, where)
        )
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        one = folders("one")
        assert len(one.pending()) == signed
        assert len(held()) == 1 + rows
        assert one.audit().ok
        before, after = authorization.deadline + MARGIN, authorization.deadline + MARGIN + 1
        for clock, total in ((before, 10 + 10 * rows), (after, 10)):
            other._wallets = WalletFile(clock=lambda clock=clock: clock)  # type: ignore[misc]
            assert other.wallet_commitment(ACCOUNT).total == total
        one._wallets = other._wallets
        assert one.wallet_commitment(ACCOUNT).total == 10 + 10 * signed, "its own ledger knows better"

    def test_processes_that_are_killed_at_any_moment_never_sign_more_than_there_is_room_for(
        self, tmp_path: Path, make: Any, report: Callable[[str], None]
    ) -> None:
        processes = multiprocessing.get_context("fork")
        paths = [tmp_path / f"{number}" / ".og" / "n.db" for number in range(6)]
        running = [
            processes.Process(target=_sign_until_refused, args=(str(path), number * 1_000, make))
            for number, path in enumerate(paths)
        ]
        chance = random.Random(7)
        for one in running:
            one.start()
        for one in running[:4]:
            one.join(chance.uniform(0, 0.1))
            one.kill()
        for one in running:
            one.join(60)
        signed = 0
        for path in paths:
            with Ledger(path) as ledger:
                signed += ledger.committed(SEPOLIA)
                total = ledger.wallet_commitment(ACCOUNT).total
        report(f"6 processes, 4 of them killed: {signed} signed and {total} reserved under a limit of {LIMIT}")
        assert 0 < signed <= total <= LIMIT
        assert total > LIMIT - 10, "those that were left used the rest"
        assert total - signed <= 4 * 10, "a kill leaves one reservation at most"

    def test_a_full_disk_signs_nothing(self, tmp_path: Path, make: Any) -> None:
        processes = multiprocessing.get_context("fork")
        ended = processes.Queue()
        process = processes.Process(target=_sign_on_a_full_disk, args=(str(tmp_path / "n.db"), make, ended))
        process.start()
        what, remedy, signed = ended.get(timeout=60)
        process.join(60)
        assert "cannot be written" in what
        assert "OG_STATE_DIR" in remedy
        assert signed == 0

    def test_a_ledger_that_cannot_be_written_takes_the_reservation_back(
        self, folders: Callable[[str], Ledger], make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = folders("one")
        ledger.authorize(make.authorization(1, cap=10), wallet=under(100))
        monkeypatch.setattr("og_magics.ledger.journal.append", _full)
        with pytest.raises(LedgerError, match="disk is full"):
            ledger.authorize(make.authorization(2, cap=10), wallet=under(100))
        assert len(held()) == 1

    def test_what_could_not_be_confirmed_is_not_sent(
        self, folders: Callable[[str], Ledger], make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = folders("one")
        full = LedgerError("The disk is full.")
        monkeypatch.setattr(ledger._wallets, "confirm", lambda *_: (_ for _ in ()).throw(full))
        with pytest.raises(LedgerError, match="disk is full"):
            ledger.authorize(make.authorization(1, cap=10), wallet=under(100))
        assert ledger.wallet_commitment(ACCOUNT).total == 10


def _full(*_: Any, **__: Any) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    raise error


class TestTheFile:
    def test_it_is_its_owners_alone(self, folders: Callable[[str], Ledger], make: Any, state_folder: Path) -> None:
        old = os.umask(0)
        try:
            folders("one").authorize(make.authorization(1), wallet=under(10**30))
        finally:
            os.umask(old)
        assert [path.name for path in state_folder.iterdir()] == ["wallets.db"]
        assert stat.S_IMODE((state_folder / "wallets.db").stat().st_mode) == 0o600
        assert stat.S_IMODE(state_folder.stat().st_mode) == 0o700

    def test_without_a_budget_of_a_wallet_there_is_none(
        self, folders: Callable[[str], Ledger], make: Any, state_folder: Path
    ) -> None:
        ledger = folders("one")
        ledger.authorize(make.authorization(1), lambda committed: None)
        ledger.settle(make.settlement(make.authorization(1)))
        assert ledger.wallet_commitment(ACCOUNT).total == 1000
        assert not state_folder.exists()

    def test_where_it_is_gone_each_notebook_enters_its_own_again(
        self, folders: Callable[[str], Ledger], make: Any
    ) -> None:
        one, other = folders("one"), folders("other")
        for number in (1, 2):
            one.authorize(make.authorization(number, cap=10), wallet=under(100))
        WalletFile().path.unlink()
        assert (one.wallet_commitment(ACCOUNT).total, other.wallet_commitment(ACCOUNT).total) == (20, 0)
        one.authorize(make.authorization(3, cap=10), wallet=under(100))
        assert other.wallet_commitment(ACCOUNT).total == 30

    def test_what_was_missed_is_entered_when_a_ledger_is_looked_at(
        self, folders: Callable[[str], Ledger], make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = folders("one"), folders("other")
        one.authorize(make.authorization(1, cap=10), wallet=under(100))
        with monkeypatch.context() as patch:
            patch.setattr(one._wallets, "note", lambda *_: None)
            one.settle(make.settlement(make.authorization(1), 4))
        assert other.wallet_commitment(ACCOUNT).total == 10
        one.enter_in_wallet(ACCOUNT)
        assert other.wallet_commitment(ACCOUNT).total == 4

    def test_a_ledger_that_came_from_elsewhere_takes_nothing_from_what_counts(
        self, tmp_path: Path, folders: Callable[[str], Ledger], make: Any
    ) -> None:
        with Ledger(tmp_path / "sent.db") as sent:  # sound by its own journal, and made by somebody with these words
            sent.authorize(make.authorization(1, cap=10))
            sent.settle(make.settlement(make.authorization(1), 0))
        mine = folders("mine")
        mine.authorize(make.authorization(1, cap=10), wallet=under(25))
        theirs = folders("theirs")
        theirs.path.parent.mkdir(parents=True)
        theirs.path.write_bytes((tmp_path / "sent.db").read_bytes())
        assert theirs.wallet_commitment(ACCOUNT).total == 10
        theirs.enter_in_wallet(ACCOUNT)
        theirs.authorize(make.authorization(2, cap=10), wallet=under(25))
        theirs.enter_in_wallet(ACCOUNT)
        assert folders("other").wallet_commitment(ACCOUNT).total == 20
        theirs.close()
        assert folders("theirs").wallet_commitment(ACCOUNT).total == 20  # another process, which knows the file by now

    def test_a_ledger_that_is_put_in_the_place_of_another_takes_nothing_from_what_counts(
        self, tmp_path: Path, folders: Callable[[str], Ledger], make: Any
    ) -> None:
        with Ledger(tmp_path / "sent.db") as sent:
            sent.authorize(make.authorization(1, cap=10))
            sent.settle(make.settlement(make.authorization(1), 0))
        mine = folders("mine")
        mine.authorize(make.authorization(1, cap=10), wallet=under(25))
        mine.close()
        for end in ("-wal", "-shm"):
            Path(f"{mine.path}{end}").unlink(missing_ok=True)
        mine.path.write_bytes((tmp_path / "sent.db").read_bytes())
        again = folders("mine")
        again.enter_in_wallet(ACCOUNT)
        assert again.wallet_commitment(ACCOUNT).total == 10

    def test_a_ledger_from_elsewhere_moves_no_payment_out_of_its_day(
        self, folders: Callable[[str], Ledger], make: Any
    ) -> None:
        mine, theirs = folders("mine"), folders("theirs")
        mine.authorize(make.authorization(1, cap=10, created=1000), wallet=under(25))
        theirs.authorize(make.authorization(1, cap=11, created=10))
        theirs.enter_in_wallet(ACCOUNT)
        assert folders("other").wallet_commitment(ACCOUNT, since=500).total >= 10

    def test_a_ledger_that_was_changed_by_hand_enters_nothing(
        self, folders: Callable[[str], Ledger], make: Any
    ) -> None:
        one, other = folders("one"), folders("other")
        one.authorize(make.authorization(1, cap=10), wallet=under(100))
        with sqlite3.connect(one.path) as connection:
            connection.execute("UPDATE authorizations SET expired = 1")
        one.enter_in_wallet(ACCOUNT)
        assert other.wallet_commitment(ACCOUNT).total == 10

    @pytest.mark.parametrize(
        "change",
        [
            "cap = '-1000'", "cap = 'much'", "paid = '-1000'", "paid = '0'", "created = -5", "deadline = 0, signed = 0",
            "payer = '0xOther'", "chain = 'eip155:1'", "paid = x'00'",
        ],
    )  # fmt: skip
    def test_what_was_changed_in_it_loosens_nothing_that_this_notebook_signed(
        self, folders: Callable[[str], Ledger], make: Any, change: str
    ) -> None:
        one, other = folders("one"), folders("other")
        one.authorize(make.authorization(1, cap=10), wallet=under(25))
        with sqlite3.connect(WalletFile().path) as connection:
            connection.execute(f"UPDATE payments SET {change}")
        connection.close()
        assert one.wallet_commitment(ACCOUNT).total >= 10
        assert other.wallet_commitment(ACCOUNT).total >= 0
        one.authorize(make.authorization(2, cap=10), wallet=under(30))
        with pytest.raises(PaymentRefused):
            one.authorize(make.authorization(3, cap=10), wallet=under(29))

    @pytest.mark.parametrize(("cap", "paid", "counted"), [("10", "-5", 10), ("10", "11", 10), ("-10", None, 0)])
    def test_no_row_of_another_notebook_is_ever_subtracted(
        self, folders: Callable[[str], Ledger], make: Any, cap: str, paid: str | None, counted: int
    ) -> None:
        one, other = folders("one"), folders("other")
        one.authorize(make.authorization(1, cap=10), wallet=under(100))
        other.authorize(make.authorization(2, cap=10), wallet=under(100))
        with sqlite3.connect(WalletFile().path) as connection:
            connection.execute(
                "UPDATE payments SET cap = ?, paid = ? WHERE hash = ?", (cap, paid, make.authorization(1).hash)
            )
        connection.close()
        assert other.wallet_commitment(ACCOUNT).total == 10 + counted

    @pytest.mark.parametrize("end", ["-journal", ""])
    def test_links_are_not_followed(
        self, folders: Callable[[str], Ledger], make: Any, tmp_path: Path, state_folder: Path, end: str
    ) -> None:
        state_folder.mkdir()
        (tmp_path / "target").touch()
        (state_folder / f"wallets.db{end}").symlink_to(tmp_path / "target")
        with pytest.raises(LedgerError, match="is a link") as refused:
            folders("one").authorize(make.authorization(1), wallet=under(10**30))
        assert "OG_STATE_DIR" in refused.value.remedy
        assert (tmp_path / "target").read_bytes() == b""

    @pytest.mark.parametrize(("content", "remedy"), [(b"no database" * 99, "wallets.db away"), (None, "of your own")])
    def test_a_file_of_something_else_is_left_alone(
        self, folders: Callable[[str], Ledger], make: Any, state_folder: Path, content: bytes | None, remedy: str
    ) -> None:
        state_folder.mkdir()
        place = state_folder / "wallets.db"
        if content is None:
            with sqlite3.connect(place) as connection:
                connection.execute("CREATE TABLE theirs (x)")
            connection.close()
        else:
            place.write_bytes(content)
        place.chmod(0o600)
        before = place.read_bytes()
        ledger = folders("one")
        with pytest.raises(LedgerError) as refused:
            ledger.authorize(make.authorization(1), wallet=under(10**30))
        assert remedy in refused.value.remedy
        assert place.read_bytes() == before
        assert ledger.pending() == []


@pytest.fixture
def anywhere(state_folder: Path) -> Iterator[Path]:
    """A folder that can be written, where the state directory cannot be; root is nobody for the while."""
    state_folder.mkdir(mode=0o755)
    state_folder.parent.chmod(0o755)
    user = os.geteuid()
    state_folder.chmod(0o555)
    if user == 0:
        os.seteuid(65534)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        os.seteuid(user)
        state_folder.chmod(0o755)


class TestAFolderThatCannotBeWritten:
    def test_real_money_is_refused_with_what_to_do(self, anywhere: Path, make: Any) -> None:
        ledger = Ledger(anywhere / ".og" / "n.db")
        with pytest.raises(LedgerError, match=r"file of the wallet's budgets, .*cannot be written") as refused:
            ledger.authorize(make.authorization(1, cap=10), wallet=under(100))
        assert "nothing is paid" in refused.value.money
        assert "OG_STATE_DIR" in refused.value.remedy
        assert ledger.pending() == []

    def test_other_money_is_held_against_this_notebooks_payments_which_is_said(self, anywhere: Path, make: Any) -> None:
        ledger = Ledger(anywhere / ".og" / "n.db")
        ledger.authorize(make.authorization(1, cap=10), wallet=under(15, PLAY))
        assert "count what this notebook pays, and no other" in ledger.note()
        with pytest.raises(PaymentRefused):
            ledger.authorize(make.authorization(2, cap=10), wallet=under(15, PLAY))
        assert ledger.wallet_commitment(PLAY).total == 10
