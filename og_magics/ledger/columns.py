"""The receipts of a ledger as columns, straight from SQL: no object is made of a row.

They hold what `rows.receipt_of` and `core/receipt_columns.py` make of the same rows. What is the same for many receipts
(notebook, model, session, authorization) is read once for all that share it: by the number of their facts (`alike.py`),
or as one text a row where they have none.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from ..core.receipt_columns import RECEIPT_COLUMNS, ReceiptColumn
from ..core.receipt_filter import ReceiptFilter
from ..core.redaction import without_logins
from ..core.secret import fingerprint_of_old
from ..core.shares import parts_of
from . import alike, rows
from .chosen import selection
from .database import Connection, Cursor
from .journal import Head

if TYPE_CHECKING:
    import numpy as np

    Objects = np.ndarray[Any, Any]

Values = dict[str, Any]
"""By the name of a receipts table's column, its values, a list or an array; all of one length. Times are whole
microseconds."""

_TEXTS = (
    "authorization_hash", "session_id", "ended", "notebook", "network", "provider", "model", "settlement",
    "attestation_hash",
)  # fmt: skip
"""Columns that are ours: none has a NUL, which would end it for SQLite's printf."""
_OTHERS = ("cell", "tee_id", "finish_reason", "paid_for")
_SHARED = (*_TEXTS, *_OTHERS)
"""Columns in which many rows agree: as a rule, all of a session."""
_OF_PAYMENT = ("payment_hash", "payer", "pay_to", "cap")
"""Fields of a receipt that are its authorization's, or its settlement's."""
_WORKED_OUT = {*_OF_PAYMENT, "status", "cost", "cost_basis", "replayed", *_SHARED}
_FIELDS = [column.receipt_field for column in RECEIPT_COLUMNS.values()]
_OWN = tuple(
    dict.fromkeys((*(one for one in _FIELDS if one not in _WORKED_OUT), "weight", "reported_cost", "verified_hash"))
)
"""Columns that are read row by row."""
_RARE = ("error", "turn", "paid_by", "verified_hash")
"""Of these, texts that few receipts have: they are read for those alone."""
_PAYMENTS = """SELECT a.hash, a.payer, a.pay_to, a.cap, a.expired, a.money, s.payment_hash, s.amount
    FROM authorizations a LEFT JOIN settlements s ON s.authorization_hash = a.hash"""
_SLICE = 256
"""Rows that are taken over at once: in between, other threads go on."""


@dataclass(frozen=True, slots=True)
class ColumnChanges:
    """The columns of the receipts that changed since a reader last looked; see `Changes`."""

    head: Head
    values: Values
    complete: bool


def read_columns(
    connection: Connection,
    receipts: set[str] | None = None,
    authorizations: set[str] | None = None,
    choice: ReceiptFilter | None = None,
) -> Values:
    """Return the columns of all receipts of a ledger, oldest first; or of these, and those that these pay; or of those
    that a choice may have, and all that are paid with them.

    Behind the known columns stand those that a newer version wrote something into, by their names. It is at most
    six statements, however many rows there are.

    Raises:
        ValueError, TypeError: a value that og_magics did not write.
    """
    there = {row["name"] for row in connection.execute("PRAGMA table_info(receipts)")}
    unknown = sorted(there - rows.KNOWN_OF_RECEIPT)
    of_receipts, chosen, of_payments, paying = "1 = 1", list[str](), "1 = 1", list[str]()
    if receipts is not None and authorizations is not None:
        of_receipts, chosen = rows.among({"receipt_id": receipts, "authorization_hash": authorizations})
        of_payments, paying = rows.among({"a.hash": authorizations})
    if choice is not None:
        (of_receipts, chosen), (of_payments, paying) = selection(choice)
    names = [*_OWN, *unknown]
    numbers: defaultdict[tuple[Any, ...], int] = defaultdict(count().__next__)
    which, own = _own_columns(connection, names, of_receipts, chosen, numbers)
    payments = _columns(connection.execute(f"{_PAYMENTS} WHERE {of_payments}", paying), 8)
    order = _order(own["receipt_id"])
    if order is not None:
        which, own = which[order], {name: values[order] for name, values in own.items()}
    texts = list(numbers)
    fields = own | _worked_out(texts, which, own, payments)
    shown: Values = {
        name: _microseconds(own["time"]) if name == "time" else _converted(column, fields[column.receipt_field])
        for name, column in RECEIPT_COLUMNS.items()
    }
    for name in unknown:
        if name not in shown and _given(own[name]).any():
            shown[name] = [value.hex() if isinstance(value, bytes) else value for value in own[name]]
    return shown


