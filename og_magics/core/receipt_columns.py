"""The columns of the receipts table, each declared once.

The DataFrame, the CSV, JSON and Parquet files, `og-magics diff`, the frame of a comparison and the reference page read
this table. To add a column, add its entry to `_DECLARED`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal

from .amounts import to_opg

Kind = Literal["text", "time", "amount", "count", "integer", "seconds", "flag"]

_DTYPES: dict[Kind, str] = {"time": "datetime64[us, UTC]", "count": "Int64", "seconds": "float64", "flag": "bool"}
"""All others are objects, so that None stays None and a Decimal stays exact."""


@dataclass(frozen=True, slots=True)
class ReceiptColumn:
    """One column of the receipts table.

    Attributes:
        name: of the column, in the DataFrame and in files.
        kind: "text"; "time" (read as whole microseconds); "amount" (an exact Decimal); "count" (below 2**63); "integer"
            (of any size); "seconds" (NaN when unknown); "flag".
        source: where the value comes from, a phrase for the reference page.
        unit: of the value, "" for none.
        field: the receipt's field that is read, where it has another name; "" for the column's own.
        convert: makes the column's value of the field's, where that is not None; None to take it as it is.
        nullable: False where every receipt has a value: then "" in a CSV file is an empty text, not None.
        of_a_run: True where two runs of one notebook differ in it: `og-magics diff` leaves it out.
        compared: True where the frame of a comparison has it.
        heading: above the column in tables for people, where that is not the name.
    """

    name: str
    kind: Kind
    source: str
    unit: str = ""
    field: str = ""
    convert: Callable[[Any], Any] | None = None
    nullable: bool = True
    of_a_run: bool = False
    compared: bool = False
    heading: str = ""

    @property
    def dtype(self) -> str:
        """Of the DataFrame's column."""
        return _DTYPES.get(self.kind, "object")

    @property
    def receipt_field(self) -> str:
        """The field of a receipt, in memory and in its JSON form, that holds the value."""
        return self.field or self.name

    def read(self, receipt: Any) -> Any:
        """Return a receipt's value in this column, None where it has none; a time in whole microseconds."""
        return self.read_all([receipt])[0]

    def read_all(self, receipts: Sequence[Any]) -> Sequence[Any]:
        """Return the values of many receipts, as `read` does of one."""
        return self.convert_all(list(map(attrgetter(self.receipt_field), receipts)))

    def convert_all(self, held: Sequence[Any]) -> Sequence[Any]:
        """Return the column's values of those of its field."""
        convert = self.convert
        if convert is None:
            return held
        made = {value: None if value is None else convert(value) for value in set(held)}
        return [made[value] for value in held]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


_C = ReceiptColumn
_DECLARED = (
    _C("receipt_id", "text", "made when the call is opened; sorts by time", nullable=False, of_a_run=True,
       compared=True),
    _C("time", "time", "this machine's clock when the question was asked", "UTC", convert=_microseconds,
       nullable=False, of_a_run=True, heading="time (UTC)"),
    _C("cell", "text", "the notebook: execution count or id of the cell that asked", nullable=False, of_a_run=True),
    _C("notebook", "text", "the front end: file name of the notebook that asked", nullable=False, of_a_run=True),
    _C("network", "text", "the settings", nullable=False),
    _C("provider", "text", "the model's name", nullable=False),
    _C("model", "text", "the request", nullable=False),
    _C("settlement", "text", "the request: the settlement mode", nullable=False),
    _C("status", "text", "the ledger: which of payment, answer and checks there are", nullable=False, of_a_run=True,
       compared=True),
    _C("payment_hash", "text", "the payment chain: transaction of the settlement", "0x hex", of_a_run=True,
       compared=True, heading="payment"),
    _C("authorization_hash", "text", "the wallet: EIP-712 digest that was signed", "0x hex", of_a_run=True),
    _C("session_id", "text", "a salted hash of the gateway's payment session, the same in all receipts of one",
       of_a_run=True),
    _C("payer", "text", "the authorization", "address", of_a_run=True),
    _C("pay_to", "text", "the authorization", "address", of_a_run=True),
    _C("cost_opg", "amount", "the payment chain: this call's share of the settlement", "OPG", field="cost",
       convert=to_opg, of_a_run=True, compared=True, heading="OPG"),
    _C("cost_basis", "text",
       "how that share is known: told (by the gateway, and equal to the payment), exact (no other was charged), "
       "prices (the payment split by list prices) or estimate", of_a_run=True),
    _C("cost_usd", "amount", "the catalogue: price of the tokens", "USD", convert=Decimal, compared=True),
    _C("cap_opg", "amount", "the authorization: the most that may be taken", "OPG", field="cap", convert=to_opg,
       of_a_run=True),
    _C("prompt_tokens", "count", "the gateway's usage report", "tokens", compared=True),
    _C("completion_tokens", "count", "the gateway's usage report", "tokens", compared=True),
    _C("latency_s", "seconds", "this machine's clock: from the question to the end of the answer", "s", of_a_run=True,
       compared=True),
    _C("ttft_s", "seconds", "this machine's clock: from the question to the first token", "s", of_a_run=True,
       compared=True),
    _C("tee_id", "text", "the enclave's proof", of_a_run=True),
    _C("tee_signature", "text", "the enclave's proof: RSA-PSS over the two hashes", "base64", of_a_run=True),
    _C("tee_timestamp", "integer", "the enclave's proof: its clock", "unix seconds", of_a_run=True),
    _C("request_hash", "text", "the enclave's proof", "hex"),
    _C("output_hash", "text", "the enclave's proof", "hex"),
    _C("data_settlement_hash", "text", "the gateway: transaction of the data, in individual mode", "0x hex",
       of_a_run=True),
    _C("blob_id", "text", "the gateway: public blob of the data, in individual mode", of_a_run=True),
    _C("replayed", "flag", "True: shown again from a recording, nothing was paid", nullable=False, of_a_run=True),
    _C("finish_reason", "text", "the gateway: stop, length or tool_calls", compared=True),
    _C("error", "text", "why there is no answer, or not all of it", compared=True),
    _C("turn", "text", "receipt_id of the first call of the same turn", nullable=False, of_a_run=True),
    _C("attestation_hash", "text",
       "SHA-256 of the document by which the enclave's hardware was attested before the prompt was sent", "hex",
       of_a_run=True),
    _C("paid_for", "text", "og-magics serve: the user whose question it was", of_a_run=True),
    _C("paid_by", "text", "the server that was asked (og-magics serve): who paid, on which network, by which receipt",
       of_a_run=True),
)  # fmt: skip

RECEIPT_COLUMNS: dict[str, ReceiptColumn] = {column.name: column for column in _DECLARED}
"""All columns by name, in the order of the DataFrame."""


def column_names() -> tuple[str, ...]:
    """Return the names of all columns, in order."""
    return tuple(RECEIPT_COLUMNS)


def column_dtype(name: str) -> str:
    """Return the dtype of a column by its name; "object" for one that is not in the table."""
    column = RECEIPT_COLUMNS.get(name)
    return "object" if column is None else column.dtype


def compared_columns(*first: str) -> tuple[str, ...]:
    """Return the columns of a comparison's frame: these first, then all others that are compared, in order."""
    return (*first, *(name for name, column in RECEIPT_COLUMNS.items() if column.compared and name not in first))
