"""What IPython does to a cell before a magic sees it, kept away from prompts: they are text, not code."""

from __future__ import annotations

from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand

_ASKING = ("%%ogchat", "%%ogcompare")
"""The cell magics whose cell is a prompt."""

_MARK = "\ue000"
"""Before each line of a prompt while IPython cleans the cell: a character of private use, which no prompt sign is."""


def cover(lines: list[str]) -> list[str]:
    """Hide a prompt from IPython's clean-up, which would take ">>> " and "In [1]: " off its lines.

    The first of the shell's clean-up transformers; `uncover` comes after IPython's own.
    """
    start = _prompt_starts(lines)
    return lines[:start] + [_MARK + line for line in lines[start:]]


def uncover(lines: list[str]) -> list[str]:
    """The prompt again as it was typed."""
    start = _prompt_starts(lines)
    return lines[:start] + [line.removeprefix(_MARK) for line in lines[start:]]


def _prompt_starts(lines: list[str]) -> int:
    """The line after `%%ogchat` or `%%ogcompare`, which may stand below other cell magics, such as %%time."""
    for number, line in enumerate(lines):
        if line.startswith(_ASKING):
            return number + 1
        if line.strip() and not line.startswith("%%"):
            break
    return len(lines)


class AskedLine(EscapedCommand):
    """A line `%ogchat prompt`, taken before IPython's own transformer of lines that end in "?" sees it.

    Without it, a prompt that ends in a question mark would be a request for help.
    """

    priority = 1

    @classmethod
    def find(cls, tokens_by_line: Any) -> AskedLine | None:
        """The first line of a cell that asks something; `%ogchat?` alone still shows the help."""
        for line in tokens_by_line:
            words = [token for token in line if token.string.strip()]
            if len(words) > 2 and words[0].string == "%" and words[1].string == "ogchat":
                after_name = words[1].end
                if words[2].start != after_name:
                    return cls(words[0].start)
        return None
