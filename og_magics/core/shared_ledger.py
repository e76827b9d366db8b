"""The shared ledger: a PostgreSQL server's, named by its URL, and the file that stands for it on this machine.

The ledger's code knows ledgers by their paths. So a server's ledger has one too, in the user's state directory: what
could not reach the server is kept beside it, and the wallet's file names the ledger by it. The file there holds the
URL without its password.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from .environment import state_folder
from .errors import ConfigError
from .secret import note_secret, revealed

SUFFIX = ".postgresql"
"""Of the file that stands for a server's ledger."""
_SCHEME = re.compile(r"\s*postgres(?:ql)?:(?://|/(?!/))", re.IGNORECASE)
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OPTIONS = frozenset((
    "schema", "sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "host", "port", "target_session_attrs",
    "channel_binding", "gssencmode",
))  # fmt: skip
"""Parameters that a URL may have; others could change what a statement means."""
_WRONG = "The URL of the shared ledger is not one: {why}. It should be postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
_DEFAULT_SCHEMA = "og_magics"


@dataclass(frozen=True, slots=True)
class SharedLedger:
    """A ledger on a server.

    Attributes:
        shown: its URL without the password.
        schema: of the database, which holds its tables.
        options: libpq's parameters to connect by.
    """

    shown: str
    schema: str
    options: dict[str, str] = field(repr=False)

    @property
    def path(self) -> Path:
        """Of the file that stands for it here."""
        where = [self.options.get(name, "") for name in ("host", "port", "dbname")]
        digest = hashlib.sha256(json.dumps([*where, self.schema]).encode()).hexdigest()[:16]
        return state_folder().resolve() / "shared" / digest / f"{self.schema}{SUFFIX}"


_known: dict[Path, SharedLedger] = {}


def is_server(ledger: str | os.PathLike[str]) -> bool:
    """Return True for the URL of a server. (A path of it, which has lost a slash, is one as well.)"""
    return _SCHEME.match(revealed(os.fspath(ledger))) is not None


def shared_ledger(url: str | os.PathLike[str]) -> SharedLedger:
    """Read the URL of a shared ledger. Its password is looked for in all that is shown from here on.

    Raises:
        ConfigError: it is no such URL; the text of the error holds nothing of it.
    """
    if not is_server(url):
        raise _wrong("it does not begin so")
    text = _SCHEME.sub("postgresql://", revealed(os.fspath(url)).strip(), count=1)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("its port or its host cannot be read") from None
    given = dict(parse_qsl(parts.query))
    note_secret(unquote(parts.password or ""))
    if "password" in given:
        note_secret(given["password"])
        raise _wrong("a password stands behind its question mark, where it would be shown")
    if unknown := sorted(given.keys() - _OPTIONS):
        raise _wrong(f"{', '.join(map(ascii, unknown))} is not known here")
    schema = given.pop("schema", _DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise _wrong("its schema is not a plain name in small letters")
    options = {
        "host": given.get("host") or parts.hostname or "",
        "port": given.get("port") or ("" if port is None else str(port)),
        "dbname": unquote(parts.path.strip("/")),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        **given,
    }
    options = {name: value for name, value in options.items() if value}
    if "dbname" not in options:
        raise _wrong("it names no database")
    found = SharedLedger(_shown(options, schema), schema, options)
    before = _known.get(found.path)
    if before is None or "password" in options or "password" not in before.options:
        _known[found.path] = found
    return found


def ledger_argument(text: str) -> Path:
    """Return the path of a ledger that is named on a command line, by its path or its URL."""
    return shared_ledger(text).path if is_server(text) else Path(text)


def shared_at(path: Path) -> SharedLedger | None:
    """Return the shared ledger that a file stands for; None for a ledger that is a file itself.

    Where this process has not seen its URL, that is read from the file. Its password is then what libpq finds:
    PGPASSWORD or a password file.
    """
    if path.suffix != SUFFIX:
        return None
    if path not in _known:
        try:
            url = json.loads(path.read_text(encoding="utf-8"))["url"]
            return shared_ledger(str(url))
        except (OSError, ValueError, LookupError, TypeError, ConfigError):
            return None
    return _known[path]


def _shown(options: dict[str, str], schema: str) -> str:
    user = f"{quote(options['user'], safe='')}@" if "user" in options else ""
    host, port = options.get("host", ""), options.get("port", "")
    behind = {} if schema == _DEFAULT_SCHEMA else {"schema": schema}
    if "/" in host:  # the folder of a socket
        behind["host"], host = host, ""
    place = f"[{host}]" if ":" in host else host
    query = f"?{urlencode(behind, safe='/')}" if behind else ""
    return f"postgresql://{user}{place}{f':{port}' if port else ''}/{quote(options['dbname'], safe='')}{query}"


def _wrong(why: str) -> ConfigError:
    return ConfigError(
        _WRONG.format(why=why),
        money="Nothing was asked and nothing was paid.",
        remedy="Correct OG_LEDGER, or set it to the path of a file. A password with @ : / ? # in it needs them as %40 "
        "and so on; or leave it out and set PGPASSWORD.",
    )
