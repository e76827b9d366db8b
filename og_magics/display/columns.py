"""Several models' answers side by side: HTML built of safe parts, plain text one under another, and all receipts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any, Protocol
from uuid import uuid4

from ..core.column_style import MARKED, stacked_class, stacking
from ..core.endings import ending_note
from ..core.fork import new_lock
from ..core.progress import Progress
from ..core.receipt import MIME, VERSION, Column, Receipt, labels
from .answer_bundle import NO_DOCUMENTS, Documents, Head, carried, shown_answer, sorted_images
from .code import with_colors
from .differences import with_differences
from .footer import folded_footer, footer
from .live import status
from .markdown import to_html
from .outlets import republisher, show_bundle, updated_in_place
from .pieces import SMALL, Pieces
from .receipt_tables import PaymentPage
from .sanitize import printable
from .throttle import FramePace

_MESSAGE = 900
"""Bytes of a display message besides its content."""
_LONGEST_ERROR = 600

_GREEN = "color:var(--jp-success-color0,#1a7f37)"
_RED = "color:var(--jp-error-color1,#d1242f)"
_FAINT = "opacity:.75"
_CELL = "text-align:left;vertical-align:top;padding:.5em .75em;white-space:normal;line-height:1.5"
_WRAP = "overflow-x:auto;overflow-wrap:break-word"
_CODE = "white-space:pre;overflow-x:auto;overflow-wrap:normal"


def columns_bundle(
    columns: Sequence[Column],
    page: PaymentPage,
    head: Head | None = None,
    documents: Documents = NO_DOCUMENTS,
    *,
    marks: bool = False,
) -> dict[str, Any]:
    """Return the mime bundle of a comparison: HTML, plain text, and every receipt with all that an audit needs.

    Args:
        head: of the ledger when this is shown. documents: attestations that travel with the receipts.
        marks: words that differ are marked in the HTML.
    """
    bundle: dict[str, Any] = {"text/html": html_of(columns, page, marks=marks), "text/plain": plain_of(columns)}
    if any(column.receipt for column in columns):
        form = {"version": VERSION, "columns": [_form(column) for column in columns]}
        bundle[MIME] = carried(form, head, documents)
    return bundle


def html_of(columns: Sequence[Column], page: PaymentPage, *, marks: bool = False) -> str:
    """Return the table of a finished comparison."""
    heads = [_html_head(name, *_summary_of(column)) for name, column in zip(_names(columns), columns, strict=True)]
    feet = [_html_foot(column, page) for column in columns]
    answers = [_html_answer(column) for column in columns]
    if marks:
        answers = with_differences(answers)
    bodies = [_html_body(column, answer) for column, answer in zip(columns, answers, strict=True)]
    summary = _summary(columns) + MARKED if marks else _summary(columns)
    return f"{_table(heads, bodies, feet)}<p><small>{escape(summary)}</small></p>"


def _html_answer(column: Column) -> str:
    text = column.receipt.text if column.receipt else ""
    return _scrolling(with_colors(to_html(text))) if text else ""


def _html_body(column: Column, answer: str) -> str:
    """Return an answer as HTML, and why it is not complete."""
    calls = "" if answer or column.receipt is None else shown_answer(column.receipt, "")["text/plain"]
    parts = [answer] if answer else [f"<pre>{escape(calls)}</pre>"] if calls else []
    if column.error:
        parts.append(f'<p style="{_RED}">{escape(_flat(column.error))}</p>')
    elif note := _ending(column):
        parts.append(f"<p><strong>{escape(note)}</strong></p>")
    return "".join(parts)


def _scrolling(html: str) -> str:
    """Return an answer's HTML, in which code keeps its lines and scrolls; each text in it is escaped."""
    return html.replace("<pre><code", f'<pre style="{_CODE}"><code')


def _html_foot(column: Column, page: PaymentPage) -> str:
    """Return the line of a receipt, with a link to its payment."""
    receipt = column.receipt
    if receipt is None:
        return ""
    return folded_footer(receipt, lambda hash: page(receipt.network, hash), named=False, tag="small")


def plain_of(columns: Sequence[Column]) -> str:
    """Return all columns, one under another."""
    return "\n\n".join([*plain_blocks(columns), _summary(columns)])


def plain_blocks(columns: Sequence[Column]) -> list[str]:
    """Return for each column a heading, the answer and the line of its receipt."""
    return [_plain_block(name, column) for name, column in zip(_names(columns), columns, strict=True)]


def _plain_block(name: str, column: Column) -> str:
    mark, summary = _summary_of(column)
    parts = [f"── {printable(_flat(name))} · {mark} {summary}"]
    if column.receipt is not None:
        parts.append(printable(shown_answer(column.receipt, column.receipt.text)["text/plain"]))
    parts.append(_flat(column.error) if column.error else _ending(column))
    if column.receipt is not None:
        parts.append(printable(_foot(column.receipt)))
    return "\n\n".join(part for part in parts if part)


