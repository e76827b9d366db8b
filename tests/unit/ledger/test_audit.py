"""What was edited by other hands is found and named, and nothing else is blamed."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger
from og_magics.ledger.journal import GENESIS, KEYS, entry_hash

from .conftest import by_hand, file_only, trigger

LONG = "An answer of some length. " * 20


@pytest.fixture
def ids(ledger: Ledger, make: Any) -> list[str]:
    """Four receipts: two that one authorization paid and settled, one failed, one that was only asked."""
    first, second = make.authorization(1), make.authorization(2)
    told = [make.served(ledger, first, 1), make.attached(ledger, first), make.attached(ledger, second)]
    ledger.serve(told[1], make.outcome(text=LONG), cost_usd="0.5", weight=3, enclave=make.verdict)
    ledger.fail(told[2], "The stream broke.", None)
    told.append(make.opened(ledger))
    ledger.settle(make.settlement(first, 1000))
    ledger.mark_verified(told[0])
    ledger.expire(second.hash, make.block())
    ledger.close()
    return told


def edit(ledger: Ledger, statement: str, *values: Any) -> None:
    """As a hand with an SQLite shell would."""
    with by_hand(ledger) as connection:
        assert connection.execute(statement, values).rowcount


def entries(ledger: Ledger) -> list[tuple[Any, ...]]:
    with by_hand(ledger) as connection:
        found = connection.execute("SELECT seq, time, kind, body, previous, hash FROM journal ORDER BY seq")
        return [tuple(entry) for entry in found]


def held_columns(connection: Any, table: str) -> list[str]:
    """Return the names of a table's columns."""
    cursor = connection.execute(f"PRAGMA table_info({table})")
    return [row[0] if len(row) == 1 else row[1] for row in cursor.fetchall()]


def chain_anew(ledger: Ledger, first: int, last: int | None = None) -> None:
    """Give the entries from `first` to `last` the hashes that they should have."""
    told = entries(ledger)
    previous = told[first - 2][5] if first > 1 else GENESIS
    for seq, time, kind, body, _, _ in told[first - 1 : last]:
        hash = entry_hash(previous, seq, time, kind, body)
        edit(ledger, "UPDATE journal SET previous = ?, hash = ? WHERE seq = ?", previous, hash, seq)
        previous = hash


def seq_of(ledger: Ledger, kind: str, receipt_id: str) -> int:
    (seq,) = [entry[0] for entry in entries(ledger) if entry[2] == kind and receipt_id in entry[3]]
    return int(seq)


class TestUntouched:
    def test_a_new_ledger_holds(self, ledger: Ledger) -> None:
        audit = ledger.audit()
        assert (audit.ok, audit.length, audit.head) == (True, 0, GENESIS)
        assert ledger.head() == (0, GENESIS)
        assert ledger.audit(expected_head=(0, GENESIS)).ok

    def test_a_ledger_that_only_og_magics_wrote_holds(self, ledger: Ledger, ids: list[str]) -> None:
        audit = ledger.audit()
        assert (audit.ok, audit.broken, audit.payments, audit.problems) == (True, {}, {}, [])
        assert (audit.length, audit.head) == ledger.head()

    def test_each_write_is_one_entry_of_its_kind(self, ledger: Ledger, ids: list[str]) -> None:
        assert [entry[2] for entry in entries(ledger)] == [
            "opened", "authorized", "attached", "served", "opened", "attached", "opened", "authorized", "attached",
            "served", "failed", "opened", "settled", "verified", "expired",
        ]  # fmt: skip

    def test_what_changes_nothing_is_no_entry(self, ledger: Ledger, ids: list[str], make: Any) -> None:
        before, version = ledger.head(), ledger.version()
        ledger.authorize(make.authorization(1))
        ledger.attach(ids[0], make.authorization(1).hash, "session-1")
        ledger.settle(make.settlement(make.authorization(1), 1000))
        ledger.mark_verified(ids[0])
        ledger.expire(make.authorization(2).hash, make.block())
        ledger.fail(ids[0], "late", None)
        ledger.detach(ids[3], make.authorization(1).hash)
        ledger.unsettle(make.authorization(2).hash, make.block())
        assert (ledger.head(), ledger.version()) == (before, version)

    def test_odd_values_hold(self, ledger: Ledger, make: Any) -> None:
        body = {"text": "naïve \ud83d \x00", "n": [1.5, None, True]}
        receipt_id = ledger.open(make.question(body=body), "devnet", 5)
        outcome = make.outcome(
            text="half \ud83d" * 50, latency=3, ttft=float("nan"), prompt_tokens=11.0, tee_timestamp="1800000001",
            blob_id="\udc00",
        )  # fmt: skip
        ledger.fail(receipt_id, "e\x00\ud83d", outcome, weight=2**90)
        assert ledger.audit().ok
        assert ledger.receipt(receipt_id).tee_timestamp == 1_800_000_001

    def test_a_reorganization_holds(self, ledger: Ledger, ids: list[str], make: Any) -> None:
        ledger.unsettle(make.authorization(1).hash, make.block())
        ledger.detach(ids[0], make.authorization(1).hash)
        assert ledger.audit().ok

    def test_an_audit_writes_nothing_and_keeps_nobody_from_writing(
        self, ledger: Ledger, ids: list[str], make: Any
    ) -> None:
        version = ledger.version()
        with ledger._file.reading_beside() as connection:
            connection.execute("SELECT * FROM journal").fetchone()
            make.opened(ledger)
        written = ledger.version()
        assert written > version
        ledger.audit()
        assert ledger.version() == written


