"""Parsers of the verbs of %og, for the verbs themselves and for completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.log import LEVELS
from ..core.options import OPTIONS
from .parser import Parser, add_options, chat_parser, number

FILES = ("csv", "json", "parquet")
"""Kinds of files that receipts can be written to."""


def verb_parser(verb: str, description: str) -> Parser:
    """Return the parser of a verb, without flags."""
    return Parser(f"%og {verb}".strip(), description)


def use_parser() -> Parser:
    """Return the parser of %og use."""
    parser = verb_parser("use", "Set defaults for all cells.")
    add_options(parser, [one for one in OPTIONS.values() if one.use])
    parser.add_argument("--nest-asyncio", action="store_true", help="let asyncio.run() work inside a cell")
    return parser


def receipts_parser() -> Parser:
    """Return the parser of %og receipts."""
    parser = verb_parser("receipts", "The receipts.")
    add: Any = parser.add_argument
    add("--wait", type=number, metavar="SECONDS", help="until all payments are settled, at most so long")
    for kind in FILES:
        add(f"--{kind}", metavar="FILE", help=f"write them into a .{kind} file")
    add("--import", dest="imported", metavar="FILE", help="show those of a file")
    return parser


def verify_parser() -> Parser:
    """Return the parser of %og verify."""
    parser = verb_parser("verify", "The proofs of the receipts.")
    add: Any = parser.add_argument
    add("--offline", action="store_true", help="ask no chain")
    add("--pcr", metavar="HASH", default="", help="the measurement that the enclave's code must have")
    return parser


def devnet_parser() -> Parser:
    """Return the parser of %og devnet."""
    parser = verb_parser("devnet", "The local network.")
    parser.add_argument("--file", metavar="FILE", help="write down where it is, for OG_DEVNET of others")
    return parser


def network_parser() -> Parser:
    """Return the parser of the flags of %og network, which come after its name."""
    parser = verb_parser("network", "The network in use.")
    parser.add_argument("--model", metavar="FILE", help="of the devnet: a .gguf file that answers, or smollm2")
    return parser


def budget_parser() -> Parser:
    """Return the parser of %og budget."""
    parser = verb_parser("budget", "What may be spent.")
    add: Any = parser.add_argument
    add("--call", metavar="OPG", help="what one authorization may allow at most")
    add("--notebook", metavar="OPG", help="what this notebook may authorize and pay in all")
    add("--day", metavar="OPG", help="what all notebooks of the wallet may in 24 hours")
    add("--wallet", metavar="OPG", help="the same, in all")
    add("--approve-above", metavar="OPG", help="what a cell or a batch may cost at most without a question")
    return parser


def log_parser() -> Parser:
    """Return the parser of %og log."""
    parser = verb_parser("log", "The last steps of calls, with ids and times.")
    add: Any = parser.add_argument
    add("-n", "--lines", type=int, default=30, metavar="N", help="how many (30)")
    add("--level", metavar="LEVEL", choices=LEVELS, help="show new ones as they come; off ends it")
    return parser


def env_parser() -> Parser:
    """Return the parser of %og env."""
    parser = verb_parser("env", "What this notebook runs with.")
    parser.add_argument("--lock", metavar="FILE", help="the lock file, instead of NOTEBOOK.lock.txt beside it")
    return parser


def doctor_parser() -> Parser:
    """Return the parser of %og doctor."""
    parser = verb_parser("doctor", "Whether everything is there that a call needs.")
    parser.add_argument("--offline", action="store_true", help="ask no network")
    return parser


PARSERS: dict[str, Callable[[], Parser]] = {
    "use": use_parser,
    "receipts": receipts_parser,
    "verify": verify_parser,
    "budget": budget_parser,
    "devnet": devnet_parser,
    "log": log_parser,
    "env": env_parser,
    "doctor": doctor_parser,
    "explain": chat_parser,
    "fix": chat_parser,
}
"""Of the verbs that have flags; those of `%og threads` are in its own module."""

PROMPTED = ("explain", "fix")
"""Verbs with a prompt behind their flags."""
