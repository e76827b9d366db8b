"""The values that cross the house: what is asked, what comes back, what was paid.

The result types carry every field of the official SDK under its name (`opengradient.types`, 1.1.4), so code written
for it runs unchanged; `receipt`, `authorization_hash`, `tee_request_hash` and `tee_output_hash` are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Self

from .cell_context import NO_CELL, CellExecution
from .enclave import Enclave as Enclave  # noqa: PLC0414 - values that cross the house are imported from here
from .errors import ConfigError
from .models import OwnPrices, nearest
from .receipt import Receipt
from .recording import request_fingerprint
from .spending import Spending


class x402SettlementMode(str, Enum):  # noqa: N801 - the official SDK's name
    """The settlement mode: which data of a call goes on chain, besides its payment.

    Attributes:
        PRIVATE: nothing.
        BATCH_HASHED: the Merkle root of many calls' hashes and signatures.
        INDIVIDUAL_FULL: one event with the call's hashes, and a public blob with its full input and output.
    """

    PRIVATE = "private"
    BATCH_HASHED = "batch"
    INDIVIDUAL_FULL = "individual"

    @classmethod
    def parse(cls, name: str | x402SettlementMode) -> x402SettlementMode:
        """Read a mode as a person types it: "batch", "BATCH_HASHED", "batch-hashed".

        Raises:
            ConfigError: no such mode.
        """
        if isinstance(name, cls):
            return name
        key = str(name).strip().lower().replace("-", "_")
        for mode in cls:
            if key in (mode.value, mode.name.lower()):
                return mode
        close = nearest(key, [text for mode in cls for text in (mode.value, mode.name.lower())])
        hint = f"Did you mean {close}? " if close else ""
        raise ConfigError(
            f"There is no settlement mode {str(name)!r}.",
            remedy=f"{hint}Choose private (payment only), batch (a hash among many) or individual (all of it, public).",
        )


@dataclass
class ResponseFormat:
    """The form that the answer must have.

    Attributes:
        type: "text", "json_object" or "json_schema".
        json_schema: for "json_schema": a dict with `name`, `schema` and optionally `strict`.

    Raises:
        ValueError: another type, or a schema that is missing.
    """

    type: str
    json_schema: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.type not in ("text", "json_object", "json_schema"):
            raise ConfigError(
                f"ResponseFormat has no type {self.type!r}.", remedy="Use text, json_object or json_schema."
            )
        if self.type == "json_schema" and not self.json_schema:
            raise ConfigError("ResponseFormat(type='json_schema') needs json_schema={'name': ..., 'schema': {...}}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the request's `response_format`."""
        form: dict[str, Any] = {"type": self.type}
        if self.json_schema is not None:
            form["json_schema"] = self.json_schema
        return form


@dataclass
class StreamDelta:
    """The delta of one event. `tool_calls` are deltas in the OpenAI form: joined by their `index`."""

    content: str | None = None
    role: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


@dataclass
class StreamChoice:
    """One choice of a chunk; `finish_reason` is set on the last."""

    delta: StreamDelta
    index: int = 0
    finish_reason: str | None = None


