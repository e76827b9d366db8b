"""A ledger is its owner's alone, and no link or file of others is taken for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger
from og_magics.ledger.private_file import located, open_to_others
from og_magics.session.doctor import diagnose

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A folder in which everybody writes, in a process that gives all it makes to everybody."""
    tmp_path.chmod(0o777)
    before = os.umask(0)
    yield tmp_path
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_folder_and_all_files_in_it_are_the_owners_alone(shared: Path, make: Any) -> None:
    path = shared / ".og" / "tour.db"
    with Ledger(path) as ledger:
        ledger.open(make.question(), "devnet", 1.0)
        found = {one.name: mode(one) for one in path.parent.iterdir()}
        assert found == {"tour.db": 0o600, "tour.db-wal": 0o600, "tour.db-shm": 0o600}
        assert mode(path.parent) == 0o700
        assert open_to_others(path) == []


def test_a_ledger_elsewhere_is_the_owners_too(shared: Path, make: Any) -> None:
    with Ledger(shared / "deep" / "own.db") as ledger:
        ledger.open(make.question(), "devnet", 1.0)
        assert mode(ledger.path) == 0o600


def linked_folder(folder: Path, elsewhere: Path) -> None:
    (folder / ".og").symlink_to(elsewhere, target_is_directory=True)


def linked_file(folder: Path, elsewhere: Path) -> None:
    (folder / ".og").mkdir(mode=0o700)
    (folder / ".og" / "tour.db").symlink_to(elsewhere / "other.db")


def linked_beside(folder: Path, elsewhere: Path) -> None:
    (folder / ".og").mkdir(mode=0o700)
    (folder / ".og" / "tour.db-wal").symlink_to(elsewhere / "other.db")


def pipe(folder: Path, elsewhere: Path) -> None:
    (folder / ".og").mkdir(mode=0o700)
    os.mkfifo(folder / ".og" / "tour.db")


@pytest.mark.parametrize("plant", [linked_folder, linked_file, linked_beside, pipe])
def test_what_was_planted_is_not_opened(shared: Path, plant: Callable[[Path, Path], None], make: Any) -> None:
    elsewhere = shared / "elsewhere"
    elsewhere.mkdir()
    plant(shared, elsewhere)
    with Ledger(shared / ".og" / "tour.db") as ledger:
        with pytest.raises(LedgerError, match=r"is not opened: .* is (a link|not a file)") as caught:
            ledger.open(make.question(), "devnet", 1.0)
        with pytest.raises(LedgerError):
            ledger.receipts()
    assert "nothing was" in str(caught.value).lower()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("which", [".og", ".og/tour.db", ".og/tour.db-journal"])
def test_what_belongs_to_another_is_not_opened(shared: Path, which: str) -> None:
    (shared / ".og").mkdir(mode=0o700)
    planted = shared / which
    if planted.name != ".og":
        planted.write_bytes(b"")
    os.chown(planted, 54321, 54321)
    with Ledger(shared / ".og" / "tour.db") as ledger, pytest.raises(LedgerError, match="belongs to another user"):
        ledger.receipts()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_the_root_of_a_container_opens_the_ledger_of_its_users_folder(tmp_path: Path, make: Any) -> None:
    tmp_path.chmod(0o755)
    with Ledger(tmp_path / ".og" / "tour.db") as ledger:
        make.opened(ledger)
    for path in (tmp_path, tmp_path / ".og", *(tmp_path / ".og").iterdir()):
        os.chown(path, 54321, 54321)
    with Ledger(tmp_path / ".og" / "tour.db") as ledger:
        assert len(ledger.receipts()) == 1


def test_links_above_the_folder_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert located(tmp_path / "link" / ".og" / "a.db") == (tmp_path / "real").resolve() / ".og" / "a.db"
    assert located(tmp_path / "link" / "a.db") == (tmp_path / "real").resolve() / "a.db"


def test_doctor_says_that_others_can_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OG_LEDGER", raising=False)
    path = tmp_path / ".og" / "tour.db"
    with Ledger(path) as ledger:
        make.opened(ledger)
    checks = {one.name: one for one in diagnose(tmp_path / "tour.ipynb", offline=True) if one.name.startswith("ledger")}
    assert "ledger's access" not in checks
    path.chmod(0o644)
    checks = {one.name: one for one in diagnose(tmp_path / "tour.ipynb", offline=True) if one.name.startswith("ledger")}
    assert checks["ledger's access"].remedy == "chmod go= .og/tour.db"
    assert checks["ledger's access"].ok is None
