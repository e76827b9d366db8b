"""Conversion of rows to values, and of values to rows."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

from ..core.amounts import to_opg
from ..core.gateway_notes import read_notes
from ..core.payment_states import MoneyState
from ..core.receipt import Authorization, Receipt
from ..core.redaction import without_logins
from ..core.secret import fingerprint_of_old, public_url
from ..core.shares import CallCharge, Share, shares
from ..core.types import Outcome, Settlement
from .attestations import attestation_hash
from .database import Connection, Row

RECEIPTS = """SELECT r.*, a.expired, a.money, s.payment_hash, s.amount FROM receipts r
    LEFT JOIN authorizations a ON a.hash = r.authorization_hash
    LEFT JOIN settlements s ON s.authorization_hash = r.authorization_hash"""
"""Rows that `receipt_of` reads."""

LONG = 128
"""Characters; a longer text stands in the journal as its digest, so that the file does not hold all answers twice."""

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""JSON text that is the same for equal values; ASCII, so that any string survives exactly."""

as_sent = json.JSONEncoder(separators=(",", ":")).encode
"""JSON text with its keys in the order in which they were sent: some gateways sign that order."""

WHOLE = frozenset(("prompt_tokens", "completion_tokens", "tee_timestamp", "enclave_ok"))
REAL = frozenset(("time", "latency_s", "ttft_s"))
"""Columns of numbers; all others hold texts."""
AT_FIRST: dict[str, Any] = {
    "weight": "0", "text": "", "tool_calls": "[]", "public_key": "", "enclave_reason": "",
}  # fmt: skip
"""The columns of a receipt that was just opened, where they are not NULL."""


def storable(value: Any) -> Any:
    """Return a text that UTF-8 can hold: halves of one character are joined, lone ones replaced."""
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def digest_long(value: Any) -> Any:
    """Return the journal's form of a column's value: the value, or `{"sha256": ...}` of a long text."""
    if isinstance(value, str) and len(value) > LONG:
        return {"sha256": hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()}
    return value


def as_read(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return values as a ledger gives them back; None where one is of another kind than its column."""
    read: dict[str, Any] = {}
    for name, given in values.items():
        value = int(given) if isinstance(given, bool) else given
        if name in REAL and isinstance(value, int | float):
            value = None if value != value else float(value)  # noqa: PLR0124 - NaN
            if value is not None and math.isinf(value):
                return None
        kind = int if name in WHOLE else float if name in REAL else str
        if value is not None and not isinstance(value, kind):
            return None
        read[name] = storable(value)
    return read


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


_AUTHORIZATION = tuple(f.name for f in fields(Authorization) if f.name != "extra")
_SETTLEMENT = tuple(f.name for f in fields(Settlement))
_RECEIPT = tuple(f.name for f in fields(Receipt))
_DERIVED = {
    "status", "cost", "cost_basis", "reported_cost", "cap", "payer", "pay_to", "replayed", "request", "tool_calls",
    "enclave_ok", "turn", "notebook_id", "gateway_notes",
}  # fmt: skip
_PLAIN = tuple(name for name in _RECEIPT if name not in _DERIVED | {"authorization", "scrubbed", "extra"})
_KNOWN_OF_AUTHORIZATION = {*_AUTHORIZATION, "expired", "money", "evidence"}
KNOWN_OF_RECEIPT = {*_RECEIPT, "ended", "weight", "verified_hash", "expired", "money", "amount", "alike"}
"""Columns that this version reads; others were added by a newer one."""


def dict_of(row: Row) -> dict[str, Any]:
    """Return the columns of a row by their names. Its own look-up by name goes through all of them each time."""
    return dict(zip(row.keys(), row, strict=True))


def authorization_row(authorization: Authorization) -> dict[str, Any]:
    """Return the columns of an authorization."""
    row = {name: getattr(authorization, name) for name in _AUTHORIZATION}
    return row | {"cap": str(authorization.cap), "nonce": str(authorization.nonce)}


def authorization_of(row: Row) -> Authorization:
    """Make the authorization of its row."""
    held = dict_of(row)
    values = {name: held[name] for name in _AUTHORIZATION}
    numbers = {"cap": int(held["cap"]), "nonce": int(held["nonce"])}
    extra = _unknown(held, _KNOWN_OF_AUTHORIZATION)
    return Authorization(**values | numbers | {"gateway": public_url(held["gateway"])}, extra=extra)


def _unknown(held: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return what a newer version wrote into columns of its own, as JSON can hold it: a BLOB as hex digits."""
    if not held.keys() - known:
        return {}
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in held.items()
        if name not in known and value is not None
    }