@dataclass
class StreamUsage:
    """Tokens, as the gateway counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Live:
    """A dataclass field that is read from the receipt while that is known: set later, seen later.

    Without a receipt (a value built by hand) it is a plain field with None as its default.
    """

    def __init__(self, read: Callable[[Receipt], Any]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return None  # the field's default, asked for by @dataclass
        receipt = instance.receipt
        return getattr(instance, self._slot, None) if receipt is None else self._read(receipt)

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance, self._slot, value)


@dataclass(frozen=True)
class Kept:
    """A receipt that no ledger brings up to date any more: that of a value which was copied or pickled."""

    receipt: Receipt

    def __call__(self) -> Receipt:
        """Return the receipt."""
        return self.receipt


class _WithReceipt:
    """Results look their receipt up each time, so that a settlement found later shows in them."""

    _lookup: Callable[[], Receipt] | None = None
    _ending: str | None = None
    """The note on how a whole answer ended; None where its receipt has to be asked."""
    _usd: Decimal | None = None
    """The price by the list, of a whole answer that was asked for now; None where it is not known."""
    _of_the_process: ClassVar = ("_lookup", "_shown")

    @property
    def receipt(self) -> Receipt | None:
        """The call's receipt as it stands now, or None for a value that came from no paid call."""
        return None if self._lookup is None else self._lookup()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: all values, and the receipt as it stands now."""
        state = {name: value for name, value in vars(self).items() if name not in self._of_the_process}
        if self._lookup is not None:
            state["_lookup"] = Kept(self._lookup())
        return state

    def __copy__(self) -> Self:
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo[id(self)] = copied = copy.copy(self)  # its receipt is looked up as before: a ledger is not copied
        for name, value in vars(self).items():
            if name not in self._of_the_process:
                setattr(copied, name, copy.deepcopy(value, memo))
        return copied


@dataclass
class StreamChunk(_WithReceipt):
    """One event of a streamed answer.

    Attributes:
        choices: usually one.
        model: the model's id, as the gateway gave it.
        usage: on the final chunk.
        is_final: True on the last chunk; it also holds the proof fields.
        tee_signature, tee_timestamp, tee_id: the enclave's signature (base64 RSA-PSS), its time (unix seconds), its id.
        tee_endpoint, tee_payment_address: where the answer came from, and who is paid.
        tee_request_hash, tee_output_hash: what the signature covers, hex.
        data_settlement_transaction_hash, data_settlement_blob_id: in individual mode.
        images: data: URIs or https links, on the final chunk.
        payment_hash: the settlement transaction, or None until there is one. Live.
        authorization_hash: the EIP-712 digest that was signed for this call, on the final chunk. Live.
        output: the whole answer, on the final chunk.
    """

    choices: list[StreamChoice]
    model: str
    usage: StreamUsage | None = None
    is_final: bool = False
    tee_signature: str | None = None
    tee_timestamp: int | None = None
    tee_id: str | None = None
    tee_endpoint: str | None = None
    tee_payment_address: str | None = None
    data_settlement_transaction_hash: str | None = None
    data_settlement_blob_id: str | None = None
    images: list[str] | None = None
    tee_request_hash: str | None = None
    tee_output_hash: str | None = None
    payment_hash: str | None = _Live(lambda receipt: receipt.payment_hash)  # type: ignore[assignment]  # descriptor field
    authorization_hash: str | None = _Live(lambda receipt: receipt.authorization_hash)  # type: ignore[assignment]  # as above
    output: TextGenerationOutput | None = None


@dataclass
class TextGenerationOutput(_WithReceipt):
    """The whole answer to `chat()` or `completion()`.

    Attributes:
        data_settlement_transaction_hash: the transaction that put the call's data on chain (individual mode).
        data_settlement_blob_id: the blob that holds it.
        finish_reason: "stop", "length" or "tool_calls".
        chat_output: the assistant's message: `role`, `content` and, for a function call, `tool_calls`.
        completion_output: the text of a completion.
        images: generated images, data: URIs or https links. Not covered by the enclave's signature.
        usage: dict with `prompt_tokens`, `completion_tokens`, `total_tokens`.
        payment_hash: the settlement transaction, or None until there is one. Live: read it again later.
        tee_signature, tee_timestamp: base64 RSA-PSS, and its time in unix seconds.
        tee_id, tee_endpoint, tee_payment_address: the enclave, its address and its payee.
        tee_request_hash, tee_output_hash: what the signature covers, hex.
        authorization_hash: the EIP-712 digest that was signed to pay. Live.
        model: the model's id, as the gateway gave it.
        citations: sources that the gateway names, with `title`, `url`, `published_date`; None without any. Not signed.
        moderation: what the gateway's moderation found, "flagged: violence"; None without any. Not signed.
        receipt: the call's receipt as it stands now.
    """

    data_settlement_transaction_hash: str | None = None
    data_settlement_blob_id: str | None = None
    finish_reason: str | None = None
    chat_output: dict[str, Any] | None = None
    completion_output: str | None = None
    images: list[str] | None = None
    usage: dict[str, int] | None = None
    payment_hash: str | None = _Live(lambda receipt: receipt.payment_hash)  # type: ignore[assignment]  # descriptor field
    tee_signature: str | None = None
    tee_timestamp: int | None = None
    tee_id: str | None = None
    tee_endpoint: str | None = None
    tee_payment_address: str | None = None
    tee_request_hash: str | None = None
    tee_output_hash: str | None = None
    authorization_hash: str | None = _Live(lambda receipt: receipt.authorization_hash)  # type: ignore[assignment]  # as above
    model: str | None = None
    citations: list[dict[str, str]] | None = None
    moderation: str | None = None

    @property
    def text(self) -> str:
        """The answer's text, of a chat or a completion; empty for a function call."""
        if self.completion_output is not None:
            return self.completion_output
        return (self.chat_output or {}).get("content") or ""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The function calls that the model asks for, in the OpenAI form; empty when it answered."""
        return (self.chat_output or {}).get("tool_calls") or []


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request to the gateway, before it is paid.

    Attributes:
        path: "/v1/chat/completions", "/v1/completions" or "/v1/web_search".
        model: with its provider, "openai/gpt-5".
        body: the JSON body as it goes on the wire.
        settlement: the mode asked for.
        cell: execution count or id of the notebook cell that asked, or "".
        notebook: name of the notebook that asked, or "".
        max_cost: base units that this call may cost at most, whatever else is allowed; None for no such limit.
        turn: receipt_id of the first call of the turn that this one goes on with, "" for a first call.
        execution: the run of the cell that asks.
        replay: "auto", "only" or "off"; "" for what the settings say.
        pace: "instant" or "recorded"; "" for what the settings say.
        spending: what the calls of its cell or batch may come to; None for a call that stands alone.
        replay_from: paths of notebooks, with commas, whose answers may be shown too.
        prices: the user's own, in place of the catalogue's.
        paid_for: the user of this server whose question it is; "" for one's own.
    """

    path: str
    model: str
    body: Mapping[str, Any]
    settlement: x402SettlementMode
    cell: str = ""
    notebook: str = ""
    max_cost: int | None = None
    turn: str = ""
    execution: CellExecution = NO_CELL
    replay: str = ""
    pace: str = ""
    spending: Spending | None = field(default=None, compare=False, repr=False)
    replay_from: str = ""
    prices: OwnPrices = field(default_factory=dict, compare=False, repr=False)
    paid_for: str = ""
    _fingerprint: str = field(default="", init=False, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """Return the replay key; see `request_fingerprint`. It is worked out once."""
        if not self._fingerprint:
            object.__setattr__(self, "_fingerprint", request_fingerprint(self.path, self.model, self.body))
        return self._fingerprint

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))


