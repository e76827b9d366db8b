"""The line below an answer: what it cost and what proves it; the technical part is folded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html import escape

from ..core.amounts import format_opg
from ..core.gateway_notes import PREPARED
from ..core.networks import described
from ..core.receipt import Receipt
from ..core.shares import ESTIMATE, PRICES
from .sanitize import one_line, safe_link

Explorer = Callable[[str], str]
"""Function from a transaction's hash to the URL of its page, or ""."""

_SPLIT = {PRICES: ", split by prices", ESTIMATE: ", an estimate"}
"""Marks of a cost that is a share of one payment, and not known for certain."""
_SHOWN = 10
"""Characters of a hash."""


def footer(receipt: Receipt, explorer: Explorer, *, markdown: bool = False) -> str:
    """Return one line, as plain text or Markdown: model, time, tokens, cost, proof, payment, settlement mode."""
    name = one_line(receipt.model) if markdown else receipt.model
    mode = one_line(receipt.settlement) if markdown else receipt.settlement
    parts = [name, *_main(receipt, _payment_line(receipt, explorer, markdown=markdown), mode)]
    line = " · ".join(filter(None, parts))
    return f"<sub>{line}</sub>" if markdown else line


def folded_footer(
    receipt: Receipt, explorer: Explorer, *, count: str = "", named: bool = True, tag: str = "sub"
) -> str:
    """Return the same as HTML on one line, which also stands in Markdown: details unfold below the rest.

    Args:
        count: stands before all. named: the model's name is shown. tag: of small letters, "sub" or "small".
    """
    name = one_line(receipt.model) if named else ""
    payment = _payment_words(receipt)
    url = safe_link(explorer(receipt.payment_hash)) if receipt.payment_hash else ""
    if url:
        link = f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">paid ↗</a>'
        payment = payment.replace("paid", link, 1)
    main = _main(receipt if named else replace(receipt, latency_s=None), payment)  # a column's head has its time
    line = " · ".join(filter(None, [count, name, *main]))
    details = " · ".join(_details(receipt))
    if not details:
        return f"<{tag}>{line}</{tag}>"
    return f"<details><summary><{tag}>{line}</{tag}></summary><{tag}>Details: {details}</{tag}></details>"


def _main(receipt: Receipt, payment: str, mode: str = "") -> list[str]:
    tokens = "tokens not reported"
    if receipt.prompt_tokens is not None and receipt.completion_tokens is not None:
        tokens = f"{receipt.prompt_tokens:,} + {receipt.completion_tokens:,} tokens"
    time = "" if receipt.latency_s is None else f"{receipt.latency_s:.1f} s"
    network = described(receipt.network)
    if not network.paid:
        if receipt.paid_by is None:
            return [time, tokens, "no payment, no proof", _replayed(receipt)]
        payer = _short(receipt.paid_by.partition(" ")[0])
        payment = f"payment by another (payer {one_line(payer)})"
        maker = receipt.gateway_notes.get("answered_by", "")
        made = "prepared answer" if maker == PREPARED else maker and f"answered by {maker}"
        return [time, tokens, payment, _proof(receipt), _hardware(receipt), made, _replayed(receipt)]
    place = _practice(receipt) if network.local else ""
    proof = [_proof(receipt), _hardware(receipt)]
    return [time, tokens, _cost(receipt), *proof, payment, mode, place, _replayed(receipt)]


def _details(receipt: Receipt) -> Iterator[str]:
    """Yield what few readers need: mode, time, hashes, the enclave."""
    if not described(receipt.network).paid:
        return
    yield f"mode {one_line(receipt.settlement)}"
    yield f"{datetime.fromtimestamp(receipt.time, UTC):%Y-%m-%d %H:%M} UTC"
    for label, hash in (
        ("authorization", receipt.authorization_hash),
        ("transaction", receipt.payment_hash),
        ("enclave", receipt.tee_id),
    ):
        if hash and hash.startswith("0x"):
            yield f"{label} {one_line(_short(hash))}"
    if receipt.cost is not None:
        yield "OPG is the token of the payment"


def _short(hash: str) -> str:
    return hash if len(hash) <= _SHOWN else hash[:_SHOWN] + "…"


def _practice(receipt: Receipt) -> str:
    maker = receipt.gateway_notes.get("answered_by", "")
    if maker == PREPARED:
        return "practice network, prepared answer"
    return f"practice network, answered by {maker}" if maker else "practice network"


def _replayed(receipt: Receipt) -> str:
    if not receipt.replayed:
        return ""
    return f"replayed: asked {datetime.fromtimestamp(receipt.time, UTC):%Y-%m-%d %H:%M} UTC, nothing paid now"


def _cost(receipt: Receipt) -> str:
    usd = "" if receipt.usd is None else f"~${receipt.usd:.6f}"
    if receipt.cost is None:
        return usd
    opg = f"{format_opg(receipt.cost)} OPG" + _SPLIT.get(receipt.cost_basis or "", "")
    return f"{usd} ({opg})" if usd else opg


def _proof(receipt: Receipt) -> str:
    if receipt.enclave_ok is None and receipt.replayed:  # a signature may hold with a key that nobody here knows
        return "no proof: key not checked" if receipt.tee_signature else "no proof"
    if receipt.enclave_ok is None:
        return "no proof"
    return "proof ✓" if receipt.enclave_ok else "proof ✗ DOES NOT HOLD"


def _hardware(receipt: Receipt) -> str:
    return "hardware not attested" if receipt.tee_signature and receipt.attestation_hash is None else ""


def _payment_words(receipt: Receipt) -> str:
    """Return what became of the payment, without its hash."""
    if receipt.payment_hash:
        return "payment: paid"
    if not receipt.authorization_hash:
        return "nothing paid"
    if receipt.status == "expired":
        return "nothing paid: the payment expired"
    if receipt.status == "paid":
        return "payment: paid (transaction not found yet)"
    return "payment: pending then" if receipt.replayed else "payment: pending"


def _payment_line(receipt: Receipt, explorer: Explorer, *, markdown: bool) -> str:
    hash = receipt.payment_hash or receipt.authorization_hash
    words = _payment_words(receipt)
    if not hash:
        return words
    short = one_line(_short(hash)) if markdown else _short(hash)
    url = safe_link(explorer(hash)) if receipt.payment_hash and markdown else ""
    return f"{words} [{short}]({url})" if url else f"{words} {short}"
