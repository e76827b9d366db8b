"""The LLM facade: the official SDK's surface, on machinery of our own."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, Self, overload

from .. import chain
from ..core import log, networks
from ..core.amounts import parse_opg
from ..core.cell_context import execution, origin
from ..core.errors import ConfigError, StreamError
from ..core.fork import after_fork, new_lock
from ..core.models import TEE_LLM, prices_of
from ..core.networks import Network
from ..core.progress import Progress
from ..core.protocols import Journal
from ..core.runtime import runtime
from ..core.secret import PrivateURL, Secret
from ..core.settings import Settings
from ..core.types import (
    ChatRequest,
    Enclave,
    Permit2ApprovalResult,
    ResponseFormat,
    StreamChunk,
    TextGenerationOutput,
    x402SettlementMode,
)
from ..ledger import notebook_ledger
from ..notebook.recordings import NotebookRecordings, named_files
from ..payment import Wallet, load_wallet
from . import Replays
from .connection import Connection, connect, no_wallet
from .known_keys import is_registered
from .replay import recording_for, replayed
from .requests import chat_request, completion_request, warn_of_search

Messages = Sequence[Mapping[str, Any]]

_prepared: weakref.WeakSet[LLM] = weakref.WeakSet()


def prepared() -> list[LLM]:
    """Return the LLMs of this process that may have asked something, whoever made them."""
    return list(_prepared)


def _renew() -> object:
    """In a forked child: connect anew; connections, sessions and the loop they live on are the parent's."""
    left = [(llm, llm._connection) for llm in prepared()]
    for llm, _ in left:
        llm._connection = None
    return left


async def _close_all() -> None:
    await asyncio.gather(*(llm._close() for llm in prepared()), return_exceptions=True)


after_fork(_renew)
runtime.before_end(_close_all)


