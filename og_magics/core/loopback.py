"""A guard round our own servers: they listen on loopback, and answer nobody else's web page.

A page that a browser shows can reach loopback, too: with requests of its own origin, which the browser sends though it
shows no answer, or after its host name was bound to 127.0.0.1 (DNS rebinding), when it may read the answer as well. The
first have the page's origin or `Sec-Fetch-Site`; the second have the page's host name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_WRONG_HOST = b'{"error":"This server answers at 127.0.0.1 and localhost only"}'
_WRONG_ORIGIN = b'{"error":"This server answers no web page of another origin"}'


class LocalOnly:
    """An ASGI application that passes on what was sent to a loopback name, by a program or by a page of that name.

    Args:
        beyond: it may be any name, since the server listens beyond this machine; other names' pages stay refused.
    """

    def __init__(self, app: App, *, beyond: bool = False) -> None:
        self._app, self._beyond = app, beyond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := _refusal(scope, self._beyond)):
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(refusal)).encode())]
            headers.append((b"connection", b"close"))  # what it may have sent is not read
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": refusal})
            return
        await self._app(scope, receive, send)


def _refusal(scope: Scope, beyond: bool) -> bytes:
    sent: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        sent.setdefault(bytes(name).lower(), []).append(value.decode("latin-1").strip().lower())
    hosts = sent.get(b"host", [])
    if len(hosts) != 1 or not (beyond or _is_loopback(hosts[0])):
        return _WRONG_HOST
    own = f"{scope.get('scheme', 'http')}://{hosts[0]}"
    if any(origin != own for origin in sent.get(b"origin", [])):
        return _WRONG_ORIGIN
    site, mode = sent.get(b"sec-fetch-site", [""])[0], sent.get(b"sec-fetch-mode", [""])[0]
    if site in ("", "none", "same-origin"):
        return b""
    # A link that a person follows: no page reads what it leads to, and reading changes nothing here.
    followed = mode == "navigate" and scope["method"] == "GET" and sent.get(b"sec-fetch-dest") == ["document"]
    return b"" if followed else _WRONG_ORIGIN


def _is_loopback(host: str) -> bool:
    """Return True for a Host header, with or without a port, that names this machine's loopback."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if any(sign in host for sign in "/@?#\\ \t"):
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
