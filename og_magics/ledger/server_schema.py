"""The tables of a shared ledger: the same steps as a file's, in a schema of their own."""

from __future__ import annotations

from ..core.errors import LedgerError
from ..core.shared_ledger import SharedLedger
from .postgres import ServerConnection
from .schema import APPLICATION_ID, MIGRATIONS, migrate, min_reader

_OLDEST = 130000
"""PostgreSQL 13: the first that tells which transactions were committed."""
_FORM = "CREATE TABLE ledger_form (application INTEGER NOT NULL, version INTEGER NOT NULL)"
"""One row, which holds what a file's header holds."""


def prepare(connection: ServerConnection, shared: SharedLedger) -> None:
    """Bring a ledger (a new one, too) to the last step. A newer one stays as it is.

    Raises:
        LedgerError: the schema is another program's, or a newer og_magics' whose `min_reader` this one does not reach;
            or the server is too old, or keeps no UTF-8.
    """
    if connection.version < _OLDEST:
        raise _refused(f"{shared.shown} is PostgreSQL {connection.version // 10000}; the ledger needs 13 or newer.")
    (encoding,) = connection.execute("SHOW server_encoding").fetchone()
    if encoding != "UTF8":
        raise _refused(f"The database {shared.shown} keeps texts as {encoding}; the ledger needs UTF8.")
    if is_ready(connection, shared):
        return
    connection.execute("BEGIN IMMEDIATE")
    if is_ready(connection, shared):  # asked again: another process may have been first
        connection.execute("ROLLBACK")
        return
    if not _has_schema(connection, shared):
        connection.execute(f"CREATE SCHEMA {shared.schema}")
    version = _version(connection, shared)
    if version is None:
        connection.execute(_FORM)
        connection.execute("INSERT INTO ledger_form (application, version) VALUES (?, 0)", (APPLICATION_ID,))
    migrate(connection, version or 0)
    connection.execute("UPDATE ledger_form SET version = ?", (len(MIGRATIONS),))
    connection.execute("COMMIT")


def is_ready(connection: ServerConnection, shared: SharedLedger) -> bool:
    """Return True where a ledger has taken every step that is known here."""
    version = _version(connection, shared)
    return version is not None and version >= len(MIGRATIONS)


def _has_schema(connection: ServerConnection, shared: SharedLedger) -> bool:
    # Asked of the catalog: `current_schema()` remembers what there was before this transaction waited for another.
    found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (shared.schema,)).fetchone()
    return found is not None


def _version(connection: ServerConnection, shared: SharedLedger) -> int | None:
    """Return how many steps a ledger has taken; None where there is none."""
    if not _has_schema(connection, shared):
        return None
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    found = connection.execute("SELECT * FROM ledger_form").fetchone() if "ledger_form" in tables else None
    if found is None or found["application"] != APPLICATION_ID:
        raise LedgerError(
            f"The schema {shared.schema} of {shared.shown} holds tables of another program.",
            money="Nothing was written to it and nothing was paid.",
            remedy="Name one of its own in OG_LEDGER: ...?schema=NAME.",
        )
    version = int(found["version"])
    if version > len(MIGRATIONS) and (needed := min_reader(connection)) > len(MIGRATIONS):
        raise LedgerError(
            f"{shared.shown} was written by a newer og_magics (form {version}, for programs that know form {needed}; "
            f"this one knows {len(MIGRATIONS)}).",
            money="Its receipts are kept as they are, and nothing was paid.",
            remedy="Upgrade with `pip install -U og_magics`, or set OG_LEDGER to another place.",
        )
    return version


def _refused(what: str) -> LedgerError:
    return LedgerError(
        what, money="Nothing was written and nothing was paid.", remedy="Set OG_LEDGER to another server, or to a file."
    )
