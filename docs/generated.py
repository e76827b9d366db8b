"""What the pages have from the code: a line `<!-- generated: NAME -->` becomes the text that the function NAME makes.

A hook of the builder of these pages (`hooks` in mkdocs.yml). So no flag, setting or error is written down twice.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import inspect
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import og_magics
from og_magics.core import errors, facts, networks
from og_magics.core.models import DEFAULTS
from og_magics.core.option import Option
from og_magics.core.options import CALL, ENVIRONMENT, SETTINGS
from og_magics.core.receipt_columns import RECEIPT_COLUMNS
from og_magics.core.settlement_modes import MODES

ROOT = Path(__file__).resolve().parents[1]
_MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.M)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by the builder with each page."""
    return _MARKER.sub(lambda found: MAKERS[found.group(1)](), markdown)


# -- magics ---------------------------------------------------------------------------------------------------------


def magics() -> str:
    """The help of `%og` and of each magic, as the notebook shows it."""
    from og_magics.magics.chat import ChatMagics
    from og_magics.magics.compare import CompareMagics
    from og_magics.magics.many import ManyMagics
    from og_magics.magics.og import OgMagics, help_text
    from og_magics.magics.parser import chat_parser, compare_parser, many_parser

    parts = []
    for name, magic, parser in (
        ("%%ogchat", ChatMagics.ogchat, chat_parser()),
        ("%%ogcompare", CompareMagics.ogcompare, compare_parser()),
        ("%%ogmany", ManyMagics.ogmany, many_parser()),
    ):
        before, after = (inspect.getdoc(magic) or "").split(parser.flags_help())
        parts.append(f"## {name}\n\n{before.strip()}\n\n{_flags(parser)}\n\n{after.strip()}")
    told = help_text()
    return "\n\n".join([*parts, f"## %og\n\n{inspect.getdoc(OgMagics.og)}\n\n{_fenced(told)}"])


def verbs() -> str:
    """The flags of each verb of `%og` that has some."""
    from og_magics.magics.og_parsers import PARSERS
    from og_magics.magics.threads import threads_parsers

    parsers = [parser() for parser in PARSERS.values()]
    parts = [
        f"### %og {name}\n\n{parser.description}\n\n{_flags(parser)}"
        for name, parser in zip(PARSERS, parsers, strict=True)
    ]
    rows = [
        (f"`{parser.format_usage().removeprefix('usage: ').strip()}`", parser.description or "")
        for parser in threads_parsers().values()
    ]
    return "\n\n".join([*parts, "### %og threads\n\n" + _table(("verb", "what it does"), rows)])


def _flags(parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in parser._actions:
        value = "" if action.nargs == 0 else " " + str(action.metavar or action.option_strings[-1].lstrip("-").upper())
        flags = ", ".join(f"`{flag}{value}`" for flag in action.option_strings)
        rows.append((flags, _escaped((action.help or "").replace("%%", "%"))))
    return _table(("flag", "what it does"), rows)


# -- settings -------------------------------------------------------------------------------------------------------


def settings() -> str:
    """A row a setting: its variable, its default, and what it is."""
    rows = [
        (f"`{variable}`", f"`{name}`", _default(SETTINGS[name]), SETTINGS[name].help)
        for variable, name in ENVIRONMENT.items()
    ]
    inside = [(f"`{name}`", _default(one), one.help) for name, one in SETTINGS.items() if not one.env]
    return "\n\n".join(
        [
            _table(("variable", "field", "default", "what it is"), rows),
            "## Without a variable",
            "These are set with `%og use`, `%config Og`, the panel, or `og.Settings`.",
            _table(("field", "default", "what it is"), inside),
        ]
    )


def call_options() -> str:
    """A row an option of one call: its keyword in Python, its flags, and what it is."""
    rows = [
        (f"`{name}`", ", ".join(f"`{flag}`" for flag in one.flags), _default(one), _escaped(one.help))
        for name, one in CALL.items()
    ]
    return _table(("keyword", "flags", "default", "what it is"), rows)


def settlement_modes() -> str:
    """A row a settlement mode."""
    rows = [(f"`{mode.value}`", one.onchain, one.readers, one.purpose) for mode, one in MODES.items()]
    return _table(("`-s`", "what goes on chain besides the payment", "who can read it", "what it is for"), rows)


def _default(option: Option) -> str:
    value = option.default
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", ()):
        return "–"
    return f"{option.shown(value)} {option.unit}" if option.unit else f"`{option.shown(value)}`"


# -- errors ---------------------------------------------------------------------------------------------------------


def error_tree() -> str:
    """The tree, as its module draws it."""
    lines = (errors.__doc__ or "").splitlines()
    drawn = [line.removeprefix("    ") for line in lines if line.startswith("    ")]
    return _fenced("\n".join(drawn))


def error_classes() -> list[type[errors.OGError]]:
    """All of them, as they are defined."""
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OGError)]


