"""The LLM facade: the official SDK's surface, on machinery of our own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, Self, overload

from . import chain, networks
from .amounts import parse_opg
from .calls import Caller, Gateways, Replays, SettlementWatch
from .calls.questions import chat_question, completion_question
from .calls.replays import missing, output_of, replayed
from .catalogue import TEE_LLM
from .errors import ConfigError
from .launch import devnet_info
from .ledger import open_ledger
from .networks import Network
from .origin import execution, namespace, origin
from .payment import Payments, Wallet, load_wallet
from .ports import Journal
from .progress import Progress
from .recording import Recording
from .runtime import runtime
from .settings import Secret, Settings, ledger_path, limited, notebook_path
from .types import (
    Enclave,
    Permit2ApprovalResult,
    Question,
    ResponseFormat,
    StreamChunk,
    TextGenerationOutput,
    x402SettlementMode,
)

Messages = Sequence[Mapping[str, Any]]


_prepared: weakref.WeakSet[LLM] = weakref.WeakSet()


def prepared() -> list[LLM]:
    """The LLMs of this process that may have asked something, whoever made them."""
    return list(_prepared)


class LLM:
    """Chat and completion from enclaves, paid by x402, each call with a receipt.

    Args:
        private_key: hex key of the paying wallet; without it, that of the environment, a keystore or the keyring.
        network: "devnet", "base-sepolia" or "base"; without it, devnet if there is no key and base-sepolia if there is.
        rpc_url: RPC of the chain with the enclave registry, as in the official SDK. OG_RPC_URL is the payment chain's.
        tee_registry_address: the registry's address there.
        settings: everything else; without it, the environment's.
        journal: where receipts are written; without it, the ledger of the notebook or of the working directory.

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
    ) -> None:
        settings = settings or Settings.from_env()
        if private_key is not None and not private_key:
            raise ConfigError("The private key is empty.", remedy="Leave it out to use OG_PRIVATE_KEY, or the devnet.")
        self.settings = settings.but(
            private_key=Secret(private_key) if private_key else None,
            network=network,
            registry_rpc_url=rpc_url,
            registry_address=tee_registry_address,
        )
        self._name = self.settings.network_name()
        self._wallet = load_wallet(self.settings)
        if self._wallet is None and self._name != networks.DEVNET and self.settings.replay == "off":
            raise _no_wallet(self._name)
        self._journal = journal
        self._lock = threading.Lock()
        self._network: Network | None = None
        self._caller: Caller | None = None
        self._watch: SettlementWatch | None = None
        self._gateways: Gateways | None = None
        self._replays: Replays | None = None
        self.on_settled: Callable[[], None] | None = None
        """Called on the background loop when payments were found on chain, or expired; it must not block, nor raise."""

    @classmethod
    def from_url(
        cls, private_key: str | None, llm_server_url: str, verify: bool = True, *, network: str | None = None
    ) -> Self:
        """An LLM that uses one gateway by its URL.

        Its certificate is checked as a browser would unless `verify` is False, which is for servers of your own.
        """
        settings = Settings.from_env().but(gateway_url=llm_server_url, gateway_verify=verify)
        return cls(private_key, network, settings=settings)

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
            web_search: let the model search the web; billed by its provider's price.
            x402_settlement_mode: what of the call goes on chain.
            stream: return an async generator of chunks instead of the whole answer.

        Raises:
            OGError: see `og_magics.errors`; a stream raises while it is read.
        """
        question = self._chat_question(
            model,
            messages,
            max_tokens=max_tokens,
            stop_sequence=stop_sequence,
            temperature=temperature,
            tools=tools,
            tool_choice=tool_choice,
            response_format=response_format,
            web_search=web_search,
            settlement=x402_settlement_mode,
            stream=stream,
        )
        if stream:
            return runtime.stream(self.stream(question))
        return await runtime.run(self.answer(question))

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
        question = completion_question(
            model,
            prompt,
            max_tokens=max_tokens,
            stop_sequence=stop_sequence,
            temperature=temperature,
            web_search=web_search,
            settlement=x402_settlement_mode,
            origin=origin(),
        )
        return await runtime.run(self.answer(replace(question, execution=execution())))

    def chat_sync(self, *args: Any, **kwargs: Any) -> Any:
        """`chat` for code without `await`, in a script or a cell; with `stream=True` it gives a plain iterator."""
        answer = runtime.wait(self.chat(*args, **kwargs))
        return answer if isinstance(answer, TextGenerationOutput) else runtime.iterate(answer)

    def completion_sync(self, *args: Any, **kwargs: Any) -> TextGenerationOutput:
        """`completion` for code without `await`."""
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
            ChainError: the RPC failed.
        """
        amount = None if approve_amount is None else parse_opg(approve_amount)
        return chain.ensure_approval(self.network, self.wallet.account, parse_opg(min_allowance), amount)

    def settle(self, timeout: float = 120.0) -> int:
        """Wait until every payment of this wallet is found on chain or has expired; how many are still open.

        Raises:
            ChainError: the RPC could not be read.
        """
        self.prepare()
        return runtime.wait(self._settle(timeout))

    @property
    def network(self) -> Network:
        """Where this pays. The first time, a devnet that is needed is started."""
        self.prepare()
        if self._network is None:  # prepare() has set it
            raise RuntimeError("no network")
        return self._network

    @property
    def wallet(self) -> Wallet:
        """Who pays. On a devnet with no key of one's own, its funded account."""
        self.prepare()
        if self._wallet is None:
            raise RuntimeError("no wallet")
        return self._wallet

    @property
    def journal(self) -> Journal:
        """Where the receipts are."""
        if self._journal is None:
            self._journal = open_ledger(ledger_path(self.settings, notebook_path(namespace())))
        return self._journal

    @property
    def replays(self) -> Replays:
        """The recorded answers that may be shown in place of asking."""
        with self._lock:
            if self._replays is None:
                self._replays = Replays([self.journal.recordings])
            return self._replays

    async def stream(self, question: Question, progress: Progress | None = None) -> AsyncGenerator[StreamChunk, None]:
        """A question's chunks, on the background loop: for the rooms above, which bring their own bridge."""
        progress = progress or Progress()
        recording = await self._recorded(question)
        if recording is not None:
            chunks = replayed(recording, question, progress, paced=(question.pace or self.settings.pace) == "recorded")
        else:
            chunks = (await self._ready(progress)).stream(question, progress)
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                yield chunk
        self._paid(recording, progress)

    async def answer(self, question: Question, progress: Progress | None = None) -> TextGenerationOutput:
        """A question's whole answer, on the background loop."""
        progress = progress or Progress()
        recording = await self._recorded(question)
        if recording is not None:
            return output_of(recording)
        answer = await (await self._ready(progress)).answer(question, progress)
        self._paid(None, progress)
        return answer

    async def gateway(self) -> tuple[Enclave, dict[str, Any]]:
        """The enclave in use, and what its gateway says of its health, which is untrusted.

        Raises:
            OGError: there is none, or it cannot be reached.
        """
        await self._ready(Progress())
        if self._gateways is None:
            raise RuntimeError("not prepared")
        client = await self._gateways.current()
        return client.enclave, await client.health()

    async def close(self) -> None:
        """Close connections; receipts and what is still to be settled stay in the ledger."""
        await runtime.run(self._close())

    def prepare(self) -> None:
        """Everything short of the first request: the network's description, the wallet, the rooms. Blocks."""
        with self._lock:
            if self._caller is not None:
                return
            settings = self.settings
            if self._name == networks.DEVNET:
                info = devnet_info(settings.devnet, fund=self._wallet.address if self._wallet else None)
                network = settings.apply(networks.devnet(info))
                if self._wallet is None:
                    self._wallet = Wallet.from_key(str(info["accounts"][0]["private_key"]))
            else:
                network = settings.apply(networks.named(self._name))
            if self._wallet is None:
                raise _no_wallet(self._name)
            self.journal.pending()  # opens the file: where it cannot be read, nothing is asked
            payments = Payments(self._wallet, self.journal, time.time)
            self._watch = SettlementWatch(
                network,
                self._wallet.address,
                self.journal,
                on_change=lambda: self.on_settled and self.on_settled(),
                confirmations=settings.depth(network),
            )
            self._gateways = Gateways(network, timeout=settings.timeout, verify=settings.gateway_verify)
            self._network = network
            self._caller = Caller(
                network, self._gateways, payments, self.journal, self._watch, lambda: limited(self.settings)
            )
            _prepared.add(self)
            runtime.closes_first()  # before the ledger and the devnet, which were opened above

    async def _recorded(self, question: Question) -> Recording | None:
        """The recorded answer to show in place of asking; None to ask."""
        mode = question.replay or self.settings.replay
        if mode == "off":
            return None
        found = await asyncio.to_thread(self.replays.find, question)
        if found is None and mode == "only":
            raise missing(question, await asyncio.to_thread(self.replays.times, question))
        return found

    def _paid(self, recording: Recording | None, progress: Progress) -> None:
        if recording is None and progress.receipt_id is not None:
            self.replays.paid(progress.receipt_id)

    def _chat_question(self, model: str | TEE_LLM, messages: Messages, **arguments: Any) -> Question:
        return replace(chat_question(model, messages, origin=origin(), **arguments), execution=execution())

    async def _ready(self, progress: Progress) -> Caller:
        if self._caller is None:
            if self._name == networks.DEVNET and not self.settings.devnet:
                progress.note("starting")
            await asyncio.to_thread(self.prepare)
        if self._caller is None:
            raise RuntimeError("not prepared")
        return self._caller

    async def _settle(self, timeout: float) -> int:
        return 0 if self._watch is None else await self._watch.settle(timeout)

    async def _close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        if self._gateways is not None:
            await self._gateways.close()


def _no_wallet(network: str) -> ConfigError:
    return ConfigError(
        f"There is no wallet to pay with on {network}.",
        money="Nothing was paid.",
        remedy="Set OG_PRIVATE_KEY, or use the local devnet, which needs none: OG_NETWORK=devnet.",
    )