class LLM:
    """Chat and completion from enclaves, paid by x402, each call with a receipt.

    Args:
        private_key: hex key of the paying wallet; without it, that of the environment, a keystore or the keyring.
        network: "devnet", "base" (real money) or "base-sepolia" (abandoned); without it, devnet, with an account of its
            own: a key is used where a network is named.
        rpc_url: RPC of the chain with the enclave registry, as in the official SDK. OG_RPC_URL is the payment chain's.
        tee_registry_address: the registry's address there.
        settings: everything else; without it, the environment's.
        journal: where receipts are written; without it, the ledger of the notebook or of the working directory.
        replay_from: notebooks whose answers may be shown too, with commas; without it, those that OG_REPLAY_FROM names.

    Nothing is sent and no network is touched before the first call. Works from any thread and any event loop.

    Raises:
        ConfigError: a key or a name that is malformed.
    """

    def __init__(
        self,
        private_key: str | None = None,
        network: str | None = None,
        rpc_url: str | None = None,
        tee_registry_address: str | None = None,
        *,
        settings: Settings | None = None,
        journal: Journal | None = None,
        replay_from: str | None = None,
    ) -> None:
        settings = settings or Settings.from_env()
        if private_key is not None and not private_key:
            raise ConfigError("The private key is empty.", remedy="Leave it out for the practice network.")
        private_key, rpc_url = private_key and Secret(private_key), rpc_url and PrivateURL(rpc_url)  # no frame shows it
        self.settings = settings.replace(
            private_key=private_key,
            network=network,
            registry_rpc_url=rpc_url,
            registry_address=tee_registry_address,
            replay_from=replay_from,
        )
        self._prices = prices_of(self.settings.prices)
        self._name, self._wallet = self.settings.network_name(), load_wallet(self.settings)
        needs_wallet = not networks.network_by_name(self._name).local and not self.settings.gateway_url
        if self._wallet is None and needs_wallet and self.settings.replay == "off":
            raise no_wallet(self._name)
        self._journal = journal
        self._lock = new_lock()
        self._connection: Connection | None = None
        self._replays: Replays | None = None
        self.on_settled: Callable[[], None] | None = None
        """Called on the background loop when payments were found on chain, or expired; it must not block, nor raise."""

    @classmethod
    def from_url(
        cls, private_key: str | None, llm_server_url: str, verify: bool = True, *, network: str | None = None
    ) -> Self:
        """Return an LLM that uses one gateway by its URL.

        Its certificate is checked as a browser would unless `verify` is False, which is for servers of your own.
        """
        private_key, url = private_key and Secret(private_key), (llm_server_url := PrivateURL(llm_server_url))
        return cls(private_key, network, settings=Settings.from_env().replace(gateway_url=url, gateway_verify=verify))

    @overload
    async def chat(
        self,
        model: str | TEE_LLM,
        messages: Messages,
        max_tokens: int = ...,
        stop_sequence: list[str] | None = ...,
        temperature: float = ...,
        tools: list[dict[str, Any]] | None = ...,
        tool_choice: str | None = ...,
        response_format: ResponseFormat | None = ...,
        web_search: bool = ...,
        x402_settlement_mode: x402SettlementMode = ...,
        stream: Literal[False] = ...,
    ) -> TextGenerationOutput: ...
    @overload
    async def chat(
        self,
        model: str | TEE_LLM,
        messages: Messages,
        max_tokens: int = ...,
        stop_sequence: list[str] | None = ...,
        temperature: float = ...,
        tools: list[dict[str, Any]] | None = ...,
        tool_choice: str | None = ...,
        response_format: ResponseFormat | None = ...,
        web_search: bool = ...,
        x402_settlement_mode: x402SettlementMode = ...,
        *,
        stream: Literal[True],
    ) -> AsyncGenerator[StreamChunk, None]: ...
    async def chat(
        self,
        model: str | TEE_LLM,
        messages: Messages,
        max_tokens: int = 100,
        stop_sequence: list[str] | None = None,
        temperature: float = 0.0,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: str | None = None,
        response_format: ResponseFormat | None = None,
        web_search: bool = False,
        x402_settlement_mode: x402SettlementMode = x402SettlementMode.BATCH_HASHED,
        stream: bool = False,
    ) -> TextGenerationOutput | AsyncGenerator[StreamChunk, None]:
        """Ask a chat model.

        Args:
            model: a `TEE_LLM` or any "provider/model".
            messages: in the OpenAI form.
            max_tokens: of the answer, at most.
            stop_sequence: texts at which the answer ends.
            temperature: 0 to 2.
            tools, tool_choice: functions that the model may ask for, in the OpenAI form.
            response_format: the form the answer must have.
            web_search: not sent, since gateways take no notice of it; `og.ask(..., web_search=True)` searches.
            x402_settlement_mode: what of the call goes on chain.
            stream: return an async generator of chunks instead of the whole answer.

        Raises:
            OGError: see `og_magics.core.errors`; a stream raises while it is read.
        """
        parameters = {"max_tokens": max_tokens, "temperature": temperature, "stream": stream}
        warn_of_search(web_search)
        request = chat_request(
            model,
            messages,
            settlement=x402_settlement_mode,
            parameters=parameters,
            origin=origin(),
            stop_sequence=stop_sequence,
            tools=tools,
            tool_choice=tool_choice,
            response_format=response_format,
        )
        request = self._placed(request)
        if stream:
            return runtime.stream(self.stream(request))
        return await runtime.run(self.answer(request))

    async def completion(
        self,
        model: str | TEE_LLM,
        prompt: str,
        max_tokens: int = 100,
        stop_sequence: list[str] | None = None,
        temperature: float = 0.0,
        web_search: bool = False,
        x402_settlement_mode: x402SettlementMode = x402SettlementMode.BATCH_HASHED,
    ) -> TextGenerationOutput:
        """Ask for the continuation of a prompt; the text is in `completion_output`. Arguments as in `chat`."""
        parameters = {"max_tokens": max_tokens, "temperature": temperature}
        warn_of_search(web_search)
        request = completion_request(
            model,
            prompt,
            settlement=x402_settlement_mode,
            parameters=parameters,
            origin=origin(),
            stop_sequence=stop_sequence,
        )
        return await runtime.run(self.answer(self._placed(request)))

    def chat_sync(self, *args: Any, **kwargs: Any) -> Any:
        """Call `chat` without `await`, in a script or a cell; with `stream=True` it returns a plain iterator."""
        answer = runtime.wait(self.chat(*args, **kwargs))
        return answer if isinstance(answer, TextGenerationOutput) else runtime.iterate(answer)

    def completion_sync(self, *args: Any, **kwargs: Any) -> TextGenerationOutput:
        """Call `completion` without `await`."""
        return runtime.wait(self.completion(*args, **kwargs))

    def ensure_opg_approval(
        self, min_allowance: float | Decimal = 5, approve_amount: float | Decimal | None = None
    ) -> Permit2ApprovalResult:
        """Let Permit2 move OPG of this wallet, which x402 payments need once. Blocks until it is mined.

        Args:
            min_allowance: OPG; when at least so much is allowed already, nothing is sent.
            approve_amount: OPG to allow otherwise; twice the minimum by default.

        Raises:
            ConfigError: amounts that make no sense.
            InsufficientBalance: too little OPG, or too little gas for the transaction.
            WalletError: it would cost more than `max_fee` (OG_MAX_FEE) of the settings, or it failed.
            ChainError: the RPC failed.
        """
        amount = None if approve_amount is None else parse_opg(approve_amount)
        return chain.ensure_approval(
            self.network, self.wallet.account, parse_opg(min_allowance), amount, max_fee=self.settings.max_fee
        )

    def settle(self, timeout: float = 120.0) -> int:
        """Wait until every payment in the ledger on this network is found or has expired; return how many are open.

        Raises:
            ChainError: the RPC could not be read.
        """
        self.prepare()
        return runtime.wait(self._settle(timeout))

    @property
    def network(self) -> Network:
        """The network that this pays on. The first time, a devnet that is needed is started."""
        return self.prepare().network

    @property
    def paid(self) -> bool:
        """True where calls are paid; False for a plain server, which takes no payment and proves nothing."""
        return self.network.paid

    @property
    def wallet(self) -> Wallet:
        """The wallet that pays. On a devnet with no key of one's own, its funded account.

        Raises:
            ConfigError: a plain server answers, which takes no payment.
        """
        if (wallet := self.prepare().wallet) is None:
            raise ConfigError(
                f"The server {self.settings.gateway_url} takes no payment, so there is no wallet.",
                remedy="Leave OG_GATEWAY_URL out to pay for answers of an enclave.",
            )
        return wallet

    @property
    def journal(self) -> Journal:
        """The ledger in which the receipts are."""
        if self._journal is None:
            self._journal = notebook_ledger(self.settings)
        return self._journal

    @property
    def replays(self) -> Replays:
        """The recorded answers that may be shown in place of asking."""
        with self._lock:
            if self._replays is None:
                self._replays = Replays([self.journal.recordings], lambda one: is_registered(self.settings, one))
                self._replays.open_named = lambda names: NotebookRecordings(lambda: named_files(names), named=True)
            return self._replays

    async def stream(self, request: ChatRequest, progress: Progress | None = None) -> AsyncGenerator[StreamChunk, None]:
        """Yield an answer's chunks; the last has the whole in `output`. On the background loop alone.

        For the rooms above, which bring their own bridge to it. A recorded answer is shown in place of asking where
        the request or the settings say so.

        Raises:
            OGError: the call failed; nothing is recorded, where only recorded answers may be shown.
        """
        progress = progress or Progress()
        request = request if request.prices or not self._prices else replace(request, prices=self._prices)
        recording = await recording_for(request, lambda: self.replays, self.settings.replay)
        if recording is not None:
            chunks = replayed(recording, request, progress, paced=(request.pace or self.settings.pace) == "recorded")
        else:
            chunks = (await self._ready(progress)).runner.stream(request, progress)
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def answer(self, request: ChatRequest, progress: Progress | None = None) -> TextGenerationOutput:
        """Return a request's whole answer. On the background loop alone.

        Raises:
            OGError: as `stream`.
        """
        output: TextGenerationOutput | None = None
        async with contextlib.aclosing(self.stream(request, progress)) as chunks:
            async for chunk in chunks:
                output = chunk.output or output
        if output is None:
            raise StreamError("The answer ended without a result.", money="It may be charged.", remedy="Ask again.")
        return output

    async def gateway(self) -> tuple[Enclave, dict[str, Any]]:
        """Return the enclave in use, and what its gateway says of its health, which is untrusted.

        Raises:
            OGError: there is none, or it cannot be reached.
        """
        endpoint = await (await self._ready(Progress())).pool.current()
        return endpoint.enclave, await endpoint.health()

    async def close(self) -> None:
        """Close connections; receipts and what is still to be settled stay in the ledger."""
        await runtime.run(self._close())

    def prepare(self) -> Connection:
        """Make everything short of the first request: the network's description, the wallet, the gateways. Blocks.

        Raises:
            OGError: as `connect`.
        """
        with self._lock:
            if self._connection is None:
                log.configure()
                self._connection = connect(lambda: self.settings, self._wallet, self.journal, self._settled)
                _prepared.add(self)
                runtime.register_exit_first()  # before the ledger and the devnet, which were opened above
            return self._connection

    def _placed(self, request: ChatRequest) -> ChatRequest:
        return replace(request, execution=execution(), replay_from=self.settings.replay_from)

    async def _ready(self, progress: Progress) -> Connection:
        if self._connection is not None:
            return self._connection
        if networks.network_by_name(self._name).local and not self.settings.devnet and not self.settings.gateway_url:
            progress.note("starting")
        return await asyncio.to_thread(self.prepare)

    def _settled(self) -> None:
        if self.on_settled is not None:
            self.on_settled()

    async def _settle(self, timeout: float) -> int:
        watcher = None if self._connection is None else self._connection.watcher
        return 0 if watcher is None else len(await watcher.wait_settled(timeout))

    async def _close(self) -> None:
        if self._connection is not None:
            if self._connection.watcher is not None:
                self._connection.watcher.close()
            await self._connection.pool.close()