@dataclass(frozen=True, slots=True)
class Settlement:
    """The transaction that made an authorization into a payment.

    Attributes:
        authorization_hash: of the authorization that it used up.
        payment_hash: the transaction, 0x hex.
        amount: base units really moved. gas_used: of the transaction, paid by the facilitator.
        block_number, block_hash: where it stands.
    """

    authorization_hash: str
    payment_hash: str
    amount: int
    block_number: int
    block_hash: str
    gas_used: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request: the part of a receipt that the answer fills.

    Attributes:
        text, tool_calls, finish_reason, images: what the user was shown; `tool_calls` without `index`.
        prompt_tokens, completion_tokens: counted by the gateway, None when it did not say.
        latency, ttft: seconds from asking to the end, and to the first token (None without one).
        enclave: who answered. tee_*: proof fields as they came. data_settlement_hash, blob_id: in individual mode.
        reported_cost: base units that the gateway says it cost, None where it does not say. Not signed.
        unsettled: why the gateway could not leave the answer's data on chain, as it says; "" where it could. Untrusted.
        gateway_notes: see `core/gateway_notes.py`; not signed. attestation: of the enclave's hardware; b"" for none.
        paid_by, offered_key: of a server that pays for others (`core/paid_by.py`), as it says.
    """

    text: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None
    images: tuple[str, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency: float | None = None
    ttft: float | None = None
    enclave: Enclave = field(default_factory=lambda: Enclave(""))
    tee_id: str | None = None
    tee_signature: str | None = None
    tee_timestamp: int | None = None
    tee_request_hash: str | None = None
    tee_output_hash: str | None = None
    data_settlement_hash: str | None = None
    blob_id: str | None = None
    reported_cost: int | None = None
    unsettled: str = ""
    gateway_notes: Mapping[str, Any] = field(default_factory=dict)
    attestation: bytes = field(default=b"", repr=False)
    paid_by: str | None = None
    offered_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Permit2ApprovalResult:
    """The result of `ensure_opg_approval`. Allowances in base units; `tx_hash` is None when nothing was sent."""

    allowance_before: int
    allowance_after: int
    tx_hash: str | None = None