class TestRows:
    @pytest.mark.parametrize(
        ("statement", "column"),
        [
            ("UPDATE receipts SET text = replace(text, '42', '43') WHERE receipt_id = ?", "text"),
            ("UPDATE receipts SET request = replace(request, '6 * 7', '6 * 8') WHERE receipt_id = ?", "request"),
            ("UPDATE receipts SET weight = '2' WHERE receipt_id = ?", "weight"),
            ("UPDATE receipts SET cost_usd = '0.0002' WHERE receipt_id = ?", "cost_usd"),
            ("UPDATE receipts SET verified_hash = NULL WHERE receipt_id = ?", "verified_hash"),
            ("UPDATE receipts SET ended = 'failed' WHERE receipt_id = ?", "ended"),
            ("UPDATE receipts SET error = '' WHERE receipt_id = ?", "error"),
            ("UPDATE receipts SET latency_s = latency_s + 0.001 WHERE receipt_id = ?", "latency_s"),
            ("UPDATE receipts SET text = CAST(x'ff34' AS TEXT) WHERE receipt_id = ?", "text"),
            ("UPDATE receipts SET tee_id = x'30' WHERE receipt_id = ?", "tee_id"),
        ],
    )
    def test_a_changed_column_is_named_with_its_receipt_and_no_other(
        self, ledger: Ledger, ids: list[str], statement: str, column: str
    ) -> None:
        edit(ledger, statement, ids[0])
        audit = ledger.audit()
        assert (audit.ok, audit.payments, audit.problems) == (False, {}, [])
        assert audit.broken == {ids[0]: f"It is not as it was written: the journal differs in {column}."}

    def test_one_character_of_a_long_answer_is_enough(self, ledger: Ledger, ids: list[str]) -> None:
        edit(ledger, "UPDATE receipts SET text = text || ' ' WHERE receipt_id = ?", ids[1])
        assert list(ledger.audit().broken) == [ids[1]]

    def test_a_removed_row_is_named(self, ledger: Ledger, ids: list[str]) -> None:
        edit(ledger, "DELETE FROM receipts WHERE receipt_id = ?", ids[2])
        assert ledger.audit().broken == {ids[2]: "It was removed."}

    def test_an_added_row_is_named(self, ledger: Ledger, ids: list[str]) -> None:
        edit(
            ledger,
            """INSERT INTO receipts (receipt_id, time, cell, notebook, network, provider, model, settlement, path,
            request) SELECT 'f00', time, cell, notebook, network, provider, model, settlement, path, request
            FROM receipts LIMIT 1""",
        )
        assert ledger.audit().broken == {"f00": "It is not in the journal: it was not written by og_magics."}

    def test_rows_that_were_swapped_are_both_named(self, ledger: Ledger, ids: list[str]) -> None:
        for old, new in ((ids[0], "x"), (ids[1], ids[0]), ("x", ids[1])):
            edit(ledger, "UPDATE receipts SET receipt_id = ? WHERE receipt_id = ?", new, old)
        audit = ledger.audit()
        assert sorted(audit.broken) == ids[:2]
        assert audit.problems == []

    def test_a_row_that_was_moved_to_another_id_is_named_at_both(self, ledger: Ledger, ids: list[str]) -> None:
        edit(ledger, "UPDATE receipts SET receipt_id = 'f00' WHERE receipt_id = ?", ids[3])
        assert sorted(ledger.audit().broken) == sorted([ids[3], "f00"])

    def test_an_end_that_was_taken_back_and_written_anew_is_named(
        self, ledger: Ledger, ids: list[str], make: Any
    ) -> None:
        edit(ledger, "UPDATE receipts SET ended = NULL WHERE receipt_id = ?", ids[0])
        ledger.serve(ids[0], make.outcome(text="41"), cost_usd=None, weight=1, enclave=make.verdict)
        assert ledger.audit().broken == {ids[0]: "It ended a second time."}


