"""File systems without locks, or without the memory that write-ahead mode shares: SQLite's own ways to open files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger, file_system, schema
from og_magics.session.doctor import _ledger

WriteAhead = file_system.in_write_ahead_mode


@pytest.fixture
def opened_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have files opened by another part of SQLite: "unix-none" has no locks, "unix-dotfile" no shared memory."""
    connect = sqlite3.connect

    def use(vfs: str) -> None:
        def other(path: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
            uri = f"{Path(path).as_uri()}?vfs={vfs}"
            return connect(uri, *arguments, uri=True, **named)

        monkeypatch.setattr(sqlite3, "connect", other)

    return use


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Have the system say that the test's folder is on such a file system, with these options."""

    def use(kind: str, options: str) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path.resolve()} {kind} {options} 0 0\n")
        monkeypatch.setattr(file_system, "_MOUNTS", mounts)

    return use


class TestNoLocks:
    def test_it_is_refused_with_the_remedy_before_anything_is_written(
        self, ledger: Ledger, make: Any, opened_by: Callable[[str], None]
    ) -> None:
        opened_by("unix-none")
        with pytest.raises(LedgerError, match="without locks that hold") as caught:
            make.opened(ledger)
        assert "OG_LEDGER" in caught.value.remedy
        assert "nothing was paid" in caught.value.money
        assert ledger.path.stat().st_size == 0

    @pytest.mark.parametrize("options", ["rw,nolock", "rw,hard,local_lock=all,addr=10.0.0.1", "rw,nobrl"])
    def test_a_network_that_is_mounted_without_is_refused(
        self, ledger: Ledger, make: Any, mounted: Callable[[str, str], None], options: str
    ) -> None:
        mounted("nfs4" if "nobrl" not in options else "cifs", options)
        with pytest.raises(LedgerError, match=r"mounted with (nolock|local_lock=all|nobrl)"):
            make.opened(ledger)

    def test_a_lock_that_the_system_refuses_is_named_as_the_reason(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make.opened(ledger)

        def refuses(connection: sqlite3.Connection, path: Path) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_SHMMAP"
            raise error

        ledger.close()
        monkeypatch.setattr(schema, "prepare", refuses)
        with pytest.raises(LedgerError, match="no locks or no shared memory") as caught:
            ledger.receipts()
        assert "local disk" in caught.value.remedy


class TestNoSharedMemory:
    def test_the_file_is_kept_in_another_mode_and_two_take_turns(
        self, ledger: Ledger, make: Any, opened_by: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened_by("unix-dotfile")
        with Ledger(ledger.path) as other:
            for number in range(3):
                make.served(ledger, make.authorization(number))
                make.opened(other)
                assert len(ledger.receipts()) == len(other.receipts()) == 2 * number + 2
            assert not WriteAhead(ledger.path)
            monkeypatch.setattr(schema, "WAIT", 0.05)
            ledger.close()
            with other._file.writing(), pytest.raises(LedgerError, match="Another process"):
                make.opened(ledger)
            assert ledger.audit().ok

    def test_a_file_in_write_ahead_mode_that_is_brought_there_is_refused_with_the_remedy(
        self, ledger: Ledger, make: Any, opened_by: Callable[[str], None]
    ) -> None:
        make.opened(ledger)
        ledger.close()
        assert WriteAhead(ledger.path)
        opened_by("unix-dotfile")
        with pytest.raises(LedgerError, match="no shared memory") as caught:
            ledger.receipts()
        assert "OG_LEDGER" in caught.value.remedy


class TestNetwork:
    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
    def test_the_file_is_kept_in_rollback_mode(
        self, ledger: Ledger, make: Any, mounted: Callable[[str, str], None], kind: str
    ) -> None:
        mounted(kind, "rw,relatime")
        make.served(ledger, make.authorization())
        with Ledger(ledger.path) as other:
            make.opened(other)
            assert len(ledger.receipts()) == 2
        assert not WriteAhead(ledger.path)
        assert not ledger.path.with_name(f"{ledger.path.name}-shm").exists()
        part = next(one for one in _ledger(ledger.path) if one.name == "ledger's disk")
        assert kind in part.summary
        assert "local disk" in part.remedy

    def test_a_file_of_a_local_disk_changes_its_mode_when_nobody_else_uses_it(
        self, ledger: Ledger, make: Any, mounted: Callable[[str, str], None]
    ) -> None:
        make.opened(ledger)
        mounted("nfs", "rw")
        with Ledger(ledger.path) as other:
            make.opened(other)
            assert WriteAhead(ledger.path), "the first one still uses it so"
        make.opened(ledger)
        ledger.close()
        assert len(ledger.receipts()) == 3
        assert not WriteAhead(ledger.path)

    def test_the_longest_mount_that_holds_the_file_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(
            f"none / overlay rw 0 0\nserver:/x {tmp_path}/a\\040b nfs4 rw,nolock 0 0\n"
            f"/dev/sdb {tmp_path}/a\\040b/local ext4 rw 0 0\nbroken\n"
        )
        monkeypatch.setattr(file_system, "_MOUNTS", mounts)
        found = file_system.file_system(tmp_path / "a b" / "n.db")
        assert (found.kind, found.remote, "nolock" in found.options) == ("nfs4", True, True)
        assert file_system.file_system(tmp_path / "a b" / "local" / "n.db").kind == "ext4"
        assert file_system.file_system(tmp_path / "a").kind == "overlay"
        monkeypatch.setattr(file_system, "_MOUNTS", tmp_path / "none")
        assert not file_system.file_system(tmp_path).remote, "macOS and Windows do not say so"