def error_table() -> str:
    """A row a class: what it means, what it means for the money, and where its messages stand."""
    found = _raised()
    rows = []
    for kind in error_classes():
        about = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")
        messages = f"[{len(found[kind.__name__])}](#{kind.__name__.lower()})" if found[kind.__name__] else "–"
        rows.append((f"`{kind.__name__}`", about, MONEY[kind.__name__], messages))
    return _table(("error", "what it means", "your money", "messages"), rows)


def error_remedies() -> str:
    """What the package says where it raises each, with its remedy. An ellipsis stands for what is known only then."""
    parts = []
    for name, messages in _raised().items():
        if messages:
            told = [f"- {_escaped(what)}{_then(money)}{_then(remedy)}" for what, money, remedy in sorted(messages)]
            parts.append("\n".join([f"### {name}", "", *told]))
    return "\n\n".join(parts)


MONEY = {
    "OGError": "The base of all; its `.money` says it.",
    "ConfigError": "Nothing was sent and nothing was paid.",
    "UnknownModel": "Nothing was sent and nothing was paid.",
    "WalletError": "The call was not paid. An approval that fails on chain costs its gas, and moves no OPG.",
    "InsufficientBalance": "Nothing was paid.",
    "AllowanceRequired": "Nothing was paid.",
    "PaymentError": "Its subclasses say it.",
    "PaymentRefused": "Nothing was signed, so nothing can be taken.",
    "PaymentRejected": "The gateway says that it took nothing. What was signed stays within its cap, and expires.",
    "GatewayError": "The message says what was signed by then. At most the cap of one authorization can be taken.",
    "GatewayUnreachable": "Before a payment: nothing. After it: the call may be charged, within its cap.",
    "GatewayProtocolError": "As for GatewayError; the message says which.",
    "ModelNotSupported": "Nothing is charged for the call; what was authorized expires.",
    "StreamError": "What was generated is charged, within the cap. What had arrived is kept, with its receipt.",
    "AnswerError": "The call, and a call that tried to repair it, were served and paid.",
    "ToolRoundsExceeded": "All rounds were served and paid; each has its receipt.",
    "ChainError": "Nothing was paid by it. Payments that were made are found when the chain answers again.",
    "ProofError": "Of an attestation: nothing was sent or paid. Else the payment stands; its receipt is the evidence.",
    "NotRecorded": "Nothing was sent and nothing was paid.",
    "LedgerError": "Nothing is signed that cannot be written down first.",
    "DevnetError": "Devnet tokens are worth nothing.",
}
"""What the docstrings leave to the messages, which know more: in one sentence, for each class."""