class TestPayments:
    @pytest.mark.parametrize(
        ("statement", "reason"),
        [
            ("UPDATE authorizations SET cap = '1' WHERE hash = ?", "The authorization is not .* differs in cap"),
            ("UPDATE authorizations SET expired = 1 WHERE hash = ?", "The authorization is not .* differs in expired"),
            ("DELETE FROM authorizations WHERE hash = ?", "The authorization was removed"),
            ("UPDATE settlements SET amount = '999' WHERE authorization_hash = ?", "The settlement is not .* amount"),
            ("UPDATE settlements SET payment_hash = '0x' WHERE authorization_hash = ?", "The settlement is not"),
            ("DELETE FROM settlements WHERE authorization_hash = ?", "The settlement was removed"),
        ],
    )
    def test_those_that_it_paid_are_named_and_no_others(
        self, ledger: Ledger, ids: list[str], make: Any, statement: str, reason: str
    ) -> None:
        hash = make.authorization(1).hash
        edit(ledger, statement, hash)
        audit = ledger.audit()
        assert sorted(audit.broken) == ids[:2]
        assert list(audit.payments) == [hash]
        assert audit.problems == []
        assert all(re.match(reason, told) for told in (*audit.broken.values(), *audit.payments.values()))

    def test_one_that_was_added_is_named(self, ledger: Ledger, ids: list[str], make: Any) -> None:
        hash = make.authorization(2).hash
        edit(
            ledger,
            "INSERT INTO settlements (authorization_hash, payment_hash, amount, block_number, block_hash, gas_used) "
            "SELECT ?, payment_hash, amount, block_number, block_hash, gas_used FROM settlements",
            hash,
        )
        audit = ledger.audit()
        assert audit.payments == {hash: "The settlement is not in the journal: it was not written by og_magics."}
        assert list(audit.broken) == [ids[2]]

    def test_an_amount_that_is_no_number_is_an_error_that_names_the_audit(self, ledger: Ledger, ids: list[str]) -> None:
        edit(ledger, "UPDATE settlements SET amount = 'much'")
        with pytest.raises(LedgerError, match="audit"):
            ledger.receipts()
        assert sorted(ledger.audit().broken) == ids[:2]