def settlement_row(settlement: Settlement) -> dict[str, Any]:
    """Return the columns of a settlement."""
    return {name: getattr(settlement, name) for name in _SETTLEMENT} | {"amount": str(settlement.amount)}


def settlement_of(row: Row) -> Settlement:
    """Make the settlement of its row."""
    return Settlement(**{name: row[name] for name in _SETTLEMENT} | {"amount": int(row["amount"])})


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """Return the columns of a receipt that an answer fills."""
    return {
        "text": outcome.text,
        "tool_calls": as_sent(outcome.tool_calls),
        "finish_reason": outcome.finish_reason,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "latency_s": outcome.latency,
        "ttft_s": outcome.ttft,
        "public_key": outcome.enclave.public_key.hex(),
        "tee_id": outcome.tee_id,
        "tee_signature": outcome.tee_signature,
        "tee_timestamp": outcome.tee_timestamp,
        "request_hash": outcome.tee_request_hash,
        "output_hash": outcome.tee_output_hash,
        "data_settlement_hash": outcome.data_settlement_hash,
        "blob_id": outcome.blob_id,
        "reported_cost": None if outcome.reported_cost is None else str(outcome.reported_cost),
        "gateway_notes": canonical(outcome.gateway_notes) if outcome.gateway_notes else None,
        "attestation_hash": attestation_hash(outcome.attestation),
        "paid_by": outcome.paid_by,
    }


def receipt_of(row: Row, share: Share | None, authorization: Authorization | None) -> Receipt:
    """Make the receipt of a row of `RECEIPTS`; `share` is its part of the settlement, if there is one."""
    held = dict_of(row)
    values = {name: held[name] for name in _PLAIN}
    values["session_id"] = fingerprint_of_old(held["session_id"], held["authorization_hash"])
    values["error"] = without_logins(held["error"])
    return Receipt(
        **values,
        status=status_of(held),
        cost=share.amount if share else None,
        cost_basis=share.basis if share else None,
        reported_cost=None if held["reported_cost"] is None else int(held["reported_cost"]),
        cap=authorization.cap if authorization else None,
        payer=authorization.payer if authorization else None,
        pay_to=authorization.pay_to if authorization else None,
        turn=held["turn"] or held["receipt_id"],
        notebook_id=held["notebook_id"] or "",
        gateway_notes=read_notes(json.loads(held["gateway_notes"])) if held["gateway_notes"] else {},
        request=json.loads(held["request"]),
        tool_calls=() if held["tool_calls"] == "[]" else tuple(json.loads(held["tool_calls"])),
        enclave_ok=None if held["enclave_ok"] is None else bool(held["enclave_ok"]),
        authorization=authorization,
        extra=_unknown(held, KNOWN_OF_RECEIPT),
    )


def receipts_of(rows: Sequence[Row], authorizations: Iterable[Row]) -> list[Receipt]:
    """Make the receipts of rows of `RECEIPTS`: in order, with all receipts of each authorization that is among them."""
    paid = {row["hash"]: authorization_of(row) for row in authorizations}
    shares = _all_shares(rows, paid)
    return [receipt_of(row, shares.get(row["receipt_id"]), paid.get(row["authorization_hash"])) for row in rows]


