"""The file system that a ledger is on, and whether two processes can keep out of each other's way there.

Write-ahead mode needs memory that all users of a file share, and so one machine. On a network file system the file is
kept in rollback mode, which needs locks only; without locks it is not opened.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

from ..core.errors import LedgerError
from ..core.shared_ledger import shared_at

_MOUNTS = Path("/proc/mounts")
_REMOTE = {
    "nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "afs", "ceph", "glusterfs", "lustre",
    "beegfs", "gpfs", "ncpfs", "davfs", "ocfs2", "gfs2",
}  # fmt: skip
_LOCAL_LOCKS = {"nolock", "local_lock=all", "local_lock=posix", "nobrl"}
"""Options of mounts whose locks other machines do not see."""
NO_LOCKS = (
    "SQLITE_IOERR_SHM",
    "SQLITE_IOERR_LOCK",
    "SQLITE_IOERR_RDLOCK",
    "SQLITE_IOERR_CHECKRESERVED",
    "SQLITE_PROTOCOL",
)
"""Names of SQLite's errors, as they begin, where a file system has no locks or no shared memory."""
REMEDY = "Set OG_LEDGER to a path on a local disk. Copy the file there first if its receipts are to be kept."


class FileSystem(NamedTuple):
    """The file system of a file.

    Attributes:
        kind: "ext4", "nfs4"; "" where the system does not say.
        options: of its mount.
    """

    kind: str
    options: frozenset[str]

    @property
    def remote(self) -> bool:
        """True where other machines may use the same files."""
        return self.kind in _REMOTE or self.kind.startswith("fuse.")


def named(path: Path) -> str:
    """Return a path as errors show it, which stay in a saved notebook: from the working directory, or from home. A
    shared ledger is named by its URL, without the password.
    """
    if (shared := shared_at(path)) is not None:
        return shared.shown
    for base, start in ((Path.cwd, ""), (Path.home, "~/")):
        with contextlib.suppress(ValueError, OSError, RuntimeError):
            if len(base().parts) > 1:  # from the root, nothing would be left out
                return start + path.relative_to(base()).as_posix()
    return str(path)


def file_system(path: Path) -> FileSystem:
    """Return the file system of a file, or of the folder where it will be."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return FileSystem("", frozenset())
    place, longest, found = path.resolve(), -1, FileSystem("", frozenset())
    for line in mounts.splitlines():
        _, mount, kind, options, *_ = [*line.split(), "", "", "", ""]
        mount = mount.replace("\\040", " ")
        if mount and len(mount) >= longest and place.is_relative_to(mount):
            longest, found = len(mount), FileSystem(kind, frozenset(options.split(",")))
    return found


def journal_mode(path: Path) -> str:
    """Return SQLite's journal mode for a ledger at this path.

    Raises:
        LedgerError: its file system is a network's, mounted so that locks are this machine's only.
    """
    place = file_system(path)
    if not place.remote:
        return "WAL"
    if local := place.options & _LOCAL_LOCKS:
        raise no_locks(path, f"it is mounted with {', '.join(sorted(local))}")
    return "DELETE"


def in_write_ahead_mode(path: Path) -> bool:
    """Return True for a file whose header says so."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False


def require_locks(connection: sqlite3.Connection, path: Path) -> None:
    """Look whether a second connection is kept out while the first one writes.

    Raises:
        LedgerError: it is not.
    """
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        try:
            connection.execute("BEGIN IMMEDIATE")
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return  # by the other connection, or by another process: there are locks
        finally:
            for one in (other, connection):
                if one.in_transaction:
                    one.execute("ROLLBACK")
    raise no_locks(path, "two connections could write at once")


def no_locks(path: Path, why: str) -> LedgerError:
    """Return the error for a ledger that two kernels could spoil."""
    return LedgerError(
        f"{named(path)} is on a file system without locks that hold ({why}): two kernels would spoil each other's "
        "receipts there.",
        money="Nothing was written and nothing was paid.",
        remedy=REMEDY,
    )


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one in its place; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def stamp_of(path: Path) -> object:
    """Return a value that changes when a ledger is written by others."""
    found = []
    for one in (path, path.with_name(path.name + "-wal")):
        try:
            state = one.stat()
        except FileNotFoundError:
            continue
        found.append((state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)
