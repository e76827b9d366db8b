"""`Devnet`: the chain and the gateway, in this process, on threads of their own."""

from __future__ import annotations

import asyncio
import atexit
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from ..core.amounts import parse_opg
from ..core.errors import DevnetError
from ..core.loopback import LocalOnly
from . import addresses
from .accounts import ACCOUNTS, ETHER, FACILITATOR, INITIAL_OPG, PAYEE
from .chain import Chain, connect, prepare, start_chain
from .gateway.app import Gateway
from .gateway.blobs import BlobStore
from .gateway.data import DataSettlement
from .gateway.enclave import Enclave
from .gateway.nitro import PCR_HASH
from .gateway.paywall import Paywall, Scheme, Terms
from .gateway.prices import OPG_PRICE_USD
from .gateway.profile import DEFAULT, PROFILES
from .gateway.settler import Facilitator, Settler
from .gateway.upstream import UpstreamModel
from .local_model import LocalModel
from .model.protocol import Model
from .model.simulated import SimulatedModel
from .operator import Operator

log = logging.getLogger("og_magics.devnet")

_STREAMS_MAY_TAKE = 2  # seconds that answers under way get when the devnet stops
_SETTLING_MAY_TAKE = 20.0  # seconds, then what is left is given up, with a word on stderr

_ANNOUNCED = (
    "gateway_url",
    "gateway_url_http",
    "rpc_url",
    "chain_id",
    "tee_registry",
    "settlement_relay",
    "blob_url",
    "opg_token",
    "permit2",
    "upto_proxy",
    "pay_to",
    "tee_id",
    "attestation_root",
    "started",
    "accounts",
)