def _own_columns(
    connection: Connection, names: list[str], where: str, chosen: list[str], numbers: Mapping[tuple[Any, ...], int]
) -> tuple[Objects, dict[str, Objects]]:
    """Return the number of what each row shares with others, and its columns of these names.

    Args:
        numbers: makes a number of the values of `_SHARED`; the same of equal ones.
    """
    import numpy as np

    which, columns = _columns_apart(connection, names, where, chosen)
    facts = alike.facts_of(connection, set(which.tolist()), _SHARED)
    which = np.array([numbers[facts[one]] for one in which.tolist()], dtype=np.intp)

    # At random: what was written before cannot hold them.
    between, null = (f"{sign}{secrets.token_hex(4)}" for sign in "\x1f\x1e")
    printed = ", ".join(f"coalesce({name}, '{null}')" for name in _TEXTS)
    text = between.join("%s" for _ in _TEXTS)
    found = connection.execute(
        f"SELECT printf('{text}', {printed}), {', '.join(_OTHERS)}, {_quoted(names)} FROM receipts "  # noqa: S608 - our own
        f"WHERE alike IS NULL AND ({where})",
        chosen,
    )
    first = len(_OTHERS) + 1
    plain = _columns(found, len(names) + first)
    if len(plain[0]):
        seen: defaultdict[tuple[Any, ...], int] = defaultdict(count().__next__)
        at = [seen[key] for key in zip(*(column.tolist() for column in plain[:first]), strict=True)]
        read = [(*(None if one == null else one for one in text.split(between)), *others) for text, *others in seen]
        which = np.concatenate([which, np.array([numbers[one] for one in read], dtype=np.intp)[at]])
        columns = [np.concatenate(pair) for pair in zip(columns, plain[first:], strict=True)]
    return which, dict(zip(names, columns, strict=True))


def _columns_apart(
    connection: Connection, names: list[str], where: str, chosen: list[str]
) -> tuple[Objects, list[Objects]]:
    """Return the number of the facts of each row that names some, and its columns of these names."""
    import numpy as np

    apart, rare = f"alike IS NOT NULL AND ({where})", f"coalesce({', '.join(_RARE)})"
    often = [name for name in names if name not in _RARE]
    found = connection.execute(f"SELECT alike, {_quoted(often)}, {rare} FROM receipts WHERE {apart}", chosen)  # noqa: S608 - our own, and names
    which, *columns, rarely = _columns(found, len(often) + 2)
    held = dict(zip(often, columns, strict=True)) | {name: np.full(len(which), None, dtype=object) for name in _RARE}
    if _given(rarely).any():
        row = dict(zip(held["receipt_id"].tolist(), range(len(which)), strict=True))
        query = f"SELECT receipt_id, {', '.join(_RARE)} FROM receipts WHERE {rare} IS NOT NULL AND {apart}"  # noqa: S608 - our own
        ids, *texts = _columns(connection.execute(query, chosen), len(_RARE) + 1)
        rows_of_ids = [row[one] for one in ids.tolist()]
        for name, values in zip(_RARE, texts, strict=True):
            held[name][rows_of_ids] = values
    return which, [held[name] for name in names]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def _columns(cursor: Cursor, many: int) -> list[Objects]:
    """Return the values of all rows, column by column."""
    import numpy as np

    cursor.row_factory = None  # plain tuples
    slices = iter(lambda: cursor.fetchmany(_SLICE), [])
    values = np.fromiter(chain.from_iterable(chain.from_iterable(slices)), dtype=object)
    return list(values.reshape(-1, many).T)  # not copied: to count one more reference of each object takes longer


