"""Differences between two runs of a notebook, without those of every run: times, payments, ids.

Compared are the sources of the cells and what their outputs show. An answer is compared as its receipt holds it, to the
letter; in everything else, what is of one run only is replaced by a placeholder before it is compared.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..core.receipt import MIME
from ..core.receipt_columns import RECEIPT_COLUMNS
from ..core.technical_part import is_technical_part
from ..display.sanitize import printable
from ..notebook.file import answers_of, joined, read_notebook
from .environment import MIME as ENVIRONMENT

_FIELDS_OF_A_RUN = (
    *(column.receipt_field for column in RECEIPT_COLUMNS.values() if column.of_a_run),
    "data_settlement_transaction_hash", "data_settlement_blob_id", "nonce", "deadline", "reason",
)  # fmt: skip
"""The repr of a receipt, of its authorization, and of an answer."""
_OF_A_RUN: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
        (r"\x1b\[[0-?]*[ -/]*[@-~]", ""),
        (r" · replayed: [^·\n<]*", ""),
        (r"\bno proof: key not checked\b", "proof ✓"),  # a replay says what was checked then, and by whom
        (rf"\b({'|'.join(_FIELDS_OF_A_RUN)})=(?:'[^']*'|[^\s,()]+)", r"\1=(of a run)"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d| UTC)?)?", "(time)"),
        (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", "(time)"),
        (r"\b1[5-9]\d{8}(?:\.\d+)?\b", "(time)"),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "(id)"),
        (r"\b0x[0-9a-fA-F]{6,}…?", "(hash)"),
        (r"\b[0-9a-fA-F]{32,}\b", "(hash)"),
        (r"[A-Za-z0-9+/]{64,}={0,2}", "(hash)"),
        (r"\b\d+(?:\.\d+)?(?:e-?\d+)? ?(?:ns|µs|us|ms|s|seconds)\b", "(duration)"),
        (r"~\$\d+(?:\.\d+)?|\b\d+(?:\.\d+)?(?:E-?\d+)? OPG\b|\b(?:OPG|gas) +\d+(?:\.\d+)?", "(cost)"),
        (r"(?:paid|authorized) \(hash\)(?:, settles later|, expired: nothing was paid)", "(payment)"),  # until 0.1
        (r"\(cost\) \(\(cost\)[^()]*\)", "(cost)"),
        (
            r"payment: (?:<a [^<>]*>)?(?:paid|pending(?: then)?)(?: ↗</a>)?(?: \(transaction not found yet\))?"
            r"(?: \(hash\))?",
            "(payment)",
        ),
        (r"nothing paid(?:: the payment expired)?(?: \(hash\))?", "(payment)"),
        (r"\bpaid \(hash\)", "(payment)"),
        (r" · (?:transaction|authorization|enclave) \(hash\)| · OPG is the token of the payment", ""),
        (r"\b(?:served|settled|verified)\b", "(status)"),
        (r" · [\d,]+ tokens/s\b", ""),
        (r"\bblock \d+", "block (number)"),
        # What a wallet paid elsewhere.
        (r"\b[\d.]+ of (?=\(cost\) paid or (?:authorized|signed))|(?<=paid or signed, )[\d.]+(?= left\b)", "(cost)"),
        (r"(?<=paid or authorized, )[\d.]+(?= left\b)", "(cost)"),
        (r"\bhas \d+ payments?, \d+ wallets?", "has (count) payments"),
        (r"\b\d+ entries\b", "(count) entries"),
        (r"\b\d+(?:\.\d+)? [KM]iB\b", "(size)"),
        (r"\b\d+ (payments? )?to settle\b", r"(count) \1to settle"),
        (r"\b(?:127\.0\.0\.1|localhost):\d+", "(address)"),
    )
]
_TRANSIENT = ("application/vnd.jupyter.widget-view+json", ENVIRONMENT)
_OBJECT = re.compile(r"<[^<>]*>", re.S)
"""The name of an object in the place of what it shows."""
_LONGEST_FORM = 100_000
_SPACE = re.compile(r"[^\S\n]+")


def _columns_of_a_run() -> set[str]:
    """Return headings of tables, in lower case, as a DataFrame and as a person's table has them."""
    return {
        heading.lower()
        for column in RECEIPT_COLUMNS.values()
        if column.of_a_run
        for heading in (column.name, column.receipt_field, column.heading)
        if heading
    }