def among(chosen: Mapping[str, Collection[str]]) -> tuple[str, list[str]]:
    """Return an SQL condition, "any of these columns has one of its values", and the values of its question marks.

    None at all is false by a constant: for an empty `IN ()` beside an OR, SQLite would read the whole table.
    """
    parts = [f"{column} IN ({', '.join('?' * len(values))})" for column, values in chosen.items() if values]
    return " OR ".join(parts) or "1 = 0", [value for values in chosen.values() for value in values]


def shares_of(amount: int, cap: int, members: Sequence[Row]) -> dict[str, Share]:
    """Return each receipt's part of an amount by its id; the parts add up to it.

    Args:
        members: rows of one authorization's receipts, in order.
    """
    parts = shares(amount, cap, [_charge(row) for row in members])
    return dict(zip((row["receipt_id"] for row in members), parts, strict=True))


def _charge(row: Row) -> CallCharge:
    reported = row["reported_cost"]
    return CallCharge(
        weight=int(row["weight"]),
        priced=row["cost_usd"] is not None,
        reported=None if reported is None else int(reported),
        ended=row["ended"] is not None,
    )


def _all_shares(rows: Iterable[Row], paid: Mapping[str, Authorization]) -> dict[str, Share]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["amount"] is not None:
            groups.setdefault(row["authorization_hash"], []).append(row)
    found: dict[str, Share] = {}
    for authorization_hash, members in groups.items():
        found |= shares_of(int(members[0]["amount"]), paid[authorization_hash].cap, members)
    return found


def money_of(authorization: Mapping[str, Any] | Row, settlement: Row | None) -> MoneyState:
    """Return the state of an authorization's money, of its row and of its settlement's."""
    if settlement is not None:
        return MoneyState.FINAL if authorization["money"] == MoneyState.FINAL else MoneyState.SETTLED
    if authorization["money"] == MoneyState.USED:
        return MoneyState.USED
    return MoneyState.EXPIRED if authorization["expired"] else MoneyState.PENDING


def status_of(row: Mapping[str, Any] | Row) -> str:
    """Return the status of a row of `RECEIPTS`."""
    ended, paid = row["ended"], row["payment_hash"]
    if ended == "failed":
        return "failed"
    if paid is not None and ended == "served":
        # The hash that was checked is kept, not a flag: another settlement in its place has to be checked anew.
        return "verified" if row["verified_hash"] == paid else "settled"
    if paid is None and row["expired"]:
        return "expired"
    if ended == "served":
        return "paid" if paid is None and row["money"] == MoneyState.USED else "served"
    return "unpaid" if row["authorization_hash"] is None else "authorized"


_LATEST, _NEWEST = 5, 1000
"""Settlements, and receipts, that are looked at for a price."""


def price_paid(connection: Connection, network: str) -> Decimal | None:
    """Return USD of an OPG by the last settlement on a network of which all charged calls have a list price."""
    settled = connection.execute(
        """SELECT r.authorization_hash AS hash, s.amount FROM (
            SELECT r.receipt_id, r.authorization_hash FROM receipts r LEFT JOIN alike f ON f.id = r.alike
            WHERE coalesce(f.network, r.network) = ? AND r.authorization_hash IS NOT NULL
            ORDER BY r.receipt_id DESC LIMIT ?
        ) r JOIN settlements s ON s.authorization_hash = r.authorization_hash
        GROUP BY r.authorization_hash, s.amount ORDER BY max(r.receipt_id) DESC LIMIT ?""",
        (network, _NEWEST, _LATEST),
    ).fetchall()
    for row in settled:
        charged = connection.execute(
            "SELECT cost_usd FROM receipts WHERE authorization_hash = ? AND weight != '0'", (row["hash"],)
        ).fetchall()
        prices = [one["cost_usd"] for one in charged]
        if prices and None not in prices and int(row["amount"]) > 0:
            usd = sum(map(Decimal, prices), Decimal(0))
            if usd > 0:
                return usd / to_opg(int(row["amount"]))
    return None
