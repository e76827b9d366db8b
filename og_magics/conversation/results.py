"""What a function returned, as the text that the model is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .described import described

LONGEST = 20_000
"""Characters of a result; what is longer is cut, and says so."""
_LONGEST_ERROR = 1_000


def result_text(value: Any) -> str:
    """A text as it is; a table or an array in short; all else as JSON, or as its `str` where JSON cannot hold it."""
    return bounded(_sendable(_text(value)))


def error_text(what: str) -> str:
    """What the model is told where there is no result: no traceback, and nothing of where the home directory is."""
    home = str(Path.home())
    told = _sendable(what).replace(home, "~") if len(home) > 1 else _sendable(what)
    return json.dumps({"error": bounded(told, _LONGEST_ERROR)}, ensure_ascii=False)


def error_of(error: BaseException) -> str:
    """An exception of a function, as `error_text` has it."""
    try:
        told = str(error)
    except Exception:  # noqa: BLE001 - an exception of somebody's own, whose text fails too
        told = ""
    return error_text(f"{type(error).__name__}: {told}" if told else type(error).__name__)


def bounded(text: str, most: int = LONGEST) -> str:
    """The text, or its beginning and a note of what was left out."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[cut: {len(text) - most:,} more characters were left out]"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if _is_table(value):
        return described(value, "result").text
    import pydantic_core

    try:
        return pydantic_core.to_json(value, fallback=_plain, bytes_mode="base64", inf_nan_mode="strings").decode()
    except (ValueError, TypeError, RecursionError):  # it holds itself, or what has no text
        return str(value)


def _plain(value: Any) -> Any:
    """Of what JSON does not know: a table as text, a scalar of NumPy as Python's, else its `str`."""
    if _is_table(value):
        return described(value, "result").text
    return value.item() if callable(getattr(value, "item", None)) else str(value)


def _is_table(value: Any) -> bool:
    """Whether it is a DataFrame, a Series or an array, which have a short form."""
    return type(value).__module__.partition(".")[0] in ("pandas", "numpy") and bool(getattr(value, "ndim", 0))


def _sendable(text: str) -> str:
    """Without halves of characters, which no request can hold."""
    return text.encode("utf-8", "replace").decode()
