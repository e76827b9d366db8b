"""Finding and removing what must not leave the machine: keys, seed phrases, passwords, tokens, the home folder.

A key is found by what it is: 64 hex digits whose address is one of this wallet, of the ledger, or of the same text;
words of a BIP-39 list with their checksum; a password beside a keystore. And by its name, where a text calls it a key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from .secret import REMOVED as REMOVED  # noqa: PLC0414 - its place for whoever removes
from .secret import secrets_in
from .seed_phrase import seed_phrases
from .untrusted_json import recursion_limit_kept

_HEX64 = r"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{64}(?![0-9a-zA-Z])"
_KEY = re.compile(
    # private_key="0x...", OG_PRIVATE_KEY=0x..., Account.from_key("..."), "my private key is ...", on one line
    rf"(?:(?:private|secret)[ _-]?key|from_key)[^\n]{{0,60}}?{_HEX64}"
    # ... or with the line broken after the sign that assigns it
    rf"|(?:(?:private|secret)_?key|from_key)[\"'\]]*\s*[=:,(][\s(\\]*[\"']?{_HEX64}"
    rf"|(?:LLM|from_url)\s*\(\s*[\"']{_HEX64}"
    rf"|^\s*%og\b[^\n]*?{_HEX64}",
    re.IGNORECASE | re.MULTILINE,
)
_ANY = re.compile(_HEX64, re.IGNORECASE)
_TOKEN = re.compile(
    r"\bbearer\s+[A-Za-z0-9._~+/=-]{16,}"
    r"|\b(?:sk|rk|og-serve)-[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    # api_key = "...", KEYSTORE_PASSWORD=..., access-token: ...: as it is typed, not `token = read_token()`
    r"|(?:api[_-]?key|access[_-]?token|auth[_-]?token|password)[\"'\]]*\s*[=:]\s*(?:[\"'][^\"'\s]{8,}[\"']|\w{16,}(?![\w.(\[]))",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"\b(?:https?|wss?|postgres(?:ql)?)://[^\s/:@\"'<>]+(?::[^\s/@\"'<>]*)?@", re.IGNORECASE)
_IN_URL = re.compile(
    # https://host/path?apikey=..., &access_token=...
    r"\bhttps?://[^\s\"'<>]*?[?&](?:[\w-]*(?:key|token|secret|auth|password|sig|jwt))=(?P<query>[^\s&\"'<>#]{6,})"
    # https://mainnet.node.example/v3/0123456789abcdef...
    r"|\b(?:https?|wss?)://[^\s/\"'<>]+/(?:[\w-]+/)?v\d+/(?P<path>(?!0x)(?=[\w-]*\d)[\w-]{20,})(?![\w-])",
    re.IGNORECASE,
)
_SESSION = re.compile(r"x-upto-session[\"']*\s*[:=,]\s*[\"']?(?P<id>[A-Za-z0-9._~:+/=-]{8,256})", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<![0-9a-zA-Z])0x([0-9a-fA-F]{40})(?![0-9a-zA-Z])")
_KEYSTORE = re.compile(r"keystore|UTC--|\"ciphertext\"|\bAccount\s*\.\s*(?:de|en)crypt\b", re.IGNORECASE)
_PASSWORD = re.compile(
    # the second argument of a call
    r"(?:de|en)crypt\s*\((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\)){0,200}?,\s*(?:password\s*=\s*)?"
    r"b?[\"'](?P<argument>[^\"'\n]{4,})[\"']\s*[,)]"
    # password = "...", "OG_KEYSTORE_PASSWORD": "...", os.environ["KEYSTORE_PASSPHRASE"] = "..."
    r"|pass(?:word|phrase|wd)?[\"'\])]*\s*[=:,]\s*b?[\"'](?P<quoted>[^\"'\n]{4,})[\"']"
    # %env OG_KEYSTORE_PASSWORD=..., export KEYSTORE_PASSWORD=...
    r"|keystore_password(?:\s*=\s*|[^\S\n]+)(?P<bare>(?![=$]|os\.|getpass|input|None\b)[^\s\"'()=]{4,})(?![\w.(\[])",
    re.IGNORECASE,
)
_MOST_CANDIDATES = 64
"""Hex numbers of a text that are taken for keys: a table of hashes is none."""

_addresses: set[str] = set()
_sources: list[Callable[[], Collection[str]]] = []


def note_address(address: str) -> None:
    """Note an address of this wallet: its key is found wherever it stands."""
    if address:
        _addresses.add(address.lower())


def ask_for_addresses(source: Callable[[], Collection[str]]) -> Callable[[], None]:
    """Ask `source` for more such addresses whenever a text holds what may be a key; return what ends that."""
    _sources.append(source)
    return lambda: _sources.remove(source)


def key_in(text: str) -> str:
    """Name the first thing in a text with which money can be spent: "a private key", "a seed phrase"; "" for none."""
    return next((what for what, _ in _keys_in(text)), "")


def holds_key(text: str) -> bool:
    """Return True for a text with which money can be spent."""
    return bool(key_in(text))


def holds_secret(text: str) -> bool:
    """Return True for a text with a key, or with what is in use here: a password, a URL's login, a session."""
    in_urls = (_LOGIN, _IN_URL, _SESSION)
    return holds_key(text) or bool(secrets_in(text)) or any(one.search(text) for one in in_urls)


