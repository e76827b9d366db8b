"""The facade against real devnets: LLMs with ledgers of their own, and servers that misbehave on purpose."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from web3 import HTTPProvider, Web3

from og_magics import LLM, Settings
from og_magics.core.runtime import runtime
from og_magics.core.settings import Secret
from og_magics.devnet import Devnet, contracts
from og_magics.devnet.anvil import find_anvil
from og_magics.ledger import Ledger
from og_magics.session import Session

CHAINS = [
    "embedded",
    pytest.param(
        "anvil", marks=pytest.mark.skipif(find_anvil() is None, reason="anvil is not on PATH, nor in OG_ANVIL")
    ),
]


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[[str], Devnet]]:
    """A devnet on one kind of chain; the same one for all tests that only need some devnet."""
    with contextlib.ExitStack() as stack:
        running: dict[str, Devnet] = {}

        def start(kind: str) -> Devnet:
            if kind not in running:
                devnet = Devnet(chain=kind, settle_after=2, batch_after=0.3, token_delay=0.002)
                running[kind] = stack.enter_context(devnet)
            return running[kind]

        yield start


@pytest.fixture(scope="session")
def devnet(started: Callable[[str], Devnet]) -> Devnet:
    """On the embedded chain."""
    return started("embedded")


@pytest.fixture(scope="session", params=CHAINS)
def anywhere(request: pytest.FixtureRequest, started: Callable[[str], Devnet]) -> Devnet:
    """On each kind of chain in turn."""
    return started(request.param)


@pytest.fixture
def devnet_with() -> Iterator[Callable[..., Devnet]]:
    """A maker of devnets with options of one's own. They end after the LLMs of the same test."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Devnet(**{"token_delay": 0.002, **options}))


class LLMOf(Protocol):
    def __call__(self, devnet: Devnet, /, account: int = 0, **settings: Any) -> LLM: ...


@pytest.fixture
def llm_of(tmp_path: Path, devnet_with: Callable[..., Devnet]) -> Iterator[LLMOf]:
    """A maker of LLMs that pay from one of a devnet's accounts; each has a ledger of its own. Closed afterwards."""
    made: list[LLM] = []

    def make(devnet: Devnet, /, account: int = 0, **settings: Any) -> LLM:
        own = {
            "devnet": json.dumps(devnet.info),
            "ledger": str(tmp_path / f"{len(made)}.db"),
            "network": "devnet",
            "retries": 0,  # a failure is told at once; test_retries.py is about repetitions
        }
        llm = LLM(devnet.accounts[account]["private_key"], settings=Settings(**{**own, **settings}))
        made.append(llm)
        return llm

    yield make
    for llm in made:
        runtime.wait(llm.close(), 10)
        if isinstance(llm.journal, Ledger):
            llm.journal.close()


