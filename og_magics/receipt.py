"""The receipt: one question, what was answered, and all that proves it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any

MIME = "application/vnd.og.receipt+json"
"""Media type under which a receipt travels in a cell's output."""

VERSION = 1
"""Of the JSON form. A reader refuses what is newer than it knows."""

COLUMNS = (
    "receipt_id", "time", "cell", "notebook", "network", "provider", "model", "settlement", "status",
    "payment_hash", "authorization_hash", "session_id", "payer", "pay_to", "cost_opg", "cost_usd", "cap_opg",
    "prompt_tokens", "completion_tokens", "latency_s", "ttft_s", "tee_id", "tee_signature", "tee_timestamp",
    "request_hash", "output_hash", "data_settlement_hash", "blob_id", "replayed", "finish_reason", "error", "turn",
)  # fmt: skip
"""Of the receipts DataFrame, in order."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """One signed permission to be paid, as it stands in the ledger before its signature leaves the process.

    Attributes:
        hash: the EIP-712 digest that was signed, 0x hex.
        scheme: x402 scheme, "upto" or "exact".
        network: CAIP-2 name of the payment chain, "eip155:84532".
        payer, pay_to, token, spender, facilitator: checksummed addresses; spender and facilitator may be "".
        cap: the most that may be taken, base units.
        nonce: Permit2 nonce, or EIP-3009 nonce, as an int.
        deadline: unix seconds; not valid after it.
        gateway: base URL that asked. path: the route it pays for.
        created: unix seconds.
        reason: why it was signed: "first" or what made the one before it unusable.
    """

    hash: str
    scheme: str
    network: str
    payer: str
    pay_to: str
    token: str
    cap: int
    nonce: int
    deadline: int
    gateway: str
    path: str
    created: int
    spender: str = ""
    facilitator: str = ""
    reason: str = "first"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A snapshot of one row of the ledger.

    Attributes:
        receipt_id: unique, sortable by time.
        time: unix seconds at which the question was asked.
        cell, notebook: where it was asked, "" when unknown.
        network: "devnet", "base-sepolia", "base".
        provider, model: "openai", "openai/gpt-5".
        settlement: "private", "batch" or "individual".
        status: authorized, served, settled, verified; or unpaid, failed, expired.
        payment_hash: settlement transaction on the payment chain, None until found.
        authorization_hash: EIP-712 digest that was signed, None before that.
        session_id: the gateway's payment session.
        payer, pay_to: checksummed addresses.
        cost: base units this call really cost (its share of the settlement), None until settled.
        cost_usd: price of the tokens by the catalogue, a decimal string, None when not known.
        cap: base units that the authorization allows at most.
        prompt_tokens, completion_tokens: counted by the gateway.
        latency_s, ttft_s: seconds to the end and to the first token.
        tee_id, tee_signature, tee_timestamp, request_hash, output_hash: the enclave's proof as it came.
        data_settlement_hash, blob_id: where the call's data is settled.
        replayed: shown again from a record, nothing paid.
        finish_reason, error: how it ended.
        turn: receipt_id of the first call of its turn, which is its own unless it goes on with another one (functions
            were called, or an answer was repaired); "" in receipts from before there were turns of several calls.
        path, request, text, tool_calls: the exchange itself: the body as sent, and what was shown.
        public_key: hex DER of the enclave's signing key, so that the signature can be checked with no network.
        enclave_ok, enclave_form, enclave_reason: the check made when the answer came: True, False or None, the
            canonical form that held, and the reason.
        authorization: what was signed to pay it, None before that: with it the payment can be found on chain.
        scrubbed: `request`, `text` and `tool_calls` were taken out, for publication. Only such a receipt may be without
            them and have hashes of them.
    """

    receipt_id: str
    time: float
    cell: str
    notebook: str
    network: str
    provider: str
    model: str
    settlement: str
    status: str
    payment_hash: str | None = None
    authorization_hash: str | None = None
    session_id: str | None = None
    payer: str | None = None
    pay_to: str | None = None
    cost: int | None = None
    cost_usd: str | None = None
    cap: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    tee_id: str | None = None
    tee_signature: str | None = None
    tee_timestamp: int | None = None
    request_hash: str | None = None
    output_hash: str | None = None
    data_settlement_hash: str | None = None
    blob_id: str | None = None
    replayed: bool = False
    finish_reason: str | None = None
    error: str | None = None
    turn: str = ""
    path: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    public_key: str = ""
    enclave_ok: bool | None = None
    enclave_form: str | None = None
    enclave_reason: str = ""
    authorization: Authorization | None = None
    scrubbed: bool = False

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """Of the request, as far as they are any; what is no object is an empty one."""
        messages = self.request.get("messages")
        return [one if isinstance(one, Mapping) else {} for one in messages] if isinstance(messages, list) else []

    @property
    def usd(self) -> Decimal | None:
        """The price of the tokens in USD by the catalogue."""
        return None if self.cost_usd is None else Decimal(self.cost_usd)

    def without_text(self) -> Receipt:
        """This receipt without what was asked and answered: what is left proves that there was something."""
        return replace(
            self, request={}, text="", tool_calls=(), enclave_reason="", error=self.error and "removed", scrubbed=True
        )

    def to_json(self) -> dict[str, Any]:
        """The form that travels in a notebook's output; amounts as decimal strings, since JSON numbers lose digits."""
        form = asdict(self)
        for name in ("cost", "cap"):
            if form[name] is not None:
                form[name] = str(form[name])
        form["tool_calls"] = list(self.tool_calls)
        if self.authorization is not None:
            form["authorization"] |= {"cap": str(self.authorization.cap), "nonce": str(self.authorization.nonce)}
        return {"version": VERSION, **form}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Receipt:
        """The receipt of its JSON form. What it says may be a lie; each of its values is of the right kind.

        Raises:
            ValueError: a newer version, fields that are missing, or a value that is of another kind or out of bounds.
        """
        if form.get("version") != VERSION:
            raise ValueError(f"receipt version {_told(form.get('version'))} is not {VERSION}")
        try:
            values = _values(cls, form)
            signed = values.get("authorization")
            if signed is not None:
                values["authorization"] = _authorization(signed)
            if values.get("scrubbed") and any(values.get(name) for name in ("request", "text", "tool_calls")):
                raise ValueError("scrubbed: there is a text in it")
        except (ValueError, TypeError) as error:
            raise ValueError(f"not a receipt: {error}") from None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Column:
    """What one model made of a prompt that several were given.

    Attributes:
        model: that was asked, "openai/gpt-5".
        receipt: of what it answered, complete or not; None where nothing came.
        error: why there is no answer, or not all of it; "" for an answer that is complete.
    """

    model: str
    receipt: Receipt | None
    error: str = ""


