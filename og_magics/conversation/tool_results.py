"""Results of tools as text for the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .value_text import render_value

LONGEST = 20_000
"""Most characters of a result; a longer one is cut with a note."""
_LONGEST_ERROR = 1_000


def result_text(value: Any) -> str:
    """Return a text as it is, a table or an array in short, and all else as JSON, or `str` if it has no JSON."""
    return bounded(_sendable(_text(value)))


def error_text(what: str) -> str:
    """Return an error as JSON for the model, without the path of the home directory."""
    home = str(Path.home())
    message = _sendable(what).replace(home, "~") if len(home) > 1 else _sendable(what)
    return json.dumps({"error": bounded(message, _LONGEST_ERROR)}, ensure_ascii=False)


def error_of(error: BaseException) -> str:
    """Return an exception of a function as `error_text`, without its traceback."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the `__str__` of a user's exception may fail too
        message = ""
    return error_text(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def bounded(text: str, most: int = LONGEST) -> str:
    """Return the text, or its beginning and a note on how much was cut."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[cut: {len(text) - most:,} more characters were left out]"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if _is_table(value):
        return render_value(value, "result").text
    import pydantic_core

    try:
        return pydantic_core.to_json(value, fallback=_plain, bytes_mode="base64", inf_nan_mode="strings").decode()
    except (ValueError, TypeError, RecursionError):  # a circular value, or one without a JSON form
        return str(value)


def _plain(value: Any) -> Any:
    """Convert a value that JSON does not know: a table to text, a NumPy scalar to Python, else by `str`."""
    if _is_table(value):
        return render_value(value, "result").text
    return value.item() if callable(getattr(value, "item", None)) else str(value)


def _is_table(value: Any) -> bool:
    """Return True for a DataFrame, a Series or an array, which have a short form."""
    return type(value).__module__.partition(".")[0] in ("pandas", "numpy") and bool(getattr(value, "ndim", 0))


def _sendable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()
