"""An answer that ends while its ledger cannot be written: kept beside it, shown at once, and taken in once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import og_magics
from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger, file, spool

SPOOLED = "-spool."


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's state directory, which nobody may write who is not meant to; no end waits for a lock."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: folder / "og_magics")
    monkeypatch.setattr(file, "SHORT_WAIT", 0.0)
    yield folder
    shutil.rmtree(folder)


def spooled(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*") if SPOOLED in path.name)


@contextmanager
def locked(path: Path, how: str = "IMMEDIATE") -> Iterator[None]:
    """Another process holds the ledger."""
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sqlite3, sys\n"
         "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
         "db.execute('PRAGMA locking_mode = ' + ('EXCLUSIVE' if sys.argv[2] == 'EXCLUSIVE' else 'NORMAL'))\n"
         "db.execute('BEGIN ' + sys.argv[2]); print('held', flush=True); sys.stdin.read()", str(path), how],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate()


class TestALockedLedger:
    def test_the_answer_is_there_at_once_and_its_rows_are_later_as_if_nothing_had_been(
        self, ledger: Ledger, make: Any, tmp_path: Path
    ) -> None:
        peaceful = Ledger(tmp_path / "peaceful.db")
        expected = peaceful.receipt(make.served(peaceful, make.authorization(), weight=7))
        receipt_id = make.attached(ledger, make.authorization())
        with locked(ledger.path):
            make.serve(ledger, receipt_id, weight=7)
            ledger.recordings.keep(receipt_id, [(0.1, "4"), (0.2, "2")], ())
            shown = ledger.receipt(receipt_id)
            (kept, stream) = spooled(tmp_path)
            assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IMODE(stream.stat().st_mode) == 0o600
            assert kept.parent == ledger.path.parent
        assert ledger.receipts() == [shown]
        mine = {
            name: value for name, value in shown.to_json().items() if name not in ("receipt_id", "turn", "session_id")
        }
        assert mine == {name: value for name, value in expected.to_json().items() if name in mine}
        assert ledger.audit().ok
        assert spooled(tmp_path) == []
        (recording,) = ledger.recordings.recorded(_key(ledger))
        assert recording.deltas == ((0.1, "4"), (0.2, "2"))
        peaceful.close()

    def test_a_ledger_that_cannot_even_be_read_shows_the_answer(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.attached(ledger, make.authorization())
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
        assert ledger.receipt(receipt_id).text == "42"

    def test_what_became_of_it_is_said_once(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.attached(ledger, make.authorization())
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
        note = ledger.note()
        assert "Another process has been writing" in note
        assert "The answer is complete, and its receipt is kept in" in note
        assert ledger.note() == ""

    def test_many_answers_do_not_wait_one_after_the_other(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[str] = []
        ids = [make.opened(ledger) for _ in range(30)]
        monkeypatch.setattr(file, "SHORT_WAIT", 0.05)
        assert ledger._file.connection is not None
        with locked(ledger.path):
            ledger._file.connection.set_trace_callback(
                lambda text: waits.append(text) if "busy_timeout = 50" in text else None
            )
            for receipt_id in ids:
                make.serve(ledger, receipt_id)
            ledger._file.connection.set_trace_callback(None)
        assert len(waits) == 1
        assert {one.status for one in ledger.receipts()} == {"served"}

    def test_a_payment_that_was_found_before_it_was_taken_in_is_shared_with_it(self, ledger: Ledger, make: Any) -> None:
        signed = make.authorization()
        first, second = make.served(ledger, signed, weight=1), make.opened(ledger)
        ledger.attach(second, signed.hash, None)
        with locked(ledger.path):
            make.serve(ledger, second, weight=3)
        other = Ledger(ledger.path)  # another kernel, which found the payment, and does not have the entry
        other._file.spool.looked = True
        with _deaf(spool):
            other.settle(make.settlement(signed, amount=1000))
        assert [ledger.receipts()[place].cost for place in (0, 1)] == [250, 750]
        assert ledger.receipt(first).cost == 250
        assert ledger.audit().ok
        other.close()

    def test_the_session_that_came_meanwhile_is_in_it(self, ledger: Ledger, make: Any) -> None:
        expected = ledger.receipt(make.attached(ledger, make.authorization())).session_id
        receipt_id = make.opened(ledger)
        ledger.attach(receipt_id, make.authorization().hash, None)
        with locked(ledger.path):
            ledger.attach(receipt_id, make.authorization().hash, "session-1")
            make.serve(ledger, receipt_id)
        assert ledger.receipts()[1].session_id == expected


@contextmanager
def _deaf(module: Any) -> Iterator[None]:
    """No spool is looked at."""
    held = module._files
    module._files = lambda _ledger: iter(())
    try:
        yield
    finally:
        module._files = held


def _key(ledger: Ledger) -> str:
    with sqlite3.connect(ledger.path) as connection:
        return str(connection.execute("SELECT key FROM recordings").fetchone()[0])


class TestAnotherPlace:
    """What an ended kernel left, and a ledger that was renamed, moved, or came in the place of another."""

    @pytest.fixture
    def left(self, ledger: Ledger, make: Any) -> str:
        receipt_id: str = make.attached(ledger, make.authorization())
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
        ledger.close()
        return receipt_id

    @pytest.mark.parametrize("place", [".og/renamed.db", "moved/.og/tour.db"])
    def test_a_renamed_or_moved_ledger_takes_its_own_in(
        self, ledger: Ledger, make: Any, left: str, tmp_path: Path, place: str
    ) -> None:
        new = tmp_path / place
        if place.startswith("moved"):
            shutil.move(ledger.path.parent, new.parent)
        else:
            ledger.path.rename(new)
        with Ledger(new) as moved:
            assert [one.status for one in moved.receipts()] == ["served"]
            assert moved.audit().ok
        assert spooled(tmp_path) == []

    def test_a_new_ledger_of_the_old_name_takes_nothing_in(
        self, ledger: Ledger, make: Any, left: str, tmp_path: Path
    ) -> None:
        ledger.path.rename(tmp_path / "put aside.db")
        with Ledger(ledger.path) as other:
            make.served(other, make.authorization(2))
            assert left not in [one.receipt_id for one in other.receipts()]
        assert len(spooled(tmp_path)) == 1
        ledger.path.unlink()
        (tmp_path / "put aside.db").rename(ledger.path)
        with Ledger(ledger.path) as again:
            assert [(one.receipt_id, one.status) for one in again.receipts()] == [(left, "served")]
        assert spooled(tmp_path) == []

    def test_one_of_another_ledger_under_this_ones_name_is_not_read(
        self, ledger: Ledger, make: Any, left: str, tmp_path: Path
    ) -> None:
        (entry,) = spooled(tmp_path)
        with Ledger(tmp_path / "other" / ".og" / "n.db") as other:
            make.opened(other)
            id = other._file.spool.ledger_id
        entry.rename(other.path.parent / f"n.db-spool.{id}.{left}.end")
        with Ledger(other.path) as again:
            assert [one.status for one in again.receipts()] == ["unpaid"]

    def test_an_id_that_somebody_wrote_leads_to_no_other_folder(self, ledger: Ledger, make: Any) -> None:
        make.opened(ledger)
        with sqlite3.connect(ledger.path) as file:
            file.execute("UPDATE meta SET value = '../../x' WHERE name = 'ledger_id'")
        ledger.close()
        receipt_id = make.opened(ledger)
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
            (left,) = spooled(ledger.path.parent)
        assert ledger.receipts()[1].status == "served"
        assert not left.exists()


class TestAnotherProcess:
    def test_what_an_ended_kernel_left_is_taken_in_when_the_ledger_is_opened(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.attached(ledger, make.authorization())
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
        (left,) = spooled(ledger.path.parent)
        again = left.with_name("copy")
        shutil.copy(left, again)
        ledger.close()
        for _ in range(2):  # the second time, as after a kill between the write and the removal of the file
            with Ledger(ledger.path) as opened:
                assert [one.status for one in opened.receipts()] == ["served"]
                assert opened.audit().ok
                length = opened.head()[0]
            assert not left.exists()
            os.rename(again, left) if again.exists() else None
        with Ledger(ledger.path) as opened:
            assert opened.head()[0] == length
            assert len(opened.receipts()) == 1

    @pytest.mark.parametrize("stage", ["_files", "enter", "unlink"])
    def test_a_kill_while_it_is_taken_in_neither_loses_nor_doubles_it(
        self, ledger: Ledger, make: Any, stage: str
    ) -> None:
        receipt_id = make.attached(ledger, make.authorization())
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
        ledger.close()
        script = (
            "import os, signal, sys\nfrom pathlib import Path\n"
            "from og_magics.ledger import Ledger, spool\n"
            "def end(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
            "entered = spool.enter\n"
            "def half(connection, entry): entered(connection, entry); end()\n"
            f"if {stage!r} == '_files': spool._files = end\n"
            f"if {stage!r} == 'enter': spool.enter = half\n"
            f"if {stage!r} == 'unlink': Path.unlink = end\n"
            "Ledger(sys.argv[1]).receipts()\n"
        )
        killed = subprocess.run([sys.executable, "-c", script, str(ledger.path)], env=_environment(), check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(spooled(ledger.path.parent)) == 1
        with Ledger(ledger.path) as opened:
            assert [(one.receipt_id, one.status, one.text) for one in opened.receipts()] == [
                (receipt_id, "served", "42")
            ]
            assert opened.audit().ok
        assert spooled(ledger.path.parent) == []

    def test_ten_that_open_it_at_once_take_it_in_once(self, ledger: Ledger, make: Any) -> None:
        ids = [make.opened(ledger) for _ in range(20)]
        with locked(ledger.path):
            for receipt_id in ids:
                make.serve(ledger, receipt_id)
        ledgers = [Ledger(ledger.path) for _ in range(10)]
        threads = [threading.Thread(target=one.receipts) for one in ledgers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in ledgers:
            one.close()
        assert [one.status for one in ledger.receipts()] == ["served"] * 20
        assert spooled(ledger.path.parent) == []
        with sqlite3.connect(ledger.path) as connection:
            assert connection.execute("SELECT count(*) FROM journal WHERE kind = 'served'").fetchone() == (20,)


_FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.ledger.conftest import Make
from og_magics.ledger import Ledger
make, ledger = Make(), Ledger(sys.argv[1])
receipt = make.attached(ledger, make.authorization())
size = max(path.stat().st_size for path in ledger.path.parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
make.serve(ledger, receipt)
print(ledger.receipt(receipt).text)
print(ledger.note(), flush=True)
import os; os._exit(0)
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(og_magics.__file__).parents[1])}


class TestAFolderThatTakesNothing:
    def test_a_file_that_cannot_grow_loses_no_answer(self, tmp_path: Path) -> None:
        path = tmp_path / ".og" / "n.db"
        root = str(Path(__file__).parents[3])
        full = subprocess.run(
            [sys.executable, "-c", _FULL, str(path), root],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert full.stdout.startswith("42\n"), full.stderr
        assert "its receipt is kept in" in full.stdout
        with Ledger(path) as opened:
            assert [(one.status, one.text) for one in opened.receipts()] == [("served", "42")]
            assert opened.audit().ok
        assert spooled(tmp_path) == []

    def test_a_folder_made_read_only_meanwhile_has_the_receipt_in_the_state_directory(
        self, make: Any, state: Path
    ) -> None:
        user, folder = os.geteuid(), Path(tempfile.mkdtemp())
        folder.chmod(0o777)
        if user == 0:
            os.seteuid(65534)
        try:
            with Ledger(folder / ".og" / "n.db") as ledger:
                receipt_id = make.attached(ledger, make.authorization())
                with contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None)) as holder:
                    holder.execute("BEGIN IMMEDIATE")  # nobody may not start Python here
                    ledger.path.parent.chmod(0o555)
                    make.serve(ledger, receipt_id)
                    assert ledger.receipt(receipt_id).text == "42"
                    assert spooled(folder) == []
                    assert len(spooled(state)) == 1
                ledger.path.parent.chmod(0o755)
                assert [one.status for one in ledger.receipts()] == ["served"]
                assert ledger.audit().ok
                assert spooled(state) == []
        finally:
            os.seteuid(user)
            shutil.rmtree(folder)

    def test_where_no_file_can_be_written_it_waits_in_memory(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receipt_id = make.attached(ledger, make.authorization())

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with locked(ledger.path), monkeypatch.context() as full:
            full.setattr(spool, "write_private", refuse)
            make.serve(ledger, receipt_id)
            assert ledger.receipt(receipt_id).text == "42"
            assert "in this kernel's memory alone" in ledger.note()
        make.opened(ledger)
        assert ledger.receipts()[0].status == "served"
        assert ledger.audit().ok


class TestWhatOthersPutThere:
    """Files of that name which this program did not write."""

    @pytest.fixture
    def forge(self, ledger: Ledger, make: Any) -> Callable[[Callable[[dict[str, Any]], object]], Path]:
        receipt_id = make.attached(ledger, make.authorization())
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
        (left,) = spooled(ledger.path.parent)
        ledger.close()
        ledger._file.spool = spool.Spool()  # another process, which has nothing but the file

        def change(edit: Callable[[dict[str, Any]], object]) -> Path:
            entry = json.loads(left.read_text())
            edit(entry)
            left.write_text(json.dumps(entry))
            return left

        return change

    @pytest.mark.parametrize(
        "edit",
        [
            lambda entry: entry["ended"].update({"verified_hash": "0x1"}),
            lambda entry: entry["ended"].update({"text = '', error": "x"}),
            lambda entry: entry["ended"].update(ended="settled"),
            lambda entry: entry["ended"].update(text=["a", "list"]),
            lambda entry: entry["ended"].update(prompt_tokens=10**30),
            lambda entry: entry["opened"].update(receipt_id="0" * 32),
            lambda entry: entry["authorization"].update(expired=1),
            lambda entry: entry.pop("ended"),
            lambda entry: entry.update(version=2),
            lambda entry: entry.update(authorization=7),
        ],
    )
    def test_what_is_no_entry_changes_nothing_and_stops_nothing(
        self, ledger: Ledger, make: Any, forge: Any, edit: Callable[[dict[str, Any]], object]
    ) -> None:
        left = forge(edit)
        assert [one.status for one in ledger.receipts()] == ["authorized"]
        make.opened(ledger)
        assert ledger.audit().ok
        assert left.exists()

    def test_a_link_is_not_followed(self, ledger: Ledger, forge: Any, tmp_path: Path) -> None:
        left = forge(lambda entry: None)
        os.rename(left, tmp_path / "elsewhere")
        left.symlink_to(tmp_path / "elsewhere")
        assert [one.status for one in ledger.receipts()] == ["authorized"]

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
    def test_a_file_of_another_user_is_not_read(self, ledger: Ledger, forge: Any) -> None:
        left = forge(lambda entry: None)
        os.chown(left, 65534, 65534)
        assert [one.status for one in ledger.receipts()] == ["authorized"]

    def test_a_link_of_its_name_is_replaced_and_not_written_through(
        self, ledger: Ledger, make: Any, tmp_path: Path
    ) -> None:
        receipt_id, victim = make.attached(ledger, make.authorization()), tmp_path / "victim"
        victim.write_text("mine")
        name = f"{ledger.path.name}-spool.{ledger._file.spool.ledger_id}.{receipt_id}.end"
        (ledger.path.parent / name).symlink_to(victim)
        with locked(ledger.path):
            make.serve(ledger, receipt_id)
        assert victim.read_text() == "mine"
        assert ledger.receipts()[0].status == "served"


def test_a_receipt_that_was_not_opened_here_is_still_refused(ledger: Ledger, make: Any) -> None:
    make.opened(ledger)
    with pytest.raises(LedgerError, match="has no receipt"):
        make.serve(ledger, "0" * 32)