@dataclass(frozen=True, slots=True)
class Change:
    """The differences in one cell.

    Attributes:
        kind: "changed", "added" or "removed".
        before, after: the cell's place in each file, from 1; None where it is in one only.
        lines: a unified diff of what the cell holds and shows, without a heading.
    """

    kind: str
    before: int | None
    after: int | None
    lines: tuple[str, ...]


def diff_notebooks(before: Path, after: Path, *, as_json: bool) -> int:
    """Print what differs; 0 if nothing does, else 1.

    Raises:
        LedgerError: a file cannot be read, or is not a notebook.
    """
    changes = changes_between(read_notebook(before)["cells"], read_notebook(after)["cells"])
    if as_json:
        print(json.dumps([asdict(change) for change in changes], indent=1))
        return 1 if changes else 0
    if changes:
        print(f"--- {before}\n+++ {after}")
    for change in changes:
        place = change.after or change.before
        moved = f", {change.before} before" if change.kind == "changed" and change.before != change.after else ""
        print(f"@@ cell {place}{moved}: {change.kind} @@")
        print(printable("\n".join(change.lines)))
    return 1 if changes else 0


def changes_between(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Return the differences between the cells of two notebooks, in their order."""
    olds, news = [_lines(cell) for cell in before], [_lines(cell) for cell in after]
    changes = []
    for old, new in _pairs(before, after):
        one = olds[old] if old is not None else []
        other = news[new] if new is not None else []
        if one != other or old is None or new is None:
            difference = list(difflib.unified_diff(one, other, n=2, lineterm=""))[2:]
            kind = "added" if old is None else "removed" if new is None else "changed"
            lines = tuple(line for line in difference if not line.startswith("@@"))
            changes.append(Change(kind, _number(old), _number(new), lines))
    return changes


def _number(place: int | None) -> int | None:
    return None if place is None else place + 1


def _pairs(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int | None, int | None]]:
    """Pair the cells of two files: by their ids if they share some, else by source, else by place."""
    ids = [[cell.get("id") for cell in cells] for cells in (before, after)]
    known = all(isinstance(one, str) for one in [*ids[0], *ids[1]]) and set(ids[0]) & set(ids[1])
    olds, news = ids if known else [[_source(cell) for cell in cells] for cells in (before, after)]
    matcher: difflib.SequenceMatcher[Any] = difflib.SequenceMatcher(None, olds, news, autojunk=False)
    for kind, start, end, begin, stop in matcher.get_opcodes():
        if known and kind != "equal":  # another id is another cell
            yield from ((place, None) for place in range(start, end))
            yield from ((None, place) for place in range(begin, stop))
            continue
        for place in range(max(end - start, stop - begin)):
            yield (
                start + place if start + place < end else None,
                begin + place if begin + place < stop else None,
            )


def _lines(cell: Mapping[str, Any]) -> list[str]:
    """Return a cell as lines to compare."""
    lines = [f"[{cell.get('cell_type', '?')}]", *_source(cell).split("\n")]
    attachments = cell.get("attachments")
    for name, bundle in sorted(attachments.items()) if isinstance(attachments, Mapping) else ():
        forms = bundle if isinstance(bundle, Mapping) else {"?": bundle}
        lines += [f"[attachment {name}] {kind} {_digest(joined(forms[kind]))}" for kind in sorted(forms)]
    for shown in _outputs(cell):
        lines += ["[output]", *shown]
    return lines


def _source(cell: Mapping[str, Any]) -> str:
    return str(joined(cell.get("source", "")))


def _outputs(cell: Mapping[str, Any]) -> Iterator[list[str]]:
    """Return the lines of each output; a text that was printed in pieces is one output."""
    printed: dict[str, str] = {}
    for output in cell.get("outputs", []):
        kind = output.get("output_type")
        if kind == "stream":
            name = str(output.get("name"))
            printed[name] = printed.get(name, "") + str(joined(output.get("text", "")))
        elif kind == "error":
            yield _usual(f"{output.get('ename')}: {output.get('evalue')}")
        elif is_technical_part({name: joined(one) for name, one in output.get("data", {}).items()}):
            continue  # addresses and lines of a cell are no result
        elif not any(name in output.get("data", {}) for name in _TRANSIENT):
            yield _shown(output.get("data", {}))
    for name in sorted(printed):
        yield _usual("\n".join(line.rpartition("\r")[2] for line in printed[name].rstrip().split("\n")))


def _shown(data: Mapping[str, Any]) -> list[str]:
    """Return the lines of a display: its answers exactly, then the rest; of tables, the columns without payments.

    A form that a person reads is compared as text, where it is more than the name of an object; JSON by its lines; all
    others (pictures, PDF, scripts) by their digests.
    """
    plain = str(joined(data.get("text/plain", "")))
    if MIME in data:
        return _answered(data, plain)
    page = joined(data.get("text/html", ""))
    page = page if isinstance(page, str) else ""
    others = sorted(str(kind) for kind in data if not str(kind).startswith("text/"))
    lines = [line for kind in others for line in _other(kind, data[kind])]
    if "<table" in page:
        return [*_usual("\n".join(_Table.of(page))), *lines]
    if plain and not _OBJECT.fullmatch(plain.strip()):
        return lines if any(kind.startswith("image/") for kind in others) else [*_usual(plain), *lines]
    for kind in ("text/markdown", "text/latex"):
        if shown := joined(data.get(kind, "")):
            return [*_usual(str(shown)), *lines]
    rest = [kind for kind in sorted(map(str, data)) if kind.startswith("text/") and kind != "text/plain"]
    words = "\n".join(_Table.of(page)) or "\n".join(f"{kind} {_digest(joined(data[kind]))}" for kind in rest)
    return [*(_usual(words) if words else [] if lines else _usual(plain)), *lines]


def _other(kind: str, content: Any) -> list[str]:
    """Return the lines of a form that is no text."""
    if kind == "application/json" or kind.endswith("+json"):
        form = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False)
        if len(form) <= _LONGEST_FORM:
            return [kind, *_usual(form)]
    return [f"{kind} {_digest(joined(content))}"]


def _answered(data: Mapping[str, Any], plain: str) -> list[str]:
    lines = []
    for answer in answers_of(data):
        receipt = answer.receipt
        if receipt is None:
            lines.append(f"a receipt that cannot be read: {answer.problem}")
            continue
        lines += [f"{receipt.model}, {receipt.settlement}, ended by {receipt.finish_reason}:"]
        lines += receipt.text.split("\n") if receipt.text else []
        lines += [json.dumps(call.get("function", call), sort_keys=True) for call in receipt.tool_calls]
        plain = plain.replace(receipt.text, "", 1)  # compared above, to the letter
    return lines + [line for line in _usual(plain) if line]


def _usual(text: str) -> list[str]:
    """Return a text without what is of one run only."""
    for pattern, placeholder in _OF_A_RUN:
        text = pattern.sub(placeholder, text)
    return [_SPACE.sub(" ", line).rstrip() for line in text.split("\n")]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


class _Table(HTMLParser):
    """The words of a page, those of each table's row on a line, without the columns whose heads are of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._row: list[str] | None = None
        self._heads: list[str] = []
        self._is_head = False
        self._skip = 0

    @classmethod
    def of(cls, page: str) -> Iterable[str]:
        table = cls()
        table.feed(page)
        table.close()
        return [line for line in table.lines if line]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._heads = []
        elif tag == "tr":
            self._row, self._is_head = [], not self._heads
        elif tag in ("td", "th") and self._row is not None:
            self._row.append("")
        self._skip += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._skip -= tag in ("style", "script") and self._skip > 0
        if tag == "tr" and self._row is not None:
            if self._is_head:
                self._heads = [head.strip().lower() for head in self._row]
            heads = [*self._heads, *[""] * (len(self._row) - len(self._heads))]
            of_a_run = _columns_of_a_run()
            kept = [cell.strip() for head, cell in zip(heads, self._row, strict=False) if head not in of_a_run]
            self.lines.append(" | ".join(kept))
            self._row = None

    def handle_data(self, data: str) -> None:
        if self._skip:
            return
        if self._row:
            self._row[-1] += data
        elif self._row is None:
            self.lines.append(data.strip())
