"""The tokens of a JupyterHub in place of keys: the server is a service of the Hub, which says whose a token is.

A token is asked for at the Hub's own API, and what it says is kept for a minute; of the token there is a hash alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx
from starlette.exceptions import HTTPException

from ..core.errors import ConfigError
from ..core.protocols import Clock
from ..core.secret import Secret
from ..core.untrusted_json import read_json
from ..core.urls import is_loopback
from .keys import hash_of, key_in, unknown_key
from .users import User, UserTable

_KEPT = 60.0
"""Seconds for which the Hub is not asked again about a token."""
_MOST = 10_000
"""Tokens that are remembered."""
_LARGEST = 1 << 20
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Hub:
    """A JupyterHub, as it tells its services.

    Attributes:
        api: URL of its API. token: the service's own, which may stay "" for the Hub's answers about others' tokens.
        prefix: path below which the Hub's proxy hands requests on, "/services/og/"; "/" where there is none.
        host, port: where the service has to listen; "" and 0 where the Hub does not say.
    """

    api: str
    token: Secret
    prefix: str = "/"
    host: str = ""
    port: int = 0


def hub_of(environment: Mapping[str, str]) -> Hub:
    """Read what a Hub tells the service that it starts, or an administrator says in its place.

    Raises:
        ConfigError: it is not all there.
    """
    api, token = environment.get("JUPYTERHUB_API_URL", ""), environment.get("JUPYTERHUB_API_TOKEN", "")
    if urlsplit(api).scheme not in ("http", "https") or not token:
        raise ConfigError(
            "JUPYTERHUB_API_URL and JUPYTERHUB_API_TOKEN do not name a Hub.",
            remedy="A Hub sets both for the services in its c.JupyterHub.services; docs/serve.md shows the lines.",
        )
    place = urlsplit(environment.get("JUPYTERHUB_SERVICE_URL", ""))
    prefix = "/" + environment.get("JUPYTERHUB_SERVICE_PREFIX", "/").strip("/")
    return Hub(api.rstrip("/"), Secret(token), prefix.rstrip("/") + "/", place.hostname or "", place.port or 0)


class HubKeys:
    """The users of a Hub, by their tokens.

    Args:
        table: limits of those that it lists by name; the defaults hold for all others.
    """

    def __init__(self, hub: Hub, table: Callable[[], UserTable], clock: Clock = time.time) -> None:
        self._hub, self._table, self._clock = hub, table, clock
        self._known: dict[str, tuple[float, str]] = {}
        self._http: httpx.AsyncClient | None = None

    async def asker(self, authorization: str) -> User:
        """Return the user whose token an `Authorization` header has: as a bearer's, or as the Hub's own `token ...`.

        Raises:
            HTTPException: 401, the Hub knows no user with it. 502, the Hub cannot be asked.
        """
        scheme, _, value = authorization.strip().partition(" ")
        token = value.strip() if scheme.lower() == "token" else key_in(authorization)
        if not token:
            raise unknown_key("A token of the Hub is needed: its page Token makes one; JUPYTERHUB_API_TOKEN is one.")
        hashed, now = hash_of(token), self._clock()
        until, name = self._known.get(hashed, (0.0, ""))
        if until <= now:
            name = await self._name_of(token)
            while len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]
            self._known[hashed] = now + _KEPT, name
        if not name:
            raise unknown_key("The Hub knows no user with this token.")
        table = self._table()
        return table.users.get(name) or replace(table.defaults, name=name)

    async def close(self) -> None:
        """Close the connections to the Hub."""
        if self._http is not None:
            await self._http.aclose()

    async def _name_of(self, token: str) -> str:
        """Return the name of a token's user, as the Hub says it; "" where it knows none."""
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=_SECONDS, trust_env=not is_loopback(self._hub.api))
        try:
            async with asyncio.timeout(2 * _SECONDS):
                answer = await self._http.get(f"{self._hub.api}/user", headers={"Authorization": f"token {token}"})
        except (httpx.HTTPError, ValueError, TimeoutError):
            raise HTTPException(502, "The Hub cannot be asked whose token this is. Nothing was paid.") from None
        if answer.status_code in (401, 403, 404):
            return ""
        try:
            found = read_json(answer.content[:_LARGEST]) if answer.is_success else None
        except ValueError:
            found = None
        if not isinstance(found, Mapping):
            raise HTTPException(502, "The Hub does not say whose token this is. Nothing was asked or paid.")
        name = found.get("name")
        # A service has a name, too, and is no user: it pays for nobody.
        return name if isinstance(name, str) and found.get("kind", "user") == "user" else ""


def listening_place(hub: Hub, host: str, port: int) -> tuple[str, int]:
    """Return where to listen: where the Hub expects its service, else as the command says."""
    return hub.host or host, hub.port or port


def this_hub() -> Hub:
    """Return the Hub of this process's environment."""
    return hub_of(os.environ)
