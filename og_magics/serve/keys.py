"""The keys of a server's users, of which it keeps hashes alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.exceptions import HTTPException

from .users import User

_PREFIX = "og-serve-"


class Askers(Protocol):
    """Tells who asks."""

    async def asker(self, authorization: str) -> User:
        """Return the user whose key an `Authorization` header has.

        Raises:
            HTTPException: 401, it has none that is known.
        """


def new_key() -> str:
    """Return a new key: 192 random bits."""
    return _PREFIX + secrets.token_urlsafe(24)


def hash_of(key: str) -> str:
    """Return the hash of a key, hex. A random key needs no slow hash: it cannot be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Keys:
    """The keys that a server knows.

    Args:
        users: returns the user by the hash of the key, as it is now.
    """

    def __init__(self, users: Callable[[], Mapping[str, User]]) -> None:
        self._users = users

    async def asker(self, authorization: str) -> User:
        """Return the user whose key an `Authorization` header has: as a bearer's, or as the password of a URL's login.

        Raises:
            HTTPException: 401, it has none that is known.
        """
        given = hash_of(key_in(authorization))
        found = [user for known, user in self._users().items() if hmac.compare_digest(known, given)]
        if not found:
            raise unknown_key("This key is not known here. Whoever runs the server has yours.")
        return found[0]


def unknown_key(why: str, scheme: str = "Bearer") -> HTTPException:
    """Return the refusal of a request without a key that is known."""
    return HTTPException(401, why, headers={"www-authenticate": scheme})


def key_in(authorization: str) -> str:
    """Return the key in an `Authorization` header; "" for none."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return value.strip() if scheme.lower() == "bearer" else ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
