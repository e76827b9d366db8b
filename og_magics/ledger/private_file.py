"""The ledger's place: a folder and files that are their owner's alone.

`.og` may stand in a folder where others write. So neither it nor what is in it may be a link, or somebody else's: a
ledger of theirs would say what was paid, and a link would have this process write into another file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.errors import LedgerError

FOLDER = ".og"
_BESIDE = ("", "-wal", "-shm", "-journal")
"""Behind a database's name: the files that SQLite keeps for it."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # not on Windows


def located(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a ledger; links are followed up to the folder `.og`, and not from there on."""
    given = Path(os.path.abspath(Path(path).expanduser()))
    if given.parent.name == FOLDER:
        return given.parent.parent.resolve() / FOLDER / given.name
    return given.resolve()


def make_private(path: Path) -> None:
    """Make a ledger's folder (0700) and its file (0600) where they are not there, and look at those that are.

    Raises:
        LedgerError: one of them is a link, no file at all, or belongs to somebody else.
        OSError: they cannot be made.
    """
    folder = path.parent
    if folder.name == FOLDER:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    else:
        folder.mkdir(parents=True, exist_ok=True)
    require_own(path)
    with contextlib.suppress(FileExistsError):
        # SQLite gives the files beside it the mode of this one.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _NO_LINK, 0o600))


def require_own(path: Path) -> None:
    """Look at a ledger's folder and files, where they are there.

    Raises:
        LedgerError: one of them is a link, no file at all, or belongs to somebody else.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.parent.name == FOLDER:
            _require_own(path, path.parent, stat.S_ISDIR, "a folder")
    for end in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            _require_own(path, path.with_name(path.name + end), stat.S_ISREG, "a file")


def write_private(path: Path, content: bytes) -> None:
    """Write a file (0600) as a whole, synced to disk, or not at all; a link of its name is replaced, not followed.

    Raises:
        OSError: it cannot be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_LINK, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


def read_private(path: Path, most: int) -> bytes:
    """Return the content of a file of one's own.

    Raises:
        OSError: it is a link, no file, somebody else's, larger than so many bytes, or cannot be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        found = os.fstat(file.fileno())
        of_another = hasattr(os, "geteuid") and found.st_uid != os.geteuid()
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise OSError(f"{_named(path)} is not a file that is read")
        if of_another and not _owners_are_not_kept(path, found.st_uid):
            raise OSError(f"{_named(path)} belongs to another user")
        return file.read(most)


def open_to_others(path: Path) -> list[Path]:
    """Return those of a ledger's files, and its folder `.og`, that others on this machine may read or write."""
    return [one for one, mode in _modes(path) if os.name == "posix" and mode & 0o077]


def _modes(path: Path) -> Iterator[tuple[Path, int]]:
    own = [path.parent] if path.parent.name == FOLDER else []
    for one in (*own, *(path.with_name(path.name + end) for end in _BESIDE)):
        with contextlib.suppress(OSError):
            yield one, stat.S_IMODE(one.stat().st_mode)


def _require_own(ledger: Path, path: Path, is_kind: Callable[[int], bool], kind: str) -> None:
    found, wrong = path.lstat(), ""
    if stat.S_ISLNK(found.st_mode):
        wrong = "is a link, and links are not followed there"
    elif not is_kind(found.st_mode):
        wrong = f"is not {kind}"
    elif hasattr(os, "geteuid") and found.st_uid != os.geteuid() and not _owners_are_not_kept(path, found.st_uid):
        wrong = "belongs to another user"
    if wrong:
        raise LedgerError(
            f"The receipts' file {_named(ledger)} is not opened: {_named(path)} {wrong}.",
            money="Nothing was read, written or paid.",
            remedy="Look who made it. Remove it, or set OG_LEDGER to a path of your own.",
        )


def _owners_are_not_kept(path: Path, owner: int) -> bool:
    """Return True on a file system that gives all files one owner, and for a container's root in its user's folder."""
    above = path.parent.parent if path.parent.name == FOLDER else path.parent
    if os.geteuid() == 0:
        found = above.stat()
        return found.st_uid == owner and not found.st_mode & 0o022
    probe = path.parent / f".{os.getpid()}.owner"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        return probe.lstat().st_uid == owner
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}" if path.parent.name == FOLDER else path.name
