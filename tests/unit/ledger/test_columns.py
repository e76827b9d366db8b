"""The frame of a large ledger: read column by column, kept, and never in anybody's way."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import og_magics
from og_magics.core.types import ChatRequest, x402SettlementMode
from og_magics.ledger import FrameCache, Ledger, columns, frame_buffer, receipts_frame

from .conftest import by_hand, file_only


def same(ledger: Ledger, cache: FrameCache | None = None) -> pd.DataFrame:
    """Compare the frame that is read by columns with the one that is made of Receipt objects; return it."""
    found = (cache or FrameCache(ledger)).current()
    assert_frame_equal(found, receipts_frame(ledger.receipts()))
    return found


def edit(ledger: Ledger, *statements: tuple[str, tuple[Any, ...]]) -> None:
    with by_hand(ledger) as connection:
        for statement, values in statements:
            connection.execute(statement, values)


class TestValues:
    def test_every_kind_of_receipt_is_as_its_object_says(self, ledger: Ledger, make: Any) -> None:
        split, reported, used, expired, alone = map(make.authorization, range(1, 6))
        members = [make.served(ledger, split, weight) for weight in (1, 1, 1, 0)]
        ledger.settle(make.settlement(split, 100))
        ledger.mark_verified(members[1])
        for cost in (100, 900):
            receipt = make.attached(ledger, reported)
            outcome = make.outcome(reported_cost=cost, text="", tool_calls=())
            ledger.serve(receipt, outcome, cost_usd=None, weight=1, enclave=make.verdict)
        ledger.settle(make.settlement(reported, 1000, 8))
        make.served(ledger, used)
        ledger.mark_used(used.hash, make.block())
        make.attached(ledger, expired)
        ledger.expire(expired.hash, make.block())
        failed = make.attached(ledger, alone)
        ledger.fail(failed, "https://me:secret@gateway.example did not answer.", None, weight=3)
        ledger.settle(make.settlement(alone, 10**18, 9), final=True)
        question = make.question("Once more", turn=members[0], cell="a\x1fb", notebook="naïve \x1e %s '\".ipynb")
        ledger.open(question, "devnet", 1_700_000_000.0000005)
        ledger.fail(make.opened(ledger, 1e9), "=1+1 \x1f", make.outcome(finish_reason=None, latency=None))
        frame = same(ledger)
        assert set(frame["status"]) == {"settled", "verified", "paid", "expired", "failed", "unpaid"}
        assert set(frame["cost_basis"].dropna()) == {"prices", "told", "exact"}
        assert "secret" not in frame.to_csv()

    def test_rows_that_do_not_stand_in_order_are_sorted_with_all_their_values(self, ledger: Ledger, make: Any) -> None:
        for number, time in enumerate((3e8, 1e8, 2e8)):
            with Ledger(ledger.path) as other:  # its ids begin anew
                receipt = other.open(make.question(cell=str(number)), "devnet", time)
                if number:
                    other.authorize(make.authorization(number))
                    other.attach(receipt, make.authorization(number).hash, None)
                    make.serve(other, receipt)
                    other.settle(make.settlement(make.authorization(number), number, number))
        assert list(same(ledger)["cell"]) == ["1", "2", "0"]

    def test_columns_of_a_newer_version_stand_behind_the_others(self, ledger: Ledger, make: Any) -> None:
        kept = [make.served(ledger, make.authorization()) for _ in range(2)]
        edit(
            ledger,
            ('ALTER TABLE receipts ADD COLUMN "mood ""now""" TEXT', ()),
            ("ALTER TABLE receipts ADD raw BLOB", ()),
        )
        cache = FrameCache(ledger)
        assert len(same(ledger, cache).columns) == len(receipts_frame([]).columns), "nothing is in them yet"
        edit(
            ledger,
            ('UPDATE receipts SET "mood ""now""" = ?, raw = ? WHERE receipt_id = ?', ("calm", b"\x00\xff", kept[1])),
        )
        assert list(same(ledger)['mood "now"']) == [None, "calm"]
        assert list(same(ledger)["raw"]) == [None, "00ff"]
        make.opened(ledger, 2e9)
        assert "raw" not in cache.current(), "an edit that the journal does not know is not followed"
        edit(ledger, ("UPDATE receipts SET raw = ?", (b"7",)))
        ledger.settle(make.settlement(make.authorization()))
        same(ledger, cache)

    def test_a_session_id_of_an_older_version_is_never_shown(self, ledger: Ledger, make: Any) -> None:
        make.served(ledger, make.authorization())
        make.attached(ledger, make.authorization())
        edit(
            ledger,
            ("UPDATE receipts SET session_id = 'bearer-money' WHERE alike IS NULL", ()),
            ("UPDATE alike SET session_id = 'bearer-money'", ()),
        )
        assert "bearer-money" not in same(ledger).to_csv()

    @file_only  # a server refuses it
    @pytest.mark.parametrize("column", ["time", "prompt_tokens", "weight"])
    def test_a_value_of_another_kind_is_an_error_and_no_other_value(
        self, ledger: Ledger, make: Any, column: str
    ) -> None:
        make.served(ledger, make.authorization())
        ledger.settle(make.settlement(make.authorization()))
        make.served(ledger, make.authorization())
        edit(ledger, (f"UPDATE receipts SET {column} = '1.5x'", ()))
        with pytest.raises(og_magics.errors.LedgerError, match="did not write"):
            FrameCache(ledger).current()


