"""Prompts of many rows: a list of them, or the rows of a DataFrame, each put into a template."""

from __future__ import annotations

import string
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.errors import ConfigError

COLUMN = "prompt"
"""The column that holds the prompts of a DataFrame, where there is no template."""
_NOTHING = "Nothing was sent."


class PromptRows(Sequence[str]):
    """The prompts of many rows, in order. Those of a template are made when they are read.

    Attributes:
        kind: of a row in messages: "Prompt", or "Row" of a DataFrame.
    """

    def __init__(self, prompts: Sequence[Any], template: _Template | None = None, kind: str = "") -> None:
        self._prompts, self._template = prompts, template
        self.kind = kind or ("Prompt" if template is None else "Row")

    def __len__(self) -> int:
        return len(self._prompts) if self._template is None else self._template.rows

    def __getitem__(self, at: Any) -> Any:
        """Return the prompt of a row.

        Raises:
            ConfigError: it is empty or no text, or a value that it needs is missing.
        """
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        prompt = self._prompts[at] if self._template is None else self._template.filled(at)
        if not isinstance(prompt, str):
            raise ConfigError(
                f"{self.name(at)} must be a str, got {type(prompt).__name__}.", remedy="Write it with an f-string."
            )
        if not prompt.strip():
            raise ConfigError(f"{self.name(at)} is empty.", remedy=_NOTHING)
        return prompt

    def name(self, at: int) -> str:
        """Return how a row is called in messages."""
        return f"{self.kind} {at}"


def prompt_rows(given: Any, template: str | None = None) -> PromptRows:
    """Return the prompts of a list or of a DataFrame.

    Args:
        given: prompts; or a pandas DataFrame, whose rows are put into the template.
        template: text with names of columns in braces, "Classify: {text}", as in an f-string: {{ and }} are braces, and
            {price:.2f} has a format. Without it, the column `prompt` holds the prompts.

    Raises:
        ConfigError: neither, or a column that is not there.
    """
    if isinstance(given, (str, bytes)):
        raise ConfigError("prompts is a str; pass a list of prompts.", remedy="For one prompt, use og.ask.")
    # Without pandas nobody has a DataFrame, nor while a thread still imports it.
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    if frame is not None and isinstance(given, frame):
        return PromptRows((), _Template(given, f"{{{COLUMN}}}" if template is None else template))
    if template is not None:
        raise ConfigError("A template needs a DataFrame, whose columns it names.", remedy="Pass the DataFrame first.")
    if not isinstance(given, Iterable) or isinstance(given, Mapping):  # of a dict, the keys would be asked
        raise ConfigError(f"prompts is a {type(given).__name__}.", remedy="Pass a list of prompts, or a DataFrame.")
    return PromptRows(given if isinstance(given, (list, tuple)) else list(given))


class _Template:
    """A template, and the columns that it names."""

    def __init__(self, frame: Any, template: str) -> None:
        if not isinstance(template, str):
            raise ConfigError(f"template is a {type(template).__name__}.", remedy="Give a str.")
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ConfigError(
                f"The template cannot be read: {error}.", remedy="Write {{ and }} for braces that are text."
            ) from None
        names = [str(column) for column in frame.columns]
        self.rows = len(frame)
        self._parts: list[tuple[str, list[Any] | None, str, str]] = []
        columns: dict[str, list[Any]] = {}
        for text, name, form, conversion in parts:
            if name is None:
                self._parts.append((text, None, "", ""))
                continue
            if conversion or "{" in (form or "") or names.count(name) != 1:
                raise _no_column(name, names, bool(conversion) or "{" in (form or ""))
            if name not in columns:
                columns[name] = frame.iloc[:, names.index(name)].tolist()
            self._parts.append((text, columns[name], form or "", name))
        if not columns:
            raise ConfigError(
                "The template names no column, so all rows would ask the same.",
                remedy=f"Write names of columns in braces: {', '.join(f'{{{name}}}' for name in names[:5])}.",
            )

    def filled(self, at: int) -> str:
        """Return the text of a row."""
        words = []
        for text, column, form, name in self._parts:
            words.append(text)
            if column is not None:
                words.append(_text(column[at], form, at, name))
        return "".join(words)


def _text(value: Any, form: str, at: int, name: str) -> str:
    if isinstance(value, str) and not form:
        return value
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):  # noqa: PLR0124 - NaN
        raise ConfigError(f"Row {at} has nothing in the column {name!r}.", remedy=f"{_NOTHING} Drop or fill such rows.")
    try:
        return format(value, form)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"Row {at}: the column {name!r} has no text: {error}.", remedy=_NOTHING) from None


def _no_column(name: str, names: Sequence[str], odd: bool) -> ConfigError:
    if odd:
        return ConfigError(
            f"{{{name}}} in the template has a form that is not known.", remedy="Use {name} or {name:.2f}."
        )
    several = names.count(name) > 1
    what = f"There are {names.count(name)} columns {name!r}." if several else f"There is no column {name!r}."
    return ConfigError(what, remedy=f"The columns are: {', '.join(names[:20])}. {{{{ and }}}} stand for braces.")
