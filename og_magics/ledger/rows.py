"""How rows become values, and values rows."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from .. import amounts
from ..receipt import Receipt
from ..types import Authorization, Outcome, Settlement

RECEIPTS = """SELECT r.*, a.expired, s.payment_hash, s.amount FROM receipts r
    LEFT JOIN authorizations a ON a.hash = r.authorization_hash
    LEFT JOIN settlements s ON s.authorization_hash = r.authorization_hash"""
"""Rows that `receipt_of` reads."""

LONG = 128
"""Characters; a longer text stands in the journal as its digest, so that the file does not hold all answers twice."""

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""JSON text that is the same for equal values; ASCII, so that any string survives exactly."""


def storable(value: Any) -> Any:
    """A text that UTF-8 can hold: halves of a character that came in two pieces are joined, lone ones replaced."""
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def sealed(value: Any) -> Any:
    """What the journal holds of a column's value: the value, or `{"sha256": ...}` of a long text."""
    if isinstance(value, str) and len(value) > LONG:
        return {"sha256": hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()}
    return value


_AUTHORIZATION = tuple(f.name for f in fields(Authorization))
_SETTLEMENT = tuple(f.name for f in fields(Settlement))
_RECEIPT = tuple(f.name for f in fields(Receipt))
_DERIVED = {"status", "cost", "cap", "payer", "pay_to", "replayed", "request", "tool_calls", "enclave_ok", "turn"}
_PLAIN = tuple(name for name in _RECEIPT if name not in _DERIVED | {"authorization", "scrubbed"})


def dict_of(row: sqlite3.Row) -> dict[str, Any]:
    """The columns of a row by their names. Its own look-up by name goes through all of them each time."""
    return dict(zip(row.keys(), row, strict=True))


def authorization_row(authorization: Authorization) -> dict[str, Any]:
    """Columns of an authorization."""
    row = {name: getattr(authorization, name) for name in _AUTHORIZATION}
    return row | {"cap": str(authorization.cap), "nonce": str(authorization.nonce)}


def authorization_of(row: sqlite3.Row) -> Authorization:
    """The authorization of its row."""
    values = {name: row[name] for name in _AUTHORIZATION}
    return Authorization(**values | {"cap": int(row["cap"]), "nonce": int(row["nonce"])})


def settlement_row(settlement: Settlement) -> dict[str, Any]:
    """Columns of a settlement."""
    return {name: getattr(settlement, name) for name in _SETTLEMENT} | {"amount": str(settlement.amount)}


def settlement_of(row: sqlite3.Row) -> Settlement:
    """The settlement of its row."""
    return Settlement(**{name: row[name] for name in _SETTLEMENT} | {"amount": int(row["amount"])})


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """Columns of a receipt that an answer fills."""
    return {
        "text": outcome.text,
        "tool_calls": canonical(outcome.tool_calls),
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
    }


def receipt_of(row: sqlite3.Row, share: int | None, authorization: Authorization | None) -> Receipt:
    """The receipt of a row of `RECEIPTS`; `share` is its part of the settlement, if there is one."""
    held = dict_of(row)
    values = {name: held[name] for name in _PLAIN}
    return Receipt(
        **values,
        status=status_of(held),
        cost=share,
        cap=authorization.cap if authorization else None,
        payer=authorization.payer if authorization else None,
        pay_to=authorization.pay_to if authorization else None,
        turn=held["turn"] or held["receipt_id"],
        request=json.loads(held["request"]),
        tool_calls=() if held["tool_calls"] == "[]" else tuple(json.loads(held["tool_calls"])),
        enclave_ok=None if held["enclave_ok"] is None else bool(held["enclave_ok"]),
        authorization=authorization,
    )


def receipts_of(rows: Sequence[sqlite3.Row], authorizations: Iterable[sqlite3.Row]) -> list[Receipt]:
    """The receipts of rows of `RECEIPTS`: in order, with all receipts of each authorization that is among them."""
    shares = _all_shares(rows)
    paid = {row["hash"]: authorization_of(row) for row in authorizations}
    return [receipt_of(row, shares.get(row["receipt_id"]), paid.get(row["authorization_hash"])) for row in rows]


def shares_of(amount: int, members: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Each receipt's part of an amount by its id; the parts add up to it. `members`: (receipt_id, weight), in order."""
    parts = amounts.split(amount, [int(weight) for _, weight in members])
    return dict(zip((receipt_id for receipt_id, _ in members), parts, strict=True))


def _all_shares(rows: Iterable[sqlite3.Row]) -> dict[str, int]:
    groups: dict[str, list[tuple[str, str]]] = {}
    settled: dict[str, int] = {}
    for row in rows:
        if row["amount"] is not None:
            groups.setdefault(row["authorization_hash"], []).append((row["receipt_id"], row["weight"]))
            settled[row["authorization_hash"]] = int(row["amount"])
    shares: dict[str, int] = {}
    for authorization_hash, members in groups.items():
        shares |= shares_of(settled[authorization_hash], members)
    return shares


def status_of(row: Mapping[str, Any] | sqlite3.Row) -> str:
    """The status that a row of `RECEIPTS` amounts to."""
    ended, paid = row["ended"], row["payment_hash"]
    if ended == "failed":
        return "failed"
    if paid is not None and ended == "served":
        # The hash that was checked is kept, not a flag: another settlement in its place has to be checked anew.
        return "verified" if row["verified_hash"] == paid else "settled"
    if paid is None and row["expired"]:
        return "expired"
    if ended == "served":
        return "served"
    return "unpaid" if row["authorization_hash"] is None else "authorized"
