"""%og threads: the conversations of a notebook."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError
from .parser import Parser

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from ..ledger import KeptTurn
    from ..session import Session

NAME = "NAME"
"""Metavar of arguments that name a thread."""

_SUFFIXES = (".json", ".md")


def threads_parsers() -> dict[str, Parser]:
    """Return the parser of each verb of `%og threads`."""
    parsers: dict[str, Parser] = {}

    def verb(name: str, description: str, *positional: str) -> Parser:
        parser = Parser(f"%og threads {name}", description)
        for one in positional:
            parser.add_argument(one.lower(), metavar=one)
        parsers[name] = parser
        return parser

    verb("list", "all conversations, the last used first; %og threads alone does it too")
    verb("show", "its turns", NAME)
    fork = verb("fork", "a new one that begins as this one", NAME, "NEW")
    fork.add_argument("--at", type=int, metavar="N", help="with its first N turns; all, without it")
    verb("rename", "give it another name", NAME, "NEW")
    verb("reset", "take all turns out; their receipts stay", NAME)
    verb("delete", "remove it; the receipts stay", NAME)
    verb("export", "write it into a .json or .md file", NAME, "FILE")
    verb("help", "this")
    return parsers


def threads(app: Session, line: str) -> Any:
    """Run a verb of `%og threads`; return what there is to show.

    Raises:
        ConfigError: no such thread, or one too many.
    """
    name, _, rest = line.strip().partition(" ")
    parsers = threads_parsers()
    parser = parsers.get(name or "list")
    if parser is None:
        raise ConfigError(f"%og threads has no verb {name!r}.", remedy=f"Use one of {', '.join(parsers)}.")
    try:
        words = shlex.split(rest)
    except ValueError:
        parser.error(f"a quote is not closed in {rest[:40]!r}")
    return _VERBS[name or "list"](app, parser.parse_args(words))


def _list(app: Session, flags: argparse.Namespace) -> pd.DataFrame:
    import pandas as pd

    from ..display import records_bundle, shown_as

    found = app.threads.list()
    frame = pd.DataFrame(
        {
            "thread": [one.name for one in found],
            "turns": [one.turns for one in found],
            "tokens": [one.tokens for one in found],
            "created": pd.to_datetime([one.created for one in found], unit="s", utc=True),
            "used": pd.to_datetime([one.used for one in found], unit="s", utc=True),
        }
    )
    rows = [(one.name, str(one.turns), f"~{one.tokens:,}", _time(one.used)) for one in found]
    used = app.settings.thread
    note = f"In use: {used}" if used else "None is in use: %og use --thread NAME, or %%ogchat --thread NAME."
    return shown_as(frame, lambda: records_bundle(("thread", "turns", "tokens", "last used (UTC)"), rows, note))


def _show(app: Session, flags: argparse.Namespace) -> pd.DataFrame:
    import pandas as pd

    from ..display import records_bundle, shown_as

    turns = app.threads.show(flags.name)
    frame = pd.DataFrame(
        {
            "turn": range(1, len(turns) + 1),
            "time": pd.to_datetime([turn.time for turn in turns], unit="s", utc=True),
            "asked": [_text(turn, "user") for turn in turns],
            "answered": [_text(turn, "assistant") for turn in turns],
            "calls": [sum(len(message.get("tool_calls") or ()) for message in turn.messages) for turn in turns],
            "tokens": [turn.tokens for turn in turns],
            "receipts": [list(turn.receipts) for turn in turns],
        }
    )
    rows = [
        (str(row["turn"]), f"{row['time']:%Y-%m-%d %H:%M:%S}", str(row["tokens"]), row["asked"], row["answered"])
        for row in frame.to_dict("records")
    ]
    count = "1 turn" if len(rows) == 1 else f"{len(rows)} turns"
    note = f"{count} of thread {flags.name!r}"
    heads = ("turn", "time (UTC)", "tokens", "asked", "answered")
    return shown_as(frame, lambda: records_bundle(heads, rows, note))


def _fork(app: Session, flags: argparse.Namespace) -> None:
    count = app.threads.fork(flags.name, flags.new, flags.at)
    print(f"Thread {flags.new!r} begins with {count} turns of {flags.name!r}.")


def _rename(app: Session, flags: argparse.Namespace) -> None:
    from ..conversation import checked_name

    app.threads.rename(flags.name, flags.new)
    print(f"Thread {flags.name!r} is {flags.new!r} now.")
    if app.settings.thread == checked_name(flags.name):
        app.update_settings(thread=flags.new)


def _reset(app: Session, flags: argparse.Namespace) -> None:
    count = app.threads.reset(flags.name)
    print(f"{count} turns were taken out of thread {flags.name!r}; their receipts stay.")


def _delete(app: Session, flags: argparse.Namespace) -> None:
    app.threads.delete(flags.name)
    print(f"Thread {flags.name!r} was deleted; its receipts stay.")


def _export(app: Session, flags: argparse.Namespace) -> None:
    from ..display import transcript
    from ..ledger import replace_file

    path = Path(flags.file).expanduser()
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"{flags.file}: the file's name must end in .json or .md.")
    turns = app.threads.show(flags.name)
    if path.suffix.lower() == ".md":
        text = transcript(flags.name, [(f"{_time(turn.time)} UTC", turn.messages) for turn in turns])
    else:
        forms = [
            {"time": turn.time, "messages": list(turn.messages), "receipts": list(turn.receipts)} for turn in turns
        ]
        text = json.dumps({"thread": flags.name, "turns": forms}, indent=1)
    print(f"{len(turns)} turns written to {replace_file(path, text.encode('utf-8', 'replace'))}")


def _help(app: Session, flags: argparse.Namespace) -> None:
    print("\n".join(f"{_usage(parser):<38}{parser.description}" for parser in threads_parsers().values()))


_VERBS: dict[str, Callable[[Session, argparse.Namespace], Any]] = {
    "list": _list,
    "show": _show,
    "fork": _fork,
    "rename": _rename,
    "reset": _reset,
    "delete": _delete,
    "export": _export,
    "help": _help,
}


def _usage(parser: Parser) -> str:
    return parser.format_usage().removeprefix("usage: ").strip()


def _text(turn: KeptTurn, role: str) -> str:
    """Return what the user asked, or the assistant said last."""
    messages: Sequence[dict[str, Any]] = turn.messages
    if role == "user":  # cells that were sent along stand before it, and what made the model repair its answer after it
        messages = list(takewhile(lambda message: message.get("role") != "assistant", messages))
    said = [message.get("content") or "" for message in messages if message.get("role") == role]
    content = said[-1] if said else ""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
