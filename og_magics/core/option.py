"""One option: what the table of options (`options.py`) says of it, and how its values are read, checked and shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .amounts import format_opg, parse_opg
from .errors import ConfigError
from .models import nearest
from .secret import Secret as Secret  # noqa: PLC0414 - a value of the table
from .types import x402SettlementMode

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table.

    Attributes:
        name: field of the settings, keyword of `og.ask`, trait of `%config Og`.
        type: as annotated: "str", "bool", "int", "float", "Any" ...; "| None" where it may be unset.
        default: of the settings; of an option of one call, what holds where it is not given.
        help: one line, without a full stop.
        flags: short one first, "-t --temperature". A bool has its "--no-" flag as well.
        metavar: what stands for the value in help.
        off: flag that sets it to "" (`--no-thread`).
        env: environment variables; of several that are set, the last one holds.
        call, compare, use, config: set by %%ogchat and og.ask; by %%ogcompare; by %og use; by %config Og.
        widget: kind of the panel's widget: "slider", "integer", "text", "textarea", "checkbox" or "functions";
            "choice" where the panel has a place of its own for it; "" for none.
        label, hint: of that widget.
        body: key of the request's JSON body that it goes to, "" where it goes nowhere.
        choices: the words that it may be, or that are offered.
        strict: it may be none but `choices`.
        minimum, maximum, step: of a number.
        unit: "OPG" or "ETH" where a person gives these and the value is base units.
        always: the cell that asks what the panel asked says it always, and not only where it differs from the default.
        completes: what Tab offers: "model", "provider", "thread", "functions" or "schema"; "" for `choices`.
        reconnects: another value needs another connection.
        limit: it holds for every LLM of the process once the notebook has set it.
        private_url: a URL of which only the origin is shown and kept.
        digits: numbers of hex digits that each word of a list may have: an address has 40.
        tells: its value may say what was asked, or where: a scrubbed copy of a notebook is without it.
    """

    name: str
    type: str
    default: Any
    help: str
    flags: tuple[str, ...] = ()
    metavar: str = ""
    off: str = ""
    env: tuple[str, ...] = ()
    call: bool = False
    compare: bool = False
    use: bool = False
    config: bool = False
    widget: str = ""
    label: str = ""
    hint: str = ""
    body: str = ""
    choices: tuple[str, ...] = ()
    strict: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    always: bool = False
    completes: str = ""
    reconnects: bool = False
    limit: bool = False
    digits: tuple[int, ...] = (40,)
    tells: bool = False
    private_url: bool = False

    @property
    def switches(self) -> tuple[str, ...]:
        """The flags that take no value."""
        if self.type != "bool":
            return (self.off,) if self.off else ()
        return tuple(dict.fromkeys([*self.flags, *(f"--no-{flag[2:]}" for flag in self.flags if flag[:2] == "--")]))

    @property
    def value_flags(self) -> tuple[str, ...]:
        """The flags that take a value."""
        return () if self.type == "bool" else self.flags

    def parse(self, text: str) -> Any:
        """Return the value of what a person types, on a line or in the environment.

        Raises:
            ConfigError: it is none; the error says what could stand there.
        """
        if self.unit:
            return parse_opg(text, self.unit)
        kind = self.type.removesuffix(" | None")
        if kind == "Secret":
            return Secret(text)
        if kind == "bool":
            word = text.strip().lower()
            if word in (*_TRUE, *_FALSE):
                return word in _TRUE
            raise ConfigError(f"{self.name}: {text!r} is neither yes nor no.", remedy="Write 1 or 0.")
        if kind == "tuple[str, ...]":
            return tuple(self._hex_word(one) for one in text.replace(",", " ").split())
        if kind in ("int", "float"):
            try:
                return self.convert(float(text) if kind == "float" else int(text))
            except ValueError as error:
                if isinstance(error, ConfigError):
                    raise
                raise ConfigError(f"{self.name}: {text!r} is not a number.", remedy=self._range()) from None
        return self.convert(text)

    def convert(self, value: Any) -> Any:
        """Return a value as Python, a trait or a widget gives it, checked; amounts are in OPG.

        Raises:
            ConfigError: it is not of the option's kind; the error says what could stand there.
        """
        kind = self.type.removesuffix(" | None")
        if value is None or kind == "Any":
            return value
        if self.unit:
            return parse_opg(value, self.unit)
        if kind == "x402SettlementMode":
            return x402SettlementMode.parse(value)
        if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        python: dict[str, type] = {"bool": bool, "int": int, "float": float, "tuple[str, ...]": tuple}
        if not isinstance(value, python.get(kind, str)) or (isinstance(value, bool) and kind != "bool"):
            raise ConfigError(f"{self.name} is {value!r}.", remedy=self._range())
        if self.strict:
            return self._word(str(value))
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            if not (low is None or value >= low) or not (high is None or value <= high):
                raise ConfigError(f"{self.name} is {value!r}.", remedy=self._range())
        return value

    def shown(self, value: Any) -> str:
        """Return a value as text, as `parse` reads it."""
        if self.unit:
            return format_opg(value)
        if isinstance(value, x402SettlementMode):
            return value.value
        return f"{value:g}" if isinstance(value, float) else str(value)

    def as_flags(self, value: Any) -> list[str]:
        """Return the words that say a value on the line of a cell; none where the default says it."""
        if not self.flags or (value == self.default and not self.always):
            return []
        long = self.flags[-1]
        if self.type.startswith("bool"):
            return [long if value else f"--no-{long.removeprefix('--')}"]
        return [self.flags[0], self.shown(value)] if value not in (None, "") else []

    def _word(self, value: str) -> str:
        word = value.strip().lower()
        if word not in self.choices:
            close = nearest(word, self.choices)
            hint = f"Did you mean {close}? " if close else ""
            raise ConfigError(
                f"There is no {self.name} {value!r}.", remedy=f"{hint}Choose one of {', '.join(self.choices)}."
            )
        return word

    def _range(self) -> str:
        kind = self.type.removesuffix(" | None")
        low, high = self.minimum, self.maximum
        if kind in ("int", "float"):
            noun = "a whole number" if kind == "int" else "a number"
            if low is not None and high is not None:
                return f"Give {noun} from {low:g} to {high:g}."
            return f"Give {noun}." if low is None else f"Give {noun} of {low:g} or more."
        return "Give True or False." if kind == "bool" else "Give a str."

    def _hex_word(self, text: str) -> str:
        digits = text.removeprefix("0x")
        if len(digits) not in self.digits or not _HEX.fullmatch(digits):
            counts = " or ".join(map(str, self.digits))
            raise ConfigError(f"{self.name}: {text!r} has another form.", remedy=f"Write 0x and {counts} hex digits.")
        return text if text.startswith("0x") else f"0x{digits}"


def option(default: Any, help: str, *, flags: str = "", env: str = "", **columns: Any) -> Any:
    """Declare an option: a row of the table, as the field of a dataclass."""
    row = {"default": default, "help": help, "flags": tuple(flags.split()), "env": tuple(env.split()), **columns}
    return field(default=default, metadata={"option": row})
