"""A ledger that was changed by hand is noticed before a budget believes it."""

from __future__ import annotations

import json
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.accounts import WalletAccount, WalletCheck
from og_magics.core.errors import LedgerError, PaymentRefused
from og_magics.core.payment_states import MoneyState
from og_magics.ledger import Ledger, journal, money_check
from og_magics.ledger.money_check import MoneyCheck
from og_magics.ledger.rows import authorization_row, settlement_row
from og_magics.ledger.wallet_file import WalletFile

from .conftest import by_hand, file_only, trigger

SEPOLIA = "eip155:84532"
ACCOUNT = WalletAccount("0xPayer", SEPOLIA, SEPOLIA)


def edit(ledger: Ledger, *statements: str) -> None:
    """Change a ledger as a person with sqlite3 does."""
    with by_hand(ledger) as connection:
        for statement in statements:
            if statement == TRIGGER:
                trigger(ledger, connection)
            else:
                connection.execute(statement)


def rewrite(ledger: Ledger, change: Callable[[sqlite3.Connection], None]) -> None:
    """Change rows and make the whole journal anew from its bodies: each hash is right again."""
    with by_hand(ledger) as connection:
        connection.row_factory = sqlite3.Row
        change(connection)
        previous = journal.GENESIS
        for row in connection.execute("SELECT * FROM journal ORDER BY seq").fetchall():
            hash = journal.entry_hash(previous, row["seq"], row["time"], row["kind"], row["body"])
            connection.execute("UPDATE journal SET previous = ?, hash = ? WHERE seq = ?", (previous, hash, row["seq"]))
            previous = hash


def allow(_: Any) -> None:
    """Check nothing: every budget has room."""


TRIGGER = "a trigger"
EDITS = {
    "a cap below zero": ("UPDATE authorizations SET cap = '-100000000000000000000' WHERE rowid = 1",),
    "a cap that is no number": ("UPDATE authorizations SET cap = 'none' WHERE rowid = 1",),
    "a smaller cap": ("UPDATE authorizations SET cap = '1' WHERE rowid = 1",),
    "another day": ("UPDATE authorizations SET created = 5 WHERE rowid = 2",),
    "another chain": ("UPDATE authorizations SET network = 'eip155:1' WHERE rowid = 2",),
    "another wallet": ("UPDATE authorizations SET payer = '0xOther' WHERE rowid = 2",),
    "it never was": ("UPDATE authorizations SET expired = 1 WHERE rowid = 2",),
    "a payment that was less": ("UPDATE settlements SET amount = '0'",),
    "a payment below zero": ("UPDATE settlements SET amount = '-1000'",),
    "a payment that is gone": ("DELETE FROM settlements",),
    "one that is gone": ("DELETE FROM authorizations WHERE rowid = 2",),
    "one that was added": (
        "INSERT INTO authorizations (hash, scheme, network, payer, pay_to, token, cap, nonce, deadline, gateway, path, "
        "created, spender, facilitator, reason, expired, money, evidence) SELECT '0x99', scheme, network, payer, pay_to, token, '-7', nonce, deadline, "
        "gateway, path, created, spender, facilitator, reason, 0, NULL, NULL FROM authorizations WHERE rowid = 1",
    ),
    "its entry as well": (
        "UPDATE authorizations SET cap = '1' WHERE rowid = 2",
        "UPDATE journal SET body = replace(body, '100000000000000000', '1') WHERE kind = 'authorized'",
    ),
    "the end of the journal": (
        "DELETE FROM authorizations WHERE rowid = 2",
        "DELETE FROM journal WHERE seq = 5",
    ),
    "a trigger": (TRIGGER,),
}


@pytest.fixture
def paid(ledger: Ledger, make: Any) -> Ledger:
    """A ledger with one payment that was settled and one that is open; and a receipt that nothing pays."""
    ledger.authorize(make.authorization(1))
    ledger.settle(make.settlement(make.authorization(1), 1000))
    make.opened(ledger)
    ledger.authorize(make.authorization(2))
    make.opened(ledger)
    return ledger