class Devnet:
    """A network on loopback, from `start` to `close`, or for a `with` block.

    Keyword options are the flags of `og-magics devnet`: seconds for times, OPG for `cap`, `chain` one of
    "embedded", "anvil" or a node's URL, `fund` addresses that get 1000 OPG and gas. `gateway` is the version of the
    real one that is imitated; its cap and times hold where none are given. `opg_price` is in USD; 0: none is known.
    `model` is a .gguf file, or "smollm2", that answers on this machine in place of the prepared answers.

    Attributes:
        gateway_url: HTTPS, with the certificate that the registry vouches for.
        gateway_url_http: the same gateway without TLS.
        accounts: [{address, private_key}]: funded and approved; funded without an allowance; poor.
        tee_id: 0x and 64 hex digits.
        attestation_root: SHA-256 of the certificate under which its simulated hardware attests the enclave, hex.
        started: unix seconds; no payment on it is older.

    Raises (from `start`):
        DevnetError, OSError: the chain did not start, a port is taken, a transaction failed.
        ConfigError: `cap` is not an amount.
    """

    rpc_url: str
    gateway_url: str
    gateway_url_http: str
    blob_url: str
    tee_id: str
    attestation_root: str

    def __init__(
        self,
        *,
        chain_id: int = 31337,
        port: int = 0,
        rpc_port: int = 0,
        settle_after: float = 3.0,
        batch_after: float = 3.0,
        batch_size: int = 20,
        gateway: str = DEFAULT,
        cap: str | Decimal | None = None,
        max_timeout: int | None = None,
        opg_price: str | Decimal = OPG_PRICE_USD,
        token_delay: float = 0.025,
        scheme: Scheme = "upto",
        chain: str = "embedded",
        upstream: str | None = None,
        model: str | None = None,
        fund: Sequence[str] = (),
    ) -> None:
        self.chain_id = chain_id
        self.started = 0
        self.tee_registry = addresses.tee_registry(chain_id)
        self.settlement_relay = addresses.SETTLEMENT_RELAY
        self.opg_token = addresses.opg_token(chain_id)
        self.permit2 = addresses.PERMIT2
        self.upto_proxy = addresses.UPTO_PROXY
        self.pay_to = PAYEE.address
        self.accounts = [{"address": a.address, "private_key": a.private_key} for a in ACCOUNTS]
        self._kind, self._port, self._rpc_port = chain, port, rpc_port
        self._settle_after, self._batch_after, self._batch_size = settle_after, batch_after, batch_size
        self.profile = PROFILES[gateway]
        self._cap = parse_opg(str(self.profile.cap) if cap is None else cap)
        self._max_timeout = self.profile.max_timeout if max_timeout is None else max_timeout
        self._opg_price, self._scheme = Decimal(opg_price) or None, scheme
        self._token_delay, self._upstream, self._fund = token_delay, upstream, tuple(fund)
        self._model, self._maker = model, ""
        self._closing = ExitStack()

    @property
    def info(self) -> dict[str, Any]:
        """The description that `og-magics devnet --json` prints."""
        return {name: getattr(self, name) for name in _ANNOUNCED}

    def start(self) -> Self:
        """Start everything and return when the gateway answers."""
        atexit.register(self.close)
        self._closing.callback(atexit.unregister, self.close)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Settle what is owed and buffered, then stop everything. May be called twice."""
        self._closing.pop_all().close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self._model is not None:
            if self._upstream is not None:
                raise DevnetError("Both an upstream and a model are named.", remedy="Name one of them.")
            local = LocalModel(self._model)
            self._closing.callback(local.close)
            self._upstream, self._maker = local.url, local.name
        self.started = int(time.time())
        chain = start_chain(self._kind, self.chain_id, self._rpc_port)
        self._closing.callback(chain.close)
        self.rpc_url = chain.rpc_url
        prepare(chain)
        operator = Operator(connect(chain))
        for address in self._fund:
            operator.send(operator.contract("OPG").functions.mint(address, INITIAL_OPG))
            operator.send_gas(address, ETHER)

        secure, plain = self._listen(self._port), self._listen(self._port + 1 if self._port else 0)
        self.gateway_url = f"https://127.0.0.1:{secure.getsockname()[1]}"
        self.gateway_url_http = self.blob_url = f"http://127.0.0.1:{plain.getsockname()[1]}"
        enclave = Enclave()
        self.tee_id, self.attestation_root = "0x" + enclave.tee_id.hex(), enclave.hardware.root

        served = _Served(self, chain, operator, enclave, {secure: enclave.tls_context(), plain: None})
        self._closing.callback(served.close)
        served.start()
        # Registered last, so that every gateway in the registry answers.
        self._register(operator, enclave)

    def _listen(self, port: int) -> socket.socket:
        try:
            listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise DevnetError(
                f"Port {port} cannot be used: {error}", remedy="Choose another port, or 0 for a free one."
            ) from error
        self._closing.callback(listener.close)
        return listener

    def _register(self, operator: Operator, enclave: Enclave) -> None:
        registry = operator.contract("TEERegistry")
        no_ohttp = (0, 0, 0, 0, b"", b"", 0)
        operator.send(
            registry.functions.registerTEE(
                self.pay_to,
                self.gateway_url,
                enclave.public_key_der,
                enclave.certificate_der,
                PCR_HASH,
                0,
                no_ohttp,
            )
        )
        if self._kind.startswith("http"):
            # A chain that outlives this devnet must not send anyone to a gateway that is gone.
            self._closing.callback(self._retire, operator, enclave)

    def _retire(self, operator: Operator, enclave: Enclave) -> None:
        registry = operator.contract("TEERegistry")
        try:
            operator.send(registry.functions.disableTEE(enclave.tee_id))
        except Exception as error:  # noqa: BLE001 - the chain may have gone first, in many ways
            log.error("the enclave stays in the registry: %r", error)  # noqa: TRY400 - the reason is enough

    def gateway(self, operator: Operator, enclave: Enclave) -> tuple[Gateway, Settler, DataSettlement, Model]:
        """Wire the gateway's parts. Called on the gateway's own event loop."""
        network = f"eip155:{self.chain_id}"
        facilitator = Facilitator(self.rpc_url, FACILITATOR.private_key, network)
        at_once = self._settle_after == 0 or self._scheme == "exact"
        terms = Terms(
            scheme=self._scheme,
            network=network,
            asset=self.opg_token,
            pay_to=self.pay_to,
            facilitator=facilitator.address,
            cap=self._cap,
            max_timeout=self._max_timeout,
            margin=self._max_timeout * self.profile.margin,
            at_once=at_once,
        )
        settler = Settler(facilitator, 0 if at_once else self._settle_after)
        blobs = BlobStore()
        data = DataSettlement(operator, blobs, self._batch_size, self._batch_after)
        model: Model = SimulatedModel(self._token_delay)
        if self._upstream:
            model = UpstreamModel(self._upstream, self._maker)
        paywall = Paywall(terms, facilitator, settler)
        gateway = Gateway(
            profile=self.profile,
            price=self._opg_price,
            model=model,
            enclave=enclave,
            paywall=paywall,
            settler=settler,
            data=data,
            blobs=blobs,
        )
        return gateway, settler, data, model


class _Served:
    """The gateway's thread: one event loop, one application, a listener with TLS and one without."""

    def __init__(
        self,
        devnet: Devnet,
        chain: Chain,
        operator: Operator,
        enclave: Enclave,
        listeners: dict[socket.socket, ssl.SSLContext | None],
    ) -> None:
        self._devnet, self._chain, self._operator, self._enclave = devnet, chain, operator, enclave
        self._listeners = listeners
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="og-devnet-gateway", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.result()

    def close(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # raised by `start`, or logged
            if self._ready.done():
                log.exception("the gateway stopped")
            else:
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        gateway, settler, data, model = self._devnet.gateway(self._operator, self._enclave)
        servers = {_server(gateway.asgi, context): listener for listener, context in self._listeners.items()}
        serving = asyncio.gather(*(server.serve([listener]) for server, listener in servers.items()))
        try:
            while not all(server.started for server in servers):
                if serving.done():
                    serving.result()
                await asyncio.sleep(0.005)
            self._ready.set_result(None)
            await self._stop.wait()
        finally:
            for server in servers:
                server.should_exit = True
            await _hung_up(servers, serving)
            try:
                await asyncio.wait_for(asyncio.gather(settler.close(), data.close()), _SETTLING_MAY_TAKE)
            except TimeoutError:
                log.exception("not everything could be settled before the end")
            if isinstance(model, UpstreamModel):
                await model.aclose()


def _server(app: ASGIApp, context: ssl.SSLContext | None) -> uvicorn.Server:
    config = uvicorn.Config(
        LocalOnly(app),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=_STREAMS_MAY_TAKE,
    )
    config.load()
    config.ssl = context
    return uvicorn.Server(config)


async def _hung_up(servers: Iterable[uvicorn.Server], serving: asyncio.Future[Any]) -> None:
    """Wait for the servers. Idle TLS connections wait for a goodbye that a sleeping client never says."""
    while not serving.done():
        await asyncio.wait([serving], timeout=0.05)
        for server in servers:
            for connection in list(server.server_state.connections):
                transport: Any = getattr(connection, "transport", None)
                if transport is not None and transport.is_closing():
                    transport.abort()
    await serving
    for server in servers:
        for connection in list(server.server_state.connections):  # streams that took too long to end
            left: Any = getattr(connection, "transport", None)
            if left is not None:
                left.abort()
    await asyncio.sleep(0)  # in which they are really closed
