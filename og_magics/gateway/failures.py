"""Failures of a gateway, as the errors that say what to do."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import httpx

from ..core.errors import GatewayError, GatewayProtocolError, ModelNotSupported, StreamError
from ..core.failure_reason import reason_of
from ..core.models import nearest_model
from .bounds import MAY_BE_CHARGED, NOTHING_SERVED

BODY_SHOWN = 500
"""Characters of a body that an error keeps."""


def failure_of(response: httpx.Response, model: str, content: bytes) -> GatewayError:
    """Return the error for an answer that is not 2xx; `content` is the beginning of its body."""
    status, body = response.status_code, excerpt(content)
    reason = reason_of(content, response.headers.get("content-type", ""))
    if status == 400 and "not supported" in reason.text and model in reason.text:
        close = nearest_model(model)
        hint = f"Did you mean {close}? " if close else ""
        return ModelNotSupported(
            f"The gateway does not serve the model {model!r}.",
            status=status,
            body=body,
            money="The payment was signed and nothing was answered: nothing is charged for this call.",
            remedy=f"{hint}%og models lists the models.",
        )
    if "html" in response.headers.get("content-type", ""):
        return html_instead(response, content, reason.text)
    if response.is_redirect:
        return GatewayError(
            f"The gateway sends the call on to {response.headers.get('location', 'nowhere')[:200]}, which is not "
            "followed: a payment is for who asked for it.",
            status=status,
            body=body,
            money=NOTHING_SERVED,
            remedy="A login page of the network may stand in between; or name the new address as the gateway.",
        )
    passes = status >= 500 or status in (408, 409, 425, 429) if reason.retryable is None else reason.retryable
    error = GatewayError(
        f"{reason.whose} failed with status {status}" + (f": {reason.text}." if reason.text else "."),
        status=status,
        body=body,
        money=NOTHING_SERVED,
        remedy="Try again in a minute." if passes else _remedy(status),
    )
    error.retryable, error.provider_status = reason.retryable, reason.provider_status
    return error


def _remedy(status: int) -> str:
    """Return what may help where the same request would fail again."""
    if status == 413:
        return "The request is too large: shorten the prompt, its context or its pictures."
    return "" if status >= 500 else "The same request would fail again: change what the reason names."


def failure_in_stream(data: str) -> StreamError:
    """Return the error that an event of a stream reports; `data` is its JSON."""
    reason = reason_of(data.encode("utf-8", "replace"), "application/json")
    later = "ask again, or try another model" if reason.retryable is not False else "the same request would fail again"
    error = StreamError(
        f"The gateway broke the stream off: {reason.text or 'it gave no reason'}.",
        body=data[:BODY_SHOWN],
        money=MAY_BE_CHARGED,
        remedy=f"{'The gateway itself' if reason.source == 'gateway' else 'Its model provider'} failed; {later}.",
    )
    error.retryable, error.provider_status = reason.retryable, reason.provider_status
    return error


def retry_after(header: str) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def html_instead(response: httpx.Response, content: bytes, title: str) -> GatewayProtocolError:
    """Return the error for a web page in place of an answer."""
    return GatewayProtocolError(
        f"The gateway answered {response.status_code} with an HTML page instead of an answer"
        + (f": {title}." if title else "."),
        status=response.status_code,
        body=excerpt(content),
        money=NOTHING_SERVED,
        remedy="A proxy in front of the gateway failed. Try again in a minute.",
    )


def excerpt(content: bytes) -> str:
    """Return the beginning of a body as text."""
    return content[: 4 * BODY_SHOWN].decode("utf-8", "replace")[:BODY_SHOWN]