def _raised() -> dict[str, set[tuple[str, str, str]]]:
    """By class, the messages with which the package raises it: what, money, remedy."""
    found: dict[str, set[tuple[str, str, str]]] = {kind.__name__: set() for kind in error_classes()}
    for path in sorted((ROOT / "og_magics").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            what = _literal(node.args[0])
            if name in found:
                said = {word.arg: _literal(word.value) for word in node.keywords}
                told = what, said.get("money", ""), said.get("remedy", "")
                if len(re.findall(r"\w{2,}", " ".join(told))) > 1:  # else it is told elsewhere, and passed on here
                    found[name].add(told)
    return found


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_literal, node.values))
    return str(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


def _then(text: str) -> str:
    return "" if text in ("", "…") else " " + _escaped(text)


# -- Python, shell, networks ----------------------------------------------------------------------------------------


def api() -> str:
    """Every public name, from its docstring."""
    named = [name for name in og_magics.__all__ if not name.startswith("__") and name not in ("agents", "errors")]
    return "\n\n".join(f"::: og_magics.{name}" for name in sorted(named, key=str.lower))


def api_returned() -> str:
    """What public functions take and return, and the package itself does not name."""
    return "\n\n".join(f"::: og_magics.{name}" for name in RETURNED)


RETURNED = (
    "conversation.Options", "conversation.Comparison", "conversation.Compared", "core.estimate.Estimate",
    "core.receipt.Receipt",
)  # fmt: skip


def cli() -> str:
    """The help of `og-magics` and of each of its verbs."""
    whole = _help()
    each = [f"## og-magics {verb}\n\n{_fenced(_help(verb))}" for verb in cli_verbs(whole)]
    return "\n\n".join([_fenced(whole), *each])


def cli_verbs(told: str = "") -> list[str]:
    """The verbs of `og-magics`, as its help names them."""
    return re.findall(r"^ {4}([a-z]\w*)\s", (told or _help()).partition("VERB\n")[2], re.M)


def facts_table() -> str:
    """Every fact about what others run, with its date and source; models are counted."""
    rows = []
    for section, entries in facts.facts().items():
        if section == "catalogue":
            known = f"{len(entries['models'])} models and their prices"
            rows.append((section, known, entries["as_of"], entries["source"]))
        elif isinstance(entries, dict):
            for name, entry in entries.items():
                told = {field: value for field, value in entry.items() if field not in ("as_of", "source")}
                values = "<br>".join(f"{field}: `{_plain(value)}`" for field, value in told.items() if value != [])
                rows.append((f"{section}: {name}", values, entry["as_of"], entry["source"]))
    return _table(("fact", "value", "as of", "source"), rows)


def _plain(value: object) -> str:
    return "`, `".join(map(str, value)) if isinstance(value, list) else str(value)


def networks_table() -> str:
    """The networks of the world, with their addresses."""
    rows = [
        (
            f"`{one.name}`",
            str(one.chain_id),
            "yes" if one.real_money else "no",
            f"`{one.opg_token}`",
            f"`{one.registry_address}`",
            one.faucet or "–",
        )
        for one in networks.NETWORKS.values()
        if not one.local
    ]
    return _table(("network", "chain id", "real money", "OPG", "registry of enclaves", "faucet"), rows)


def receipt_columns() -> str:
    """A row a column of the receipts table: its dtype, its unit, and where its value comes from."""
    rows = [
        (f"`{name}`", f"`{column.dtype}`", column.unit or "–", _escaped(column.source))
        for name, column in RECEIPT_COLUMNS.items()
    ]
    return _table(("column", "dtype", "unit", "where it comes from"), rows)


def providers() -> str:
    """What `-p` alone stands for."""
    return _table(("`-p`", "its default model"), [(f"`{name}`", f"`{model}`") for name, model in DEFAULTS.items()])


def notebooks() -> str:
    """A row a notebook: its title, and how its first cell goes on."""
    rows = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"])
        title, _, rest = first.partition("\n")
        rows.append((f"`{path.name}`", title.lstrip("# "), rest.strip().partition("\n\n")[0]))
    return _table(("notebook", "title", "what it shows"), rows)


MAKERS: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        magics,
        verbs,
        settings,
        call_options,
        settlement_modes,
        error_tree,
        error_table,
        error_remedies,
        api,
        api_returned,
        cli,
        networks_table,
        facts_table,
        notebooks,
        providers,
        receipt_columns,
    )
}


def _help(*verb: str) -> str:
    from og_magics.cli import main

    def ask() -> None:
        with contextlib.suppress(SystemExit):
            main([*verb, "--help"])

    before = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1"}
    try:
        return _printed(ask)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _printed(tell: Callable[[], None]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as told:
        tell()
    return told.getvalue()


def _fenced(text: str) -> str:
    return f"````text\n{text.rstrip()}\n````"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def lines() -> Iterator[str]:
        yield from (_row(heads), _row("---" for _ in heads))
        yield from map(_row, rows)

    return "\n".join(lines())


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text.replace("\n", " "))
