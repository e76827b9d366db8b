"""Flags of the magics. The prompt is never parsed: quotes, braces and dollars in it stay as typed."""

from __future__ import annotations

import argparse
import keyword
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from IPython.core.error import UsageError

from ..amounts import parse_opg

if TYPE_CHECKING:
    from ..conversation import Options

F = TypeVar("F", bound=Callable[..., Any])

WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""", re.S)
"""A word as a shell reads it: quoted parts may hold spaces."""


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

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}. %og help shows the flags.")

    def parse(self, line: str, *, prompt: bool) -> tuple[argparse.Namespace, str]:
        """Flags at the start of a line, and the rest as typed; without `prompt`, a rest is an error."""
        tokens, rest = self._split(line)
        flags, unknown = self.parse_known_args(tokens)
        if unknown:
            remedy = "; a prompt that starts with a dash comes after --" if prompt else ""
            self.error(f"{unknown[0]!r} is not a flag{remedy}")
        if rest and not prompt:
            self.error(f"{rest.split()[0]!r} is not a flag")
        return flags, rest

    def flags_help(self) -> str:
        """One line a flag, as a docstring shows it."""
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
        while rest.startswith("-") and len(rest) > 1 and not rest[1].isspace():
            token, rest = self._token(rest)
            if token == "--":
                break
            action = self._option_string_actions.get(token)
            if action is not None and action.nargs != 0 and rest:
                value, rest = self._token(rest)
                # Joined to its flag: a value may start with a dash.
                token = f"{action.option_strings[-1]}={value}"
            tokens.append(token)
        return tokens, rest

    def _token(self, text: str) -> tuple[str, str]:
        """The first word, by the shell's quoting, and what follows it."""
        word = WORD.match(text)
        if word is None or (word.end() < len(text) and not text[word.end()].isspace()):
            self.error(f"a quote is not closed in {text[:40]!r}")
        return "".join(shlex.split(word.group())), text[word.end() :].lstrip()


def documented(parser: Callable[[], Parser]) -> Callable[[F], F]:
    """Decorator: a line FLAGS in a docstring becomes the flags of a parser, so that the help is what is read."""

    def tell(function: F) -> F:
        indent = " " * 8
        flags = parser().flags_help().replace("\n", f"\n{indent}")
        function.__doc__ = (function.__doc__ or "").replace(f"\n{indent}FLAGS\n", f"\n{indent}{flags}\n")
        return function

    return tell


def number(text: str) -> float:
    """A number, for argparse."""
    return float(text)


def add_call_flags(parser: Parser) -> None:
    """The flags of a call, which %og use takes too."""
    add: Any = parser.add_argument
    add("-m", "--model", help="a model: gpt-5, openai/gpt-5, or any provider/model")
    add(
        "-p",
        "--provider",
        help="openai, anthropic, google, x-ai, bytedance, nous or zai: its default model, without -m",
    )
    _add_parameters(parser)
    add("--thread", metavar="NAME", help="go on with the conversation of this name, or begin it")
    add("--no-thread", dest="thread", action="store_const", const="", help="ask without one, whatever %%og use says")


def _add_parameters(parser: Parser) -> None:
    add: Any = parser.add_argument
    add("-s", "--settlement", metavar="MODE", help="private, batch or individual: what of the call goes on chain")
    add("-t", "--temperature", type=number, metavar="TEMP", help="temperature, 0 to 2")
    add("-n", "--max-tokens", type=int, metavar="N", help="tokens of an answer, at most")
    add("--system", metavar="TEXT", help="a system prompt, in quotes")
    add("--replay", metavar="WHEN", help="auto: a recorded answer where there is one; only: never pay; off: always ask")
    add("--pace", metavar="PACE", help="show a recorded answer at once (instant), or as it came (recorded)")
    add("--web-search", action="store_true", default=None, help="let the model search the web; its provider bills that")
    add("--no-web-search", dest="web_search", action="store_false", help="do not, whatever %%og use says")


def _add_prompt_flags(parser: Parser) -> None:
    add: Any = parser.add_argument
    add("--no-vars", action="store_true", help="send {braces} as typed, also where they name a variable")
    add("--context", metavar="WHICH", help="send earlier cells along: last, a number of the last ones, all or errors")


_EQUIPMENT = ("tools", "rounds", "tools_confirm", "tools_show", "tool_timeout", "schema", "format")


def _add_equipment(parser: Parser) -> None:
    add: Any = parser.add_argument
    add("--tools", metavar="F,G", help="functions that the model may call, or all that @og.tool registered")
    add("--rounds", type=int, metavar="N", help="calls to the model at most, where functions are called (5)")
    add("--tools-confirm", action="store_true", help="ask before each function is called")
    add("--tools-show", action="store_true", help="call none: .tool_calls has what the model asks for")
    add("--tool-timeout", type=number, metavar="S", help="seconds that a function may take (60)")
    add(
        "--schema",
        metavar="NAME",
        help="what the answer must be: a pydantic model, dataclass, TypedDict or JSON schema",
    )
    add("-f", "--format", metavar="FORMAT", help="json, md, text, code, html, math or image")


def options_of(flags: argparse.Namespace) -> Options:
    """How a cell with these flags asks.

    Raises:
        ConfigError: not an amount.
    """
    from ..conversation import Options

    return Options(
        model=flags.model,
        provider=flags.provider,
        settlement=flags.settlement,
        temperature=flags.temperature,
        max_tokens=flags.max_tokens,
        system=flags.system,
        stream=False if flags.no_stream else None,
        web_search=flags.web_search,
        max_cost=None if flags.max_cost is None else parse_opg(flags.max_cost),
        replay=flags.replay,
        pace=flags.pace,
        context=flags.context,
        thread=flags.thread,
        **{name: getattr(flags, name) for name in _EQUIPMENT if name in flags},
    )


def chat_parser() -> Parser:
    """Of %%ogchat and %ogchat."""
    parser = Parser("%%ogchat", "Ask a model. The answer streams into the cell, is paid for, and leaves a receipt.")
    add_call_flags(parser)
    _add_equipment(parser)
    _add_outcome(parser)
    return parser


def compare_parser() -> Parser:
    """Of %%ogcompare. `.asked` has what -m and -p named, in their order: (model, None) or (None, provider)."""
    parser = Parser("%%ogcompare", "Ask several models at once, and see their answers side by side.")
    add: Any = parser.add_argument
    several: dict[str, Any] = {"action": "append", "dest": "asked", "default": []}
    add("-m", "--model", type=lambda name: (name, None), help="a model; may be repeated", **several)
    add("-p", "--provider", type=lambda name: (None, name), help="a provider's model; may be repeated", **several)
    _add_parameters(parser)
    _add_outcome(parser)
    parser.set_defaults(model=None, provider=None, thread="", tools="")  # what several answer is no conversation
    return parser


def _add_outcome(parser: Parser) -> None:
    _add_prompt_flags(parser)
    parser.add_argument("-o", "--output", metavar="VAR", help="put the result into this variable; it is in _ too")
    parser.add_argument(
        "--max-cost", metavar="OPG", help="refuse to pay if the call could cost more; a session's whole cap counts"
    )
    parser.add_argument("--no-stream", action="store_true", help="show the answer when it is complete")


def check_variable(name: str | None) -> None:
    """Raise a UsageError where a result cannot be put into a variable of this name."""
    if name and (not name.isidentifier() or keyword.iskeyword(name)):
        raise UsageError(f"-o {name}: that is not a variable's name.")