class TestChain:
    @pytest.mark.parametrize("rehash", [False, True], ids=["as it is", "with a new hash"])
    def test_an_entry_that_was_rewritten_together_with_its_row_is_named_with_it(
        self, ledger: Ledger, ids: list[str], rehash: bool
    ) -> None:
        seq = seq_of(ledger, "served", ids[0])
        edit(ledger, "UPDATE journal SET body = replace(body, '\"42\"', '\"43\"') WHERE seq = ?", seq)
        edit(ledger, "UPDATE receipts SET text = '43' WHERE receipt_id = ?", ids[0])
        if rehash:
            chain_anew(ledger, seq, seq)
        audit = ledger.audit()
        assert list(audit.broken) == [ids[0]]
        assert len(audit.problems) == 1
        assert audit.problems[0].startswith(f"Entry {seq} is not ")

    @pytest.mark.parametrize("what", ["time = time + 1", "kind = 'failed'", "body = x'00'", "hash = 'f00'"])
    def test_any_part_of_an_entry_counts(self, ledger: Ledger, ids: list[str], what: str) -> None:
        seq = seq_of(ledger, "opened", ids[3])
        edit(ledger, f"UPDATE journal SET {what} WHERE seq = ?", seq)
        audit = ledger.audit()
        assert audit.problems == [f"Entry {seq} is not as written: changed, moved or added by hand."]
        assert set(audit.broken) <= {ids[3]}, "what such an entry says counts for nothing; the others stand"

    def test_an_entry_turned_to_another_receipt_does_not_blame_that_one(self, ledger: Ledger, ids: list[str]) -> None:
        seq = seq_of(ledger, "served", ids[0])
        edit(ledger, "UPDATE journal SET body = replace(body, ?, ?) WHERE seq = ?", ids[0], ids[1], seq)
        assert list(ledger.audit().broken) == [ids[0]]

    def test_a_removed_entry_is_named_by_its_number(self, ledger: Ledger, ids: list[str]) -> None:
        seq = seq_of(ledger, "attached", ids[1])
        edit(ledger, "DELETE FROM journal WHERE seq = ?", seq)
        audit = ledger.audit()
        assert audit.problems == [f"Entry {seq} is missing: removed from the journal."]
        assert list(audit.broken) == [ids[1]]

    def test_entries_that_changed_places_are_named(self, ledger: Ledger, ids: list[str]) -> None:
        for old, new in ((5, 99), (7, 5), (99, 7)):
            edit(ledger, "UPDATE journal SET seq = ? WHERE seq = ?", new, old)
        audit = ledger.audit()
        assert [problem.split(" is not as written")[0] for problem in audit.problems] == ["Entry 5", "Entry 7"]
        assert sorted(audit.broken) == ids[1:3], "both were opened by those entries"

    def test_a_beginning_that_was_cut_off_is_named(self, ledger: Ledger, ids: list[str]) -> None:
        edit(ledger, "DELETE FROM journal WHERE seq <= 4")
        audit = ledger.audit()
        assert audit.problems == ["Entries 1 to 4 are missing: removed from the journal."]
        assert ids[0] in audit.broken

    def test_a_beginning_that_was_renumbered_is_named(self, ledger: Ledger, ids: list[str]) -> None:
        time, kind, body, previous = entries(ledger)[0][1:5]
        hash = entry_hash("0" * 63 + "1", 1, time, kind, body)
        edit(ledger, "UPDATE journal SET previous = ?, hash = ? WHERE seq = 1", "0" * 63 + "1", hash)
        assert previous == GENESIS
        assert ledger.audit().problems[0].startswith("Entry 1 is not the first")

    def test_a_journal_that_was_chained_anew_does_not_agree_with_the_rows(self, ledger: Ledger, ids: list[str]) -> None:
        head = ledger.head()
        seq = seq_of(ledger, "served", ids[0])
        edit(ledger, "UPDATE journal SET body = replace(body, '\"42\"', '\"43\"') WHERE seq = ?", seq)
        chain_anew(ledger, seq)
        audit = ledger.audit()
        assert audit.problems == []
        assert audit.broken == {ids[0]: "It is not as it was written: the journal differs in text."}
        assert ledger.audit(expected_head=head).problems == [
            f"Entry {head[0]} is not the one that was noted: the journal was written anew."
        ]

    def test_a_chain_that_holds_with_an_entry_that_is_none_is_named(self, ledger: Ledger, ids: list[str]) -> None:
        edit(ledger, "UPDATE journal SET body = '[]' WHERE seq = 12")
        chain_anew(ledger, 12)
        audit = ledger.audit()
        assert audit.problems == ["Entry 12 is no entry that og_magics writes."]
        assert list(audit.broken) == [ids[3]]

    def test_a_trigger_that_would_change_what_is_written_is_named(self, ledger: Ledger, ids: list[str]) -> None:
        with by_hand(ledger) as connection:
            trigger(ledger, connection)
        assert ledger.audit().problems == ["The file has a trigger 't' that og_magics did not make."]


