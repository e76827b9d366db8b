"""Text of a value in a prompt: texts and numbers in full, larger values in a bounded form."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import json
import textwrap
import types
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import PurePath
from typing import Any

from ..core.errors import ConfigError
from ..core.types import TextGenerationOutput

LIMIT = 4_000
"""Most characters of a value that is neither a text nor a number."""

_DEEPEST = 60
"""Most levels of nesting: packages may raise the recursion limit beyond what the stack holds."""
_COLUMNS = 60
_CELL = 200
_ROWS = (100, 40, 20, 10, 6, 4, 2)
_SIMPLE = (
    bool, int, float, complex, Decimal, Fraction, type(None), datetime.date, datetime.time, datetime.timedelta,
    uuid.UUID, PurePath,
)  # fmt: skip
_PICTURES = {"matplotlib", "PIL", "plotly", "bokeh", "altair", "seaborn"}
_DRAWN = {"Image", "SVG", "Video", "Audio", "JPEG", "GIF"}


class _TooDeep(Exception):
    """A value that contains itself, or is nested too deeply."""


@dataclasses.dataclass(frozen=True, slots=True)
class Described:
    """A value as text.

    Attributes:
        text: the text that is sent.
        left_out: a phrase for what the text leaves out; "" if it is complete.
    """

    text: str
    left_out: str = ""


def render_value(value: Any, name: str) -> Described:
    """Return the text of a value; `name` is the path that the user typed.

    Raises:
        ConfigError: the value has no text: a picture, bytes, or an object whose repr is only an address.
    """
    try:
        if isinstance(value, str):
            return Described(_own_text(value))
        if isinstance(value, TextGenerationOutput):
            return Described(value.text or json.dumps(value.tool_calls, ensure_ascii=False))
        if isinstance(value, _SIMPLE):
            return Described(str(value))
        _refuse_without_text(value, name)
        return _bounded(value)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - the value's own methods may raise anything
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ConfigError(
            f"{{{name}}} in the prompt cannot be written as text: {problem}.",
            remedy="Convert it to a text and name that.",
        ) from None


def _bounded(value: Any) -> Described:
    kind, room = type(value).__name__, type(value).__module__.partition(".")[0]
    if room == "pandas" and kind in ("DataFrame", "Series"):
        return _table(value)
    if room == "numpy" and hasattr(value, "dtype"):
        return _array(value) if getattr(value, "ndim", 0) else Described(str(value))
    if inspect.ismodule(value):
        return Described(value.__name__)
    if inspect.isroutine(value) or inspect.isclass(value):
        return _cut(_source(value), "source")
    plain = _plain(value)
    if isinstance(plain, Mapping):
        parts = (f"{json.dumps(_json_key(key))}: {_json(item)}" for key, item in plain.items())
        return _joined("{", parts, "}", len(plain), lambda: repr(plain))
    if isinstance(plain, Sequence | Set) and not isinstance(plain, str | range):
        return _joined("[", (_json(item) for item in plain), "]", len(plain), lambda: repr(plain))
    return _cut(str(value), "text")


def _refuse_without_text(value: Any, name: str) -> None:
    kinds = type(value).__mro__
    picture = any(
        kind.__module__.partition(".")[0] in _PICTURES
        or (kind.__module__ == "IPython.core.display" and kind.__name__ in _DRAWN)
        or (kind.__module__ == "IPython.lib.display" and kind.__name__ in _DRAWN)
        for kind in kinds
    )
    if picture:
        raise ConfigError(
            f"{{{name}}} in the prompt is a picture, and a prompt is text.",
            remedy="Name the data that it was drawn from, or describe it in words.",
        )
    if isinstance(value, bytes | bytearray | memoryview):
        raise ConfigError(
            f"{{{name}}} in the prompt is bytes, and a prompt is text.",
            remedy=f"Decode it: {name}.decode(), and name that.",
        )
    if _has_no_text(value):
        raise ConfigError(
            f"{{{name}}} in the prompt is an object of type {type(value).__name__}, which has no text of its own.",
            remedy="Name one of its attributes, or make a text of it.",
        )


def _has_no_text(value: Any) -> bool:
    kind: Any = type(value)
    if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value):
        return False
    if dataclasses.is_dataclass(value) or hasattr(kind, "model_dump"):
        return False
    silent = kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__
    return silent or isinstance(value, types.GeneratorType | types.CoroutineType)


def _own_text(value: str) -> str:
    """Return the `str` of a string subclass, so that a secret stays masked; of an enum, its value."""
    return str.__str__(value) if isinstance(value, enum.Enum) else str(value)


def _plain(value: Any) -> Any:
    """Convert answers, dataclasses and pydantic models to values that JSON knows."""
    if isinstance(value, TextGenerationOutput):
        return value.text
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.repr}
    if hasattr(type(value), "model_dump"):  # pydantic
        return value.model_dump(mode="json")
    return value


def _json(value: Any) -> str:
    return json.dumps(_for_json(value), ensure_ascii=False, allow_nan=False)


def _for_json(value: Any, level: int = 0) -> Any:
    if level > _DEEPEST:
        raise _TooDeep
    if isinstance(value, str):
        return _own_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, _SIMPLE):
        return str(value)
    plain = _plain(value)
    if isinstance(plain, Mapping):
        return {_json_key(key): _for_json(item, level + 1) for key, item in plain.items()}
    if isinstance(plain, list | tuple | Set):
        return [_for_json(item, level + 1) for item in plain]
    if plain is not value:
        return _for_json(plain, level + 1)
    if type(value).__module__.partition(".")[0] == "numpy":
        return _for_json(value.tolist(), level + 1)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _json_key(key: Any) -> str:
    if not isinstance(key, str | int | float | bool | None):
        raise TypeError("a key that JSON does not know")
    return _own_text(key) if isinstance(key, str) else str(key)


def _joined(opening: str, parts: Iterable[str], closing: str, count: int, otherwise: Callable[[], str]) -> Described:
    """Join as many JSON parts as fit; if one has no JSON, return the text of `otherwise()`."""
    taken: list[str] = []
    size = 0
    try:
        for part in parts:
            if size + len(part) > LIMIT:
                break
            taken.append(part)
            size += len(part) + 2
    except _TooDeep:
        left = f"nothing of what is nested in more than {_DEEPEST} levels"
        return Described(f"{opening} … nested in more than {_DEEPEST} levels … {closing}", left)
    except (TypeError, ValueError):
        return _cut(otherwise(), "text")
    if len(taken) == count:
        return Described(f"{opening}{', '.join(taken)}{closing}")
    left = f"the first {len(taken)} of {count:,} items"
    if not taken:
        return _cut(otherwise(), "text")
    return Described(f"{opening}{', '.join(taken)}, …{closing}\n({left}; the rest is left out)", left)


def _table(value: Any) -> Described:
    """Describe shape and columns, and list as many rows as fit, half of them from the end."""
    series = value.ndim == 1
    frame = value.to_frame(name="value" if value.name is None else value.name) if series else value
    rows, columns = frame.shape
    kinds = [f"{name} {kind}" for name, kind in islice(zip(frame.columns, frame.dtypes, strict=True), _COLUMNS)]
    more = f", and {columns - _COLUMNS} more" if columns > _COLUMNS else ""
    size = f"{_count(rows, 'value')}" if series else f"{_count(rows, 'row')} and {_count(columns, 'column')}"
    head = f"{type(value).__name__} with {size}. Columns: {', '.join(kinds)}{more}."
    head = head if len(head) <= LIMIT // 2 else head[: LIMIT // 2] + "…"
    narrow = frame.iloc[:, :_COLUMNS]
    if rows <= _ROWS[0]:
        text = f"{head}\n{_csv(narrow)}"
        if len(text) <= LIMIT and not more:
            return Described(text)
    for most in (most for most in _ROWS if most < rows):
        half = most // 2
        left = f"the first {half} and the last {half} of {rows:,} rows"
        last = _csv(narrow.iloc[-half:], header=False)
        text = f"{head}\n{_csv(narrow.iloc[:half])}…\n{last}({left}; the rest is left out)"
        if len(text) <= LIMIT:
            return Described(text, left + (f", {_COLUMNS} of {columns} columns" if more else ""))
    left = f"none of the {rows:,} rows"
    return Described(f"{head}\n(Its rows are left out: they are too long.)", left)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _csv(frame: Any, *, header: bool = True) -> str:
    def short(cell: Any) -> Any:
        return cell[: _CELL - 1] + "…" if isinstance(cell, str) and len(cell) > _CELL else cell

    cut = frame.apply(lambda column: column.map(short) if column.dtype.kind in "OU" else column)
    numbered = type(frame.index).__name__ == "RangeIndex"
    text: str = cut.to_csv(index=not numbered, header=header)
    return text


def _array(value: Any) -> Described:
    import numpy as np

    text = np.array2string(value, threshold=200, edgeitems=3, max_line_width=120)
    head = f"array of shape {value.shape}, {value.dtype}"
    if value.dtype.kind in "iuf" and value.size:
        head += f", from {value.min()} to {value.max()}, mean {value.mean():.6g}"
    left = f"all but the edges of {value.size:,} values" if value.size > 200 else ""
    cut = _cut(f"{head}:\n{text}", "text")
    return Described(cut.text, cut.left_out or left)


def _source(value: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        return str(getattr(value, "__doc__", "") or getattr(value, "__name__", "") or repr(value))


def _cut(text: str, what: str) -> Described:
    if len(text) <= LIMIT:
        return Described(text)
    left = f"{LIMIT:,} of {len(text):,} characters of its {what}"
    half = LIMIT // 2
    return Described(f"{text[:half]}\n…\n{text[-half:]}\n({left}; the middle is left out)", left)
