"""Files that cannot be read or written: what happened, what it means for money, what to do."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger, file_system, journal, schema


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that cannot be written; root, to whom every folder is open, is nobody for the while."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def _statements(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


def test_the_tables_of_a_new_file_are_those_of_the_last_migration(ledger: Ledger, make: Any) -> None:
    make.opened(ledger)
    connection = sqlite3.connect(ledger.path)
    try:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert connection.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
    finally:
        connection.close()


def test_a_file_of_an_older_version_takes_the_steps_that_it_lacks(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt_id = make.opened(ledger)
    ledger.close()
    step = ("ALTER TABLE receipts ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    assert ledger.receipt(receipt_id).receipt_id == receipt_id
    ledger.close()
    _statements(ledger.path, "UPDATE receipts SET mood = 'glad'")
    connection = sqlite3.connect(ledger.path)
    try:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    finally:
        connection.close()


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(ledger: Ledger, make: Any) -> None:
    make.opened(ledger)
    ledger.close()
    newer = len(schema.MIGRATIONS) + 1
    _statements(
        ledger.path, f"UPDATE meta SET value = '{newer}' WHERE name = 'min_reader'", f"PRAGMA user_version = {newer}"
    )
    before = ledger.path.read_bytes()
    with pytest.raises(LedgerError, match="newer og_magics") as caught:
        ledger.receipts()
    assert str(ledger.path) in caught.value.what
    assert "pip install -U" in caught.value.remedy
    assert ledger.path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "shop.db"
    _statements(path, "CREATE TABLE orders (id INTEGER)")
    before = path.read_bytes()
    with Ledger(path) as ledger, pytest.raises(LedgerError, match="another program"):
        make.opened(ledger)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_an_error_with_a_remedy(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes. " * 100)
    with Ledger(path) as ledger, pytest.raises(LedgerError, match="damaged") as caught:
        ledger.authorize(make.authorization())
    assert str(path) in caught.value.what
    assert "nothing is paid" in caught.value.money
    assert "OG_LEDGER" in caught.value.remedy


def test_a_damaged_file_is_an_error_with_a_remedy(ledger: Ledger, make: Any) -> None:
    for _ in range(50):
        make.opened(ledger)
    ledger.close()
    content = bytearray(ledger.path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    ledger.path.write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"):
        ledger.receipts()


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path, make: Any) -> None:
    (tmp_path / ".og").write_text("a file where the folder should be")
    with Ledger(tmp_path / ".og" / "tour.db") as ledger, pytest.raises(LedgerError, match=r"tour\.db") as caught:
        make.opened(ledger)
    assert "OG_LEDGER" in caught.value.remedy


def test_a_read_only_folder_is_an_error_with_a_remedy(read_only: Path, make: Any) -> None:
    for path in (read_only / "tour.db", read_only / ".og" / "tour.db"):
        with Ledger(path) as ledger, pytest.raises(LedgerError, match=r"tour\.db cannot be") as caught:
            ledger.authorize(make.authorization())
        assert "nothing is paid" in caught.value.money
        assert "OG_LEDGER" in caught.value.remedy


def test_a_full_disk_is_an_error_and_loses_nothing_that_was_there(ledger: Ledger, make: Any) -> None:
    kept = make.attached(ledger, make.authorization())
    assert ledger._file.connection is not None
    ledger._file.connection.execute("PRAGMA max_page_count = 1")  # as many as there are: the file can grow no more
    long = make.question("long " * 10_000)
    with pytest.raises(LedgerError, match="disk is full") as caught:
        ledger.open(long, "devnet", 1.0)
    assert str(ledger.path) in caught.value.what
    assert [receipt.receipt_id for receipt in ledger.receipts()] == [kept]
    ledger._file.connection.execute("PRAGMA max_page_count = 1000000")
    ledger.open(long, "devnet", 1.0)
    assert len(ledger.receipts()) == 2


def test_a_number_beyond_the_file_is_an_error_and_the_receipt_stays_as_it_was(ledger: Ledger, make: Any) -> None:
    receipt_id = make.attached(ledger, make.authorization())
    with pytest.raises(LedgerError):
        ledger.fail(receipt_id, "odd", make.outcome(prompt_tokens=2**80))
    assert ledger.receipt(receipt_id).status == "authorized"


@pytest.mark.ci
def test_a_process_that_holds_the_file_is_named_as_the_reason(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "WAIT", 0.05)
    make.opened(ledger)
    other = sqlite3.connect(ledger.path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="Another process"):
            make.opened(ledger)
        assert len(ledger.receipts()) == 1, "reading goes on"
        other.execute("ROLLBACK")
    finally:
        other.close()
    make.opened(ledger)


def test_two_that_begin_one_file_at_once_wait_for_each_other(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.path.parent.mkdir()
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # SQLite does not wait for this one when it changes to write-ahead mode
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        other.close()

    monkeypatch.setattr("time.sleep", wait)
    make.opened(ledger)
    assert len(waits) == 1
    assert len(ledger.receipts()) == 1


def test_a_write_that_is_interrupted_is_undone(ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    append = journal.append

    def interrupted(*arguments: Any, **named: Any) -> None:
        append(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(journal, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make.opened(ledger)
    monkeypatch.undo()
    assert ledger.receipts() == []
    assert ledger.head()[0] == 0
    make.opened(ledger)
    assert len(ledger.receipts()) == 1


def test_a_file_that_was_removed_is_begun_anew(ledger: Ledger, make: Any) -> None:
    make.opened(ledger)
    before = ledger.version()
    for path in ledger.path.parent.iterdir():
        path.unlink()
    ledger.path.parent.rmdir()
    receipt_id = make.opened(ledger)
    assert ledger.version() > before
    other = sqlite3.connect(ledger.path)
    try:
        assert other.execute("SELECT receipt_id FROM receipts").fetchall() == [(receipt_id,)]
    finally:
        other.close()


def test_an_error_shows_the_path_from_the_working_directory_or_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert file_system.named(tmp_path / ".og" / "ledger.db") == ".og/ledger.db"
    monkeypatch.chdir("/")
    assert file_system.named(tmp_path / "home" / "ledger.db") == "~/ledger.db"
    (tmp_path / ".og").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    with Ledger(tmp_path / ".og" / "ledger.db") as ledger, pytest.raises(LedgerError) as caught:
        ledger.receipts()
    assert str(tmp_path) not in str(caught.value)
