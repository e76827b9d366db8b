"""A failure's reason reaches the user, in whatever form it comes, in one harmless line."""

from __future__ import annotations

import json

import pytest

from og_magics.core.failure_reason import reason_of


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ({"error": "Model 'x' is not supported"}, "json", "Model 'x' is not supported"),
        ({"error": {"message": "model 'x' not found, try pulling it first", "type": "api_error"}}, "json",
         "model 'x' not found, try pulling it first"),
        ({"detail": [{"loc": ["body", "max_tokens"], "msg": "is too large"}]}, "json", "body.max_tokens: is too large"),
        ({"detail": "Not authenticated"}, "json", "Not authenticated"),
        ({"object": "error", "message": "context length exceeded", "code": 400}, "json", "context length exceeded"),
        ({"type": "about:blank", "title": "Bad Request", "detail": "4 stops at most", "status": 400}, "problem+json",
         "4 stops at most"),
        ({"error": None, "message": "busy"}, "json", "busy"),
        ("context length exceeded.\n", "plain", "context length exceeded"),
        ("<html><head><title>502 Bad &amp; Gateway</title></head></html>", "html", "502 Bad & Gateway"),
        ("<html><body>no title</body></html>", "html", ""),
        ({}, "json", ""), ([], "json", ""), ("", "plain", ""), ({"error": {}}, "json", ""),
        ("\x1b]52;c;aGk=\x07gone\u202e", "plain", "]52;c;aGk=gone"),
        ({"error": "\x1b[2Jgone"}, "json", "[2Jgone"),
        ("x" * 5000, "plain", "x" * 399 + "…"),
    ],
)  # fmt: skip
def test_the_reason_is_found(body: object, kind: str, text: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    assert reason_of(content.encode(), f"application/{kind}" if "json" in kind else f"text/{kind}").text == text


def test_what_the_newest_gateway_says_of_it() -> None:
    reason = reason_of(
        json.dumps(
            {"error": "overloaded", "source": "provider", "provider_status": 529, "retryable": True, "code": "busy"}
        ).encode(),
        "application/json",
    )
    assert (reason.text, reason.source, reason.retryable) == (
        "overloaded (the provider's status 529)", "provider", True,
    )  # fmt: skip
    assert reason.whose == "The gateway's model provider"
    odd = b'{"error": "x", "source": "\\u001b[2J", "retryable": "yes", "provider_status": "many"}'
    assert reason_of(odd, "application/json") == reason_of(b'{"error": "x"}', "application/json")


def test_a_deep_or_endless_body_has_no_reason_and_no_cost() -> None:
    deep = b'{"error":' * 60 + b"1" + b"}" * 60
    assert reason_of(deep, "application/json").text == ""
    assert len(reason_of(b"[" * 10_000_000, "text/plain").text) <= 402
