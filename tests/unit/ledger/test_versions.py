"""Files of other minor versions: what is not known is kept, what is missing is None; another major one is refused."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from og_magics.core.errors import LedgerError
from og_magics.core.receipt import COLUMNS, MIME, VERSION, Receipt
from og_magics.core.receipt_fields import OUTPUT_FIELDS
from og_magics.core.versions import is_readable, parse_version, require_readable
from og_magics.ledger import (
    FrameCache,
    Ledger,
    export_receipts,
    import_receipts,
    read_frame,
    receipts_frame,
    schema,
)  # fmt: skip
from og_magics.notebook.file import answers_in, receipts_in

from ...conftest import examples

OLDEST = {
    "version": 1, "receipt_id": "01", "time": 1.5, "cell": "3", "notebook": "n.ipynb", "network": "devnet",
    "provider": "openai", "model": "openai/gpt-5", "settlement": "batch", "status": "served",
}  # fmt: skip
"""As the first release wrote it, with nothing that came later."""
SIGNED = {
    "hash": "0x1", "scheme": "upto", "network": "eip155:1", "payer": "0xA", "pay_to": "0xB", "token": "0xC",
    "cap": "7", "nonce": "8", "deadline": 9, "gateway": "http://g", "path": "/v1", "created": 1, "spender": "",
    "facilitator": "", "reason": "first",
}  # fmt: skip
NEWER = OLDEST | {
    "version": "1.9", "mood": "good", "carbon": {"grams": 0.5, "by": ["a", None]}, "authorization": SIGNED | {"fee": 3},
}  # fmt: skip
"""As a later minor version may write it."""
KNOWN = set(Receipt.__slots__) | OUTPUT_FIELDS | set(COLUMNS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
EXTRA = st.dictionaries(st.text().filter(lambda name: name not in KNOWN), VALUES, max_size=4)


class TestVersions:
    @pytest.mark.parametrize("version", [1, "1", "1.0", "1.1", "1.10", "1.999"])
    def test_every_minor_of_our_major_is_read(self, version: Any) -> None:
        assert is_readable(version, "1.0")

    def test_minor_versions_are_numbers_and_not_texts(self) -> None:
        assert parse_version("1.10") > parse_version("1.9")
        assert parse_version(1) == parse_version("1.0")

    @pytest.mark.parametrize(
        ("version", "remedy"), [(2, "pip install -U"), ("3.4", "pip install -U"), ("0.9", "reads")]
    )
    def test_another_major_is_refused_with_both_versions_and_the_remedy(self, version: Any, remedy: str) -> None:
        with pytest.raises(ValueError, match=remedy) as caught:
            require_readable(version, "1.0", "receipt")
        assert f"receipt version {version}" in str(caught.value)
        assert "reads 1.x" in str(caught.value)

    @pytest.mark.parametrize("version", [None, True, -1, "", "one", 1.0, [], "1" * 100, 10**400, "1.0; 2"])
    def test_what_is_no_version_is_refused(self, version: Any) -> None:
        assert not is_readable(version, "1.0")


class TestReceipts:
    def test_one_of_the_first_release_is_read_and_what_it_lacks_is_none(self) -> None:
        receipt = Receipt.from_json(OLDEST)
        assert (receipt.payment_hash, receipt.cost, receipt.prompt_tokens, receipt.authorization) == (None,) * 4
        assert receipt.to_json()["version"] == VERSION

    def test_fields_of_a_newer_minor_are_written_again(self) -> None:
        receipt = Receipt.from_json(NEWER)
        again = json.loads(json.dumps(receipt.to_json()))
        assert {name: again[name] for name in NEWER} == NEWER | {"version": VERSION}
        assert Receipt.from_json(again) == receipt

    def test_another_major_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"2\.3 .*reads 1\.x"):
            Receipt.from_json(OLDEST | {"version": "2.3"})

    @given(extra=EXTRA, fee=EXTRA)
    def test_whatever_a_newer_version_adds_comes_back(self, extra: dict[str, Any], fee: dict[str, Any]) -> None:
        fee = {name: value for name, value in fee.items() if name not in SIGNED}
        form = {**extra, **OLDEST, "authorization": {**fee, **SIGNED}}
        again = json.loads(json.dumps(Receipt.from_json(json.loads(json.dumps(form))).to_json()))
        assert {name: again[name] for name in extra} == extra
        assert again["authorization"] == form["authorization"]
        assert Receipt.from_json(again) == Receipt.from_json(form)

    def test_what_an_unknown_field_holds_is_not_published(self) -> None:
        scrubbed = Receipt.from_json(NEWER | {"thoughts": "a secret"}).without_text()
        assert "secret" not in json.dumps(scrubbed.to_json())
        assert "fee" not in json.dumps(scrubbed.to_json())

    def test_an_unknown_field_that_is_nested_too_deep_is_refused(self) -> None:
        deep: Any = []
        for _ in range(200):
            deep = [deep]
        with pytest.raises(ValueError, match="nested"):
            Receipt.from_json(OLDEST | {"deep": deep})

    def test_a_notebook_of_a_newer_minor_is_read_and_what_an_output_says_of_itself_is_no_field(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "n.ipynb"
        head = {"length": 3, "head": "a" * 64}
        forms = [
            NEWER | {"ledger": head, "format": "json"},
            {"version": "1.4", "receipts": [NEWER, OLDEST], "weather": "fine"},
            {"version": "1.4", "columns": [{"model": "m", "receipt": NEWER, "rank": 1}]},
        ]
        outputs = [{"output_type": "display_data", "data": {MIME: form}, "metadata": {}} for form in forms]
        path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": "", "outputs": outputs}]}))
        assert [receipt.extra.get("mood") for receipt in receipts_in(path)] == ["good", "good", None, "good"]
        assert set(receipts_in(path)[0].extra) == {"mood", "carbon"}
        assert answers_in(path)[0].head == (3, "a" * 64)

    def test_a_notebook_of_another_major_says_which(self, tmp_path: Path) -> None:
        output = {"output_type": "display_data", "data": {MIME: {"version": "2.0", "receipts": []}}, "metadata": {}}
        path = tmp_path / "n.ipynb"
        path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": "", "outputs": [output]}]}))
        with pytest.raises(LedgerError, match=r"2\.0 .*1\.x.*pip install -U"):
            receipts_in(path)


class TestExports:
    def test_a_json_file_keeps_unknown_fields_through_import_and_export(self, tmp_path: Path) -> None:
        (tmp_path / "new.json").write_text(json.dumps([NEWER, OLDEST]))
        receipts = import_receipts(tmp_path / "new.json")
        again = import_receipts(export_receipts(receipts, tmp_path / "again.json"))
        assert again == receipts
        assert again[0].extra == {"mood": "good", "carbon": {"grams": 0.5, "by": ["a", None]}}

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_unknown_fields_are_columns_behind_the_known_ones(self, tmp_path: Path, suffix: str) -> None:
        if suffix == "parquet":
            pytest.importorskip("pyarrow")
        receipts = [Receipt.from_json(NEWER), Receipt.from_json(OLDEST)]
        frame = read_frame(export_receipts(receipts, tmp_path / f"r.{suffix}"))
        assert list(frame.columns) == [*COLUMNS, "carbon", "mood"]
        assert frame["mood"].tolist() == ["good", None]
        assert json.loads(frame["carbon"][0]) == NEWER["carbon"]
        assert_frame_equal(frame[list(COLUMNS)], receipts_frame(receipts)[list(COLUMNS)])

    def test_a_csv_file_of_another_minor_is_read(self, tmp_path: Path) -> None:
        """It lacks most columns, has them in another order, and one that is not known."""
        path = tmp_path / "other.csv"
        path.write_text("mood,time,receipt_id,cost_opg,version\ngood,2026-11-26T10:00:00+00:00,01,0.5,1.7\n")
        (row,) = read_frame(path).to_dict("records")
        assert (row["receipt_id"], str(row["cost_opg"]), row["mood"]) == ("01", "0.5", "good")
        assert row["payment_hash"] is None
        assert row["replayed"] is None
        assert pd.isna(row["prompt_tokens"])
        assert str(read_frame(path)["prompt_tokens"].dtype) == "Int64"

    def test_a_csv_file_of_the_first_release_had_no_version(self, tmp_path: Path) -> None:
        path = export_receipts([Receipt.from_json(OLDEST)], tmp_path / "r.csv")
        rows = list(csv.reader(path.read_text().splitlines()))
        path.write_text("\n".join(",".join(row[:-1]) for row in rows) + "\n")
        assert_frame_equal(read_frame(path), receipts_frame([Receipt.from_json(OLDEST)]))

    def test_a_csv_file_of_another_major_is_refused_with_both_versions(self, tmp_path: Path) -> None:
        (tmp_path / "r.csv").write_text("receipt_id,time,version\n01,2026-11-26T10:00:00+00:00,2.0\n")
        with pytest.raises(LedgerError, match=r"2\.0 .*1\.x.*pip install -U"):
            read_frame(tmp_path / "r.csv")

    def test_a_parquet_file_of_another_version_is_read_by_its_major(self, tmp_path: Path) -> None:
        pa = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        time = pd.Timestamp("2026-11-26T10:00:00Z")
        table = pa.table({"mood": [[1, 2]], "receipt_id": ["01"], "time": [time]})
        for version, readable in (("1.8", True), ("2.0", False), (None, True)):
            metadata = {} if version is None else {b"og_magics.receipts": version.encode()}
            parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "r.parquet")
            if readable:
                frame = read_frame(tmp_path / "r.parquet")
                assert (frame["mood"].tolist(), frame["cost_opg"].tolist()) == ([[1, 2]], [None])
            else:
                with pytest.raises(LedgerError, match=r"2\.0 .*1\.x"):
                    read_frame(tmp_path / "r.parquet")

    def test_the_name_of_an_unknown_field_is_no_formula_in_a_spreadsheet(self, tmp_path: Path) -> None:
        receipt = Receipt.from_json(OLDEST | {"=cmd()": "=1"})
        path = export_receipts([receipt], tmp_path / "r.csv")
        assert "'=cmd()" in path.read_text()
        assert read_frame(path)["=cmd()"].tolist() == ["=1"]

    @given(extra=EXTRA)
    def test_whatever_the_unknown_fields_are_the_known_columns_come_back(
        self, tmp_path_factory: pytest.TempPathFactory, extra: dict[str, Any]
    ) -> None:
        receipts = [Receipt.from_json(extra | OLDEST), Receipt.from_json(OLDEST | {"receipt_id": "02"})]
        path = tmp_path_factory.getbasetemp() / "whatever.csv"
        frame = read_frame(export_receipts(receipts, path))
        assert_frame_equal(frame[list(COLUMNS)], receipts_frame(receipts)[list(COLUMNS)])
        assert len(frame.columns) == len(COLUMNS) + len(extra)


class TestLedgers:
    """A file that a newer minor has written: new columns, a new table, entries about them, a higher number."""

    @pytest.fixture
    def newer(self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch) -> Ledger:
        self.paid = make.served(ledger, make.authorization())
        ledger.close()
        ours = schema.MIGRATIONS
        steps = (
            "ALTER TABLE receipts ADD COLUMN mood TEXT",
            "ALTER TABLE receipts ADD COLUMN stars INTEGER NOT NULL DEFAULT 3",
            "ALTER TABLE authorizations ADD COLUMN fee TEXT",
            "ALTER TABLE turns ADD COLUMN language TEXT",
            "CREATE TABLE refunds (hash TEXT PRIMARY KEY, amount TEXT NOT NULL)",
            _write_as_a_newer_one,
        )
        with monkeypatch.context() as later:
            later.setattr(schema, "MIGRATIONS", (*ours, steps))
            assert len(ledger.receipts()) == 1  # opened: the steps are taken
        ledger.close()
        return ledger

    def test_its_unknown_columns_are_fields_of_the_receipts(self, newer: Ledger) -> None:
        receipt = newer.receipt(self.paid)
        assert receipt.extra == {"mood": "glad", "stars": 3}
        assert receipt.authorization is not None
        assert receipt.authorization.extra == {"fee": "5"}
        assert newer.receipts() == [receipt]
        assert newer.pending() == [receipt.authorization]

    def test_a_file_of_our_own_has_no_such_fields(self, ledger: Ledger, make: Any) -> None:
        receipt = ledger.receipt(make.served(ledger, make.authorization()))
        assert receipt.extra == {}
        assert receipt.authorization is not None
        assert receipt.authorization.extra == {}

    def test_its_audit_holds_before_and_after_this_version_wrote_to_it(self, newer: Ledger, make: Any) -> None:
        before = newer.audit()
        assert (before.ok, before.problems, before.broken) == (True, [], {})
        newer.settle(make.settlement(make.authorization()))
        newer.mark_verified(self.paid)
        make.served(newer, make.authorization(2))
        after = newer.audit(expected_head=(before.length, before.head))
        assert (after.ok, after.problems, after.broken, after.payments) == (True, [], {}, {})

    def test_nothing_is_lost_when_this_version_writes_to_it(self, newer: Ledger, make: Any) -> None:
        newer.settle(make.settlement(make.authorization()))
        newer.mark_verified(self.paid)
        new = make.served(newer, make.authorization(2))
        newer.close()
        connection = sqlite3.connect(newer.path)
        try:
            held = dict(connection.execute("SELECT receipt_id, mood || ' ' || stars FROM receipts"))
            assert held == {self.paid: "glad 3", new: None}
            assert connection.execute("SELECT * FROM refunds").fetchall() == [("0xr", "9")]
            assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS) + 1,)
        finally:
            connection.close()

    @settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["open", "pay", "fail", "settle", "unsettle", "expire", "verify"]), st.integers(1, 4)
            ),
            max_size=15,
        )
    )
    def test_whatever_this_version_writes_the_newer_ones_columns_stay_and_the_audit_holds(
        self, newer: Ledger, make: Any, steps: list[tuple[str, int]]
    ) -> None:
        for step, number in steps:
            authorization = make.authorization(number)
            newer.authorize(authorization)
            if step == "open":
                make.opened(newer)
            elif step == "pay":
                make.served(newer, authorization, number)
            elif step == "fail":
                newer.fail(make.attached(newer, authorization), "It broke.", None)
            elif step == "settle":
                newer.settle(make.settlement(authorization, 1000 + number))
            elif step == "unsettle":
                newer.unsettle(authorization.hash, make.block())
            elif step == "expire":
                newer.expire(authorization.hash, make.block())
            else:
                newer.mark_verified(self.paid)
        receipt = newer.receipt(self.paid)
        assert receipt.extra == {"mood": "glad", "stars": 3}
        assert receipt.authorization is not None
        assert receipt.authorization.extra == {"fee": "5"}
        assert newer.audit().ok

    def test_a_newer_column_that_was_edited_by_hand_is_found(self, newer: Ledger) -> None:
        connection = sqlite3.connect(newer.path)
        connection.execute("UPDATE receipts SET mood = 'sad'")
        connection.commit()
        connection.close()
        assert newer.audit().broken == {self.paid: "It is not as it was written: the journal differs in mood."}

    def test_an_entry_about_an_unknown_table_is_accepted_only_in_a_newer_file(self, newer: Ledger) -> None:
        assert newer.audit().ok
        connection = sqlite3.connect(newer.path)
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
        connection.commit()
        connection.close()
        newer.close()
        assert "no entry that og_magics writes" in newer.audit().problems[0]

    def test_the_frame_has_the_unknown_columns_and_follows_later_writes(self, newer: Ledger, make: Any) -> None:
        cache = FrameCache(newer)
        assert cache.current()["mood"].tolist() == ["glad"]
        make.served(newer, make.authorization(2))
        make.opened(newer)
        assert_frame_equal(cache.current(), receipts_frame(newer.receipts()))
        assert cache.current()["mood"].tolist() == ["glad", None, None]

    def test_a_fork_of_a_thread_keeps_the_unknown_columns_of_its_turns(self, newer: Ledger) -> None:
        assert newer.threads.fork("talk", "copy") == 1
        assert newer.threads.turns("copy") == newer.threads.turns("talk")
        newer.close()
        connection = sqlite3.connect(newer.path)
        try:
            assert connection.execute("SELECT language FROM turns").fetchall() == [("fr",), ("fr",)]
        finally:
            connection.close()

    @pytest.mark.parametrize("mark", [f"'{len(schema.MIGRATIONS) + 1}'", "'999'", "'soon'", None])
    def test_without_the_newer_ones_leave_it_is_refused_and_left_as_it_is(
        self, newer: Ledger, make: Any, mark: str | None
    ) -> None:
        newer.close()
        connection = sqlite3.connect(newer.path)
        connection.execute("DELETE FROM meta" if mark is None else f"UPDATE meta SET value = {mark}")
        connection.commit()
        connection.close()
        before = newer.path.read_bytes()
        for use in (newer.receipts, lambda: newer.authorize(make.authorization(5))):
            with pytest.raises(LedgerError, match=f"this one knows {len(schema.MIGRATIONS)}") as caught:
                use()
            assert "nothing was paid" in caught.value.money
            assert "pip install -U" in caught.value.remedy
        assert newer.path.read_bytes() == before


def _write_as_a_newer_one(connection: sqlite3.Connection) -> None:
    """Write as the newer version does: each change of a row with its entry in the journal."""
    from og_magics.ledger import journal

    for row in connection.execute("SELECT receipt_id, authorization_hash FROM receipts").fetchall():
        connection.execute("UPDATE receipts SET mood = 'glad'")
        journal.append(connection, "felt", {"receipts": {"mood": "glad", "stars": 3}}, receipt=row["receipt_id"])
        connection.execute("UPDATE authorizations SET fee = '5'")
        journal.append(connection, "priced", {"authorizations": {"fee": "5"}}, authorization=row["authorization_hash"])
    connection.execute("INSERT INTO refunds VALUES ('0xr', '9')")
    journal.append(connection, "refunded", {"refunds": {"hash": "0xr", "amount": "9"}}, authorization="0xr")
    connection.execute("INSERT INTO threads VALUES ('t', 'talk', 1, 1)")
    connection.execute(
        "INSERT INTO turns (thread, position, cell, source, run, number, time, tokens, messages, receipts, language) "
        "VALUES ('t', 1, '', '', '', 0, 1, 1, '[]', '[]', 'fr')"
    )
