"""The receipt: one question, what was answered, and all that proves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any

from .gateway_notes import read_notes
from .receipt_columns import column_names
from .receipt_fields import read_fields
from .redaction import without_logins
from .secret import fingerprint_of_old, public_url
from .versions import require_readable

MIME = "application/vnd.og.receipt+json"
"""Media type under which a receipt travels in a cell's output."""

VERSION = "1.0"
"""Of the JSON form. A reader reads every minor version of its own major: it keeps the fields that it does not know."""

_TEXTS = ("request", "text", "tool_calls", "gateway_notes")
"""Fields that a receipt without its text has nothing in."""

COLUMNS = column_names()
"""Of the receipts DataFrame, in order; `receipt_columns` declares them."""


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
        gateway: origin of the gateway that asked. path: the route it pays for.
        created: unix seconds.
        reason: why it was signed: "first" or what made the one before it unusable.
        extra: fields of a newer minor version, as they came.
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
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A snapshot of one row of the ledger.

    Attributes:
        receipt_id: unique, sortable by time.
        time: unix seconds at which the question was asked.
        cell, notebook: where it was asked, "" when unknown.
        network: "devnet", "base", "base-sepolia".
        provider, model: "openai", "openai/gpt-5".
        settlement: "private", "batch" or "individual".
        status: authorized, served, paid (its transaction is not found yet), settled, verified; or unpaid, failed,
            expired.
        payment_hash: settlement transaction on the payment chain, None until found.
        authorization_hash: EIP-712 digest that was signed, None before that.
        session_id: a salted hash of the gateway's payment session, the same in all receipts of one: the id itself is
            money to whoever reads it.
        payer, pay_to: checksummed addresses.
        cost: base units this call really cost (its share of the settlement), None until settled.
        reported_cost: base units that the gateway says it cost, None where it does not say. Not signed.
        cost_basis: how `cost` is known: "told", "exact", "prices" or "estimate" (see `core/shares.py`); None until
            settled.
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
        notebook_id: random id of the notebook that asked, which it keeps when it is renamed; "" where there is none.
        gateway_notes: citations and moderation that the gateway added, and that the model refused
            (`core/gateway_notes.py`). Not signed.
        attestation_hash: SHA-256 (hex) of the document by which the enclave's hardware was attested before the prompt
            was sent; None where it was not. The ledger has the document, and the first output of a notebook.
        paid_for: the user of `og-magics serve` whose question it was; None for one's own.
        paid_by: who paid, where a server was asked that pays for others, as it says; None where this wallet did.
        extra: fields of a newer minor version, as they came; they are written again with the receipt.
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
    reported_cost: int | None = None
    cost_basis: str | None = None
    scrubbed: bool = False
    notebook_id: str = ""
    gateway_notes: Mapping[str, Any] = field(default_factory=dict)
    attestation_hash: str | None = None
    paid_for: str | None = None
    paid_by: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def speed(self) -> float | None:
        """The tokens a second from the first one to the last; None where not known."""
        if self.latency_s is None or self.ttft_s is None or not self.completion_tokens:
            return None
        took = self.latency_s - self.ttft_s
        return self.completion_tokens / took if took > 0 else None

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
        """Return this receipt without what was asked and answered: what is left proves that there was something.

        Fields of a newer version go too, since nobody here knows whether they hold some of the text.
        """
        signed = self.authorization and replace(self.authorization, extra={})
        return replace(
            self, request={}, text="", tool_calls=(), enclave_reason="", error=self.error and "removed", scrubbed=True,
            gateway_notes={}, paid_for=None, extra={}, authorization=signed,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the form that travels in a notebook's output, with the fields of a newer version as they came.

        Amounts are decimal strings, since JSON numbers lose digits.
        """
        form = asdict(replace(self, extra={}))
        del form["extra"]
        for name in ("cost", "cap", "reported_cost"):
            if form[name] is not None:
                form[name] = str(form[name])
        form["tool_calls"] = list(self.tool_calls)
        for name in ("gateway_notes", "attestation_hash", "paid_for", "paid_by"):
            if not form[name]:
                del form[name]
        if self.authorization is not None:
            signed = form["authorization"] | {
                "cap": str(self.authorization.cap),
                "nonce": str(self.authorization.nonce),
            }
            del signed["extra"]
            form["authorization"] = {**self.authorization.extra, **signed}
        return {**self.extra, "version": VERSION, **form}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Receipt:
        """Read a receipt from its JSON form, of any minor version of this major; fields that are missing have their
        defaults, unknown ones are kept in `extra`. What it says may be a lie; each of its values is of the right kind.

        Raises:
            ValueError: another major version, a receipt without its first fields, or a value that is of another kind or
                out of bounds.
        """
        try:
            require_readable(form.get("version"), VERSION, "receipt")
        except ValueError as error:
            raise ValueError(f"not a receipt that can be read: {error}") from None
        try:
            values = read_fields(cls, form)
            signed = values.get("authorization")
            if signed is not None:
                values["authorization"] = _authorization(signed)
            values["session_id"] = fingerprint_of_old(values.get("session_id"), values.get("authorization_hash"))
            values["error"] = without_logins(values.get("error"))
            values["gateway_notes"] = read_notes(values.get("gateway_notes"))
            if values.get("scrubbed") and any(values.get(name) for name in _TEXTS):
                raise ValueError("scrubbed: there is a text in it")
        except (ValueError, TypeError) as error:
            raise ValueError(f"not a receipt: {error}") from None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Column:
    """One model's part in a comparison: its answer, or why there is none.

    Attributes:
        model: that was asked, "openai/gpt-5".
        receipt: of what it answered, complete or not; None where nothing came.
        error: why there is no answer, or not all of it; "" for an answer that is complete.
        images: there are images, which no receipt holds.
    """

    model: str
    receipt: Receipt | None
    error: str = ""
    images: bool = False


def labels(models: Sequence[str]) -> list[str]:
    """Name each column by its model, and from the second time on with a number."""
    seen: dict[str, int] = {}
    names = []
    for model in models:
        seen[model] = seen.get(model, 0) + 1
        names.append(model if seen[model] == 1 else f"{model} #{seen[model]}")
    return names


def _authorization(form: Any) -> Authorization:
    try:
        signed = Authorization(**read_fields(Authorization, form, complete=True))
        return replace(signed, gateway=public_url(signed.gateway))
    except (ValueError, TypeError) as error:
        raise ValueError(f"authorization: {error}") from None
