"""Earlier cells of the notebook as context of a prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.cell_context import CellRun
from ..core.cell_notes import CONTEXT_SENT
from ..core.errors import ConfigError
from ..core.types import ChatRequest

LIMIT = 8_000
"""Characters of a context. The oldest cells are left out first."""

_MOST_NAMED = 10
_HEAD = "Cells of my notebook with their outputs, oldest first."
_OG_CELL = re.compile(r"\s*(?:%%?og|%%?time\b)")
_SECRET = re.compile(
    r"(?:api[_-]?key|secret|token|password|passwd|credential)\w*[\"'\]]*\s*(?:=|:|,)\s*[\"'][^\"'\n]{6,}|^\s*%env\s+\w*"
    r"(?:key|secret|token|password)",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Context:
    """The cells that are sent with a prompt.

    Attributes:
        text: the message that is sent.
        numbers: execution counts of its cells, oldest first.
        note: a sentence on requested cells that were left out; "" if none were.
    """

    text: str
    numbers: tuple[int, ...]
    note: str = ""

    def before(self, question: ChatRequest) -> ChatRequest:
        """Return the request with the context as a message of its own before the prompt."""
        *earlier, prompt = question.body["messages"]
        messages = [*earlier, {"role": "user", "content": self.text}, prompt]
        return replace(question, body={**question.body, "messages": messages})

    @property
    def summary(self) -> str:
        """One line for the user that says what is sent."""
        first, last, count = self.numbers[0], self.numbers[-1], len(self.numbers)
        what = f"cells {', '.join(map(str, self.numbers))}" if count > 1 else f"cell {first}"
        if count > _MOST_NAMED:
            what = f"{count} cells, from {first} to {last}"
        more = f" {self.note}" if self.note else ""
        return CONTEXT_SENT.of(cells=what, count=f"{len(self.text):,}", more=more)


def context_of(which: str, cells: Sequence[CellRun], limit: int = LIMIT) -> Context:
    """Select cells: "last", a number of the last ones, "all", or "errors" for the last one that failed.

    Raises:
        ConfigError: `which` is another word, there is no such cell, or each seems to hold a secret.
    """
    requested = _chosen(str(which).strip().lower(), cells)
    safe = [cell for cell in requested if not _SECRET.search(cell.source)]
    taken: list[str] = []
    size = len(_HEAD)
    for cell in reversed(safe):
        text = _text(cell)
        if size + len(text) > limit:
            if taken:
                break
            text = _cut(text, limit - size)
        taken.append(text)
        size += len(text) + 2
    if not taken:
        raise ConfigError(
            "Nothing was sent: each cell that was asked for seems to set a password or a key.",
            remedy="Copy what is to be sent into the prompt.",
        )
    sent = safe[len(safe) - len(taken) :]
    notes = []
    if len(safe) > len(taken):
        notes.append(f"{len(safe) - len(taken)} older, over the limit of {limit:,} characters")
    if len(requested) > len(safe):
        secret = ", ".join(str(cell.number) for cell in requested if cell not in safe)
        notes.append(f"cell {secret}, which seems to set a password or a key")
    note = f"Left out: {'; '.join(notes)}." if notes else ""
    head = f"{_HEAD} ({len(safe) - len(taken)} older ones are left out.)" if len(safe) > len(taken) else _HEAD
    return Context("\n\n".join([head, *reversed(taken)]), tuple(cell.number for cell in sent), note)


def _chosen(which: str, cells: Sequence[CellRun]) -> Sequence[CellRun]:
    if which == "errors":
        failed = [cell for cell in cells if cell.error and not _OG_CELL.match(cell.source)]
        if not failed:
            raise ConfigError(
                "No cell of this notebook has failed since og_magics was loaded.",
                remedy="Run the cell that fails, and ask again.",
            )
        return failed[-1:]
    count = {"last": 1, "all": len(cells)}.get(which)
    if count is None:
        if not which.isascii() or not which.isdigit() or int(which) < 1:
            raise ConfigError(
                f"There is no context {which!r}.", remedy="Choose last, a number of cells, all or errors."
            )
        count = int(which)
    if not cells:
        raise ConfigError(
            "There are no earlier cells to send.", remedy="Cells are remembered from %load_ext og_magics on."
        )
    return cells[-count:]


def _text(cell: CellRun) -> str:
    parts = [f"In [{cell.number}]:\n{_fenced(cell.source.strip(chr(10)), 'python')}"]
    output = "\n".join(part for part in (cell.printed, cell.shown) if part)
    if output:
        parts.append(f"Output:\n{_fenced(output)}")
    if cell.error:
        parts.append(f"Error:\n{_fenced(cell.error)}")
    return "\n".join(parts)


def _fenced(text: str, language: str = "") -> str:
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _cut(text: str, room: int) -> str:
    half = max(room - 60, 0) // 2
    return f"{text[:half]}\n… (the middle is left out) …\n{text[-half:]}" if half else ""
