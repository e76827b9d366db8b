"""Folders that cannot be written, and files that go away while they are in use."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.core.front_end import RunningNotebook
from og_magics.core.payment_states import Block
from og_magics.core.settings import Settings
from og_magics.ledger import Ledger, ThreadStore, ledger_of, notebook_ledger, readable_at
from og_magics.ledger.notebook_index import Relation, identify
from og_magics.ledger.place import place_of
from og_magics.ledger.reading import read_only as reading_only


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state directory; that of nobody, who may write it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: folder / "og_magics")
    return folder


@pytest.fixture
def closed(make: Any, state: Path) -> Iterator[tuple[Path, str]]:
    """A folder with a ledger that cannot be written, and its receipt; root is nobody for the while."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        with Ledger(folder / ".og" / "tour.db") as ledger:
            receipt = make.opened(ledger)
        for one in (folder / ".og" / "tour.db", folder / ".og", folder):
            one.chmod(0o444 if one.is_file() else 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder, receipt
        finally:
            os.seteuid(user)
            for one in (folder, folder / ".og"):
                one.chmod(0o755)
            shutil.rmtree(state)


class TestAFolderThatCannotBeWritten:
    def test_its_ledger_is_read_audited_and_replayed_and_nothing_is_written(
        self, closed: tuple[Path, str], state: Path
    ) -> None:
        folder, receipt = closed
        before = files(folder)
        with Ledger(folder / ".og" / "tour.db") as ledger:
            assert ledger.read_only
            assert [one.receipt_id for one in ledger.receipts()] == [receipt]
            assert ledger.receipt(receipt).status == "unpaid"
            assert ledger.audit().ok
            assert ledger.version() == ledger.version()
            assert ledger.recordings.recorded("none") == []
            assert ledger.threads.all() == []
        assert files(folder) == before
        assert list(state.iterdir()) == []

    def test_to_ask_goes_on_with_a_copy_in_the_state_directory_and_says_so(
        self, closed: tuple[Path, str], state: Path, make: Any
    ) -> None:
        folder, receipt = closed
        before = files(folder)
        with Ledger(folder / ".og" / "tour.db") as ledger:
            note = ledger.note()
            assert "cannot be written" in note
            assert str(state) in note
            assert ledger.note() == ""
            version = ledger.version()
            new = make.served(ledger, make.authorization())
            assert ledger.version() > version
            assert {one.receipt_id for one in ledger.receipts()} == {receipt, new}
            assert ledger.audit().ok
            assert not ledger.read_only
        assert files(folder) == before
        with Ledger(folder / ".og" / "tour.db") as again:
            assert len(again.receipts()) == 2
        assert readable_at(folder / ".og" / "tour.db").is_relative_to(state)

    def test_a_notebook_in_it_that_was_never_asked_is_found_again(
        self, closed: tuple[Path, str], make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running = RunningNotebook(closed[0] / "new.ipynb", "k")
        with notebook_ledger(Settings(), running) as ledger:
            assert ledger.receipts() == []
            make.opened(ledger)
        found = identify(Settings(), running)
        assert found is not None
        assert found.relation is Relation.SAME
        assert readable_at(ledger_of(Settings(), closed[0] / "new.ipynb")).is_file()

    def test_a_ledger_whose_writer_was_killed_is_read_with_what_it_wrote_last(
        self, tmp_path: Path, state: Path, make: Any
    ) -> None:
        script = (
            "import os, sys; from og_magics.ledger import Ledger; from og_magics.core.types import *;"
            "ledger = Ledger(sys.argv[1]);"
            "ledger.open(ChatRequest('/v1', 'openai/gpt-5', {}, x402SettlementMode.PRIVATE), 'devnet', 1.0);"
            "os._exit(9)"
        )
        path = tmp_path / ".og" / "tour.db"
        subprocess.run([sys.executable, "-c", script, str(path)], check=False)
        assert path.with_name("tour.db-wal").stat().st_size
        path.with_name("tour.db-shm").unlink()
        before = files(tmp_path)
        with reading_only(path) as connection:
            assert connection.execute("SELECT count(*) FROM receipts").fetchone()[0] == 1
        assert files(tmp_path) == before


def test_to_read_makes_no_file(tmp_path: Path) -> None:
    with Ledger(tmp_path / "deep" / "n.db") as ledger:
        assert ledger.receipts() == []
        assert ledger.audit().ok
        assert ledger.version() == ledger.version()
        assert ledger.committed("eip155:84532") == 0
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_begins_meanwhile_is_seen(tmp_path: Path, make: Any) -> None:
    reader, writer = Ledger(tmp_path / "n.db"), Ledger(tmp_path / "n.db")
    assert reader.receipts() == []
    before = reader.version()
    receipt = make.opened(writer)
    assert [one.receipt_id for one in reader.receipts()] == [receipt]
    assert reader.version() > before
    reader.close()
    writer.close()


class TestAFileThatGoesAwayInUse:
    @pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
    def test_what_goes_on_with_an_earlier_write_is_refused(self, ledger: Ledger, make: Any, how: str) -> None:
        make.attached(ledger, make.authorization())
        self.lose(ledger, how)
        for write in (
            lambda: ledger.authorize(make.authorization(2)),
            lambda: ledger.expire(make.authorization().hash, Block(9, "0x" + "b" * 64, 2**40)),
        ):
            with pytest.raises(LedgerError, match="deleted or moved while it was in use") as caught:
                write()
        assert "ask again" in caught.value.remedy
        if how != "replaced":
            assert not ledger.path.exists(), "nothing is begun without a question"

    @pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
    def test_the_next_question_begins_anew_and_says_so(self, ledger: Ledger, make: Any, how: str) -> None:
        make.opened(ledger)
        self.lose(ledger, how)
        assert "deleted or moved while it was in use: a new one is begun" in ledger.note()
        new = make.served(ledger, make.authorization())
        with sqlite3.connect(ledger.path) as connection:
            assert (new,) in connection.execute("SELECT receipt_id FROM receipts").fetchall()
        assert ledger.note() == ""

    @pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
    def test_an_answer_that_ends_meanwhile_is_kept_and_the_new_one_takes_it_in(
        self, ledger: Ledger, make: Any, state: Path, how: str
    ) -> None:
        receipt = make.attached(ledger, make.authorization())
        self.lose(ledger, how)
        make.serve(ledger, receipt)
        assert ledger.receipt(receipt).text == "42"
        make.opened(ledger)
        assert (ledger.receipts()[0].receipt_id, ledger.receipts()[0].status) == (receipt, "served")
        assert ledger.audit().ok

    def test_one_that_is_put_back_goes_on(self, ledger: Ledger, make: Any, state: Path) -> None:
        receipt = make.attached(ledger, make.authorization())
        away = ledger.path.with_name("away.db")
        os.rename(ledger.path, away)
        make.serve(ledger, receipt)
        os.rename(away, ledger.path)
        assert ledger.receipts()[0].status == "served"
        assert ledger.audit().ok

    def test_a_folder_that_is_moved_is_not_made_again(self, tmp_path: Path, make: Any) -> None:
        with Ledger(tmp_path / "study" / ".og" / "n.db") as ledger:
            make.opened(ledger)
            os.rename(tmp_path / "study", tmp_path / "moved")
            with pytest.raises(LedgerError, match=r"folder of .* was deleted or moved") as caught:
                make.opened(ledger)
            assert "nothing is paid" in caught.value.money
            assert not (tmp_path / "study").exists()

    def test_a_turn_is_not_kept_in_a_file_that_has_not_its_receipts(self, ledger: Ledger, make: Any) -> None:
        make.opened(ledger)
        self.lose(ledger, "deleted")
        threads: ThreadStore = ledger.threads
        assert threads.all() == []
        with pytest.raises(LedgerError, match="deleted or moved"):
            threads.reset("t")

    @staticmethod
    def lose(ledger: Ledger, how: str) -> None:
        for path in list(ledger.path.parent.iterdir()):
            path.unlink() if how == "deleted" else os.rename(path, path.with_name(f"old-{path.name}"))
        if how == "replaced":
            shutil.copy(ledger.path.with_name("old-tour.db"), ledger.path)


def test_a_folder_that_can_be_written_is_the_place(tmp_path: Path, state: Path) -> None:
    for path in (tmp_path / "n.db", tmp_path / "deep" / ".og" / "n.db"):
        assert place_of(path) == path