@pytest.mark.parametrize("statements", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("when", ["before this process", "while it runs", "after a close"])
def test_what_was_changed_by_hand_is_refused_and_nothing_is_written(
    paid: Ledger, make: Any, statements: tuple[str, ...], when: str
) -> None:
    if when != "before this process":
        paid.authorize(make.authorization(3), allow)
    if when == "after a close":
        paid.close()
    edit(paid, *statements)
    used = Ledger(paid.path) if when == "before this process" else paid
    with used:
        with pytest.raises(LedgerError, match=r"changed by hand.*budgets cannot be counted") as refused:
            used.check_money()
        assert "Nothing was signed" in refused.value.money
        assert "%og verify" in refused.value.remedy
        for _ in range(2):
            with pytest.raises(LedgerError, match="changed by hand"):
                used.authorize(make.authorization(4), allow)
            with pytest.raises(LedgerError, match="changed by hand"):
                used.authorize(make.authorization(4), wallet=WalletCheck(ACCOUNT, allow))
        assert not used.audit().ok
        with by_hand(used) as connection:
            known = {hash for (hash,) in connection.execute("SELECT hash FROM authorizations")}
        assert make.authorization(4).hash not in known


def test_after_what_was_changed_is_put_back_it_goes_on(paid: Ledger, make: Any) -> None:
    edit(paid, "UPDATE authorizations SET cap = '7' WHERE rowid = 2")
    with pytest.raises(LedgerError):
        paid.authorize(make.authorization(3), allow)
    edit(paid, f"UPDATE authorizations SET cap = '{10**17}' WHERE rowid = 2")
    paid.authorize(make.authorization(3), allow)


def test_receipts_that_were_changed_keep_no_budget_from_being_counted(paid: Ledger, make: Any) -> None:
    edit(paid, "UPDATE receipts SET model = 'another'")
    paid.authorize(make.authorization(3), allow)


def test_other_kernels_may_write_meanwhile(paid: Ledger, make: Any) -> None:
    with Ledger(paid.path) as other:
        for number in range(3, 9):
            (paid, other)[number % 2].authorize(make.authorization(number), allow)
            (other, paid)[number % 2].settle(make.settlement(make.authorization(number), number))
            (paid, other)[number % 2].unsettle(make.authorization(number).hash, make.block())
        paid.expire(make.authorization(3).hash, make.block())
        other.mark_used(make.authorization(4).hash, make.block())
        for ledger in (paid, other):
            ledger.check_money()
        assert paid.money(make.authorization(3).hash) is MoneyState.EXPIRED


def test_amounts_that_make_no_sense_are_never_subtracted(paid: Ledger) -> None:
    edit(paid, "UPDATE authorizations SET cap = '-5' WHERE rowid = 2", "UPDATE settlements SET amount = '-9'")
    assert (paid.committed(SEPOLIA), paid.wallet_commitment(ACCOUNT).total) == (0, 0)


class TestWhereItBegins:
    """The wallet's file keeps how far a ledger was checked."""

    def entries_read(self, ledger: Ledger) -> int:
        """Count the entries that a new process reads."""
        with ledger._file.reading() as connection:
            check, read = MoneyCheck(), []
            apply = check._apply
            check._apply = lambda *entry: (read.append(entry), apply(*entry))  # type: ignore[method-assign, assignment, func-returns-value]
            check.require(connection, lambda: WalletFile().checkpoint(ledger.path))
        return len(read)

    def pay(self, ledger: Ledger, make: Any, number: int) -> None:
        ledger.authorize(make.authorization(number), wallet=WalletCheck(ACCOUNT, allow))

    def test_the_next_process_reads_only_what_came_since(self, paid: Ledger, make: Any) -> None:
        for _ in range(20):
            make.opened(paid)
        self.pay(paid, make, 3)
        make.opened(paid)
        assert paid.head()[0] == 27
        assert self.entries_read(paid) == 1, "the receipt after the last payment"

    def test_it_does_so_whatever_became_of_the_payments_since(self, paid: Ledger, make: Any) -> None:
        ledger, (one, two, three) = paid, [make.authorization(number) for number in (3, 2, 4)]
        self.pay(ledger, make, 3)
        ledger.settle(make.settlement(one, 7))
        ledger.settle(make.settlement(one, 7), final=True)
        ledger.expire(two.hash, make.block())
        ledger.mark_used(two.hash, make.block())
        ledger.authorize(three)
        ledger.expire(three.hash, make.block())
        assert self.entries_read(ledger) == 6
        self.pay(ledger, make, 5)
        assert self.entries_read(ledger) == 0
        with Ledger(ledger.path) as next_one:
            self.pay(next_one, make, 6)
        assert self.entries_read(ledger) == 0

    def test_it_reads_all_where_what_was_does_not_follow_from_what_came_since(self, paid: Ledger, make: Any) -> None:
        self.pay(paid, make, 3)
        paid.unsettle(make.authorization(1).hash, make.block())
        assert self.entries_read(paid) == paid.head()[0]
        paid.settle(make.settlement(make.authorization(1), 5))
        self.pay(paid, make, 4)
        paid.settle(make.settlement(make.authorization(1), 6, number=9))
        assert self.entries_read(paid) == paid.head()[0]

    @pytest.mark.parametrize("since", ["nothing", "a receipt", "payments"])
    @pytest.mark.parametrize("statements", EDITS.values(), ids=EDITS.keys())
    def test_nothing_that_was_changed_by_hand_is_taken_for_checked(
        self, paid: Ledger, make: Any, statements: tuple[str, ...], since: str
    ) -> None:
        self.pay(paid, make, 3)
        if since == "a receipt":
            make.opened(paid)
        elif since == "payments":
            paid.settle(make.settlement(make.authorization(2), 900, number=8))
            paid.authorize(make.authorization(4))
        paid.close()
        edit(paid, *statements)
        with Ledger(paid.path) as next_one:
            for _ in range(2):
                with pytest.raises(LedgerError, match="changed by hand"):
                    self.pay(next_one, make, 5)

    @pytest.mark.parametrize("row", [2, 3])
    def test_a_row_that_came_since_is_held_against_its_entry(self, paid: Ledger, make: Any, row: int) -> None:
        self.pay(paid, make, 7)
        paid.authorize(make.authorization(8))
        paid.settle(make.settlement(make.authorization(2), 900, number=8))
        paid.close()
        edit(paid, f"UPDATE authorizations SET cap = '1' WHERE rowid = {row}", "UPDATE settlements SET amount = '1'")
        with Ledger(paid.path) as next_one, pytest.raises(LedgerError, match="changed by hand"):
            next_one.check_money()

    @file_only
    def test_a_second_row_beside_the_true_one_is_noticed(self, paid: Ledger, make: Any) -> None:
        self.pay(paid, make, 3)
        paid.close()
        edit(
            paid,
            "CREATE TABLE others AS SELECT * FROM authorizations",
            "INSERT INTO others SELECT * FROM authorizations WHERE rowid = 2",
            "UPDATE others SET cap = '1' WHERE rowid = 2",
            "PRAGMA foreign_keys = OFF",
            "DROP TABLE authorizations",
            "ALTER TABLE others RENAME TO authorizations",
        )
        with Ledger(paid.path) as next_one, pytest.raises(LedgerError, match="stands there twice"):
            next_one.check_money()

    def test_only_who_has_the_key_makes_a_digest_of_other_rows(self, paid: Ledger, make: Any) -> None:
        self.pay(paid, make, 3)
        known = WalletFile().checkpoint(paid.path)
        assert known is not None
        assert known.key.hex() not in repr(known)
        assert stat.S_IMODE(WalletFile().path.stat().st_mode) == 0o600
        for name in paid.path.parent.iterdir():
            assert known.key not in name.read_bytes()
            assert known.key.hex().encode() not in name.read_bytes()
        edit(paid, "UPDATE authorizations SET cap = '1' WHERE rowid = 2")
        with paid._file.reading() as connection:
            rows = money_check._stored(connection)
        forged = money_check._sum_of(b"x" * 32, rows.items()).to_bytes(64, "big")
        assert forged != known.digest
        with Ledger(paid.path) as next_one, pytest.raises(LedgerError, match="changed by hand"):
            next_one.check_money()

    @pytest.mark.parametrize("change", ["key = 'none'", "digest = 7", "digest = '00'", "length = 'x'", "head = 'x'"])
    def test_a_checkpoint_that_makes_no_sense_is_none(self, paid: Ledger, make: Any, change: str) -> None:
        self.pay(paid, make, 3)
        with sqlite3.connect(WalletFile().path) as connection:
            connection.execute(f"UPDATE checkpoints SET {change}")
        connection.close()
        assert self.entries_read(paid) == paid.head()[0]

    def test_a_wallet_s_file_of_an_earlier_version_gets_the_table(self, paid: Ledger, make: Any) -> None:
        self.pay(paid, make, 3)
        with sqlite3.connect(WalletFile().path) as connection:
            connection.executescript("DROP TABLE checkpoints; DROP TABLE before_marks")
        connection.close()
        assert self.entries_read(paid) == paid.head()[0]
        self.pay(paid, make, 4)
        assert self.entries_read(paid) == 0
        assert paid.wallet_commitment(ACCOUNT).total == 2 * 10**17 + 10**17 + 1000

    def test_an_old_entry_that_was_changed_is_noticed_all_the_same(self, paid: Ledger, make: Any) -> None:
        self.pay(paid, make, 3)
        edit(paid, *EDITS["its entry as well"])
        with Ledger(paid.path) as next_one, pytest.raises(LedgerError, match="changed by hand"):
            next_one.check_money()

    def test_a_journal_that_was_written_anew_is_said_and_counts_no_less_for_the_wallet(
        self, paid: Ledger, make: Any
    ) -> None:
        self.pay(paid, make, 3)
        before = paid.wallet_commitment(ACCOUNT).total

        def smaller(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM authorizations WHERE rowid = 3")
            connection.execute("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)")

        rewrite(paid, smaller)
        with Ledger(paid.path) as next_one:
            next_one.check_money()
            assert "is not the file that it was" in next_one.note()
            assert next_one.wallet_commitment(ACCOUNT).total == before
            assert next_one.committed(SEPOLIA) < before

    @file_only
    def test_a_copy_goes_its_own_way(self, paid: Ledger, make: Any, tmp_path: Path) -> None:
        self.pay(paid, make, 3)
        with sqlite3.connect(paid.path) as source, sqlite3.connect(tmp_path / "copy.db") as target:
            source.backup(target)
        with Ledger(tmp_path / "copy.db") as copy:
            self.pay(copy, make, 4)
            self.pay(paid, make, 5)
            assert copy.note() == paid.note() == ""
            assert copy.wallet_commitment(ACCOUNT) == paid.wallet_commitment(ACCOUNT)


@pytest.mark.parametrize("remembered", [False, True])
def test_one_change_among_a_thousand_receipts_is_found(
    tmp_path: Path, make: Any, remembered: bool, report: Callable[[str], None]
) -> None:
    with Ledger(tmp_path / "large.db") as ledger:
        fill(ledger, make, 1_000)
        if remembered:
            ledger.authorize(make.authorization(9_999_999), wallet=WalletCheck(ACCOUNT, allow))
    with Ledger(tmp_path / "large.db") as ledger:
        ledger.pending()
        began = time.perf_counter()
        ledger.check_money()
        took = time.perf_counter() - began
        count = ledger.head()[0]
        report(f"budgets held against {count} entries, {'remembered' if remembered else 'new'}: {took * 1000:.0f} ms")
        edit(ledger, "UPDATE authorizations SET cap = '-1' WHERE rowid = 70")
        with pytest.raises(LedgerError):
            ledger.check_money()


def fill(ledger: Ledger, make: Any, receipts: int, calls: int = 10) -> None:
    """Write receipts as `Ledger` does, in one transaction: a session pays ten calls."""
    with ledger._file.writing() as connection:
        request = json.dumps({"messages": "x" * 100})
        for number in range(receipts):
            receipt, hash = f"{number:032x}", make.authorization(number // calls).hash
            row = {"receipt_id": receipt, "time": 1.0, "cell": "1", "notebook": "n", "network": "base"}
            row |= {"provider": "p", "model": "m", "settlement": "s", "path": "/v1", "request": request}
            journal.write(connection, "opened", {"receipts": row}, receipt=receipt)
            if number % calls == 0:
                paid = authorization_row(make.authorization(number // calls))
                journal.write(connection, "authorized", {"authorizations": paid}, authorization=hash)
            pays = {"receipts": {"authorization_hash": hash}}
            journal.write(connection, "attached", pays, receipt=receipt, authorization=hash)
            end = {"receipts": {"ended": "served", "text": "y" * 200, "output_hash": "z" * 64}}
            journal.write(connection, "served", end, receipt=receipt)
            if number % calls == calls - 1:
                settled = settlement_row(make.settlement(make.authorization(number // calls)))
                journal.write(connection, "settled", {"settlements": settled}, authorization=hash)


def test_a_check_that_refuses_leaves_the_ledger_as_it_was(paid: Ledger, make: Any) -> None:
    def refuse(_: Any) -> None:
        raise PaymentRefused("No.")

    before = paid.head()
    for wallet in (None, WalletCheck(ACCOUNT, refuse)):
        with pytest.raises(PaymentRefused):
            paid.authorize(make.authorization(3), refuse, wallet)
    assert paid.head() == before
    assert WalletFile().ledgers(ACCOUNT) == []
