"""Receipts and their proofs as tables with badges and links, beside the DataFrames that hold the values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from ..core.amounts import format_opg, parse_opg
from ..core.errors import ConfigError
from ..core.receipt_columns import RECEIPT_COLUMNS
from ..core.status import Status, status_named
from .sanitize import safe_link
from .table import text_table

if TYPE_CHECKING:
    import pandas as pd

PaymentPage = Callable[[str, str], str]
"""Function from a network's name and a transaction's hash to the URL of its page, or ""."""

_MOST = 100
"""Rows that are shown: the newest."""
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}")
_MEANINGS = {
    "enclave": "the machine that answered signed this request and this answer",
    "attestation": "the maker of its hardware vouches for that machine and its program",
    "registry": "it is in the public list of gateways, with this key",
    "payment": "the payment is on chain, as it was signed and as the receipt says",
    "data": "what the mode promises of the call is on chain: nothing, its hash, or its text",
    "ledger": "the file of receipts holds this one as it was written",
}
_MARKS: Mapping[bool | None, str] = {True: "✓", False: "✗", None: "–"}
_COLORS: Mapping[bool | None, str] = {True: "#1a7f37", False: "#d1242f", None: "#8c959f"}
_STATUS_COLORS = {"good": "#1a7f37", "open": "#9a6700", "bad": "#d1242f"}
_SHOWN = ("time", "model", "settlement", "status", "tokens", "cost_opg", "proof", "payment_hash")
_RECEIPT_HEADS = tuple(RECEIPT_COLUMNS[name].heading or name if name in RECEIPT_COLUMNS else name for name in _SHOWN)
_STYLE = 'style="text-align: left; vertical-align: top"'
_BADGE = "border: 1px solid; border-radius: 1em; padding: 0 .6em"


def receipts_bundle(
    frame: pd.DataFrame, page: PaymentPage, proofs: Mapping[str, bool | None], *, of: int | None = None
) -> dict[str, str]:
    """Return the main columns of receipts: HTML with badges and links to the payments, and plain text.

    Args:
        frame: with the columns `receipt.COLUMNS`.
        proofs: by receipt, whether the enclave's proof held when the answer came.
        of: how many there are, where the frame has only the newest.
    """
    cells, plain = [], []
    for row in frame.tail(_MOST).to_dict("records"):
        proof = proofs.get(row["receipt_id"])
        payment = row["payment_hash"]
        status = status_named(_text(row["status"]))
        texts = (
            _time(row["time"]),
            row["model"],
            row["settlement"],
            status.words,
            _tokens(row),
            _amount(row["cost_opg"]),
        )
        plain.append((*map(_text, texts), _MARKS[proof], _text(payment) or "-"))
        cells.append(
            (
                *(escape(_text(text)) for text in texts[:3]),
                _badge(status),
                *(escape(_text(text)) for text in texts[4:]),
                _mark(proof),
                _payment(_text(row["network"]), _text(payment), page),
            )
        )
    return _bundle(_RECEIPT_HEADS, cells, plain, len(frame) if of is None else of)


def proofs_bundle(frame: pd.DataFrame, proofs: Sequence[str], about: Mapping[str, str]) -> dict[str, str]:
    """Return a table of proofs: a row a receipt, with marks (✓, ✗ or –, not known) and the reason; HTML and plain text.

    Args:
        frame: with `receipt_id`, the columns `proofs` (True, False or None) and `reason`.
        about: by receipt, what a person knows it by.
    """
    cells, plain = [], []
    for row in frame.to_dict("records"):
        oks = [_ok(row[name]) for name in proofs]
        name = about.get(row["receipt_id"]) or f"{_text(row['receipt_id'])[:16]}…"
        plain.append((name, *(_MARKS[ok] for ok in oks), _text(row["reason"])))
        cells.append((escape(name), *map(_mark, oks), escape(_text(row["reason"]))))
    bundle = _bundle(("receipt", *proofs, "reason"), cells, plain, len(frame))
    meanings = "".join(f"<li>{name}: {_MEANINGS[name]}</li>" for name in proofs if name in _MEANINGS)
    folded = f"<details><summary>What the columns mean</summary><ul>{meanings}</ul></details>"
    return bundle | {"text/html": bundle["text/html"] + folded}


def shown_as(frame: pd.DataFrame, bundle: Callable[[], dict[str, str]]) -> pd.DataFrame:
    """Return the same frame, which a notebook shows as this bundle as long as it has the columns that it has now.

    It stays a plain DataFrame, and what is made from it is shown as any DataFrame is.
    """
    columns = list(frame.columns)

    def mimebundle(**_: Any) -> dict[str, str]:
        return bundle() if list(frame.columns) == columns else {}

    object.__setattr__(frame, "_repr_mimebundle_", mimebundle)
    return frame


def _bundle(
    heads: Sequence[str], cells: Iterable[Sequence[str]], plain: Sequence[Sequence[str]], count: int
) -> dict[str, str]:
    """`cells` are HTML already."""
    left = count - len(plain)
    note = f"The newest {len(plain)} of {count} receipts." if left else f"{count} receipt{'s' * (count != 1)}"
    html = (
        f"<table><thead>{_html_row('th', map(escape, heads))}</thead>"
        f"<tbody>{''.join(_html_row('td', row) for row in cells)}</tbody></table><p>{note}</p>"
    )
    return {"text/html": html, "text/plain": f"{text_table(heads, plain)}\n{note}"}


def _html_row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag} {_STYLE}>{cell}</{tag}>' for cell in cells)}</tr>"


def _payment(network: str, payment: str, page: PaymentPage) -> str:
    if not payment:
        return "–"
    short = escape(payment[:10] + "…" * (len(payment) > 10))
    url = safe_link(page(network, payment)) if _TRANSACTION.fullmatch(payment) else ""
    if not url:
        return f'<code title="{escape(payment)}">{short}</code>'
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer"><code>{short}</code></a>'


def _badge(status: Status) -> str:
    color = _STATUS_COLORS.get(status.look, "#6e7781")
    return f'<span style="color: {color}; {_BADGE}">{escape(status.words)}</span>'


def _mark(ok: bool | None) -> str:
    return f'<span style="color: {_COLORS[ok]}; font-weight: bold">{_MARKS[ok]}</span>'


def _ok(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _time(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if value == value else "-"  # noqa: PLR0124 - a time that is none is not itself


def _tokens(row: Mapping[Any, Any]) -> str:
    prompt, completion = (f"{row[name]}" for name in ("prompt_tokens", "completion_tokens"))
    return f"{prompt}+{completion}" if prompt.isdigit() and completion.isdigit() else "-"


def _amount(value: Any) -> str:
    try:
        return format_opg(parse_opg(value)) if isinstance(value, Decimal) else "-"
    except ConfigError:  # read back from a file, where it may be anything
        return str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
