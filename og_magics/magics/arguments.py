"""Flags of the magics. The prompt is never parsed: quotes, braces and dollars in it stay as typed."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from ..amounts import parse_opg

if TYPE_CHECKING:
    from ..conversation import Options

_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""", re.S)
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
        word = _WORD.match(text)
        if word is None or (word.end() < len(text) and not text[word.end()].isspace()):
            self.error(f"a quote is not closed in {text[:40]!r}")
        return "".join(shlex.split(word.group())), text[word.end() :].lstrip()


def number(text: str) -> float:
    """A number, for argparse."""
    return float(text)


def add_call_flags(parser: Parser) -> None:
    """The flags of a call, which %og use takes too."""
    add: Any = parser.add_argument
    add("-m", "--model", help="a model: gpt-5, openai/gpt-5, or any provider/model")
    add("-p", "--provider", help="a provider: openai, anthropic, google, x-ai, bytedance, nous, zai")
    add("-s", "--settlement", metavar="MODE", help="private, batch or individual: what of the call goes on chain")
    add("-t", "--temperature", type=number, metavar="TEMP", help="0 to 2")
    add("-n", "--max-tokens", type=int, metavar="N", help="of the answer, at most")
    add("--system", metavar="TEXT", help="a system prompt, in quotes")
    add("--web-search", action="store_true", default=None, help="let the model search the web; its provider bills that")
    add("--no-web-search", dest="web_search", action="store_false", help="do not")


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
    )


def chat_parser() -> Parser:
    """Of %%ogchat and %ogchat."""
    parser = Parser("%%ogchat", "Ask a model. The answer streams into the cell, is paid for, and leaves a receipt.")
    add_call_flags(parser)
    parser.add_argument("-o", "--output", metavar="VAR", help="put the result into this variable")
    parser.add_argument("--max-cost", metavar="OPG", help="refuse to pay if the call could cost more than this")
    parser.add_argument("--no-stream", action="store_true", help="show the answer when it is complete")
    return parser
