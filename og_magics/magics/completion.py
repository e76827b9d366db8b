"""Completion in `%%ogchat`, `%%ogcompare` and `%og`: flags and their values; in a prompt, names in braces.

Flags come from the parsers that read them, so that both always know the same. Nothing here imports what is heavy, asks
a network or raises: what cannot be known at once is not offered.
"""

from __future__ import annotations

import argparse
import dataclasses
import glob
import inspect
import os
import re
import shlex
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.models import DEFAULTS, offered
from ..core.networks import NETWORKS
from ..core.option import Option
from .og_parsers import PARSERS, PROMPTED, network_parser
from .parser import WORD, Parser, chat_parser, compare_parser, many_parser
from .threads import NAME, threads_parsers

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult

_CELLS: dict[str, Callable[[], Parser]] = {
    "%%ogchat": chat_parser,
    "%%ogcompare": compare_parser,
    "%%ogmany": many_parser,
}
_CELL = re.compile(r"(%%ogchat|%%ogcompare|%%ogmany)(?:$|\s)")
_LINE = re.compile(r"\s*(?:[\w\s,.\[\]\"']+=\s*)?(%ogchat|%og)\s")
_BRACED = re.compile(r"\{(?P<path>[^\W\d]\w*\.)?(?P<start>(?:[^\W\d]\w*)?)$")
_IDENTIFIER = "og_magics"
_FIRST = 1000
"""Before IPython's own, which then need not look."""


class Offer(NamedTuple):
    """Texts that may stand at the cursor.

    Attributes:
        fragment: what is typed of it already.
        texts: in their order; those that do not begin like the fragment are left out later.
        kind: of all of them, for the front end's list.
    """

    fragment: str
    texts: Iterable[str]
    kind: str


class Completion:
    """Completion in a shell; `install` starts it and `remove` ends it.

    Args:
        names: the names that the notebook has given to something.
        verbs: of %og.
    """

    def __init__(self, shell: Any, names: Callable[[], Mapping[str, Any]], verbs: Callable[[], Iterable[str]]) -> None:
        self._shell = shell
        self._names = names
        self._verbs = verbs
        self._matcher = self._made()

    def install(self) -> None:
        """Start completing."""
        self._shell.Completer.custom_matchers.append(self._matcher)

    def remove(self) -> None:
        """Stop completing."""
        if self._matcher in self._shell.Completer.custom_matchers:
            self._shell.Completer.custom_matchers.remove(self._matcher)

    def _made(self) -> Any:
        from IPython.core.completer import SimpleCompletion, context_matcher

        @context_matcher(identifier=_IDENTIFIER, priority=_FIRST)  # type: ignore[untyped-decorator]  # IPython has no types
        def match(context: CompletionContext) -> SimpleMatcherResult:
            offer = self.offer(context.full_text, context.cursor_line, context.cursor_position)
            if offer is None:
                return {"completions": [], "suppress": False}
            # All others are suppressed: what Python could stand here is no flag.
            completions = [SimpleCompletion(text=text, type=offer.kind) for text in offer.texts]
            return {"completions": completions, "suppress": True, "matched_fragment": offer.fragment, "ordered": True}

        return match

    def offer(self, text: str, line: int, column: int) -> Offer | None:
        """Return what may stand at a place of a cell; None where it is not one of our magics."""
        try:
            offer = self._offer(text.split("\n"), line, column)
            if offer is None:
                return None
            texts = [one for one in dict.fromkeys(offer.texts) if _begins(one, offer.fragment)]
        except Exception:  # noqa: BLE001 - a tab must not break the line that is being typed
            return None
        return offer._replace(texts=texts) if texts else None

    def _offer(self, lines: list[str], line: int, column: int) -> Offer | None:
        before = lines[line][:column]
        for number, one in enumerate(lines):
            cell = _CELL.match(one)
            if cell:
                if line > number:
                    return self._braced(before)
                if line == number and column > cell.end(1):
                    return self._flags(_CELLS[cell[1]](), before[cell.end(1) :], prompt=False)
                return None
            if one.strip() and not one.startswith("%%"):
                break
        magic = _LINE.match(before)
        if magic is None:
            return None
        rest = before[magic.end() :]
        return self._flags(chat_parser(), rest, prompt=True) if magic[1] == "%ogchat" else self._verb(rest)

    def _verb(self, text: str) -> Offer | None:
        words, fragment = _words(text)
        if not words:
            return Offer(fragment, filter(None, self._verbs()), "verb")
        verb, rest = words[0], text.lstrip()[len(words[0]) :]
        if verb == "models":
            return Offer(fragment, DEFAULTS, "provider")
        if verb == "network":
            if fragment.startswith("-"):
                return Offer(fragment, _flags_of(network_parser()), "flag")
            return Offer(fragment, NETWORKS, "network")
        if verb != "threads":
            parser = PARSERS[verb]() if verb in PARSERS else None
            return None if parser is None else self._flags(parser, rest, prompt=verb in PROMPTED)
        parsers = threads_parsers()
        if len(words) == 1:
            return Offer(fragment, parsers, "verb")
        if words[1] not in parsers:
            return None
        parser = parsers[words[1]]
        if fragment.startswith("-"):
            return Offer(fragment, _flags_of(parser), "flag")
        places = [action for action in parser._actions if not action.option_strings]
        given = len(words) - 2
        return self._value(places[given], fragment) if given < len(places) else None

    def _flags(self, parser: Parser, text: str, *, prompt: bool) -> Offer | None:
        """Offer flags and their values in a line of flags; behind them stands a prompt, or nothing."""
        words, fragment = _words(text)
        known = parser._option_string_actions
        wanted: argparse.Action | None = None
        used: set[str] = set()
        for word in words:
            if wanted is not None:
                wanted = None
            elif word == "--" or not word.startswith("-"):
                return self._braced(text) if prompt else None
            else:
                action = known.get(word.partition("=")[0])
                if action is None:
                    return None
                used.add(action.dest)
                wanted = action if action.nargs != 0 and "=" not in word else None
        if wanted is not None:
            return self._value(wanted, fragment)
        flag, assigned, value = fragment.partition("=")
        if assigned and flag in known:
            return self._value(known[flag], value)
        if fragment and not fragment.startswith("-"):
            return self._braced(text) if prompt else None
        return Offer(fragment, _flags_of(parser, used), "flag")

    def _value(self, action: argparse.Action, fragment: str) -> Offer | None:
        option: Option | None = getattr(action, "option", None)
        completes = "" if option is None else option.completes
        if action.metavar == "FILE":
            return Offer(fragment, _quoted(_files(_plain(fragment)), fragment), "path")
        if completes == "thread" or (not action.option_strings and action.metavar == NAME):
            return Offer(fragment, _quoted(_threads(), fragment), "thread")
        if completes == "functions":
            listed, _, fragment = fragment.rpartition(",")
            given = set(listed.split(","))
            return Offer(fragment, (name for name in self._tools() if name not in given), "function")
        if action.choices is not None:
            return Offer(fragment, map(str, action.choices), "choice")
        if action.dest == "output":
            return Offer(fragment, self._variables(), "variable")
        if completes:
            return Offer(fragment, self._values(completes, fragment), completes)
        return Offer(fragment, option.choices, option.name) if option is not None and option.choices else None

    def _values(self, completes: str, fragment: str) -> Iterable[str]:
        match completes:
            case "model":
                return _models(fragment)
            case "provider":
                return DEFAULTS
            case "schema":
                return (name for name, value in self._names().items() if _is_schema(value))
        return ()

    def _braced(self, before: str) -> Offer | None:
        """Offer names in a prompt: only what stands in braces is ours."""
        braced = _BRACED.search(before)
        if braced is None:
            return None
        if not braced["path"]:
            return Offer(braced["start"], self._variables(), "variable")
        value = self._names()[braced["path"].removesuffix(".")]
        return Offer(braced["start"], (name for name in dir(value) if not name.startswith("_")), "attribute")

    def _variables(self) -> Iterator[str]:
        for name, value in self._names().items():
            if name.isidentifier() and not callable(value) and not isinstance(value, types.ModuleType):
                yield name

    def _tools(self) -> Iterator[str]:
        yield "all"
        module = sys.modules.get("og_magics.conversation.tools")
        yield from getattr(module, "registered", dict)()
        for name, value in self._names().items():
            if inspect.isfunction(value) or (isinstance(value, Mapping) and "function" in value):
                yield name


