"""The flags of the verbs of %og, for the verbs themselves and for completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arguments import Parser, add_call_flags, chat_parser, number

FILES = ("csv", "json", "parquet")
"""What receipts can be written as."""


def verb_parser(verb: str, description: str) -> Parser:
    """Of a verb that has no flags yet."""
    return Parser(f"%og {verb}".strip(), description)


def use_parser() -> Parser:
    """Of %og use."""
    parser = verb_parser("use", "Set defaults for all cells.")
    add_call_flags(parser)
    add: Any = parser.add_argument
    add("--stream", action="store_true", default=None, help="show answers as they come")
    add("--no-stream", dest="stream", action="store_false", help="show them when they are complete")
    add("--tools", metavar="F,G", help="functions that every question's model may call, or all; 'none' for none")
    add("--thread-tokens", type=int, metavar="N", help="what a call in a thread sends at most, about")
    add("--nest-asyncio", action="store_true", help="let asyncio.run() work inside a cell")
    return parser


def receipts_parser() -> Parser:
    """Of %og receipts."""
    parser = verb_parser("receipts", "The receipts.")
    add: Any = parser.add_argument
    add("--wait", type=number, metavar="SECONDS", help="until all payments are settled, at most so long")
    for kind in FILES:
        add(f"--{kind}", metavar="FILE", help=f"write them into a .{kind} file")
    add("--import", dest="imported", metavar="FILE", help="show those of a file")
    return parser


def verify_parser() -> Parser:
    """Of %og verify."""
    parser = verb_parser("verify", "The proofs of the receipts.")
    add: Any = parser.add_argument
    add("--offline", action="store_true", help="ask no chain")
    add("--pcr", metavar="HASH", default="", help="the measurement that the enclave's code must have")
    return parser


def devnet_parser() -> Parser:
    """Of %og devnet."""
    parser = verb_parser("devnet", "The local network.")
    parser.add_argument("--file", metavar="FILE", help="write down where it is, for OG_DEVNET of others")
    return parser


def budget_parser() -> Parser:
    """Of %og budget."""
    parser = verb_parser("budget", "What may be spent.")
    add: Any = parser.add_argument
    add("--call", metavar="OPG", help="what one authorization may allow at most")
    add("--notebook", metavar="OPG", help="what this notebook may authorize and pay in all")
    add("--day", metavar="OPG", help="the same, in 24 hours")
    return parser


def env_parser() -> Parser:
    """Of %og env."""
    parser = verb_parser("env", "What this notebook runs with.")
    parser.add_argument("--lock", metavar="FILE", help="the lock file, instead of NOTEBOOK.lock.txt beside it")
    return parser


def doctor_parser() -> Parser:
    """Of %og doctor."""
    parser = verb_parser("doctor", "Whether everything is there that a call needs.")
    parser.add_argument("--offline", action="store_true", help="ask no network")
    return parser


PARSERS: dict[str, Callable[[], Parser]] = {
    "use": use_parser,
    "receipts": receipts_parser,
    "verify": verify_parser,
    "budget": budget_parser,
    "devnet": devnet_parser,
    "env": env_parser,
    "doctor": doctor_parser,
    "explain": chat_parser,
    "fix": chat_parser,
}
"""Of the verbs that have flags; those of `%og threads` are in its own module."""

PROMPTED = ("explain", "fix")
"""Verbs with a prompt behind their flags."""
