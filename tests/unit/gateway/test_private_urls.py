"""A gateway's URL may have a login, a path and a parameter: each request has them, and no error."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from og_magics.client.gateway_pool import endpoint_at
from og_magics.core.errors import ConfigError, GatewayUnreachable
from og_magics.gateway import PlainEndpoint

PRIVATE = ("s3cret-l0gin", "0123456789abcdef0123", "tok-98765432")
asked: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        asked.append((self.path, self.headers["Authorization"]))
        found = "/v1/models" in self.path
        body = json.dumps({"data": [{"id": "a"}]} if found else {"error": f"no {self.path}"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_each_request_has_them(host: str, end: str) -> None:
    async def listed() -> tuple[list[str], str]:
        endpoint = await endpoint_at(f"http://me:{PRIVATE[0]}@{host}/{PRIVATE[1]}{end}?token={PRIVATE[2]}", timeout=5)
        try:
            assert isinstance(endpoint, PlainEndpoint)
            return await endpoint.models(), str(endpoint.enclave)
        finally:
            await endpoint.close()

    asked.clear()
    models, shown = asyncio.run(listed())
    assert models == ["a"]
    path, credential = asked[-1]
    assert path == f"/{PRIVATE[1]}/v1/models?token={PRIVATE[2]}"
    assert credential == "Basic " + base64.b64encode(f"me:{PRIVATE[0]}".encode()).decode()
    assert f"http://{host}" in shown
    assert not any(one in shown for one in PRIVATE)


@pytest.mark.parametrize(
    "start", ["http://me:{0}@127.0.0.1:9/{1}?token={2}", "ftp://me:{0}@host/{1}", "me:{0}@host/{1}"]
)
def test_no_error_has_them(start: str) -> None:
    with pytest.raises((GatewayUnreachable, ConfigError)) as caught:
        asyncio.run(endpoint_at(start.format(*PRIVATE), timeout=5))
    chain: BaseException | None = caught.value
    while chain is not None:
        assert not any(one in f"{chain} {chain!r} {vars(chain)}" for one in PRIVATE)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
