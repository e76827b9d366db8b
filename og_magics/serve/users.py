"""The users of a server: their keys, of which hashes are known, and what each may ask and spend."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..core.amounts import parse_opg
from ..core.errors import ConfigError

_NAME = re.compile(r"[^\W_][\w.@-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_MOST = 1 << 20
"""Bytes of the file of users, at most."""
_LIMITS = ("day", "total", "models", "requests_a_minute")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the server, and the limits that hold for them.

    Attributes:
        name: "" for the one who has the server's only key.
        day, total: base units for a day (UTC) and in all; None for no limit.
        models: patterns such as "openai/*", of which one must fit.
        rate: requests in a minute; None for no limit.
    """

    name: str = ""
    day: int | None = None
    total: int | None = None
    models: tuple[str, ...] = ("*",)
    rate: int | None = None

    def may_ask(self, model: str) -> bool:
        """Return True where the user may ask this model, "provider/model"."""
        return any(fnmatchcase(model, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True)
class UserTable:
    """The content of a file of users.

    Attributes:
        users: by name. keys: the user by the hash of the key. owner: hash of the key of the owner; "" for none.
        price: USD of an OPG that reservations count with at most; None where the file names none.
        defaults: the limits of a user who is not listed.
    """

    users: Mapping[str, User]
    keys: Mapping[str, User]
    owner: str = ""
    price: Decimal | None = None
    defaults: User = field(default_factory=User)


class UserFile:
    """A file of users, read again when it changes. Content that cannot be read changes nothing; why is printed.

    Args:
        keyless: users need no key in it, since another knows them (JupyterHub). tell: prints what is wrong with it.

    Raises:
        ConfigError: it cannot be read when the server starts.
    """

    def __init__(self, path: Path, *, keyless: bool = False, tell: Callable[[str], None] | None = None) -> None:
        self._path, self._keyless = path, keyless
        self._tell = tell or (lambda text: print(text, file=sys.stderr, flush=True))
        self._stamp = self._stamped()
        self._table = read_users(path, keyless=keyless)

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._path

    @property
    def table(self) -> UserTable:
        """The users as the file has them now."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._table = read_users(self._path, keyless=self._keyless)
            except ConfigError as error:
                self._tell(f"og-magics serve goes on with the users of before. {error}")
        return self._table

    def _stamped(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


def is_name(name: str) -> bool:
    """Return True for a name that a user may have."""
    return _NAME.fullmatch(name) is not None


def read_users(path: Path, *, keyless: bool = False) -> UserTable:
    """Read a file of users.

    Raises:
        ConfigError: it is not there, or says something that makes no sense: the error names what.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MOST:
            raise ConfigError(f"{path.name} is larger than {_MOST >> 20} MiB.", remedy="Is it the file of users?")
        held = tomllib.loads(content.decode(), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(
            f"The file of users {path.name} cannot be read: {error.strerror}.",
            remedy="Name it with --users; docs/serve.md shows one.",
        ) from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigError(f"{path.name} is not TOML: {error}.", remedy="Mend that place.") from None
    return _table(held, path.name, keyless=keyless)


def _table(held: Mapping[str, Any], file: str, *, keyless: bool) -> UserTable:
    _known(held, ("opg_usd", "owner", "defaults", "users"), file)
    defaults = _section(held, "defaults", file)
    _known(defaults, _LIMITS, f"{file}, [defaults]")
    users: dict[str, User] = {}
    keys: dict[str, User] = {}
    for name, said in _section(held, "users", file).items():
        where = f"{file}, [users.{name}]"
        if not is_name(name):
            raise ConfigError(f"{where}: this is not a name.", remedy="Use letters, digits, and . @ - _ in between.")
        if not isinstance(said, Mapping):
            raise ConfigError(
                f"{where} is not a table.", remedy=f'Write [users.{name}] and below it key = "sha256:..."'
            )
        _known(said, ("key", *_LIMITS), where)
        users[name] = _user(name, {**defaults, **said}, where)
        if keyless and "key" not in said:
            continue
        hashed = _key_hash(said.get("key"), where)
        if hashed in keys:
            raise ConfigError(
                f"{where} has the key of {keys[hashed].name}.", remedy="Give each user a key of their own."
            )
        keys[hashed] = users[name]
    owner = _section(held, "owner", file)
    _known(owner, ("key",), f"{file}, [owner]")
    owners = _key_hash(owner["key"], f"{file}, [owner]") if owner else ""
    if owners in keys:
        raise ConfigError(f"{file}: the owner has the key of {keys[owners].name}.", remedy="Make another key.")
    return UserTable(users, keys, owners, _price(held.get("opg_usd"), file), _user("", defaults, f"{file}, [defaults]"))


def _user(name: str, said: Mapping[str, Any], where: str) -> User:
    models = said.get("models", ["*"])
    if not isinstance(models, list) or not models or not all(isinstance(one, str) and one for one in models):
        raise ConfigError(f"{where}: models is not a list of names.", remedy='Write models = ["openai/*"].')
    rate = said.get("requests_a_minute")
    if rate is not None and (not isinstance(rate, int) or isinstance(rate, bool) or rate < 1):
        raise ConfigError(f"{where}: requests_a_minute is {rate!r}.", remedy="Write a whole number of 1 or more.")
    return User(name, _amount(said.get("day"), where), _amount(said.get("total"), where), tuple(models), rate)


def _amount(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ConfigError(f"{where}: {value!r} is not an amount of OPG.", remedy="Write a number such as 0.5.")
    return parse_opg(value)


def _price(value: Any, file: str) -> Decimal | None:
    if value is None:
        return None
    price = Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else Decimal(0)
    if not price.is_finite() or price <= 0:
        raise ConfigError(f"{file}: opg_usd is {value!r}.", remedy="Write the USD that an OPG is worth, such as 0.2.")
    return price


def _key_hash(value: Any, where: str) -> str:
    found = _HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ConfigError(
            f"{where} has no key.",
            remedy="`og-magics serve --new-key NAME` prints a new one, and the line with its hash for this file.",
        )
    return found[1]


def _section(held: Mapping[str, Any], name: str, file: str) -> Mapping[str, Any]:
    found = held.get(name, {})
    if not isinstance(found, Mapping):
        raise ConfigError(f"{file}: {name} is not a table.", remedy=f"Write [{name}] on a line of its own.")
    return found


def _known(held: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in held:
        if name not in names:
            raise ConfigError(
                f"{where} has {name[:40]!r}, which is not known.", remedy=f"There are {', '.join(names)}."
            )
