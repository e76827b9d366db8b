"""Texts that show themselves to nobody: keys, passwords, tokens, and the private part of a URL.

Each is a `str` whose content is what may be seen; the text itself is had by `reveal()` alone. So whatever reads it as
a text (repr, f-strings, JSON, a database, a pickle, a traceback) gets what may be seen. The texts are also noted, and
`without_secrets` takes them out of what others say: a server may repeat in its error what it was sent.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Iterator
from typing import Any, NoReturn, Self
from urllib.parse import quote, unquote, urlsplit

from .fork import new_lock

REMOVED = "[removed]"

_SHORTEST = 6
"""Characters of a text that is looked for elsewhere: a shorter one is a part of too many words."""
_LONGEST = 512
"""Likewise, a longer one, like a payment's header: nobody repeats it."""
_MOST = 512
"""Texts of each kind that are noted, lasting and passing; the first ones are forgotten after that."""
_LOGGERS = (
    "httpx", "httpcore", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "urllib3.connectionpool", "web3",
    "web3.RequestManager", "web3.manager.RequestManager", "web3.providers.HTTPProvider", "web3._utils.http",
    "web3._utils.http_session_manager", "web3._utils.http_session_manager.HTTPSessionManager", "asyncio",
)  # fmt: skip
"""Of the libraries that write headers and URLs into their logs."""

_TOKEN_NAME = re.compile(r"key|token|auth|secret|pass|sig|session|code|jwt", re.IGNORECASE)
"""In the names of a URL's parameters; others, like `network=base-mainnet`, hold plain words."""

_FINGERPRINT = "sha256:"
_IS_FINGERPRINT = re.compile(rf"{_FINGERPRINT}[0-9a-f]{{32}}")

_HEADER = re.compile(
    r"((?:x-upto-session|payment-signature|(?:proxy-)?authorization)[\"']?\s*[,:=]\s*(?:b?[\"'])?)"
    r"[^\"'\s,)\]]+(?: [^\"'\s,)\]]+)?",
    re.IGNORECASE,
)
"""A header that is logged before anybody has read it."""

_noted: dict[str, None] = {}
_passing: dict[str, None] = {}
_lock = new_lock()


class Secret(str):
    """A text of which nothing is shown; empty where it is empty."""

    __slots__ = ("_Secret__text",)
    __text: str

    def __new__(cls, text: str, *, lasting: bool = True) -> Self:
        text = revealed(text)
        made = super().__new__(cls, "<secret>" if text else "")
        made.__text = text
        note_secret(text, lasting=lasting)
        return made

    def reveal(self) -> str:
        """Return the text itself."""
        return self.__text

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__text == other.__text

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A secret is not pickled. Give the other process its own, by its environment.")


class PrivateURL(str):
    """A URL of which only the origin is shown: its login, path and query may be what pays for its use."""

    __slots__ = ("_PrivateURL__url",)
    __url: str

    def __new__(cls, url: str) -> Self:
        url = revealed(url)
        made = super().__new__(cls, origin_of(url) or ("<URL>" if url.strip() else ""))
        made.__url = url
        for part in _private_parts(url):
            note_secret(part)
        return made

    def reveal(self) -> str:
        """Return the whole URL."""
        return self.__url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.__url == revealed(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.__url)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return str, (str(self),)


def revealed(text: str) -> str:
    """Return the text behind one that does not show itself; any other as it is."""
    return text.reveal() if isinstance(text, (Secret, PrivateURL)) else text


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL; "" of a text that has none of them."""
    try:
        parts = urlsplit(revealed(url).strip())
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        return ""
    if not parts.scheme or not host:
        return ""
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}" + ("" if port is None else f":{port}")


def public_url(url: str) -> str:
    """Return the origin of a URL that a file holds; a text without one as it is, unless it may hold a login."""
    return origin_of(url) or ("" if "@" in url or "?" in url else url)


def fingerprint(session_id: str, salt: str) -> str:
    """Return what is kept of a payment session's id, which is worth money to whoever has it: a salted hash."""
    return _FINGERPRINT + hashlib.sha256(f"{salt}\n{revealed(session_id)}".encode()).hexdigest()[:32]


def fingerprint_of_old(session_id: str | None, authorization_hash: str | None) -> str | None:
    """Return the fingerprint in a file that may be of before there were any, and then holds the session's id itself.

    A session has one authorization, whose hash is the salt then: files that hold both agree on it.
    """
    if not session_id or _IS_FINGERPRINT.fullmatch(session_id):
        return session_id
    return fingerprint(session_id, authorization_hash or "")


def holds_session_id(session_id: object) -> bool:
    """Return True for a session id as older versions kept it."""
    return isinstance(session_id, str) and session_id != "" and not _IS_FINGERPRINT.fullmatch(session_id)


def login_of(url: str) -> tuple[str, str] | None:
    """Return user and password of a URL; None without a login."""
    parts = urlsplit(revealed(url).strip())
    if parts.username is None and parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")


def _private_parts(url: str) -> Iterator[str]:
    """Yield the parts of a URL that let others use what it leads to, where they are long enough to be one."""
    try:
        parts = urlsplit(url.strip())
        login = login_of(url)
    except ValueError:
        return
    if login is not None:
        user, password = login
        yield f"{parts.username or ''}:{parts.password or ''}@"
        yield from (one for one in (password, parts.password or "") if one)
        if not password:
            yield user
        yield base64.b64encode(f"{user}:{password}".encode()).decode()
    # Words of an API's path are short; keys are not.
    yield from (one for one in parts.path.split("/") if len(one) >= 16)
    for pair in (*parts.query.split("&"), *parts.fragment.split("&")):
        name, _, value = pair.partition("=")
        if _TOKEN_NAME.search(name) or any(sign.isdigit() for sign in value or name):
            yield value or name


def note_secret(text: str, *, lasting: bool = True) -> None:
    """Note a text that is to be taken out of what is shown; for a while only, where it is one of many."""
    noted = _noted if lasting else _passing
    text = text.strip()
    forms = {text, text.lower().removeprefix("0x") if len(text) in (64, 66) else text, quote(text, safe="")}
    with _lock:
        for form in forms:
            if _SHORTEST <= len(form) <= _LONGEST:
                noted.pop(form, None)
                noted[form] = None
        while len(noted) > _MOST:
            del noted[next(iter(noted))]
        _guard_logs()


def secrets_in(text: str) -> list[tuple[int, int]]:
    """Return the places of noted secrets in a text."""
    with _lock:
        noted = [*_noted, *_passing]
    places, lower = [], text.lower()
    for one in noted:
        # A key may be written in any case.
        where, what = (lower, one.lower()) if len(one) == 64 else (text, one)
        at = where.find(what)
        while at >= 0:
            places.append((at, at + len(one)))
            at = where.find(what, at + len(one))
    return places


def without_secrets(text: str) -> str:
    """Return a text without the secrets that are noted."""
    places = sorted(secrets_in(text))
    parts, at = [], 0
    for start, end in places:
        if start >= at:
            parts += [text[at:start], REMOVED]
        at = max(at, end)
    return "".join([*parts, text[at:]]) if places else text


class _LogFilter(logging.Filter):
    """Takes secrets out of the records of libraries that log the headers and URLs they are given."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except (TypeError, ValueError, KeyError):  # logging itself says what is wrong with it
            return True
        clean = _HEADER.sub(rf"\1{REMOVED}", without_secrets(said))
        if clean != said:
            record.msg, record.args = clean, ()
        return True


_filter = _LogFilter()


def _guard_logs() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _filter not in logger.filters:
            logger.addFilter(_filter)