class TestHeads:
    def test_a_head_that_was_noted_is_an_ancestor_of_all_that_came_after(
        self, ledger: Ledger, ids: list[str], make: Any
    ) -> None:
        heads = [ledger.head()]
        for _ in range(3):
            make.opened(ledger)
            heads.append(ledger.head())
        assert [head[0] for head in heads] == [15, 16, 17, 18]
        assert all(ledger.audit(expected_head=head).ok for head in heads)

    @pytest.mark.parametrize("more", [False, True], ids=["cut", "cut and written on"])
    def test_an_end_cut_off_with_its_rows_shows_against_the_head_only(
        self, ledger: Ledger, ids: list[str], make: Any, more: bool
    ) -> None:
        make.opened(ledger)
        last = make.opened(ledger)
        head = ledger.head()
        edit(ledger, "DELETE FROM journal WHERE seq = ?", head[0])
        edit(ledger, "DELETE FROM receipts WHERE receipt_id = ?", last)
        if more:
            make.opened(ledger)
        assert ledger.audit().ok
        audit = ledger.audit(expected_head=head)
        assert not audit.ok
        assert len(audit.problems) == 1
        assert str(head[0]) in audit.problems[0]

    @file_only
    def test_a_whole_ledger_in_the_place_of_another_shows_against_the_head(
        self, ledger: Ledger, ids: list[str], make: Any
    ) -> None:
        head = ledger.head()
        for path in ledger.path.parent.iterdir():
            path.unlink()
        assert ledger.audit().ok
        assert ledger.audit(expected_head=head).problems == [
            f"The journal had {head[0]} entries when its head was noted; the last of them were removed."
        ]


class TestOlderFiles:
    @pytest.fixture
    def older(self, ledger: Ledger, ids: list[str]) -> Ledger:
        """The file as it was before there was a journal."""
        connection = sqlite3.connect(ledger.path)
        connection.executescript("DROP TABLE journal; DROP INDEX authorizations_by_time; PRAGMA user_version = 1;")
        for column in ("turn", "reported_cost"):
            connection.execute(f"ALTER TABLE receipts DROP COLUMN {column}")
        for column in ("money", "evidence"):
            connection.execute(f"ALTER TABLE authorizations DROP COLUMN {column}")
        connection.executescript("DROP TABLE turns; DROP TABLE threads; DROP TABLE recordings; DROP TABLE meta;")
        connection.close()
        return ledger

    @file_only
    def test_its_rows_are_entered_as_they_are(self, older: Ledger, ids: list[str]) -> None:
        assert [receipt.receipt_id for receipt in older.receipts()] == ids
        assert [receipt.status for receipt in older.receipts()] == ["verified", "settled", "failed", "unpaid"]
        audit = older.audit()
        assert (audit.ok, audit.length) == (True, 7)
        assert {entry[2] for entry in entries(older)} == {"imported"}

    @file_only
    def test_it_is_guarded_from_there_on(self, older: Ledger, ids: list[str], make: Any) -> None:
        make.served(older, make.authorization(3))
        assert older.audit().ok
        edit(older, "UPDATE receipts SET text = 'x' WHERE receipt_id = ?", ids[1])
        assert list(older.audit().broken) == [ids[1]]


def test_every_column_of_every_table_is_guarded(ledger: Ledger, ids: list[str]) -> None:
    with by_hand(ledger) as connection:
        for table in ("authorizations", "settlements", "receipts"):
            (key,) = connection.execute(f"SELECT min({KEYS[table]}) FROM {table}").fetchone()
            for column in held_columns(connection, table):
                first = f"WHERE {KEYS[table]} = {key!r}"
                change = f"UPDATE {table} SET {column} = ? {first}"
                (old,) = connection.execute(f"SELECT {column} FROM {table} {first}").fetchone()
                connection.execute(change, ("failed" if column == "ended" else "77",))
                assert not ledger.audit().ok, (table, column)
                if column == KEYS[table]:
                    change = change.replace(repr(key), "'77'")
                connection.execute(change, (old,))
        assert ledger.audit().ok
