"""Parsers of the magics' flags. The prompt is never parsed: quotes, braces and dollars in it stay as typed."""

from __future__ import annotations

import argparse
import functools
import keyword
import re
import shlex
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from IPython.core.error import UsageError

from ..core.errors import ConfigError
from ..core.option import Option
from ..core.options import CALL, OPTIONS, SETTINGS

if TYPE_CHECKING:
    from ..conversation import Options

F = TypeVar("F", bound=Callable[..., Any])

WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""", re.S)
"""A word as a shell reads it: quoted parts may hold spaces."""


_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d-]+")
"""Dashes and hyphens that documents and chats put in the place of the one that is typed."""
_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"


class Parser(argparse.ArgumentParser):
    """argparse that raises a UsageError with the remedy instead of ending the process."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            add_help=False,
            allow_abbrev=False,  # the split below knows whole names only
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Take the value of a flag as it is typed; argparse would drop `--` from `--system=--`."""
        if action.option_strings and action.nargs is None:
            return self._get_value(action, arg_strings[0])
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message.rstrip('.')}. %og help shows the flags.")

    def parse(self, line: str, *, prompt: bool) -> tuple[argparse.Namespace, str]:
        """Return the flags at the start of a line, and the rest as typed; without `prompt`, a rest is an error."""
        self._prompted = prompt
        tokens, rest = self._split(line)
        flags, unknown = self.parse_known_args(tokens)
        if unknown:
            remedy = "; a prompt that starts with a dash comes after --" if prompt else ""
            self.error(f"{unknown[0]!r} is not a flag{remedy}")
        if rest and not prompt:
            self.error(f"{rest.split()[0]!r} is not a flag")
        return flags, rest

    def flags_help(self) -> str:
        """Return one line a flag, for a docstring."""
        lines = []
        for action in self._actions:
            long = action.option_strings[-1] if action.option_strings else ""
            value = f" {action.metavar or long.lstrip('-').upper()}" if action.nargs != 0 else ""
            first, *others = action.option_strings
            lines.append(", ".join([first + value, *others]).ljust(30) + (action.help or "").replace("%%", "%"))
        return "\n".join(lines)

    def _split(self, line: str) -> tuple[list[str], str]:
        tokens: list[str] = []
        rest = line.strip()
        while True:
            self._check_dash(rest)
            if not (rest.startswith("-") and len(rest) > 1 and not rest[1].isspace()):
                break
            token, rest = self._token(rest)
            if token == "--":
                break
            action = self._option_string_actions.get(token)
            if action is not None and action.nargs != 0 and rest:
                if rest[0] in _QUOTES:
                    self.error(f'{rest[0]} is a document\'s quotation mark: type {token} "..."')
                value, rest = self._token(rest)
                # Joined to its flag: a value may start with a dash.
                token = f"{action.option_strings[-1]}={value}"
            tokens.append(token)
        return tokens, rest

    def _check_dash(self, text: str) -> None:
        """Refuse a flag that a document's dash has made a prompt: another model would be asked, and paid."""
        word = text.split(maxsplit=1)[0] if text else ""
        dashes = _DASHES.match(word)
        if dashes is None or not word[dashes.end() :] or set(dashes.group()) == {"-"}:
            return
        name, _, value = word[dashes.end() :].partition("=")
        for flag in (f"-{name}", f"--{name}"):
            if flag in self._option_string_actions:
                typed = f"{flag}={value}" if value else flag
                remedy = "; a prompt that starts so comes after --" if self._prompted else ""
                self.error(f"{word!r} begins with a document's dash: type {typed}{remedy}")

    def _token(self, text: str) -> tuple[str, str]:
        """Return the first word, by the shell's quoting, and what follows it."""
        word = WORD.match(text)
        if word is None or (word.end() < len(text) and not text[word.end()].isspace()):
            self.error(f"a quote is not closed in {text[:40]!r}")
        return "".join(shlex.split(word.group())), text[word.end() :].lstrip()


def documented(parser: Callable[[], Parser]) -> Callable[[F], F]:
    """Replace a line FLAGS in a docstring by the flags of a parser, so that the help is what is read."""

    def tell(function: F) -> F:
        indent = " " * 8
        flags = parser().flags_help().replace("\n", f"\n{indent}")
        function.__doc__ = (function.__doc__ or "").replace(f"\n{indent}FLAGS\n", f"\n{indent}{flags}\n")
        return function

    return tell


def number(text: str) -> float:
    """Return the number that a text is, for argparse."""
    return float(text)


