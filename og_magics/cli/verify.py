"""The audit of a saved notebook: no kernel runs, and no ledger is needed.

The column `enclave` is held against what the notebook shows: the answer in the output, and the prompt in the cell.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.receipt import Receipt
from ..core.settings import Settings
from ..display import text_table
from ..ledger import LedgerAudit
from ..notebook.file import ShownAnswer, answers_in, documents_in
from ..notebook.outputs import OutputFinding, account_outputs
from ..notebook.recordings import output_problems
from ..notebook.scrub_source import scrubbed_source
from ..session import configured_networks
from ..verification import Verdict
from ..verification.verifier import Proof, complete_costs, prove, reason_of, with_payments
from .receipts import existing_ledger
from .typed import asks_nothing, other_flags, other_prompt, sources_of

OFFLINE = ("enclave", "attestation")
ONLINE = ("registry", "payment", "data")
PROOFS = (*OFFLINE, *ONLINE, "ledger")

_MARKS: Mapping[bool | None, str] = {True: "✓", False: "✗", None: "–"}
_UNREADABLE = Verdict(None, "Not asked: the receipt cannot be read.")
_HELD = (
    "path", "request", "text", "tool_calls", "finish_reason", "model", "settlement", "authorization_hash",
    "tee_id", "tee_signature", "tee_timestamp", "request_hash", "output_hash", "public_key", "attestation_hash",
)  # fmt: skip
"""Fields of a receipt that never change after the answer: a notebook and a ledger must agree on them."""
_TEXTS = ("request", "text", "tool_calls")
"""Those of them that a scrubbed receipt does not have."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A receipt's verdicts; `cell` is None for what only the ledger knows of.

    Attributes:
        unattested: it names no attestation, and none was asked for: its verdict is shown, and counts for nothing.
    """

    receipt_id: str
    cell: int | None
    name: str
    verdicts: Mapping[str, Verdict]
    unattested: bool = False


def verify_notebook(
    notebook: Path,
    *,
    online: bool,
    pcr: str,
    ledger: Path | None,
    proofs: Sequence[str],
    as_json: bool,
    allow_unproven: bool = False,
    attested: bool = False,
) -> int:
    """Check the receipts of a notebook's outputs, and print what came of it.

    Args:
        proofs: the columns to ask for.
        attested: a receipt that names no attestation of its enclave's hardware does not hold; else that is only said.
        allow_unproven: outputs of cells that ask may be without a receipt, as long as they look like no answer.

    Returns:
        0 if each of these proofs holds for each receipt, each output of a cell that asks is accounted for, and nothing
        is wrong with the ledger as a whole; else 1, also where the notebook carries no receipt.

    Raises:
        LedgerError: the notebook or the ledger cannot be read.
        ConfigError: settings that cannot be read.
    """
    answers = answers_in(notebook)
    held, audit = _ledger(ledger, answers)
    settings = Settings.from_env()
    required = attested or settings.attest == "require" or bool(settings.pcr or pcr)
    documents = _documents(ledger, answers)
    made = _proofs(answers, held, audit, settings, documents, online=online, pcr=pcr)
    rows = _rows(answers, made, held, attested=required)
    problems = [] if audit is None else audit.problems
    outputs = account_outputs(notebook) if "enclave" in proofs else []
    if as_json:
        forms = [_form(row, proofs) for row in rows] + [_output_form(one) for one in outputs if not one.note]
        print(json.dumps(forms + [_form_of(problem) for problem in problems], indent=1))
    else:
        _print(rows, proofs, problems)
    for one in outputs:
        if one.note or not as_json:
            how = "" if one.problem else ", for your information" if one.note else ", unproven"
            print(f"Cell {one.cell}{how}: {one.text}", file=sys.stderr)
    if not answers:
        print(f"og-magics: {notebook} carries no receipts, so there is nothing to verify.", file=sys.stderr)
    changed = any(one.problem or not (one.note or allow_unproven) for one in outputs)
    return 0 if answers and not problems and not changed and all(_holds(row, proofs) for row in rows) else 1


def _ledger(path: Path | None, answers: Sequence[ShownAnswer]) -> tuple[dict[str, Receipt] | None, LedgerAudit | None]:
    if path is None:
        return None, None
    noted = max((answer.head for answer in answers if answer.head), default=None)
    with existing_ledger(path) as ledger:
        # First: a file that others wrote into need not have receipts that can be read.
        audit = ledger.audit(noted)
        return {receipt.receipt_id: receipt for receipt in ledger.receipts()}, audit


def _documents(ledger: Path | None, answers: Sequence[ShownAnswer]) -> dict[str, bytes]:
    """Return the attestations that the notebook carries; those that it does not, of the ledger."""
    found = documents_in(answers)
    if ledger is not None:
        named = {answer.receipt.attestation_hash for answer in answers if answer.receipt is not None}
        with existing_ledger(ledger) as opened:
            found = opened.attestations(hash for hash in named if hash is not None and hash not in found) | found
    return found


def _proofs(
    answers: Sequence[ShownAnswer],
    held: Mapping[str, Receipt] | None,
    audit: LedgerAudit | None,
    settings: Settings,
    documents: Mapping[str, bytes],
    *,
    online: bool,
    pcr: str,
) -> list[Proof]:
    receipts = [answer.receipt for answer in answers if answer.receipt]
    networks = None
    if online:
        networks = configured_networks(settings, {receipt.network for receipt in receipts})
        receipts = with_payments(receipts, networks)
    costs = complete_costs(held.values()) if held is not None else None
    return prove(
        receipts, networks, audit=audit, costs=costs, expected_pcr=pcr, documents=documents, pinned=settings.pcr
    )


def _rows(
    answers: Sequence[ShownAnswer], proofs: Sequence[Proof], held: Mapping[str, Receipt] | None, *, attested: bool
) -> list[_Row]:
    """Return one row for each answer, in the order of the notebook; then those that only the ledger has."""
    rows, left = [], iter(proofs)
    for answer, shown, source in zip(answers, output_problems(answers), sources_of(answers), strict=True):
        if answer.receipt is None:
            verdict = Verdict(False, f"It cannot be read: {answer.problem}.")
            verdicts = {**dict.fromkeys(PROOFS, _UNREADABLE), "enclave": verdict}
            rows.append(_Row(answer.receipt_id, answer.cell, "?", verdicts))
            continue
        proof = next(left)
        verdicts = dict(proof.verdicts)
        verdicts["enclave"] = _against_notebook(answer, source, answer.receipt, shown, verdicts["enclave"])
        if held is not None and verdicts["ledger"].ok:
            verdicts["ledger"] = _against_ledger(answer.receipt, held, verdicts["ledger"])
        name = f"{answer.receipt.model}, {answer.receipt.settlement}"
        unattested = answer.receipt.attestation_hash is None and not attested
        rows.append(_Row(answer.receipt_id, answer.cell, name, verdicts, unattested))
    rows += [_Row(proof.receipt_id, None, "not in the notebook", proof.verdicts) for proof in left]
    return rows


def _against_notebook(
    answer: ShownAnswer, source: str, receipt: Receipt, shown: tuple[bool, str] | None, signed: Verdict
) -> Verdict:
    """Hold what the enclave signed against what the notebook shows, not only against its receipt.

    Args:
        source: that asked: the cell's, or a line of it.
    """
    problems = [shown[1]] if shown and shown[0] else []
    if asks_nothing(answer.source):
        problems.append("The cell asks nothing: its source is another one than was run.")
    first = answer.turn[0] if answer.turn else receipt
    if other := other_flags(source, first, answer.columns, answer.place if answer.columns else 0):
        problems.append(other)
    if receipt.scrubbed:
        return _scrubbed_against_notebook((answer.source, source), problems, shown, signed)
    if other_prompt(source, first):
        problems.append("The cell's prompt is another one than was answered.")
    if receipt.request.get("model") != receipt.model.partition("/")[2]:
        problems.append("The receipt names another model than was asked.")
    if receipt.provider != receipt.model.partition("/")[0]:
        problems.append("The receipt names another provider than its model's.")
    if problems:
        return Verdict(False, " ".join([*problems, *([signed.reason] if signed.ok is False else [])]))
    if signed.ok and shown:
        return Verdict(None, f"The answer is as signed. {shown[1]}")
    if shown and signed.ok is None:
        return Verdict(None, f"{signed.reason} {shown[1]}")
    beside = receipt.text and receipt.tool_calls and receipt.finish_reason == "tool_calls"
    if signed.ok and beside and answer.place == len(answer.turn[:-1]):  # the next question of a turn holds it, signed
        return Verdict(None, "The enclave signed the function calls; the text beside them is covered by nothing.")
    return signed


def _scrubbed_against_notebook(
    sources: Sequence[str], problems: list[str], shown: tuple[bool, str] | None, signed: Verdict
) -> Verdict:
    """Check a receipt without a text: neither a prompt nor an answer may stand beside it."""
    if any(scrubbed_source(one) != one for one in sources):
        problems.append("The cell holds a prompt, and the receipt holds none: its text was removed.")
    if problems:
        return Verdict(False, " ".join([*problems, *([signed.reason] if signed.ok is False else [])]))
    return Verdict(None, f"{signed.reason} {shown[1]}") if signed.ok and shown else signed


def _against_ledger(receipt: Receipt, held: Mapping[str, Receipt], verdict: Verdict) -> Verdict:
    row = held.get(receipt.receipt_id)
    if row is None:
        return Verdict(False, "The ledger has no such receipt.")
    same = [name for name in _HELD if not (receipt.scrubbed and name in _TEXTS)]
    if other := [name for name in same if getattr(row, name) != getattr(receipt, name)]:
        return Verdict(False, f"The ledger's receipt is another one: it differs in {', '.join(other)}.")
    return verdict


def _holds(row: _Row, proofs: Sequence[str]) -> bool:
    return all(row.verdicts[name].ok is True or (name == "attestation" and row.unattested) for name in proofs)


def _print(rows: Sequence[_Row], proofs: Sequence[str], problems: Sequence[str]) -> None:
    if rows:
        cells = [
            (
                str(row.cell or "-"),
                row.name,
                *(_MARKS[row.verdicts[name].ok] for name in proofs),
                reason_of(row.verdicts, proofs),
            )
            for row in rows
        ]
        print(text_table(("cell", "receipt", *proofs, "reason"), cells))
    for problem in problems:
        print(f"The ledger: {problem}")
    if rows:
        good = sum(_holds(row, proofs) for row in rows)
        unattested = sum(row.unattested for row in rows) if "attestation" in proofs else 0
        held = [name for name in proofs if name != "attestation" or unattested < len(rows)]
        print(f"{good} of {len(rows)} receipts hold: {', '.join(held)}.")
        if unattested:
            print(f"{unattested} of {len(rows)} not attested by hardware: to require it, --proofs {','.join(proofs)}.")


def _form(row: _Row, proofs: Sequence[str]) -> dict[str, object]:
    verdicts = {name: {"ok": row.verdicts[name].ok, "reason": row.verdicts[name].reason} for name in proofs}
    return {"receipt_id": row.receipt_id, "cell": row.cell, "verdicts": verdicts}


def _output_form(finding: OutputFinding) -> dict[str, object]:
    """Return the JSON form of an output that no receipt accounts for."""
    return {
        "receipt_id": "",
        "cell": finding.cell,
        "verdicts": {"enclave": {"ok": False if finding.problem else None, "reason": finding.text}},
    }


def _form_of(problem: str) -> dict[str, object]:
    """Return the JSON form of a problem of the whole ledger."""
    return {"receipt_id": "", "cell": None, "verdicts": {"ledger": {"ok": False, "reason": problem}}}