def _given(values: Objects) -> Objects:
    """Return which values are not None."""
    import numpy as np

    given: Objects = np.not_equal(values, np.array(None, dtype=object)).astype(bool)
    return given


def _microseconds(seconds: Objects) -> np.ndarray[Any, Any]:
    """Return times in whole microseconds, rounded as `round` does."""
    import numpy as np

    found = np.rint(seconds.astype(np.float64) * 1e6)
    if not np.all(np.abs(found) < 2.0**63):
        raise ValueError("a receipt's time is no time")
    return found.astype(np.int64)


def _order(ids: Objects) -> Objects | None:
    """Return the places of ids in order; None where they stand so already, as a rule."""
    import numpy as np

    if np.all(ids[:-1] <= ids[1:]):
        return None
    return np.argsort(ids, kind="stable")


def _worked_out(
    texts: list[tuple[Any, ...]], which: Objects, own: dict[str, Objects], payments: list[Objects]
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
    paying, payer, pay_to, cap, expired, money, paid_by, amount = (column.tolist() for column in payments)
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
    fields: dict[str, Any] = {name: _objects(values)[which] for name, values in of_texts.items()}
    for i in np.flatnonzero(_given(own["verified_hash"])).tolist():
        fields["status"][i] = rows.status_of(states[which[i]] | {"verified_hash": own["verified_hash"][i]})
    fields["cost"], fields["cost_basis"] = _shares(own, ended, which, payment, cap, amount)
    fields["error"] = own["error"].copy()
    for i in np.flatnonzero(_given(own["error"])).tolist():
        fields["error"][i] = without_logins(own["error"][i])
    fields["turn"] = np.where(own["turn"].astype(bool), own["turn"], own["receipt_id"])
    fields["replayed"] = np.zeros(len(which), dtype=bool)
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
    own: dict[str, Objects],
    ended: Sequence[Any],
    which: Objects,
    payment: list[int | None],
    cap: list[int],
    amount: list[str | None],
) -> tuple[Objects, Objects]:
    """Return each receipt's part of its settlement, and how it is known; None where there is none."""
    import numpy as np

    cost, basis = np.full(len(which), None, dtype=object), np.full(len(which), None, dtype=object)
    settled = np.array([-1 if i is None or amount[i] is None else i for i in payment], dtype=np.intp)[which]
    places = np.argsort(settled, kind="stable")
    places = places[np.searchsorted(settled[places], 0) :]  # without those that have no settlement
    if not len(places):
        return cost, basis
    payers = settled[places]
    starts = [0, *(np.flatnonzero(np.diff(payers)) + 1).tolist(), len(places)]
    has_ended = _given(_objects(ended))[which[places]].tolist()
    weights = list(map(int, own["weight"][places].tolist()))
    priced = _given(own["cost_usd"][places]).tolist()
    reported = [value if value is None else int(value) for value in own["reported_cost"][places].tolist()]
    all_parts, bases = list[int](), list[str]()
    for i, start, end in zip(payers[starts[:-1]].tolist(), starts, starts[1:], strict=False):
        at = slice(start, end)
        parts, known = parts_of(int(amount[i] or 0), cap[i], weights[at], priced[at], reported[at], has_ended[at])
        all_parts += parts
        bases.append(known)
    cost[places] = _objects(all_parts)
    basis[places] = np.repeat(_objects(bases), np.diff(starts))
    return cost, basis
