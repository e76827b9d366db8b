"""The receipts of a ledger as columns, straight from SQL: no object is made of a row.

They hold what `rows.receipt_of` and `core/receipt_columns.py` make of the same rows. What is the same for many receipts
(notebook, model, session, authorization) comes as one text a row, and is read once for all that share it.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from ..core.receipt_columns import RECEIPT_COLUMNS, ReceiptColumn
from ..core.redaction import without_logins
from ..core.secret import fingerprint_of_old
from ..core.shares import parts_of
from . import rows
from .database import Connection, Cursor
from .journal import Head

if TYPE_CHECKING:
    import numpy as np

Values = dict[str, Any]
"""By the name of a receipts table's column, its values, a list or an array; all of one length. Times are whole
microseconds."""

_SHARED = (
    "authorization_hash", "session_id", "ended", "notebook", "network", "provider", "model", "settlement",
    "attestation_hash",
)  # fmt: skip
"""Columns in which many rows agree: as a rule, all of a session. Their texts are ours: none has a NUL, which would end
it for SQLite's printf."""
_OF_PAYMENT = ("payment_hash", "payer", "pay_to", "cap")
"""Fields of a receipt that are its authorization's, or its settlement's."""
_WORKED_OUT = {*_OF_PAYMENT, "status", "cost", "cost_basis", "replayed", *_SHARED}
_FIELDS = [column.receipt_field for column in RECEIPT_COLUMNS.values()]
_OWN = tuple(
    dict.fromkeys((*(one for one in _FIELDS if one not in _WORKED_OUT), "weight", "reported_cost", "verified_hash"))
)
"""Columns that are read row by row."""
_PAYMENTS = """SELECT a.hash, a.payer, a.pay_to, a.cap, a.expired, a.money, s.payment_hash, s.amount
    FROM authorizations a LEFT JOIN settlements s ON s.authorization_hash = a.hash"""
_SLICE = 512
"""Rows that are taken over at once: in between, other threads go on."""


@dataclass(frozen=True, slots=True)
class ColumnChanges:
    """The columns of the receipts that changed since a reader last looked; see `Changes`."""

    head: Head
    values: Values
    complete: bool


def read_columns(
    connection: Connection, receipts: set[str] | None = None, authorizations: set[str] | None = None
) -> Values:
    """Return the columns of all receipts of a ledger, oldest first; or of these, and those that these pay.

    Behind the known columns stand those that a newer version wrote something into, by their names. It is three
    statements, however many rows there are.

    Raises:
        ValueError, TypeError: a value that og_magics did not write.
    """
    there = {row["name"] for row in connection.execute("PRAGMA table_info(receipts)")}
    unknown = sorted(there - rows.KNOWN_OF_RECEIPT)
    of_receipts, chosen, of_payments, paying = "1 = 1", list[str](), "1 = 1", list[str]()
    if receipts is not None and authorizations is not None:
        of_receipts, chosen = rows.among({"receipt_id": receipts, "authorization_hash": authorizations})
        of_payments, paying = rows.among({"a.hash": authorizations})
    # At random: what was written before cannot hold them.
    between, null = (f"{sign}{secrets.token_hex(4)}" for sign in "\x1f\x1e")
    shared = ", ".join(f"coalesce({name}, '{null}')" for name in _SHARED)
    names = [*_OWN, *unknown]
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    text = between.join("%s" for _ in _SHARED)
    found = connection.execute(
        f"SELECT printf('{text}', {shared}), {quoted} FROM receipts WHERE {of_receipts}",  # noqa: S608 - our own, and names
        chosen,
    )
    which_text: defaultdict[str, int] = defaultdict(count().__next__)
    which, *columns = _columns(found, len(names) + 1, which_text)
    own = dict(zip(names, columns, strict=True))
    payments = _columns(connection.execute(f"{_PAYMENTS} WHERE {of_payments}", paying), 8)
    order = _order(own["receipt_id"])
    if order is not None:
        which, own = [which[i] for i in order], {name: [values[i] for i in order] for name, values in own.items()}
    texts = [[None if one == null else one for one in text.split(between)] for text in which_text]
    fields = own | _worked_out(texts, which, own, payments)
    shown: Values = {
        name: _microseconds(own["time"]) if name == "time" else _converted(column, fields[column.receipt_field])
        for name, column in RECEIPT_COLUMNS.items()
    }
    for name in unknown:
        if name not in shown and any(value is not None for value in own[name]):
            shown[name] = [value.hex() if isinstance(value, bytes) else value for value in own[name]]
    return shown


def _columns(cursor: Cursor, many: int, numbers: Mapping[str, int] | None = None) -> list[list[Any]]:
    """Return the values of all rows, column by column.

    Args:
        numbers: makes a number of each value of the first column; the same of equal ones.
    """
    cursor.row_factory = None  # plain tuples
    columns: list[list[Any]] = [[] for _ in range(many)]
    while part := cursor.fetchmany(_SLICE):
        values = list(zip(*part, strict=True))
        if numbers is not None:
            values[0] = tuple(map(numbers.__getitem__, values[0]))
        for column, more in zip(columns, values, strict=True):
            column.extend(more)
    return columns


