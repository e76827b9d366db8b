"""%og explain and %og fix: the last exception, sent with its cell to be explained or corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.estimate import Estimate
from .parser import chat_parser

if TYPE_CHECKING:
    from ..conversation import Answer
    from .chat import ChatMagics

_EXPLAIN = "Explain the error of my notebook's cell: what went wrong, why, and how it is fixed. Be brief."
_FIX = (
    "Correct my notebook's cell that failed. Answer with one Python code block that holds the whole corrected cell, "
    "and below it one sentence on what was wrong."
)
_PYTHON = ("python", "py", "python3", "ipython", "")


def explain(chat: ChatMagics, line: str) -> None:
    """Ask why the last cell that failed did. Flags are those of %%ogchat; text behind them is asked too.

    Raises:
        UsageError: no cell has failed, or a mistake in a flag; nothing was sent.
        OGError: the call failed; its `.money` says what it means for the user's money.
    """
    _ask(chat, "%og explain", line, _EXPLAIN)


def fix(chat: ChatMagics, shell: Any, line: str) -> None:
    """Ask for a corrected cell, and put it below this one. It is not run.

    Raises:
        UsageError, OGError: as `explain`.
    """
    answer = _ask(chat, "%og fix", line, _FIX)
    if isinstance(answer, Estimate):  # --dry-run
        return
    code = python_in(answer.text)
    if code:
        shell.set_next_input(code)
    else:
        print("The answer holds no code block, so no cell was put below.")


def python_in(text: str) -> str:
    """Return the longest block of Python in a text; "" where there is none."""
    from ..display import code_blocks

    blocks = [code for code, language in code_blocks(text) if language.lower() in _PYTHON]
    return max(blocks, key=len, default="").strip("\n")


def _ask(chat: ChatMagics, verb: str, line: str, prompt: str) -> Answer | Estimate:
    flags, more = chat_parser(verb).parse(line, prompt=True)
    flags.context = flags.context or "errors"
    return chat.ask(f"{prompt}\n\n{more}" if more else prompt, flags)
