"""A whole session with keys, passwords, logins and tokens, and every file that it writes: none of them is in any."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import nbformat
import pytest
from eth_account import Account
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from og_magics.cli import main
from og_magics.devnet import Devnet

from .conftest import FORKED

PASSWORD = "correct-horse-9-battery"
LOGIN = "gwuser:s3cret-l0gin-words"
PATH = "pathtoken0123456789abcdef"
QUERY = "querytoken9876543210fedc"
RPC_LOGIN = "rpcuser:an0ther-l0gin-word"
RPC_PATH = "rpckey00112233445566778899"
HEADERS = ("accept", "authorization", "content-type", "payment-signature", "x-upto-session", "x-settlement-type")


class Proxy:
    """What stands before a server, and wants a login, a path and a parameter. It notes what is worth money."""

    def __init__(self, upstream: str, login: str, path: str, query: str = "") -> None:
        self.seen: set[str] = set()
        self.asked = 0
        outer, basic = self, "Basic " + base64.b64encode(login.encode()).decode()
        self._client = client = httpx.Client(timeout=30)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            timeout = 5

            def log_message(self, *_: Any) -> None: ...

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                if self.headers.get("Authorization") != basic or not parts.path.startswith(f"/{path}"):
                    self.send(401, [], b'{"error": "who are you?"}')
                    return
                if query and query not in parts.query:
                    self.send(403, [], json.dumps({"error": f"not {self.path}"}).encode())
                    return
                outer.asked += 1
                headers = {name: self.headers[name] for name in HEADERS if name in self.headers}
                headers["authorization"] = "Bearer x"
                url = upstream.rstrip("/") + (parts.path.removeprefix(f"/{path}") or "/")
                try:
                    given = client.request(self.command, url, content=body, headers=headers)
                except httpx.HTTPError:
                    self.send(502, [], json.dumps({"error": f"{outer.url} failed at {self.path}"}).encode())
                    return
                outer.seen |= {
                    value
                    for held in (given.headers, self.headers)
                    for name, value in held.items()
                    if name.lower() in ("x-upto-session", "payment-signature")
                }
                kept = [one for one in given.headers.items() if one[0] not in ("content-length", "transfer-encoding")]
                self.send(given.status_code, kept, given.content)

            def send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name not in ("content-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle()

            do_GET = do_POST = answer  # noqa: N815 - the names that the server calls

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{login}@127.0.0.1:{self._server.server_port}/{path}" + (f"?token={query}" if query else "")
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.close()


@pytest.fixture
def proxies(devnet: Devnet) -> Iterator[tuple[Proxy, Proxy]]:
    gateway = Proxy(devnet.gateway_url_http, LOGIN, PATH, QUERY)
    rpc = Proxy(devnet.rpc_url, RPC_LOGIN, RPC_PATH)
    yield gateway, rpc
    gateway.close()
    rpc.close()


SESSION = [
    "%load_ext og_magics",
    "import logging\nlogging.basicConfig(filename='debug.log', level=logging.DEBUG, force=True)",
    "import json, os, sys, copy, pickle, traceback, og_magics as og",
    "from og_magics.session import current\nsettings = current().settings",
    "%%ogchat -o answer\nWhat is a receipt?",
    "%ogchat Once more, with {answer.text}?",
    "%%ogcompare -m gpt-5 -m gemini-2.5-flash -o both\nWhat is a proof?",
    "both.frame",
    "%ogchat [[fail:500]]",
    "%ogchat [[fail:cut]]",
    "settings, current().llm.wallet, current().network, current().llm.settings",
    "print(f'{settings} {settings.keystore_password} {settings.gateway_url}', [*map(str, [settings.rpc_url])])",
    "open('settings.json', 'w').write(json.dumps({n: getattr(settings, n, None) for n "
    "in dir(settings) if isinstance(getattr(settings, n, None), str)}))",
    "open('settings.pickle', 'wb').write(pickle.dumps([settings.gateway_url, settings.rpc_url]))",
    "pickle.dumps(settings)",
    "%xmode Verbose",
    "def fails(settings=settings, session=current(), url=settings.gateway_url, key=settings.keystore_password):\n"
    "    copied = copy.deepcopy(settings)\n    return 1 / 0\nfails()",
    "from og_magics import LLM\nllm = LLM.from_url(None, os.environ['DEAD'])\nllm.chat_sync('gpt-5', [])",
    "try:\n    llm.chat_sync('gpt-5', [{'role': 'user', 'content': 'x'}])\nexcept Exception:\n    traceback.print_exc()\n"
    "    raise RuntimeError('what led here') from sys.exc_info()[1]",
    "og.ask('Hello?', max_cost=1)\nraise KeyboardInterrupt",
    "%og network",
    "%og wallet",
    "%og doctor",
    "%og status",
    "%og use",
    "%og log",
    "%og env",
    "%config Og",
    "%og receipts --wait 20",
    "from og_magics.ledger import export_receipts\n"
    "[export_receipts(current().ledger.receipts(), f'all.{kind}') for kind in ('json', 'csv', 'parquet')]",
    "og.receipts().to_csv('frame.csv')\nog.receipts().to_html('frame.html')\nog.receipts()",
    "%ogchat --context 30 What did the cells do?",
    "%history -f history.txt",
    "%history -g",
]


def forms(secret: str) -> dict[str, bytes]:
    """Return what a secret may look like in a file."""
    raw = secret.encode()
    found = {
        "plain": raw,
        "hex": raw.hex().encode(),
        "percent": quote(secret, safe="").encode(),
        "each percent": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "utf-16": secret.encode("utf-16-le"),
        "reversed": raw[::-1],
    }
    for shift in range(3):  # in base64 a text looks differently at each place
        whole = base64.b64encode(b"\0" * shift + raw)
        found[f"base64 {shift}"] = whole[(0, 2, 3)[shift] : len(whole) - 4]
    if re.fullmatch(r"[0-9a-f]{64}", secret):
        found["bytes"] = bytes.fromhex(secret)
        found["number"] = str(int(secret, 16)).encode()
    return found


def scanned(folder: Path, secrets: dict[str, str]) -> tuple[list[str], int]:
    """Return where a secret stands in the files below a folder, and how many files there are."""
    looked = {(name, form): what.lower() for name, text in secrets.items() for form, what in forms(text).items()}
    found, count = [], 0
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        count += 1
        content = path.read_bytes()
        if path.suffix == ".parquet":
            import pandas as pd

            content += pd.read_parquet(path).to_csv().encode()
        with contextlib.suppress(zlib.error):
            content += zlib.decompress(content)
        content = content.lower()
        found += [f"{path.name}: {name}, {form}" for (name, form), what in looked.items() if what in content]
    return found, count


def test_the_scan_finds_what_is_there(tmp_path: Path) -> None:
    secret = "ab" * 31 + "01"
    for name, content in forms(secret).items():
        (tmp_path / name).write_bytes(b"xy" + content + b"z")
    (tmp_path / "aligned").write_bytes(base64.b64encode(b"{user: '" + secret.encode() + b"'}"))
    found, count = scanned(tmp_path, {"key": secret})
    assert {line.partition(":")[0] for line in found} == {*forms(secret), "aligned"}
    assert count == len(forms(secret)) + 1


@pytest.mark.ci
def test_no_file_of_a_session_holds_what_is_secret(
    devnet: Devnet,
    proxies: tuple[Proxy, Proxy],
    kernel_specs: KernelSpecManager,
    environment: Callable[..., dict[str, str]],
    tmp_path: Path,
    report: Callable[[str], None],
) -> None:
    gateway, rpc = proxies
    key = str(devnet.accounts[0]["private_key"])
    keystore = tmp_path / "elsewhere" / "keystore.json"
    folder, home = tmp_path / "work", tmp_path / "work" / "home"
    for one in (keystore.parent, home):
        one.mkdir(parents=True)
    keystore.write_text(json.dumps(Account.encrypt(key, PASSWORD, kdf="pbkdf2", iterations=1)))
    env = environment(
        devnet,
        HOME=str(home),
        IPYTHONDIR=str(home / "ipython"),
        OG_NETWORK="devnet",
        OG_KEYSTORE=str(keystore),
        OG_KEYSTORE_PASSWORD=PASSWORD,
        OG_GATEWAY_URL=gateway.url,
        OG_RPC_URL=rpc.url,
        OG_REGISTRY_RPC_URL=rpc.url,
        OG_RETRIES="0",
        OG_LOG="debug",
        JPY_SESSION_NAME=str(folder / "session.ipynb"),
        DEAD=f"http://{LOGIN}@127.0.0.1:9/{PATH}?token={QUERY}",
    )
    typed = [f"maybe = '{key}'", f"# words: {'abandon ' * 11}about", f"# of my keystore: password = '{PASSWORD}'"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in SESSION])
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name=FORKED, kernel_spec_manager=kernel_specs),
        timeout=60,
        resources={"metadata": {"path": str(folder)}},
        allow_errors=True,
    )

    async def run() -> list[str]:
        refused = []
        async with client.async_setup_kernel(env=env, cleanup_kc=True):
            for place, cell in enumerate(list(notebook.cells)):
                await client.async_execute_cell(cell, place)
                if place == 5:  # the user deletes these cells, as the refusal says
                    for text in typed:
                        notebook.cells.append(nbformat.v4.new_code_cell(text))
                        await client.async_execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
                        refused.append(json.dumps(notebook.cells.pop().outputs))
        return refused

    refused = asyncio.run(run())
    assert [("It was not run" in text) for text in refused] == [True] * len(typed), refused
    saved = folder / "session.ipynb"
    nbformat.write(notebook, saved)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.chdir(folder):
        for command in (
            ["scrub", str(saved)],
            ["scrub", "--check", "--keep-answers", str(saved)],
            ["verify", str(saved)],
        ):
            with contextlib.suppress(SystemExit):
                main(command)
    (folder / "commands.txt").write_text(said.getvalue() + "".join(refused))

    outputs = [json.dumps(cell.outputs) for cell in notebook.cells]
    answered = sum("application/vnd.og.receipt+json" in text for text in outputs)
    assert answered >= 4, outputs
    assert "http://127.0.0.1" in outputs[SESSION.index("%og doctor")]
    assert rpc.asked
    secrets = {
        "key": key.removeprefix("0x"),
        "keystore password": PASSWORD,
        "login": LOGIN.partition(":")[2],
        "path": PATH,
        "query": QUERY,
        "RPC login": RPC_LOGIN.partition(":")[2],
        "RPC path": RPC_PATH,
        "basic": base64.b64encode(LOGIN.encode()).decode(),
        **{f"sent {place}": text for place, text in enumerate(sorted(gateway.seen))},
    }
    assert len(gateway.seen) >= 4
    found, count = scanned(folder, secrets)
    report(f"{len(secrets)} secrets looked for in {count} files of a session: {len(found)} found")
    assert found == []
    names = {path.name for path in folder.rglob("*")}
    assert count > 12
    assert {"session.db", "session.scrubbed.ipynb", "debug.log", "history.sqlite", "history.txt", "all.csv"} <= names