class LiveColumns(Protocol):
    """Shows a comparison from its first moment to its receipts. Used on the thread that runs the cell."""

    def show(self, ended: Mapping[int, Column]) -> None:
        """Show the progress as it is now. `ended` has the columns, by place, that will not change any more."""

    def finish(
        self,
        columns: Sequence[Column],
        page: PaymentPage,
        head: Head | None,
        images: Sequence[Sequence[str]],
        documents: Documents = NO_DOCUMENTS,
    ) -> None:
        """Show the finished comparison. `images` are data: URIs or links, a list a column.

        `documents` are attestations that travel with the receipts.
        """

    def refresh(self, receipts: Sequence[Receipt], head: Head | None) -> None:
        """Show the comparison again in its place, with these receipts as they are now. Safe on any thread."""


def live_columns_for(
    shell: Any, models: Sequence[str], progress: Sequence[Progress], *, marks: bool = False
) -> LiveColumns:
    """Return the display for a shell: a kernel's front end shows rich output, a terminal plain text."""
    if getattr(shell, "kernel", None) is None:
        return _Plain(labels(models), progress)
    return _Rich(labels(models), progress, marks=marks)


class _Rich:
    """A single display: each answer's last piece is made anew, and all is sent."""

    def __init__(self, names: Sequence[str], progress: Sequence[Progress], *, marks: bool = False) -> None:
        self._names = names
        self._progress = progress
        self._marks = marks
        self._id = uuid4().hex
        self._begun = False
        self._pace = FramePace()
        self._pieces = [Pieces(SMALL, as_html=True) for _ in names]
        self._closed = [""] * len(names)
        self._tokens: list[int] = []
        self._states: list[str] = []
        self._kept: dict[int, tuple[str, str, str]] = {}
        self._lock = new_lock()
        self._columns: list[Column] = []
        self._again: Callable[[Sequence[Receipt], Head | None], None] | None = None
        self._once = not updated_in_place()

    def show(self, ended: Mapping[int, Column]) -> None:
        if self._once:
            return
        tokens = [one.tokens for one in self._progress]
        states = ["ended" if place in ended else one.state for place, one in enumerate(self._progress)]
        if self._begun and tokens == self._tokens and states == self._states:
            return
        # What happens once in a column is shown at once: its first words, and its end.
        once = not self._begun or states.count("ended") > self._states.count("ended")
        first = sum(map(bool, tokens)) > sum(map(bool, self._tokens))
        seconds = max(one.answering_for for one in self._progress)
        if not once and not first and (self._pace.wait() or not self._pace.affords(sum(tokens), seconds)):
            return
        began = time.monotonic()
        self._tokens, self._states = tokens, states
        html = _table(*zip(*(self._live(place, ended.get(place)) for place in range(len(self._names))), strict=True))
        self._display({"text/html": html})
        self._pace.sent(_MESSAGE + len(html.encode("utf-8", "replace")), time.monotonic() - began)

    def finish(
        self,
        columns: Sequence[Column],
        page: PaymentPage,
        head: Head | None,
        images: Sequence[Sequence[str]],
        documents: Documents = NO_DOCUMENTS,
    ) -> None:
        self._columns = list(columns)

        def bundle(columns: Sequence[Column], head: Head | None) -> dict[str, Any]:
            return columns_bundle(columns, page, head, documents, marks=self._marks)

        self._display(bundle(columns, head))
        self._again = republisher(self._id, lambda now, head: bundle(self._with(now), head))
        for name, some in zip(self._names, images, strict=True):
            pictures, links = sorted_images(some)
            for picture in pictures:
                show_bundle(picture)
            if links:
                show_bundle({"text/plain": "\n".join([printable(name), *map(printable, links)])})

    def refresh(self, receipts: Sequence[Receipt], head: Head | None) -> None:
        if self._again is not None:
            self._again(receipts, head)

    def _with(self, receipts: Sequence[Receipt]) -> list[Column]:
        now = {receipt.receipt_id: receipt for receipt in receipts}
        with self._lock:
            self._columns = [
                column if column.receipt is None
                else replace(column, receipt=now.get(column.receipt.receipt_id, column.receipt))
                for column in self._columns
            ]  # fmt: skip
            return self._columns

    def _live(self, place: int, ended: Column | None) -> tuple[str, str, str]:
        """Head, body and foot of a column; made once where it has ended."""
        name, progress = self._names[place], self._progress[place]
        if ended is None:
            return _html_head(name, "", status(progress)), _scrolling(self._streamed(place)), ""
        if place not in self._kept:
            foot = _html_foot(ended, lambda network, transaction: "")
            self._kept[place] = _html_head(name, *_summary_of(ended)), _html_body(ended, _html_answer(ended)), foot
        return self._kept[place]

    def _streamed(self, place: int) -> str:
        """Return the HTML of what has arrived of an answer."""
        text = [self._progress[place].text]
        self._closed[place] += "".join(piece["text/html"] for piece in self._pieces[place].close(text))
        return self._closed[place] + self._pieces[place].last(text)["text/html"]

    def _display(self, bundle: Mapping[str, Any]) -> None:
        show_bundle(bundle, display_id=self._id, update=self._begun)
        self._begun = True