def _microseconds(seconds: list[float]) -> np.ndarray[Any, Any]:
    """Return times in whole microseconds, rounded as `round` does."""
    import numpy as np

    found = np.rint(np.array(seconds, dtype=np.float64) * 1e6)
    if not np.all(np.abs(found) < 2.0**63):
        raise ValueError("a receipt's time is no time")
    return found.astype(np.int64)


def _order(ids: list[str]) -> list[int] | None:
    """Return the places of ids in order; None where they stand so already, as a rule."""
    if ids == sorted(ids):
        return None
    return sorted(range(len(ids)), key=ids.__getitem__)


def _worked_out(
    texts: list[list[str | None]], which: list[int], own: dict[str, list[Any]], payments: list[list[Any]]
) -> dict[str, Any]:
    """Return the fields that do not stand in a column of their own.

    Args:
        texts: the distinct values of `_SHARED`. which: of them each row has.
        own: the other columns.
        payments: the columns of `_PAYMENTS`.
    """
    import numpy as np

    shared = dict(zip(_SHARED, map(list, zip(*texts, strict=True)) if texts else [[]] * len(_SHARED), strict=True))
    hashes, ended = shared["authorization_hash"], shared["ended"]
    rows_of = np.array(which, dtype=np.intp)

    paying, payer, pay_to, cap, expired, money, paid_by, amount = payments
    cap = list(map(int, cap))
    number = dict(zip(paying, range(len(paying)), strict=True))
    payment = [number.get(hash) for hash in hashes]

    def of_payment(values: list[Any]) -> list[Any]:
        return [None if i is None else values[i] for i in payment]

    state = {"expired": of_payment(expired), "money": of_payment(money), "payment_hash": of_payment(paid_by)}
    state |= {"authorization_hash": hashes, "ended": ended, "verified_hash": [None] * len(hashes)}
    states = [dict(zip(state, values, strict=True)) for values in zip(*state.values(), strict=True)]
    of_texts: dict[str, Sequence[Any]] = {
        **shared,
        **{name: of_payment(column) for name, column in zip(_OF_PAYMENT, (paid_by, payer, pay_to, cap), strict=True)},
        "status": list(map(rows.status_of, states)),
        "session_id": list(map(fingerprint_of_old, shared["session_id"], hashes)),
    }
    of_texts["cap"] = RECEIPT_COLUMNS["cap_opg"].convert_all(of_texts["cap"])
    fields: dict[str, Any] = {name: _objects(values)[rows_of] for name, values in of_texts.items()}
    for i, verified in enumerate(own["verified_hash"]):
        if verified is not None:
            fields["status"][i] = rows.status_of(states[which[i]] | {"verified_hash": verified})
    fields["cost"], fields["cost_basis"] = _shares(own, ended, rows_of, payment, cap, amount)
    fields["error"] = [error and without_logins(error) for error in own["error"]]
    fields["turn"] = [turn or itself for turn, itself in zip(own["turn"], own["receipt_id"], strict=True)]
    fields["replayed"] = [False] * len(which)
    return fields


def _converted(column: ReceiptColumn, held: Sequence[Any]) -> Sequence[Any]:
    """Return a column's values of its field's; a cap was converted once for all receipts of its authorization."""
    return held if column.receipt_field == "cap" else column.convert_all(held)


def _objects(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _shares(
    own: dict[str, list[Any]],
    ended: Sequence[Any],
    which: np.ndarray[Any, Any],
    payment: list[int | None],
    cap: list[int],
    amount: list[str | None],
) -> tuple[list[int | None], list[str | None]]:
    """Return each receipt's part of its settlement, and how it is known; None where there is none."""
    import numpy as np

    cost: list[int | None] = [None] * len(which)
    basis: list[str | None] = [None] * len(which)
    settled = np.array([-1 if i is None or amount[i] is None else i for i in payment], dtype=np.intp)[which]
    places = np.argsort(settled, kind="stable")
    places = places[np.searchsorted(settled[places], 0) :]  # without those that have no settlement
    if not len(places):
        return cost, basis
    payers = settled[places]
    starts = [0, *(np.flatnonzero(np.diff(payers)) + 1).tolist(), len(places)]
    rows_ = places.tolist()
    has_ended = [ended[i] is not None for i in which[places].tolist()]
    weights = [int(own["weight"][i]) for i in rows_]
    priced = [own["cost_usd"][i] is not None for i in rows_]
    reported = [None if (value := own["reported_cost"][i]) is None else int(value) for i in rows_]
    numbers = payers[starts[:-1]].tolist()
    for i, start, end in zip(numbers, starts, starts[1:], strict=False):
        at = slice(start, end)
        parts, known = parts_of(int(amount[i] or 0), cap[i], weights[at], priced[at], reported[at], has_ended[at])
        for place, part in zip(rows_[at], parts, strict=True):
            cost[place], basis[place] = part, known
    return cost, basis
