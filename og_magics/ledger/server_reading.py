"""Reading a shared ledger without writing anything, and a server's failures in a person's words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from ..core.errors import LedgerError
from ..core.shared_ledger import SharedLedger
from . import schema
from .database import Connection
from .postgres import ServerBusy, ServerConnection, ServerGone
from .transactions import RECORD, transaction

CONNECT = 10
"""Seconds to wait for a server."""


@contextlib.contextmanager
def server_errors(shared: SharedLedger, money: str) -> Iterator[None]:
    """Turn the errors of a server into one that says what happened and what to do.

    Raises:
        LedgerError: for any of them.
    """
    try:
        yield
    except ServerBusy as error:
        what = f"Another process has been writing to {shared.shown} for {schema.WAIT:.0f} seconds."
        raise LedgerError(what, money=money, remedy="End it, or ask again.") from error
    except ServerGone as error:
        what = f"The shared ledger {shared.shown} cannot be reached: {error}."
        remedy = "Look whether its server runs and lets this user in; or set OG_LEDGER to the path of a file."
        raise LedgerError(what, money=money, remedy=remedy) from error
    except (sqlite3.Error, OSError, OverflowError) as error:
        what = f"The shared ledger {shared.shown} cannot be read or written: {error}."
        remedy = "Whoever runs the server can see why in its log. Or set OG_LEDGER to the path of a file."
        raise LedgerError(what, money=money, remedy=remedy) from error


@contextlib.contextmanager
def read_server(shared: SharedLedger) -> Iterator[Connection]:
    """Open a shared ledger to read it, and make nothing there.

    Raises:
        LedgerError: it cannot be reached or read.
    """
    with server_errors(shared, RECORD):
        connection = ServerConnection(shared, connect_timeout=CONNECT)
        with contextlib.closing(connection):
            connection.execute("BEGIN")
            with transaction(connection):
                yield connection