@pytest.fixture
def app_of(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """A maker of notebooks on a devnet, each with its ledger; its first account pays."""
    made: list[Session] = []

    def make(devnet: Devnet, **settings: Any) -> Session:
        own = {
            "devnet": json.dumps(devnet.info), "ledger": str(tmp_path / f"notebook-{len(made)}.db"),
            "network": "devnet", "private_key": Secret(devnet.accounts[0]["private_key"]), "retries": 0,
        }  # fmt: skip
        made.append(Session(Settings(**{**own, **settings})))
        return made[-1]

    yield make
    for app in made:
        app.update_settings(timeout=app.settings.timeout + 1)  # another LLM: the one before is closed
        app.ledger.close()


@pytest.fixture
def llm(llm_of: LLMOf, devnet: Devnet) -> LLM:
    """The funded and approved account, on the embedded chain."""
    return llm_of(devnet)


@pytest.fixture
def unhurried(llm_of: LLMOf, devnet_with: Callable[..., Devnet]) -> LLM:
    """The same on a devnet that leaves a session open however slowly this machine makes its calls."""
    return llm_of(devnet_with(settle_after=30))


def signed(llm: LLM) -> list[tuple[str, str]]:
    """(hash, reason) of every authorization in an LLM's ledger, read past the ledger's own code."""
    with contextlib.closing(sqlite3.connect(llm.settings.ledger)) as file:
        return file.execute("SELECT hash, reason FROM authorizations ORDER BY rowid").fetchall()


@pytest.fixture(name="signed")
def _signed() -> Callable[[LLM], list[tuple[str, str]]]:
    return signed


@pytest.fixture
def transfers() -> Callable[[Devnet], list[int]]:
    """What the first account has paid on a devnet's chain: base units, one number a transaction."""

    def read(devnet: Devnet) -> list[int]:
        web3 = Web3(HTTPProvider(devnet.rpc_url))
        token = web3.eth.contract(address=devnet.opg_token, abi=contracts.load("OPG").abi)
        logs = token.events.Transfer().get_logs(from_block=0)
        pair = (devnet.accounts[0]["address"], devnet.pay_to)
        return [amount for source, to, amount in (tuple(log["args"].values()) for log in logs) if (source, to) == pair]

    return read


@dataclass
class Reply:
    """What a server of ours answers. `cut` breaks the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """A request that a server of ours was sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A gateway of ours, and all that it was asked."""

    url: str
    asked: list[Asked]

    @property
    def posts(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == "POST"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """A maker of HTTP servers: `serve(answer)` with `answer(asked) -> Reply`; `tls` makes it HTTPS."""
    with contextlib.ExitStack() as stack:

        def start(answer: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> Server:
            asked: list[Asked] = []

            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def answer(self) -> None:
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    asked.append(Asked(self.command, self.path, headers, body))
                    reply = answer(asked[-1])
                    self.send_response(reply.status)
                    for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)

                do_GET = do_POST = answer  # noqa: N815 - the library's names

                def log_message(self, *_: Any) -> None:
                    pass

            class Quiet(ThreadingHTTPServer):
                daemon_threads = True

                def handle_error(self, *_: Any) -> None:
                    pass

            server = Quiet(("127.0.0.1", 0), Handler)
            if tls is not None:
                server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return Server(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", asked)

        yield start


@dataclass
class Identity:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, issuer: Identity | None = None, *, authority: bool = False) -> Identity:
        """Signed by itself, or by another; `authority` may sign others."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"test {time.monotonic_ns()}")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer.certificate.subject if issuer else name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(issuer.key if issuer else key, hashes.SHA256())
        )
        return cls(key, certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def context(self, folder: Path) -> ssl.SSLContext:
        """For a server that shows this certificate."""
        pem = folder / f"{self.certificate.serial_number}.pem"
        pem.write_bytes(
            self.certificate.public_bytes(serialization.Encoding.PEM)
            + self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context


@pytest.fixture
def identity() -> type[Identity]:
    """The class, for tests that make certificates."""
    return Identity


@pytest.fixture
def reply() -> type[Reply]:
    """The class, for tests whose servers answer."""
    return Reply


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def offer_of(devnet: Devnet, **changes: Any) -> str:
    """A PAYMENT-REQUIRED header with the devnet's terms, some of them changed."""
    terms: dict[str, Any] = {
        "scheme": "upto",
        "network": f"eip155:{devnet.chain_id}",
        "asset": devnet.opg_token,
        "amount": str(10**17),
        "payTo": devnet.pay_to,
        "maxTimeoutSeconds": 300,
        "extra": {
            "name": "OpenGradient",
            "version": "1",
            "assetTransferMethod": "permit2",
            "facilitatorAddress": devnet.accounts[1]["address"],
        },
    }
    required = {
        "x402Version": 2,
        "error": "Payment required",
        "resource": {"url": "http://gateway", "description": "", "mimeType": "application/json"},
        "accepts": [terms | changes],
    }
    return base64.b64encode(json.dumps(required).encode()).decode()


@pytest.fixture(name="offer_of")
def _offer_of() -> Callable[..., str]:
    return offer_of


@pytest.fixture
def offer(devnet: Devnet) -> str:
    """A PAYMENT-REQUIRED header with the devnet's own terms."""
    return offer_of(devnet)