class TestKept:
    @file_only
    def test_one_more_row_is_one_row_read_by_its_index(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache, statements = FrameCache(ledger), list[str]()
        for number in range(40):
            make.served(ledger, make.authorization(number // 10))
        same(ledger, cache)
        head = ledger.head()
        make.opened(ledger, 2e9)
        assert len(ledger.column_changes(head).values["receipt_id"]) == 1
        connect = sqlite3.connect

        def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **named)
            connection.set_trace_callback(statements.append)
            return connection

        monkeypatch.setattr(sqlite3, "connect", traced)
        assert len(cache.current()) == 41
        monkeypatch.undo()
        assert len(statements) <= 10, statements
        with Ledger(ledger.path)._file.reading() as connection:
            for statement in statements:
                if statement.startswith("SELECT"):
                    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
                    assert not any("SCAN receipts" in step for step in plan), (statement, plan)

    def test_nothing_new_is_no_receipt_read_and_an_equal_frame(self, ledger: Ledger, make: Any) -> None:
        make.opened(ledger)
        cache = FrameCache(ledger)
        first = cache.current()
        assert_frame_equal(first, cache.current())
        assert not len(ledger.column_changes(ledger.head()).values["receipt_id"])

    @pytest.mark.parametrize("copies", [True, False])
    def test_what_a_caller_does_to_a_frame_shows_in_no_other(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch, copies: bool
    ) -> None:
        if not copies:  # pandas before 3.0
            monkeypatch.setattr(frame_buffer, "_copies_on_write", lambda: False)
        cache = FrameCache(ledger)
        kept: list[tuple[pd.DataFrame, pd.DataFrame]] = []
        for number in range(6):
            make.served(ledger, make.authorization(number // 2))
            if number % 2:
                ledger.settle(make.settlement(make.authorization(number // 2)))
            frame = same(ledger, cache)
            kept.append((frame, frame.copy(deep=True)))
            mine = cache.current()
            mine.loc[:, "status"] = "mine"
            mine.loc[0, "prompt_tokens"] = 99
            mine.iloc[0, 4] = "mine"
            mine["time"] = mine["time"] - pd.Timedelta("1h")
            column = mine["model"]
            del mine
            column.iloc[:] = "mine"
            backwards = cache.current().sort_index(ascending=False)
            backwards.loc[0, "cell"] = "mine"
        for frame, before in kept:
            assert_frame_equal(frame, before)
        same(ledger, cache)

    def test_it_grows_beyond_its_room_and_takes_rows_in_between(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(frame_buffer, "_LEAST_ROOM", 2)
        cache = FrameCache(ledger)
        same(ledger, cache)
        with Ledger(ledger.path) as other:
            for number in range(7):
                make.opened(ledger, 2e9 + number)
                first = same(ledger, cache)
                make.served(other, make.authorization(number))  # an earlier id
                make.opened(ledger, 3e9 + number)
                same(ledger, cache)
                assert len(first) == 3 * number + 1


class TestBeside:
    def test_a_reader_in_the_middle_of_a_file_keeps_no_writer_waiting(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(3):
            make.opened(ledger)
        reads, goes_on = threading.Event(), threading.Event()
        found: dict[str, int] = {}
        order = columns._order

        def waits(ids: list[str]) -> list[int] | None:
            reads.set()
            assert goes_on.wait(60)
            return order(ids)

        monkeypatch.setattr(columns, "_order", waits)

        def read() -> None:
            found["frame"] = len(FrameCache(ledger).current())

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert reads.wait(60)
            # From the same Ledger and from another: no lock of this process or of the file is held.
            make.served(ledger, make.authorization())
            with Ledger(ledger.path) as other:
                make.opened(other)
            assert len(ledger.receipts()) == 5
        finally:
            goes_on.set()
            reader.join(60)
        assert found == {"frame": 3}, "it is the file as it was when the reading began"
        assert len(FrameCache(ledger).current()) == 5

    @pytest.mark.ci
    def test_a_process_that_reads_all_the_time_and_one_that_writes_do_not_wait_for_each_other(
        self, ledger: Ledger, make: Any
    ) -> None:
        make.opened(ledger)
        script = (
            "import sys; from og_magics.ledger import FrameCache, Ledger\n"
            "ledger = Ledger(sys.argv[1]); cache = FrameCache(ledger)\n"
            "with ledger._file.reading_beside() as connection:\n"  # open until the end
            "    held = connection.execute('SELECT count(*) FROM receipts').fetchone()[0]\n"
            "    while True:\n"
            "        print(len(cache.current()), len(FrameCache(ledger).current()), held, flush=True)\n"
            "        if not sys.stdin.readline().strip(): break\n"
            "    print(connection.execute('SELECT count(*) FROM receipts').fetchone()[0], flush=True)\n"
        )
        root = str(Path(og_magics.__file__).parents[1])
        with subprocess.Popen(
            [sys.executable, "-c", script, str(ledger.path)],
            env={**os.environ, "PYTHONPATH": root}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as reader:  # fmt: skip
            assert reader.stdin is not None
            assert reader.stdout is not None
            for count in range(1, 15):
                assert reader.stdout.readline().split() == [str(count), str(count), "1"]
                make.served(ledger, make.authorization(count))
                reader.stdin.write("again\n" if count < 14 else "\n")
                reader.stdin.flush()
            assert reader.stdout.readline().split() == ["1"]
        assert ledger.audit().ok


def test_a_question_with_a_model_of_another_form_is_shown_as_it_is(ledger: Ledger) -> None:
    for model in ("", "%s%d%n", "a/b\x1f", "😀", "a\nb"):
        ledger.open(ChatRequest("/p", model, {}, x402SettlementMode.PRIVATE), "devnet", 1.0)
    assert list(same(ledger)["model"]) == ["", "%s%d%n", "a/b\x1f", "😀", "a\nb"]
