"""The receipt: one question, what was answered, and all that proves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from typing import Any

MIME = "application/vnd.og.receipt+json"
"""Media type under which a receipt travels in a cell's output."""

VERSION = 1
"""Of the JSON form. A reader refuses what is newer than it knows."""

OPEN = ("unpaid", "authorized", "served")
"""Statuses that may still change by themselves."""

COLUMNS = (
    "receipt_id", "time", "cell", "notebook", "network", "provider", "model", "settlement", "status",
    "payment_hash", "authorization_hash", "session_id", "payer", "pay_to", "cost_opg", "cost_usd", "cap_opg",
    "prompt_tokens", "completion_tokens", "latency_s", "ttft_s", "tee_id", "tee_signature", "tee_timestamp",
    "request_hash", "output_hash", "data_settlement_hash", "blob_id", "replayed", "finish_reason", "error",
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
        path, request, text, tool_calls: the exchange itself: the body as sent, and what was shown.
        public_key: hex DER of the enclave's signing key, so that the signature can be checked with no network.
        enclave_ok, enclave_form, enclave_reason: the check made when the answer came: True, False or None, the
            canonical form that held, and the reason.
        authorization: what was signed to pay it, None before that: with it the payment can be found on chain.
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
    path: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    public_key: str = ""
    enclave_ok: bool | None = None
    enclave_form: str | None = None
    enclave_reason: str = ""
    authorization: Authorization | None = None

    @property
    def usd(self) -> Decimal | None:
        """The price of the tokens in USD by the catalogue."""
        return None if self.cost_usd is None else Decimal(self.cost_usd)

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
        """The receipt of its JSON form.

        Raises:
            ValueError: a newer version, or fields that are missing.
        """
        if form.get("version") != VERSION:
            raise ValueError(f"receipt version {form.get('version')!r} is not {VERSION}")
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in form.items() if name in known}
        for name in ("cost", "cap"):
            if values.get(name) is not None:
                values[name] = int(values[name])
        try:
            values["tool_calls"] = tuple(values.get("tool_calls") or ())
            if values.get("authorization") is not None:
                values["authorization"] = _authorization(values["authorization"])
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a receipt: {error}") from None


def _authorization(form: Mapping[str, Any]) -> Authorization:
    values = {f.name: form[f.name] for f in fields(Authorization)}
    return Authorization(**values | {"cap": int(form["cap"]), "nonce": int(form["nonce"])})
