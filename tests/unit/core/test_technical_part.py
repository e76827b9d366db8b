"""The technical part of an error: folded in a front end, and no part of the message."""

from __future__ import annotations

import pytest

from og_magics.core.errors import GatewayError, GatewayUnreachable, OGError
from og_magics.core.technical_part import is_technical_part, technical_part


def test_the_message_has_nothing_of_it() -> None:
    error = GatewayUnreachable("It is gone.", money="Nothing was paid.", remedy="Wait.", details="[Errno 111] refused")
    assert str(error) == "It is gone. Nothing was paid. Wait."
    assert error.technical() == ["GatewayUnreachable", "[Errno 111] refused"]
    assert error._render_traceback_() == [str(error), "(GatewayUnreachable; [Errno 111] refused)"]


def test_where_it_folds_the_traceback_is_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OGError, "folds", True)
    assert GatewayError("No.", money="Nothing was paid.")._render_traceback_() == ["No. Nothing was paid."]


def test_it_has_what_a_server_answered() -> None:
    error = GatewayError("No.", status=502, body="<h1>Bad gateway</h1>")
    assert error.technical() == ["GatewayError", "HTTP status 502", "<h1>Bad gateway</h1>"]


@pytest.mark.parametrize(
    "line",
    ["<script>alert(1)</script>", "</pre></details><img src=x>", "a\nb", "x" * 9000, "&<>\"'", ")\n(", "é" * 2500],
)
def test_whatever_is_in_it_is_text_and_its_form_is_known(line: str) -> None:
    bundle = technical_part(["GatewayError", line])
    assert is_technical_part(bundle)
    assert bundle["text/html"].count("<") == 6
    assert "\n" not in bundle["text/plain"]


@pytest.mark.parametrize("more", ["<p>more</p>", "<pre>x</pre>", "\n"])
def test_another_form_is_none(more: str) -> None:
    bundle = technical_part(["GatewayError"])
    assert not is_technical_part(bundle | {"text/html": bundle["text/html"] + more})
    assert not is_technical_part(bundle | {"text/markdown": "x"})
    assert not is_technical_part(bundle | {"text/plain": "An answer.\n\nof two"})