def _words(text: str) -> tuple[list[str], str]:
    """Return the words before the cursor, without quotes, and the one at it, as far as it is typed."""
    words: list[str] = []
    rest = text.lstrip()
    while True:
        word = WORD.match(rest)
        if word is None or (word.end() < len(rest) and not rest[word.end()].isspace()) or word.end() == len(rest):
            return words, rest
        words.append("".join(shlex.split(word.group())))
        rest = rest[word.end() :].lstrip()


def _flags_of(parser: Parser, used: Iterable[str] = ()) -> Iterator[str]:
    """Yield all flags that can still be given, the long names first."""
    left = [
        action
        for action in parser._actions
        if action.option_strings and (action.dest not in used or isinstance(action, argparse._AppendAction))
    ]
    for action in left:
        yield action.option_strings[-1]
    for action in left:
        yield from action.option_strings[:-1]


def _begins(text: str, fragment: str) -> bool:
    bare = text.lstrip("'\"")
    return text.startswith(fragment) or bare.startswith(fragment.lstrip("'\""))


def _plain(fragment: str) -> str:
    return fragment[1:] if fragment[:1] in ("'", '"') else fragment


def _quoted(texts: Iterable[str], fragment: str) -> Iterator[str]:
    """Yield texts as words of the line: in the quotes that were begun, or in some where they are needed."""
    for text in texts:
        if fragment[:1] in ("'", '"') and fragment[0] not in text:
            yield f"{fragment[0]}{text}{fragment[0]}"
        elif re.search(r"[\s\"'\\]", text):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            yield f'"{escaped}"'
        else:
            yield text


def _models(fragment: str) -> Iterator[str]:
    names = offered()
    if fragment and "/" not in fragment:
        yield from (name.partition("/")[2] for name in names)
    yield from names


def _threads() -> Iterable[str]:
    # Imported soon after loading, and not for a tab.
    current = getattr(sys.modules.get("og_magics.session"), "current", None)
    return current().threads.names() if current is not None else ()


def _files(start: str) -> Iterator[str]:
    home = os.path.expanduser(start)
    for path in sorted(glob.glob(glob.escape(home) + "*")):
        shown = start + path[len(home) :]
        yield shown + os.sep if os.path.isdir(path) else shown


def _is_schema(value: Any) -> bool:
    if isinstance(value, type):
        return dataclasses.is_dataclass(value) or typing.is_typeddict(value) or hasattr(value, "model_json_schema")
    return isinstance(value, Mapping) and ("$schema" in value or "properties" in value)
