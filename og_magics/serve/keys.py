"""The keys of a server's users, of which it keeps hashes alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from starlette.exceptions import HTTPException

_PREFIX = "og-serve-"


def new_key() -> str:
    """Return a new key: 192 random bits."""
    return _PREFIX + secrets.token_urlsafe(24)


def hash_of(key: str) -> str:
    """Return the hash of a key, hex. A random key needs no slow hash: it cannot be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Keys:
    """The keys that a server knows.

    Args:
        users: the name of the user by the hash of the key.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)

    def asker(self, authorization: str) -> str:
        """Return the user whose key an `Authorization` header has: as a bearer's, or as the password of a URL's login.

        Raises:
            HTTPException: 401, it has none that is known.
        """
        given = hash_of(_key_in(authorization))
        found = [name for known, name in self._users.items() if hmac.compare_digest(known, given)]
        if not found:
            raise HTTPException(
                401, "This key is not known here. The server printed its key when it started.",
                headers={"www-authenticate": "Bearer"},
            )  # fmt: skip
        return found[0]


def _key_in(authorization: str) -> str:
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return value.strip() if scheme.lower() == "bearer" else ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
