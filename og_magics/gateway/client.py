"""One gateway: paid requests, streamed or whole; its failures as errors that say what to do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx

from .._version import __version__
from ..core.connection_failure import LOGIN_PAGE, PRACTICE, connection_failure, message_of
from ..core.errors import ConfigError, GatewayUnreachable
from ..core.models import known_model
from ..core.secret import Secret, login_of, origin_of, revealed
from ..core.types import ChatRequest, Enclave
from ..core.urls import is_loopback
from .bounds import (
    ERROR_BODY,
    MAY_BE_CHARGED,
    SMALL_BODY,
    Bounds,
    read_up_to,
    watch,
)
from .connections import ONE, Connections
from .failures import failure_of, retry_after
from .reading import read_json
from .tls import pinned_context

_BEARER = "og-magics"
"""The gateway wants a bearer token and does not look at it: the payment is the credential."""

_NOTHING_SENT = "Nothing was sent and nothing was paid."
_ATTESTATION = 32 * 1024
"""Bytes of an attestation in base64, at most."""
_ATTESTATION_SECONDS = 10.0
_MOST = 1000
"""Requests at once."""


class GatewayClient:
    """HTTP to one enclave's gateway. Used on one event loop.

    With a certificate in `enclave`, that certificate is the only one accepted; without, ordinary verification holds
    unless `verify` is False. `key` is for a server that the user named by its URL.
    """

    paid = True

    def __init__(
        self,
        enclave: Enclave,
        *,
        timeout: float,
        verify: bool = True,
        bounds: Bounds | None = None,
        key: Secret | None = None,
    ) -> None:
        self.enclave = enclave
        self._key = key
        self._timeout, self._bounds = timeout, bounds or Bounds(idle=timeout)
        self._verify = verify
        self._http = self._connections()
        self._former: list[Connections] = []
        self._urls: dict[str, httpx.URL] = {}

    def _connections(self) -> Connections:
        certificate = self.enclave.tls_certificate
        base, parameters, credential = _address_of(self.enclave.endpoint, self._key)
        # Without TLS there is nothing to verify, and the system's authorities take 40 ms to read.
        verify = self._verify and urlsplit(base).scheme != "http"
        # A proxy of the environment passes TLS on by CONNECT, and sees nothing of it. This machine needs none.
        trusts = self._verify and not is_loopback(self.enclave.endpoint)

        def make() -> httpx.AsyncClient:
            return httpx.AsyncClient(
                base_url=base,
                params=parameters,
                verify=context,
                limits=ONE,
                trust_env=trusts,
                timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, 15.0)),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none is kept: they would tell calls apart
                headers={
                    "Authorization": credential,
                    "User-Agent": f"og_magics/{__version__}",
                    "Accept-Encoding": "identity",
                },
            )

        with _usable_environment():
            if certificate is not None:
                context = pinned_context(certificate)
            else:
                context = httpx.create_ssl_context(verify=verify, trust_env=trusts)
            return Connections(make, _MOST)

    @contextlib.asynccontextmanager
    async def post(self, request: ChatRequest, auth: httpx.Auth | None) -> AsyncIterator[httpx.Response]:
        """Send a request, paid by `auth`; its answer is good (2xx) and not yet read.

        Raises:
            GatewayUnreachable: no connection, or no answer in time.
            GatewayError: any other status, as the error of the tree that says what to do.
        """
        with self._failures():
            async with self._http.client() as http:
                if (url := self._urls.get(request.path)) is None:  # read and joined once, not for each request
                    url = self._urls[request.path] = http.build_request("POST", request.path).url
                http_request = http.build_request("POST", url, json=self._body(request), headers=self._headers(request))
                # Each read has its own limit; interim answers for ever (1xx) need one for all of them.
                async with asyncio.timeout(2 * self._timeout + 30):
                    response = await http.send(http_request, auth=auth, stream=True)
                try:
                    watch(response, bounds_of(request, self._bounds))
                    if not response.is_success:
                        content = await read_up_to(response, ERROR_BODY, self._timeout)
                        failure = failure_of(response, str(request.body.get("model", "")), content)
                        failure.retry_after = retry_after(response.headers.get("Retry-After", ""))
                        raise failure
                    yield response
                finally:
                    await response.aclose()

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        return dict(request.body)

    def _headers(self, request: ChatRequest) -> dict[str, str]:
        return {"X-SETTLEMENT-TYPE": request.settlement.value}

    async def signing_key(self) -> str:
        """Return the key, PEM, that the gateway says it signs with: worth as much as the connection.

        Raises:
            GatewayError: it shows none.
        """
        return str((await self._get_json("/signing-key")).get("public_key", ""))

    async def health(self) -> dict[str, Any]:
        """Return what `GET /health` says.

        Raises:
            GatewayError: not reachable, or not JSON.
        """
        return await self._get_json("/health")

    async def attestation(self, nonce: bytes) -> tuple[bytes, bytes | None]:
        """Return what the enclave's hardware attests with this nonce, base64, and the connection's certificate (DER).

        Both are as they came; the certificate is None where the connection has none.

        Raises:
            GatewayError: it shows none, or not in time.
        """
        with self._failures():
            limit = asyncio.timeout(min(self._timeout, _ATTESTATION_SECONDS))
            query = {"nonce": nonce.hex()}
            async with (
                limit,
                self._http.client() as http,
                http.stream("GET", "/enclave/attestation", params=query) as response,
            ):
                stream = response.extensions["network_stream"].get_extra_info("ssl_object")
                certificate = None if stream is None else stream.getpeercert(binary_form=True)
                content = await read_up_to(response, _ATTESTATION, _ATTESTATION_SECONDS)
        if not response.is_success:
            raise failure_of(response, "", content)
        return content, certificate

    def pin(self, certificate: bytes) -> None:
        """Accept this certificate (DER) and no other from now on."""
        self._former.append(self._http)  # not closed: others may still be reading answers from it
        self.enclave = replace(self.enclave, tls_certificate=certificate)
        self._http = self._connections()

    async def _get_json(self, path: str) -> dict[str, Any]:
        with self._failures():
            limit = asyncio.timeout(self._timeout)
            async with limit, self._http.client() as http, http.stream("GET", path) as response:
                content = await read_up_to(response, SMALL_BODY, self._timeout)
        if not response.is_success:
            raise failure_of(response, "", content)
        return read_json(content, response.status_code)

    async def close(self) -> None:
        """Close all connections."""
        for one in (self._http, *self._former):
            await one.close()

    @contextlib.contextmanager
    def _failures(self) -> Any:
        endpoint = self.enclave.endpoint
        try:
            yield
        except httpx.ConnectError as error:
            failure = connection_failure(error, urlsplit(endpoint).hostname or endpoint)
            remedy = (
                failure.remedy or f"Check the network connection; %og network shows which gateway is used. {PRACTICE}"
            )
            if failure.untrusted and self.enclave.tls_certificate is not None:
                who = "that the public list of gateways holds" if self.enclave.registered else "that was attested"
                remedy = f"Its certificate is not the one {who}: do not go on. {LOGIN_PAGE}"
            elif failure.untrusted:
                remedy = (
                    "Do not go on, unless the server is your own: then OG_GATEWAY_VERIFY=0, or verify=False. "
                    f"{LOGIN_PAGE}"
                )
            raise GatewayUnreachable(
                f"No trusted connection to the gateway {endpoint}: {failure.reason}."
                if failure.untrusted
                else f"The gateway {endpoint} cannot be reached: {failure.reason}.",
                transient=not failure.untrusted,
                money=_NOTHING_SENT,
                remedy=remedy,
                details=failure.details,
            ) from httpx.ConnectError(message_of(error))  # its own would bring frames with headers and the whole URL
        except httpx.ProxyError as error:
            raise GatewayUnreachable(
                f"The proxy that the environment names (HTTPS_PROXY) did not open the way to {endpoint}.",
                transient=False,
                money=_NOTHING_SENT,
                details=message_of(error),
                remedy="Ask who runs the proxy, or name the gateway's host in NO_PROXY.",
            ) from None
        except httpx.ConnectTimeout as error:
            raise GatewayUnreachable(
                f"The gateway {endpoint} did not accept a connection in time.",
                transient=False,
                money=_NOTHING_SENT,
                remedy="Try again, or check the network connection.",
            ) from httpx.ConnectTimeout(message_of(error))
        except (httpx.TimeoutException, TimeoutError):
            raise GatewayUnreachable(
                f"The gateway {endpoint} did not answer in time.",
                transient=False,
                money=MAY_BE_CHARGED,
                remedy="Ask again; OG_TIMEOUT (seconds) lets it take longer.",
            ) from None
        except (httpx.RequestError, UnicodeError) as error:
            raise GatewayUnreachable(
                f"The connection to the gateway {endpoint} was lost.",
                lost=True,
                money=MAY_BE_CHARGED,
                details=message_of(error),
                remedy="Ask again; %og receipts shows what is settled.",
            ) from None


def _address_of(endpoint: str, key: Secret | None) -> tuple[str, httpx.QueryParams, str]:
    """Return where requests go, the parameters that each has, and what it says of who asks.

    A login stands in a header: in the URL it would be in the errors and the logs of whoever handles that.
    """
    parts, login = urlsplit(revealed(endpoint)), login_of(endpoint)
    credential = f"Bearer {_BEARER if key is None else key.reveal()}"
    if login is not None and key is None:
        credential = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    return origin_of(endpoint) + parts.path.rstrip("/"), httpx.QueryParams(parts.query), credential


@contextlib.contextmanager
def _usable_environment() -> Iterator[None]:
    """Raise ConfigError for a file of certificates that is missing, and for a proxy's URL that is none."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"The certificates that the environment names (SSL_CERT_FILE) cannot be read: {message_of(error)}.",
            money=_NOTHING_SENT,
            remedy="Name a file that is there, or unset the variable: Python's own certificates are used then.",
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"A proxy that the environment names (HTTPS_PROXY, ALL_PROXY) cannot be used: {message_of(error)}.",
            money=_NOTHING_SENT,
            remedy="Write it as http://host:port, or unset the variable.",
        ) from error


def bounds_of(request: ChatRequest, bounds: Bounds) -> Bounds:
    """Return the bounds of a request's answer: `max_tokens` bounds a text, and not pictures."""
    model = known_model(request.model, request.prices)
    return bounds if model is None or model.draws else bounds.for_text(request.body.get("max_tokens"))
