"""`%ogchat ... ?`: a prompt that ends in a question mark is a prompt, and not a request for help."""

from __future__ import annotations

from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand


class AskedLine(EscapedCommand):
    """A line `%ogchat prompt`, taken before IPython's own transformer of lines that end in "?" sees it."""

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
