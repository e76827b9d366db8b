"""One gateway: paid requests, streamed or whole, and its failures as errors of the tree."""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from .._version import __version__
from ..catalogue import nearest_model
from ..errors import GatewayError, GatewayProtocolError, GatewayUnreachable, ModelNotSupported, StreamError
from ..types import Enclave, x402SettlementMode
from ..untrusted import read_json as parse_untrusted
from .sse import EventTooLarge, SSEDecoder
from .tls import pinned_context

_BEARER = "og-magics"
"""The gateway wants a bearer token and does not look at it: the payment is the credential."""

_BODY_SHOWN = 500
_NOTHING_SENT = "Nothing was sent and nothing was paid."
_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class GatewayClient:
    """HTTP to one enclave's gateway. Used on one event loop.

    With a certificate in `enclave`, that certificate is the only one accepted; without, ordinary verification holds
    unless `verify` is False.
    """

    def __init__(self, enclave: Enclave, *, timeout: float, verify: bool = True) -> None:
        self.enclave = enclave
        tls = pinned_context(enclave.tls_certificate) if enclave.tls_certificate is not None else verify
        self._http = httpx.AsyncClient(
            base_url=enclave.endpoint,
            verify=tls,
            limits=_CONNECTIONS,
            # No environment proxies: they would see pinned traffic fail, and plain traffic whole.
            trust_env=enclave.tls_certificate is None and verify,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 15.0)),
            headers={"Authorization": f"Bearer {_BEARER}", "User-Agent": f"og_magics/{__version__}"},
        )

    @contextlib.asynccontextmanager
    async def post(
        self, path: str, body: Mapping[str, Any], settlement: x402SettlementMode, auth: httpx.Auth
    ) -> AsyncIterator[httpx.Response]:
        """A paid request whose answer is good (2xx) and not yet read.

        Raises:
            GatewayUnreachable: no connection, or no answer in time.
            GatewayError and its kin: any other status.
        """
        request = self._http.build_request(
            "POST", path, json=dict(body), headers={"X-SETTLEMENT-TYPE": settlement.value}
        )
        with self._failures():
            response = await self._http.send(request, auth=auth, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    failure = _failure(response, str(body.get("model", "")))
                    failure.retry_after = _retry_after(response.headers.get("Retry-After", ""))
                    raise failure
                yield response
            finally:
                await response.aclose()

    async def signing_key(self) -> str:
        """The key, PEM, that the gateway itself says it signs with: worth as much as the connection.

        Raises:
            GatewayError: it shows none.
        """
        with self._failures():
            response = await self._http.get("/signing-key")
        if not response.is_success:
            raise _failure(response, "")
        return str(read_json(response.content, response.status_code).get("public_key", ""))

    async def health(self) -> dict[str, Any]:
        """What `GET /health` says.

        Raises:
            GatewayError: not reachable, or not JSON.
        """
        with self._failures():
            response = await self._http.get("/health")
        if not response.is_success:
            raise _failure(response, "")
        return read_json(response.content, response.status_code)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @contextlib.contextmanager
    def _failures(self) -> Any:
        endpoint = self.enclave.endpoint
        try:
            yield
        except httpx.ConnectError as error:
            untrusted = isinstance(_root(error), ssl.SSLError)
            remedy = "Check the network connection; %og network shows which gateway is used."
            if untrusted and self.enclave.tls_certificate is not None:
                remedy = "Its certificate is not the one that the registry holds: do not go on."
            elif untrusted:
                remedy = "Do not go on, unless the server is your own: then OG_GATEWAY_VERIFY=0, or verify=False."
            raise GatewayUnreachable(
                f"No trusted connection to the gateway {endpoint}: {_told(error)}."
                if untrusted
                else f"The gateway {endpoint} cannot be reached: {_told(error)}.",
                transient=not untrusted,
                money=_NOTHING_SENT,
                remedy=remedy,
            ) from error
        except httpx.ConnectTimeout as error:
            raise GatewayUnreachable(
                f"The gateway {endpoint} did not accept a connection in time.",
                transient=False,
                money=_NOTHING_SENT,
                remedy="Try again, or check the network connection.",
            ) from error
        except httpx.TimeoutException as error:
            raise GatewayUnreachable(
                f"The gateway {endpoint} did not answer in time.",
                transient=False,
                money=MAY_BE_CHARGED,
                remedy="Ask again; OG_TIMEOUT (seconds) lets it take longer.",
            ) from error
        except httpx.TransportError as error:
            raise GatewayUnreachable(
                f"The connection to the gateway {endpoint} was lost: {_told(error)}.",
                money=MAY_BE_CHARGED,
                remedy="Ask again; %og receipts shows what is settled.",
            ) from error


MAY_BE_CHARGED = "The call may be charged, by no more than its authorization allows."


async def events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The JSON events of a streamed answer, up to [DONE]; the rest is read to the end of file and left out.

    Raises:
        StreamError: an error event, broken JSON, an event without end, or a stream that was cut.
    """
    if "html" in response.headers.get("content-type", ""):
        await response.aread()
        raise _html(response)
    decoder = SSEDecoder()
    done = False
    try:
        async for data in response.aiter_bytes():
            for event in decoder.feed(data):
                if event.data == "[DONE]":
                    done = True
                if not done and event.data:
                    yield _event(event.data)
    except EventTooLarge as error:
        raise StreamError(f"The stream broke: {str(error).rstrip('.')}.", money=MAY_BE_CHARGED) from None
    except httpx.TransportError as error:
        if not done:  # after [DONE] nothing is missing
            raise StreamError(
                f"The stream was cut: {_told(error)}.",
                money=MAY_BE_CHARGED,
                remedy="What had arrived is kept; ask again for the rest.",
            ) from error
    if not done and decoder.pending:
        raise StreamError(
            "The stream was cut in the middle of an event.",
            money=MAY_BE_CHARGED,
            remedy="What had arrived is kept; ask again for the rest.",
        )


def _event(data: str) -> dict[str, Any]:
    event = _json_object(data)
    if event is None:
        raise StreamError(
            "The gateway sent an event that is not JSON.",
            body=data[:_BODY_SHOWN],
            money=MAY_BE_CHARGED,
            remedy="What had arrived is kept; ask again.",
        )
    if event.get("error"):
        told = event["error"]
        text = told.get("message", "") if isinstance(told, dict) else told
        raise StreamError(
            f"The gateway broke the stream off: {str(text)[:200]}.",
            body=data[:_BODY_SHOWN],
            money=MAY_BE_CHARGED,
            remedy="Its model provider failed; ask again, or try another model.",
        )
    return event


def _json_object(text: str) -> dict[str, Any] | None:
    """The object that a text holds, or None."""
    try:
        value = parse_untrusted(text.encode("utf-8", "replace"))
        if "\\ud" in text.lower():  # half of a surrogate pair can neither be stored nor printed
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_json(content: bytes, status: int) -> dict[str, Any]:
    """The JSON object of an answer's body.

    Raises:
        GatewayProtocolError: it is none.
    """
    value = _json_object(content.decode("utf-8", "replace"))
    if value is None:
        raise GatewayProtocolError(
            "The gateway answered with something that is not JSON.",
            status=status,
            body=_excerpt(content),
            money=MAY_BE_CHARGED if status < 400 else "",
            remedy="A proxy may stand in between; %og network shows the address that was asked.",
        )
    return value


def _failure(response: httpx.Response, model: str) -> GatewayError:
    """The error for an answer that is not 2xx."""
    status, body = response.status_code, _excerpt(response.content)
    told = (_json_object(response.content.decode("utf-8", "replace")) or {}).get("error")
    text = str(told.get("message") if isinstance(told, dict) else told)[:200] if told else ""
    if status == 400 and "not supported" in text and model in text:
        close = nearest_model(model)
        hint = f"Did you mean {close}? " if close else ""
        return ModelNotSupported(
            f"The gateway does not serve the model {model!r}.",
            status=status,
            body=body,
            money="The payment was authorized and nothing was served: nothing is charged for this call.",
            remedy=f"{hint}%og models lists the models.",
        )
    if not text and "html" in response.headers.get("content-type", ""):
        return _html(response)
    what = f"The gateway failed with status {status}" + (f": {text}." if text else ".")
    remedy = "Try again in a minute." if status >= 500 or status == 429 else ""
    return GatewayError(
        what,
        status=status,
        body=body,
        money="Nothing was served; what was authorized expires by itself.",
        remedy=remedy,
    )


def _retry_after(told: str) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date."""
    try:
        return max(0.0, float(told)) if told else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _html(response: httpx.Response) -> GatewayProtocolError:
    return GatewayProtocolError(
        f"The gateway answered {response.status_code} with an HTML page instead of an answer.",
        status=response.status_code,
        body=_excerpt(response.content),
        money="Nothing was served; what was authorized expires by itself.",
        remedy="A proxy in front of the gateway failed. Try again in a minute.",
    )


def _excerpt(content: bytes) -> str:
    return content[: 4 * _BODY_SHOWN].decode("utf-8", "replace")[:_BODY_SHOWN]


def _root(error: BaseException) -> BaseException:
    """The first cause of a chain of exceptions: what the operating system said."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _told(error: BaseException) -> str:
    """The same in words: some of those exceptions have none."""
    root = _root(error)
    return str(root).rstrip(".") or type(root).__name__
