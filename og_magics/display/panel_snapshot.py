"""A control panel where no widget can live: its settings and receipts as a table and as text.

It is what a saved notebook shows of a panel that is gone, and what front ends without widgets show of one that is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

from ..core.amounts import format_opg
from ..core.receipt import Receipt
from ..core.settings import Settings
from ..core.status import is_open
from .markdown import to_html
from .receipt_tables import PaymentPage, receipts_bundle
from .sanitize import printable

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "og-summary-"
"""Begin of the CSS class by which a summary is found."""
_TURNS, _PROMPT, _ANSWER = 10, 500, 3_000
"""Turns of the chat that are kept, and characters of each prompt and of each answer."""
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class ChatText:
    """One turn of a panel's chat, as text: what was asked, the model, and what it said."""

    prompt: str
    model: str
    answer: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Of receipts.

    Attributes:
        calls: how many. tokens: in and out, as far as they were reported.
        paid: base units that were settled. usd: by the catalogue's prices.
        open: how many payments are not settled yet.
    """

    calls: int
    tokens: int
    paid: int
    usd: Decimal
    open: int

    @classmethod
    def of(cls, receipts: Sequence[Receipt]) -> Totals:
        """Add them up."""
        return cls(
            calls=len(receipts),
            tokens=sum((r.prompt_tokens or 0) + (r.completion_tokens or 0) for r in receipts),
            paid=sum(r.cost or 0 for r in receipts),
            usd=sum((r.usd or Decimal(0) for r in receipts), Decimal(0)),
            open=sum(is_open(r.status) for r in receipts),
        )

    def __str__(self) -> str:
        return (
            f"{self.calls} call{'s' * (self.calls != 1)}, {self.tokens} tokens, {format_opg(self.paid)} OPG paid, "
            f"${self.usd:.4f} by list price, {self.open} to be settled"
        )


def summary_bundle(
    settings: Settings,
    address: str,
    latest: pd.DataFrame,
    totals: Totals,
    page: PaymentPage,
    proofs: dict[str, bool | None],
    *,
    name: str = "",
    chat: Sequence[ChatText] = (),
) -> dict[str, str]:
    """Return HTML and plain text of a panel.

    Args:
        address: the wallet's, "" if not known.
        latest: the newest receipts, with the columns `receipt.COLUMNS`.
        proofs: by receipt, whether the enclave's proof held.
        name: a CSS class of this summary alone, by which a live panel hides it.
        chat: its turns, oldest first; the last ones are shown, each up to a length.
    """
    rows = list(_rows(settings, address))
    table = receipts_bundle(latest, page, proofs, of=totals.calls)
    facts = "".join(
        f'<tr><td style="text-align: left">{escape(key)}</td><td style="text-align: left">{escape(value)}</td></tr>'
        for key, value in rows
    )
    html = (
        f'{_style(name)}<div class="{escape(name)}"><p><strong>og_magics</strong> control panel, as it last was</p>'
        f"<table><tbody>{facts}</tbody></table>{''.join(map(_turn_html, chat[-_TURNS:]))}"
        f"<p>{escape(str(totals))}</p>{table['text/html']}</div>"
    )
    plain = "\n".join(f"{key:<11} {printable(value)}" for key, value in rows)
    said = "".join(map(_turn_plain, chat[-_TURNS:]))
    return {"text/html": html, "text/plain": f"{plain}\n{said}{'receipts':<11} {totals}\n\n{table['text/plain']}"}


def _turn_html(turn: ChatText) -> str:
    prompt, answer = _short(turn.prompt, _PROMPT), to_html(_short(turn.answer, _ANSWER))
    return (
        f'<div style="border-top: 1px solid #8886; padding: 4px 0"><p><strong>You</strong></p><p style="white-space: '
        f'pre-wrap">{escape(prompt)}</p><p><strong>{escape(turn.model[:_LONGEST_NAME])}</strong></p>{answer}</div>'
    )


def _turn_plain(turn: ChatText) -> str:
    prompt, answer = _short(turn.prompt, _PROMPT), _short(turn.answer, _ANSWER)
    return f"\nYou\n{printable(prompt)}\n\n{printable(turn.model[:_LONGEST_NAME])}\n{printable(answer)}\n"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n\n[{len(text) - most:,} more characters]"


def _rows(settings: Settings, address: str) -> Iterable[tuple[str, str]]:
    yield "network", settings.network_name()
    if address:
        yield "wallet", address
    yield "model", settings.model
    yield "settlement", settings.settlement.value
    extra = ("" if settings.stream else ", not streamed") + (", with web search" if settings.web_search else "")
    yield "parameters", f"temperature {settings.temperature:g}, at most {settings.max_tokens} tokens{extra}"
    if settings.system:
        yield "system", settings.system[:200]


def _style(name: str) -> str:
    """Return a style that hides the message of JupyterLab that a closed panel's model was not found."""
    if not name:
        return ""
    return (
        f"<style>.jp-OutputArea-child:has(.{name}) + .jp-OutputArea-child:not(:has(.og-panel)){{display: none}}</style>"
    )
