"""Lines that og_magics prints beside an answer: one table, by which the audit of a saved notebook knows them again.

A line is made of its template here, and nowhere else, so none is printed that an audit would take for an addition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Formatter

_SEGMENT = r"[^\n/]{1,120}"
_FIELDS = {
    "network": r"[\w-]{1,40}",
    "main": r"[\w-]{1,40}",
    "model": r"[\w.-]{1,80}/\S{1,120}",
    "by": r"[\w./ -]{1,120}",
    "use": r"\S{1,120}",
    "when": r"(?: (?:on|in) [\d-]{4,10})?",
    "date": r"[\d-]{4,10}",
    "path": rf"/?(?:{_SEGMENT}/){{0,30}}(?:[^\s/]{{1,120}}|{_SEGMENT}\.db)",
    "folder": rf"/?(?:{_SEGMENT}/){{0,30}}{_SEGMENT}",
    "turns": r"(?:1 earlier turn|\d{1,6} earlier turns)",
    "was": r"(?:was|were)",
    "thread": r"(?:'[^\n]{1,120}'|\"[^\n]{1,120}\")",
    "count": r"\d{1,3}(?:,?\d{3}){0,4}",
    "left_out": r"(?:[^.\n]|\.(?=\S)){1,120}",
    "name": r"[^{}\n]{1,120}",
    "names": r"\{[^{}\n]{1,120}\}(?:, \{[^{}\n]{1,120}\}){0,20}",
    "cells": r"(?:cell \d{1,6}|cells \d[\d, ]{0,200}|\d{1,6} cells, from \d{1,6} to \d{1,6})",
    "why": r"[^\n]{1,300}",
    "more": r"(?: [^\n]{1,200})?",
}
"""Forms of what the fields hold, by name."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line with fields, made and known again.

    Attributes:
        text: a template of `str.format`, whose fields are of the names above.
    """

    text: str

    def of(self, **fields: object) -> str:
        """Return the line with its fields filled in."""
        return self.text.format(**fields)

    @property
    def pattern(self) -> str:
        """A regular expression of the lines that it makes."""
        parts = Formatter().parse(self.text)
        return "".join(re.escape(text) + ("" if field is None else _FIELDS[field]) for text, field, _, _ in parts)


UNUSED_KEY = Note(
    "No network is named, so this is the practice network ({network}): your key is not used and nothing real is paid. "
    "OG_NETWORK={main} or `%og network {main}` pays with it: real money."
)
TURNS_LEFT_OUT = Note(
    "{turns} of thread {thread} {was} left out (about {count} tokens, the oldest). "
    "%og use --thread-tokens N lets a thread send more."
)
TURN_NOT_KEPT = Note("{why} This turn is not in thread {thread}: later ones go on without it.")
CONTEXT_SENT = Note("Sent with the prompt: {cells}, {count} characters.{more}")
MODEL_RETIRED = Note("{model} was retired{when}: {by} answers in its name, at its own price. Use {use}.")
MODEL_SHUT_DOWN = Note(
    "{model} was shut down by its provider{when}: the call is likely to fail, and is not charged then. Use {use}."
)
MODEL_REMOVED = Note("{model} was removed from the gateways{when}. Use {use}.")
MODEL_ENDS = Note("The provider ends {model} on {date}; who answers from then on is not known.")
MODEL_WITHOUT_PRICE = Note(
    "{model} is not in the price list of {date}: its price is not known before it is paid. "
    "No call costs more than its authorization allows."
)
VALUE_CUT = Note("{{{name}}} is sent in part: {left_out}.")
NAMES_UNKNOWN = Note("{names} is sent as it stands: there is no variable of that name in this notebook.")
LEDGER_LOST = Note(
    "{path} was deleted or moved while it was in use: a new one is begun. Receipts from before are in the old file, "
    "if there is one, and in the outputs of the notebook."
)
LEDGER_AWAY = Note("{folder} cannot be written: new receipts are kept in {path}.")
LEDGER_REPLACED = Note(
    "{path} is not the file that it was: an older copy, or written anew. Payments that it lacks still count against "
    "the wallet's budgets."
)
LEDGER_FOREIGN = Note(
    "{path} holds answers or conversations that were not made by you on this machine, or before og_magics marked them: "
    "those conversations are not sent, and only proven answers stand in for a paid call. If they are yours: "
    "og-magics receipts --adopt --ledger FILE."
)
WALLET_FILE_UNUSED = Note("{why} The wallet's budgets count what this notebook pays, and no other.")
RECEIPT_IN_MEMORY = Note(
    "{why} The answer is complete, and its receipt is kept in this kernel's memory alone: it is taken in when the file "
    "can be written again."
)
RECEIPT_SET_ASIDE = Note(
    "{why} The answer is complete, and its receipt is kept in {path}: it is taken in when the file can be written "
    "again."
)

_NOTES = re.compile("|".join(note.pattern for note in list(globals().values()) if isinstance(note, Note)))


def is_note(line: str) -> bool:
    """Return True for a line that og_magics prints beside an answer."""
    return _NOTES.fullmatch(line) is not None
