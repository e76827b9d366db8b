"""Protection of prompts from IPython's input transformers: they are text, not code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign

_ASKING = ("%%ogchat", "%%ogcompare", "%%ogmany")
"""The cell magics whose cell is a prompt."""

_MARK = "\ue000"
"""Before each line of a prompt while IPython cleans the cell: a character of private use, which no prompt sign is."""

ASSIGNED = "\ue001"
"""Before the line of a `%ogchat` whose answer is assigned to a name."""


def cover(lines: list[str]) -> list[str]:
    """Hide a prompt from IPython's clean-up, which would take ">>> " and "In [1]: " off its lines.

    The first of the shell's clean-up transformers; `uncover` comes after IPython's own.
    """
    start = _prompt_starts(lines)
    return lines[:start] + [_MARK + unix_lines(line) for line in lines[start:]]


def uncover(lines: list[str]) -> list[str]:
    """Return the prompt as it was typed."""
    start = _prompt_starts(lines)
    return lines[:start] + [line.removeprefix(_MARK) for line in lines[start:]]


def _prompt_starts(lines: list[str]) -> int:
    """Return the line after a magic that asks, which may stand below other cell magics, such as %%time."""
    for number, line in enumerate(lines):
        if line.startswith(_ASKING):
            return number + 1
        if line.strip() and not line.startswith("%%"):
            break
    return len(lines)


def unix_lines(text: str) -> str:
    """Return a text with the line ends of all front ends but those of Windows: one cell is one question everywhere."""
    return text.replace("\r\n", "\n")


class AskedLine(EscapedCommand):
    """A transformer that takes `%ogchat prompt` before IPython's own, which treats lines that end in "?" as help.

    Without it, a prompt that ends in a question mark would be a request for help.
    """

    priority = 1

    @classmethod
    def find(cls, tokens_by_line: Any) -> AskedLine | None:
        """Return the first line that asks, also by way of another magic; `%ogchat?` alone still shows the help."""
        for line in tokens_by_line:
            words = [token for token in line if token.string.strip()]
            if words and words[0].string in ("%", "%%") and _asks(words):
                return cls(words[0].start)
        return None


class AskedAssignment(MagicAssign):
    """A transformer that takes `name = %ogchat prompt`, for the same reason; the name gets the answer."""

    priority = 1

    def __init__(self, line: tuple[int, int], magic: tuple[int, int]) -> None:
        begun: Any = super().__init__  # IPython has no types here
        begun(line)  # its help begins with the line, and what begins first is taken first
        self._magic_col = magic[1]

    @classmethod
    def find(cls, tokens_by_line: Any) -> AskedAssignment | None:
        """Return the first line that asks something and assigns the answer."""
        for line in tokens_by_line:
            words = [token for token in line if token.string.strip()]
            if _asks(words) and (place := _assigned(line)) is not None:
                return cls(words[0].start, place)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Transform the line as IPython does, with the mark that makes the magic return its answer."""
        self.start_col = self._magic_col
        line = lines[self.start_line]
        marked = line[: self.start_col] + line[self.start_col :].replace("%ogchat ", f"%ogchat {ASSIGNED}", 1)
        changed: list[str] = super().transform([*lines[: self.start_line], marked, *lines[self.start_line + 1 :]])
        return changed


def _assigned(line: Sequence[Any]) -> tuple[int, int] | None:
    """Return the place of the `%ogchat` that is assigned in a line of tokens; None where none is."""
    find: Any = MagicAssign.find  # IPython has no types here
    found = find([line])
    return None if found is None else (found.start_line + 1, found.start_col)


def _asks(words: Sequence[Any]) -> bool:
    """Return True for the tokens of a line with `%ogchat` and a prompt after it."""
    return any(
        sign.string == "%" and name.string == "ogchat" and name.start == sign.end and prompt.start != name.end
        for sign, name, prompt in zip(words, words[1:], words[2:], strict=False)
    )
