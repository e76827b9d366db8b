"""What differs between two runs of a notebook, apart from what differs each time: times, payments, ids.

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

from ..app.environment import MIME as ENVIRONMENT
from ..display.safe import printable
from ..ledger import answers_of, joined, read_notebook
from ..receipt import MIME

_VALUES_OF_A_RUN = (
    "time", "cell", "status", "payment_hash", "session_id", "payer", "pay_to", "cost", "latency_s", "ttft_s",
    "data_settlement_hash", "blob_id", "data_settlement_transaction_hash", "data_settlement_blob_id", "nonce",
    "tee_signature", "replayed", "deadline", "reason",
)  # fmt: skip
"""As Python shows a receipt and its authorization."""
_OF_A_RUN: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
        (r"\x1b\[[0-?]*[ -/]*[@-~]", ""),
        (r" · replayed: [^·\n<]*", ""),
        (rf"\b({'|'.join(_VALUES_OF_A_RUN)})=(?:'[^']*'|[^\s,()]+)", r"\1=(of a run)"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d| UTC)?)?", "(time)"),
        (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", "(time)"),
        (r"\b1[5-9]\d{8}(?:\.\d+)?\b", "(time)"),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "(id)"),
        (r"\b0x[0-9a-fA-F]{6,}…?", "(hash)"),
        (r"\b[0-9a-fA-F]{32,}\b", "(hash)"),
        (r"[A-Za-z0-9+/]{64,}={0,2}", "(hash)"),
        (r"\b\d+(?:\.\d+)?(?:e-?\d+)? ?(?:ns|µs|us|ms|s|seconds)\b", "(duration)"),
        (r"~\$\d+(?:\.\d+)?|\b\d+(?:\.\d+)?(?:E-?\d+)? OPG\b|\b(?:OPG|gas) +\d+(?:\.\d+)?", "(cost)"),
        (r"(?:paid|authorized) \(hash\)(?:, settles later|, expired: nothing was paid)?|\bnothing paid\b", "(payment)"),
        (r"\b(?:served|settled|verified)\b", "(status)"),
        (r"\bblock \d+", "block (number)"),
        (r"\b(?:127\.0\.0\.1|localhost):\d+", "(address)"),
    )
]
_COLUMNS_OF_A_RUN = {
    "receipt_id", "cell", "time", "time (utc)", "status", "payment_hash", "payment", "opg",
    "authorization_hash", "session_id", "payer", "pay_to", "cost_opg", "cost", "cap_opg", "latency_s", "ttft_s",
    "tee_id", "tee_signature", "tee_timestamp", "data_settlement_hash", "blob_id", "turn", "replayed", "notebook",
}  # fmt: skip
_TRANSIENT = ("application/vnd.jupyter.widget-view+json", ENVIRONMENT)
_SPACE = re.compile(r"[^\S\n]+")


@dataclass(frozen=True, slots=True)
class Change:
    """What differs in one cell.

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
    """What differs between the cells of two notebooks, in their order."""
    olds, news = [_lines(cell) for cell in before], [_lines(cell) for cell in after]
    changes = []
    for old, new in _pairs(before, after):
        one = olds[old] if old is not None else []
        other = news[new] if new is not None else []
        if one != other or old is None or new is None:
            told = list(difflib.unified_diff(one, other, n=2, lineterm=""))[2:]
            kind = "added" if old is None else "removed" if new is None else "changed"
            lines = tuple(line for line in told if not line.startswith("@@"))
            changes.append(Change(kind, _number(old), _number(new), lines))
    return changes


def _number(place: int | None) -> int | None:
    return None if place is None else place + 1


def _pairs(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int | None, int | None]]:
    """Which cells are the same one: by their ids where the files share some, else by their sources, else by place."""
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
    """A cell as lines to compare."""
    lines = [f"[{cell.get('cell_type', '?')}]", *_source(cell).split("\n")]
    for shown in _outputs(cell):
        lines += ["[output]", *shown]
    return lines


def _source(cell: Mapping[str, Any]) -> str:
    return str(joined(cell.get("source", "")))


def _outputs(cell: Mapping[str, Any]) -> Iterator[list[str]]:
    """What each output shows, as lines; what was printed in pieces as one."""
    printed: dict[str, str] = {}
    for output in cell.get("outputs", []):
        kind = output.get("output_type")
        if kind == "stream":
            name = str(output.get("name"))
            printed[name] = printed.get(name, "") + str(joined(output.get("text", "")))
        elif kind == "error":
            yield _usual(f"{output.get('ename')}: {output.get('evalue')}")
        elif not any(name in output.get("data", {}) for name in _TRANSIENT):
            yield _shown(output.get("data", {}))
    for name in sorted(printed):
        yield _usual("\n".join(line.rpartition("\r")[2] for line in printed[name].rstrip().split("\n")))


def _shown(data: Mapping[str, Any]) -> list[str]:
    """What a display shows: its answers exactly, then the rest; of tables, the columns that tell of no payment."""
    plain = str(joined(data.get("text/plain", "")))
    if MIME in data:
        return _answered(data, plain)
    page = joined(data.get("text/html", ""))
    if isinstance(page, str) and "<table" in page:
        return _usual("\n".join(_Table.of(page)))
    if pictures := [kind for kind in data if str(kind).startswith("image/")]:
        return [f"{kind} {_digest(joined(data[kind]))}" for kind in pictures]
    return _usual(plain or str(joined(data.get("text/markdown", page))))


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
    """A text without what is of one run only."""
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
            kept = [cell.strip() for head, cell in zip(heads, self._row, strict=False) if head not in _COLUMNS_OF_A_RUN]
            self.lines.append(" | ".join(kept))
            self._row = None

    def handle_data(self, data: str) -> None:
        if self._skip:
            return
        if self._row:
            self._row[-1] += data
        elif self._row is None:
            self.lines.append(data.strip())