def holds_this_key(text: str, key: str) -> bool:
    """Return True for a text that holds this private key, whatever it calls it.

    (Others look like hashes, which may be sent.)
    """
    digits = key.strip().lower().removeprefix("0x")
    return len(digits) == 64 and digits in text.lower()


def private_in(text: str) -> list[str]:
    """Name the kinds of private values in a text, each once; the text itself is not repeated."""
    return list(dict.fromkeys(what for what, _ in _found(text)))


def redacted(text: str) -> str:
    """Return a text without its private values; the home folder becomes "~"."""
    spans = sorted((span, what) for what, span in _found(text))
    parts, at = [], 0
    for (start, end), what in spans:
        if start >= at:
            parts += [text[at:start], "~" if what == _HOME else REMOVED]
        at = max(at, end)
    return "".join([*parts, text[at:]])


_HOME = "a path of this machine's home folder"


def without_logins(text: str | None) -> str | None:
    """Return a text without the logins in its URLs: errors of older versions repeat those that they were sent to."""
    return text and _LOGIN.sub(lambda found: found.group().partition("//")[0] + f"//{REMOVED}@", text)


def _found(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Find private values: the kind and the place of each."""
    yield from _keys_in(text)
    yield from (("a key, password or token in use here", place) for place in secrets_in(text))
    yield from (("a token or password", found.span()) for found in _TOKEN.finditer(text))
    yield from (("a login in a URL", found.span()) for found in _LOGIN.finditer(text))
    yield from (("a token in a URL", found.span(str(found.lastgroup))) for found in _IN_URL.finditer(text))
    yield from (("a payment session's id", found.span("id")) for found in _SESSION.finditer(text))
    home = str(Path.home())
    if len(home) > 1:
        path = re.compile(rf"(?<![\w./\\]){re.escape(home)}(?![\w.-])")
        yield from ((_HOME, found.span()) for found in path.finditer(text))


def _keys_in(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    for found in _KEY.finditer(text):
        digits = max(_ANY.finditer(text, *found.span()), key=lambda one: one.start())
        yield "a private key", digits.span()
    own = os.environ.get("OG_PRIVATE_KEY", "").strip().lower().removeprefix("0x")
    candidates = list(_ANY.finditer(text))
    for found in candidates:
        if found.group().lower().removeprefix("0x") == own:
            yield "a private key", found.span()
    if 0 < len(candidates) <= _MOST_CANDIDATES:
        known = {f"0x{found[1].lower()}" for found in _ADDRESS.finditer(text)} | _known_addresses()
        for found in candidates if known else ():
            if _address_of(found.group()) in known:
                yield "a private key", found.span()
    yield from (("a seed phrase", place) for place in seed_phrases(text))
    if _KEYSTORE.search(text):
        for found in _PASSWORD.finditer(text):
            yield "a keystore's password", found.span(str(found.lastgroup))


def _known_addresses() -> set[str]:
    return _addresses | {address.lower() for source in _sources for address in source()}


def _address_of(digits: str) -> str:
    """Return the address of a private key, in small letters; "" of a number that is none."""
    import coincurve

    with recursion_limit_kept():
        from eth_utils.crypto import keccak

    try:
        public = coincurve.PublicKey.from_valid_secret(bytes.fromhex(digits[-64:])).format(compressed=False)
    except ValueError:
        return ""
    return "0x" + bytes(keccak(public[1:]))[-20:].hex()