class _Plain:
    """A terminal: each answer is printed when it is complete."""

    def __init__(self, names: Sequence[str], progress: Sequence[Progress]) -> None:
        self._names = names
        self._printed: set[int] = set()

    def show(self, ended: Mapping[int, Column]) -> None:
        for place in sorted(ended.keys() - self._printed):
            self._printed.add(place)
            sys.stdout.write(f"{_plain_block(self._names[place], ended[place])}\n\n")
            sys.stdout.flush()

    def finish(
        self,
        columns: Sequence[Column],
        page: PaymentPage,
        head: Head | None,
        images: Sequence[Sequence[str]],
        documents: Documents = NO_DOCUMENTS,
    ) -> None:
        self.show(dict(enumerate(columns)))
        if count := sum(map(len, images)):
            sys.stdout.write(f"({count} images, in the results' .images)\n")
        sys.stdout.write(f"{_summary(columns)}\n")
        sys.stdout.flush()

    def refresh(self, receipts: Sequence[Receipt], head: Head | None) -> None:
        pass  # what was printed stays printed


def _names(columns: Sequence[Column]) -> list[str]:
    return labels([column.receipt.model if column.receipt else column.model for column in columns])


def _ending(column: Column) -> str:
    return "" if column.receipt is None or column.error else ending_note(column.receipt, images=column.images)


def _form(column: Column) -> dict[str, Any]:
    receipt = column.receipt
    return {"model": column.model, "error": column.error, "receipt": None if receipt is None else receipt.to_json()}


def _summary_of(column: Column) -> tuple[str, str]:
    """Return a mark and a summary in a few words."""
    receipt = column.receipt
    times = []
    if receipt is not None and receipt.latency_s is not None:
        times.append(f"{receipt.latency_s:.2f} s")
    if receipt is not None and receipt.ttft_s is not None:
        times.append(f"first token {receipt.ttft_s:.2f} s")
    if receipt is not None and receipt.speed is not None:
        times.append(f"{receipt.speed:.0f} tokens/s")
    if column.error:
        return "✗", " · ".join(["broke off" if receipt else "no answer", *times])
    return "✓", " · ".join(times or ["answered"])


def _foot(receipt: Receipt) -> str:
    """Return the footer without the model's name, which stands above."""
    return footer(replace(receipt, latency_s=None), lambda _: "").removeprefix(f"{receipt.model} · ")


def _summary(columns: Sequence[Column]) -> str:
    complete = sum(not column.error for column in columns)
    parts = [f"{complete} of {len(columns)} models answered"]
    times = [column.receipt.latency_s for column in columns if column.receipt and column.receipt.latency_s is not None]
    if len(times) > 1:
        parts.append(f"the slowest in {max(times):.2f} s (one after another: {sum(times):.2f} s)")
    prices = [column.receipt.usd for column in columns if column.receipt and column.receipt.usd is not None]
    if prices:
        parts.append(f"~${sum(prices):.6f} in all")
    return " · ".join(parts)


def _table(heads: Sequence[str], bodies: Sequence[str], feet: Sequence[str]) -> str:
    """Return a table with columns of one fixed width, which scrolls where they would be too narrow."""
    width = f"table-layout:fixed;width:100%;min-width:{12 * len(heads)}em;margin:0;font-size:inherit"
    body = [f'<div style="{_WRAP}">{cell}</div>' for cell in bodies]
    rows = [
        f"<thead>{_row('th', heads)}</thead><tbody>",
        _row("td", body),
        _row("td", feet, _FAINT) if any(feet) else "",
    ]
    box = f'<div class="{stacked_class(len(heads))}" style="overflow-x:auto">'
    return f'{stacking(len(heads))}{box}<table style="{width}">{"".join(rows)}</tbody></table></div>'


def _row(tag: str, cells: Sequence[str], style: str = "") -> str:
    """Return a row without stripes or highlight."""
    cell_style = f"{_CELL};{style}" if style else _CELL
    cells = [f'<{tag} style="{cell_style}">{cell}</{tag}>' for cell in cells]
    return f'<tr style="background:none">{"".join(cells)}</tr>'


def _html_head(name: str, mark: str, summary: str) -> str:
    color = {"✓": _GREEN, "✗": _RED}.get(mark, _FAINT)
    sign = f'<span style="{color}">{mark}</span> ' if mark else ""
    title = escape(_flat(name)).replace("/", "/<wbr>", 1)  # where a line may break
    return f'{title}<br><small style="font-weight:normal">{sign}{escape(summary)}</small>'


def _flat(text: str) -> str:
    """Return untrusted text on one line, within bounds."""
    flat = printable(" ".join(text.split()))
    return flat if len(flat) <= _LONGEST_ERROR else flat[: _LONGEST_ERROR - 1] + "…"
