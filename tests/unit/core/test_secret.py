"""Keys, passwords, tokens and logins show themselves to nobody."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import logging
import operator
import pickle
from collections.abc import Callable
from pprint import pformat
from typing import Any

import pytest

from og_magics.core.errors import ConfigError, GatewayError
from og_magics.core.networks import BASE
from og_magics.core.option import Option
from og_magics.core.secret import PrivateURL, Secret, fingerprint, origin_of, without_secrets
from og_magics.core.settings import Settings

KEY = "7d" * 31 + "01"
LOGIN = "hunter2hunter2"
TOKEN = "0123456789abcdefdeadbeef"
URL = f"https://me:{LOGIN}@node.example:8545/v3/{TOKEN}?apikey=k_{TOKEN}"
HELD = Settings(
    private_key=KEY,  # type: ignore[arg-type]  # a person may give a plain text
    keystore_password=LOGIN,  # type: ignore[arg-type] - the table makes a Secret of it
    rpc_url=URL,
    registry_rpc_url=URL,
    gateway_url=URL,
    blob_url=URL,
)
WAYS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda value: f"{value} {value!r} {value!s}",
    "format": lambda value: f"{value:>5}" if isinstance(value, str) else f"{value}",
    "percent": lambda value: operator.mod("%s %r", (value, value)),
    "join": lambda value: "".join([value]) if isinstance(value, str) else "",
    "plus": lambda value: value + "" if isinstance(value, str) else "",
    "json": lambda value: json.dumps(value, default=str),
    "json of its fields": lambda value: json.dumps(
        dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else [value],
        default=str,
    ),
    "pprint": pformat,
    "copy": lambda value: repr(copy.copy(value)),
    "deepcopy": lambda value: repr(copy.deepcopy([value])),
    "encode": lambda value: value.encode().decode() if isinstance(value, str) else "",
    "vars": lambda value: repr(getattr(value, "__dict__", "")),
    "log": lambda value: logging.Formatter().format(logging.makeLogRecord({"msg": "%s %r", "args": (value, value)})),
}


def _pickled(value: Any) -> str:
    try:
        return "".join(repr(pickle.dumps(value, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1))
    except TypeError as error:
        return str(error)


WAYS["pickle"] = _pickled


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "value",
    [HELD, HELD.replace(model="openai/gpt-5"), HELD.private_key, HELD.gateway_url, HELD.apply(BASE), [HELD]],
    ids=["settings", "changed", "key", "url", "network", "list"],
)
def test_nothing_private_is_had_by(way: str, value: Any) -> None:
    said = str(WAYS[way](value))
    held = [KEY, LOGIN, TOKEN]
    for one in [*held, *(base64.b64encode(one.encode()).decode()[:-4] for one in held)]:
        assert one not in said


def test_it_is_had_by_asking_for_it_alone() -> None:
    assert HELD.private_key is not None
    assert HELD.private_key.reveal() == KEY
    assert isinstance(HELD.rpc_url, PrivateURL)
    assert HELD.rpc_url.reveal() == URL
    assert str(HELD.rpc_url) == "https://node.example:8545"


def test_two_of_one_origin_are_two() -> None:
    one, other = PrivateURL(URL), PrivateURL(URL + "x")
    assert len({one, other}) == 2
    assert one == URL
    assert hash(one) == hash(URL)
    assert one == PrivateURL(one)
    assert Secret(KEY) == Secret(KEY) != Secret("other")
    assert Secret(KEY) != "<secret>"


def test_empty_ones_are_false() -> None:
    assert not Secret("")
    assert not PrivateURL("")
    assert PrivateURL("nonsense")
    assert Secret("x")
    assert "nonsense" not in str(PrivateURL("nonsense"))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a:b@host.example/x?y#z", "https://host.example"),
        ("http://[::1]:80/x", "http://[::1]:80"),
        ("HTTPS://Host.example:1", "https://host.example:1"),
        ("host.example:8000", ""),
        ("http://[bad", ""),
        ("http://host:port", ""),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_servers_words_do_not_bring_it_back() -> None:
    assert LOGIN not in str(ConfigError(f"no route to {URL}", remedy=f"ask {LOGIN}"))
    error = GatewayError(f"it said {TOKEN}", body=f'{{"key": "{KEY.upper()}"}}')
    assert TOKEN not in str(error)
    assert KEY.upper() not in error.body
    assert without_secrets("a node.example") == "a node.example"


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "urllib3.connectionpool", "web3.providers.HTTPProvider"])
def test_logs_of_libraries_are_without_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, name):
        logging.getLogger(name).info("HTTP Request: %s %s", "POST", URL)
    assert "HTTP Request: POST https://" in caplog.text
    assert LOGIN not in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        "return_value=(b'HTTP/1.1', 200, b'OK', [(b'X-Upto-Session', b'0f1e2d3c'), (b'x', b'y')])",
        "headers={'Authorization': 'Basic 0f1e2d3c', 'x': 'y'}",
        "x-upto-session: 0f1e2d3c",
    ],
)
def test_a_header_that_nobody_has_read_yet_is_not_logged(line: str, caplog: pytest.LogCaptureFixture) -> None:
    assert Secret(KEY)
    with caplog.at_level(logging.DEBUG, "httpcore.http11"):
        logging.getLogger("httpcore.http11").debug("receive_response_headers.complete %s", line)
    assert "receive_response_headers.complete" in caplog.text
    assert "0f1e2d3c" not in caplog.text
    assert "'y'" in caplog.text or "y" not in line


def test_a_password_that_is_read_from_the_environment_is_one() -> None:
    assert repr(Option("private_key", "Secret | None", None, "").parse(KEY)) == "<secret>"


def test_a_fingerprint_groups_and_tells_nothing() -> None:
    assert fingerprint("one", "salt") == fingerprint(Secret("one"), "salt") != fingerprint("one", "other")
    assert "one" not in fingerprint("one", "salt")