class _Flag(argparse._StoreAction):
    """A flag with a value, which knows its option: so completion knows what may stand there."""

    option: Option


class _Switch(argparse._StoreConstAction):
    """A flag without a value."""


def add_options(parser: Parser, options: Iterable[Option]) -> None:
    """Add the flags of options to a parser, in the order of the table."""
    for option in options:
        if option.flags:
            _add_option(parser, option)


def _add_option(parser: Parser, option: Option) -> None:
    add: Any = parser.add_argument
    text = option.help.replace("%", "%%")
    long = option.flags[-1]
    if option.type == "bool":
        kept = option.name in SETTINGS  # a setting may be turned off for one cell; the others are off where not given
        add(*option.flags, dest=option.name, action=_Switch, const=True, default=None if kept else False, help=text)
        if kept:
            off = f"--no-{long.removeprefix('--')}"
            add(off, dest=option.name, action=_Switch, const=False, help=f"the opposite of {long}")
        return

    def value(typed: str) -> Any:
        try:
            return option.parse(typed)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    flag = add(*option.flags, dest=option.name, action=_Flag, type=value, metavar=option.metavar or None, help=text)
    flag.option = option
    if option.off:
        add(option.off, dest=option.name, action=_Switch, const="", help=f"without {long}, whatever %%og use says")


def options_of(flags: argparse.Namespace) -> Options:
    """Return the options that a cell's flags set."""
    from ..conversation import Options

    return Options(**{name: getattr(flags, name) for name in CALL if name in flags})


@functools.cache  # it would take half of a replayed cell
def chat_parser(prog: str = "%%ogchat") -> Parser:
    """Return the parser of %%ogchat and %ogchat, or of a verb that takes the same flags."""
    parser = Parser(prog, "Ask a model. The answer streams into the cell, is paid for, and leaves a receipt.")
    add_options(parser, CALL.values())
    _add_cell_flags(parser)
    return parser


@functools.cache
def compare_parser() -> Parser:
    """Return the parser of %%ogcompare.

    `.asked` has what -m and -p named, in their order: (model, None) or (None, provider).
    """
    parser = Parser("%%ogcompare", "Ask several models at once, and see their answers side by side.")
    add: Any = parser.add_argument
    several: dict[str, Any] = {"action": "append", "dest": "asked", "default": []}
    model = add("-m", "--model", type=lambda name: (name, None), help="a model; may be repeated", **several)
    provider = add(
        "-p", "--provider", type=lambda name: (None, name), help="a provider's model; may be repeated", **several
    )
    model.option, provider.option = OPTIONS["model"], OPTIONS["provider"]
    add_options(parser, [one for one in CALL.values() if one.compare and one.name not in ("model", "provider")])
    _add_cell_flags(parser)
    add("--diff", action="store_true", help="mark the words by which the answers differ")
    add("--rate", action="store_true", help="show stars below the answers; what is clicked is in _.frame")
    # What several answer is no conversation, and they call no function.
    parser.set_defaults(model=None, provider=None, thread="", tools="", web_search=False)
    return parser


@functools.cache
def many_parser() -> Parser:
    """Return the parser of %%ogmany."""
    parser = Parser("%%ogmany", "Ask for each row of a DataFrame.")
    add_options(parser, [one for one in CALL.values() if one.name not in ("thread", "context", "images")])
    add: Any = parser.add_argument
    add("--out", metavar="PLACE", help="write the answers into this folder of Parquet files, or database, as they come")
    add("--table", metavar="NAME", help="of the database that --out names by its URL: this table (answers)")
    add("--concurrency", metavar="N", default="auto", help='calls at once, at most; "auto" (the default) finds out')
    add("--max-failures", metavar="N", type=int, help="stop after so many rows that failed")
    add("--dry-run", action="store_true", help="send nothing: show the calls, the tokens and the cost; _ holds them")
    add("-o", "--output", metavar="VAR", help="put the result into this variable; it is in _ too")
    return parser


def _add_cell_flags(parser: Parser) -> None:
    """Add the flags that are about the cell, and not about the call."""
    add: Any = parser.add_argument
    add("--no-vars", action="store_true", help="send {braces} as typed, also where they name a variable")
    add("--dry-run", action="store_true", help="send nothing: show the calls, the tokens and the cost; _ holds them")
    add("-o", "--output", metavar="VAR", help="put the result into this variable; it is in _ too")


def check_variable(name: str | None) -> None:
    """Raise a UsageError where a result cannot be put into a variable of this name."""
    if name and (not name.isidentifier() or keyword.iskeyword(name)):
        raise UsageError(f"-o {name}: that is not a variable's name.")