def labels(models: Sequence[str]) -> list[str]:
    """A name for each column: its model, and from the second time on with a number."""
    seen: dict[str, int] = {}
    told = []
    for model in models:
        seen[model] = seen.get(model, 0) + 1
        told.append(model if seen[model] == 1 else f"{model} #{seen[model]}")
    return told


_REQUIRED = {"receipt_id", "time", "cell", "notebook", "network", "provider", "model", "settlement", "status"}
_UINT256 = 2**256
_INT64 = 2**63
_LAST_SECOND = 2**33
"""In the year 2242: later times do not fit into a DataFrame's."""
_DEEPEST = 100
"""Levels of a request's JSON: what is deeper could not be written again."""
_MAGNITUDE = 40
"""Of a price, powers of ten: `1E+999999` is a short text and a long number."""


def _values(kind: type, form: Any, *, complete: bool = False) -> dict[str, Any]:
    """The fields that a JSON object holds, each checked; `complete` wants those with a default too."""
    if not isinstance(form, Mapping):
        raise TypeError(f"{_told(form)} is not an object")
    values = {}
    for one in fields(kind):
        if one.name in form:
            values[one.name] = _value(one.name, str(one.type), form[one.name])
        elif complete or one.name in _REQUIRED:
            raise ValueError(f"{one.name} is missing")
    return values


def _authorization(form: Any) -> Authorization:
    try:
        return Authorization(**_values(Authorization, form, complete=True))
    except (ValueError, TypeError) as error:
        raise ValueError(f"authorization: {error}") from None


def _value(name: str, kind: str, value: Any) -> Any:
    kind, _, optional = kind.partition(" | ")
    if value is None and optional:
        return None
    read = _READERS.get(kind)
    try:
        if kind == "int":
            return _integer(value, exact=name in ("cap", "cost", "nonce"), below=_BELOW.get(name, _INT64))
        if name == "cost_usd":
            return _price(value)
        return value if read is None else read(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from None


def _integer(value: Any, *, exact: bool, below: int) -> int:
    """A number, or, where JSON's numbers would lose digits, its decimal digits."""
    if exact and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(below)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise ValueError(f"{_told(value)} is not a whole number below {below:.0e}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{_told(value)} is not a text")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{_told(value)} is neither true nor false")
    return value


def _seconds(value: Any) -> float:
    # JSON that went through JavaScript has 1 for 1.0.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < _LAST_SECOND:
        raise ValueError(f"{_told(value)} is not a time in seconds")
    return float(value)


def _price(value: Any) -> str:
    try:
        price = Decimal(_text(value))
    except InvalidOperation:
        raise ValueError(f"{_told(value)} is not a price") from None
    if not price.is_finite() or price < 0 or (price and abs(price.adjusted()) > _MAGNITUDE):
        raise ValueError(f"{_told(value)} is not a price")
    return str(value)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{_told(value)} is not an object")
    _shallow(value)
    return value


def _calls(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{_told(value)} is not a list")
    return tuple(dict(_object(call)) for call in value)


def _shallow(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [inner for one in level if isinstance(one, (Mapping, list)) for inner in _parts(one)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {_DEEPEST} levels")


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def _told(value: Any) -> str:
    """A value for a sentence. (A number of thousands of digits cannot be written out.)"""
    if isinstance(value, int) and abs(value) >= _UINT256:
        return f"a number of {math.ceil(value.bit_length() / 3.32)} digits"
    text = ascii(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else text[:39] + "…"


_BELOW = {"cap": _UINT256, "cost": _UINT256, "nonce": _UINT256, "tee_timestamp": _UINT256}
_READERS = {
    "str": _text,
    "float": _seconds,
    "bool": _truth,
    "Mapping[str, Any]": _object,
    "tuple[dict[str, Any], ...]": _calls,
}
