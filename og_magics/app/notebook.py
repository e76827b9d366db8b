"""One notebook: its settings, wallet, network, ledger and runs meet here and nowhere else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..amounts import to_opg
from ..calls.questions import chat_question
from ..catalogue import DEFAULTS, resolve_model, resolve_provider
from ..conversation import (
    Answer,
    Answers,
    Batch,
    Comparison,
    Options,
    Run,
    Threads,
    Turn,
    checked_name,
    context_of,
    equipped,
    take,
)
from ..display.again import again
from ..display.columns import columns_bundle
from ..display.later import Refresh, ShownAnswers
from ..errors import ConfigError
from ..launch import devnet_info
from ..ledger import Ledger, open_ledger
from ..llm import LLM
from ..networks import BASE, BASE_SEPOLIA, DEVNET, Network, devnet, named
from ..origin import cells, execution, namespace, origin
from ..private import holds_key, holds_this_key
from ..progress import Progress
from ..receipt import Receipt
from ..runtime import runtime
from ..settings import LIMITS, Settings, choice, ledger_path, limit_all, notebook_path
from ..types import Permit2ApprovalResult, Question, x402SettlementMode
from . import standing
from .records import Records
from .shelf import NotebookShelf, notebooks_of

Watcher = Callable[[], None]
"""Called when something about a notebook changed, on whatever thread changed it; it must not block."""

_WIRING = {
    "private_key", "keystore", "network", "rpc_url", "registry_rpc_url", "registry_address", "opg_token", "explorer",
    "blob_url", "settlement_relay", "gateway_url", "gateway_verify", "devnet", "ledger", "timeout",
}  # fmt: skip
"""Settings that need another LLM when they change."""


class App:
    """One notebook: its settings, its LLM, its receipts. All methods may be called from any thread."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._lock = threading.RLock()
        self._settings = settings or Settings.from_env()
        self._llm: LLM | None = None
        self._ledger: Ledger | None = None
        self._shown = ShownAnswers()
        self.threads = Threads(lambda: self.ledger)
        """The notebook's conversations."""
        self.records = Records(self)
        """The notebook's receipts."""
        self._watchers: list[Watcher] = []

    def watch(self, changed: Watcher) -> Watcher:
        """Call this whenever settings or receipts changed; what is returned ends that."""
        with self._lock:
            self._watchers.append(changed)

        def forget() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._watchers.remove(changed)

        return forget

    def tell(self) -> None:
        """Something about the notebook changed: whoever watches looks again."""
        with self._lock:
            watchers = list(self._watchers)
        for changed in watchers:
            with contextlib.suppress(Exception):  # who watches must not break what it watches
                changed()

    @property
    def settings(self) -> Settings:
        """As they stand."""
        return self._settings

    def use(self, **changes: Any) -> Settings:
        """Change settings, for all that is asked from now on.

        Raises:
            ConfigError: a value that makes no sense; nothing is changed.
        """
        with self._lock:
            changed = self._settings.but(**changes)
            changed.network_name()
            if changed.thread:
                changed = changed.but(thread=checked_name(changed.thread))
            if changed.thread_tokens < 1:
                raise ConfigError(f"thread_tokens is {changed.thread_tokens}.", remedy="Give a whole number above 0.")
            _asking(changed, "Is this a question that could be asked?")
            wiring = any(getattr(changed, name) != getattr(self._settings, name) for name in _WIRING)
            self._settings = changed
            limit_all({name: changes.get(name) for name in LIMITS})
            if wiring:
                llm, self._llm, self._ledger = self._llm, None, None
                if llm is not None:
                    runtime.submit(llm.close())
            elif self._llm is not None:
                self._llm.settings = changed
        self.tell()
        return changed

    def choose_model(self, model: str | None, provider: str | None) -> str:
        """The model that flags and settings amount to: a provider alone stands for its default model.

        Raises:
            ConfigError: no such provider or model.
        """
        chosen = resolve_provider(provider) if provider else None
        if model:
            return resolve_model(model, chosen)
        if chosen:
            current = self._settings.model
            return current if current.startswith(chosen + "/") else DEFAULTS[chosen]
        return resolve_model(self._settings.model)

    @property
    def llm(self) -> LLM:
        """The LLM of these settings.

        Raises:
            ConfigError: no wallet where one is needed, or a key that is malformed.
        """
        with self._lock:
            if self._llm is None:
                self._llm = LLM(settings=self._settings, journal=self.ledger)
                self._llm.on_settled = self._settled
                self._llm.replays.add(NotebookShelf(lambda: notebooks_of(self.notebook)))
            return self._llm

    @property
    def ledger(self) -> Ledger:
        """The notebook's receipts."""
        with self._lock:
            if self._ledger is None:
                self._ledger = open_ledger(ledger_path(self._settings, self.notebook))
            return self._ledger

    @property
    def notebook(self) -> Path | None:
        """The notebook's file, where its front end tells it."""
        return notebook_path(namespace())

    @property
    def network(self) -> Network:
        """The network in use; a devnet that is needed is started."""
        return self.llm.network

    def question(self, prompt: str, options: Options = Options()) -> Question:  # noqa: B008 - a frozen value
        """The question of a prompt.

        Raises:
            ConfigError: an option that makes no sense, or an empty prompt.
        """
        if not prompt.strip():
            raise ConfigError("The prompt is empty.", remedy="Write it below the %%ogchat line, or after %ogchat.")
        settlement = options.settlement
        question = _asking(
            self._settings.but(
                settlement=None if settlement is None else x402SettlementMode.parse(settlement),
                temperature=options.temperature,
                max_tokens=options.max_tokens,
                system=options.system,
                stream=options.stream,
                web_search=options.web_search,
                model=self.choose_model(options.model, options.provider),
            ),
            prompt,
        )
        return replace(
            question,
            max_cost=options.max_cost,
            execution=execution(),
            replay=choice("replay", options.replay or self._settings.replay),
            pace=choice("pace", options.pace or self._settings.pace),
        )

    def turn(self, prompt: str, options: Options = Options()) -> Turn:  # noqa: B008 - a frozen value
        """The turn of a prompt.

        Raises:
            ConfigError: an option that makes no sense, an empty prompt, or one with a private key in it.
        """
        if options.tools is None and self._settings.tools:
            options = replace(options, tools=self._settings.tools)
        self._refuse_keys(prompt)
        turn = Turn(self.question(prompt, options))
        if options.context is not None:
            context = context_of(options.context, cells())
            self._refuse_keys(context.text)
            turn = replace(turn, question=context.before(turn.question), context=context)
        return equipped(self._in_thread(turn, options.thread), options, namespace())

    def _refuse_keys(self, text: str) -> None:
        """A private key must not be sent to a model. (Other keys look like hashes, which one may ask about.)"""
        key = self._settings.private_key
        if holds_key(text) or (key is not None and holds_this_key(text, key.reveal())):
            raise ConfigError("The prompt holds a private key. It was not sent.", remedy="Remove it, and ask again.")

    def _in_thread(self, turn: Turn, thread: str | None) -> Turn:
        """The turn after the earlier ones of the thread that is named, or of the one in use; without any, as it is."""
        name = self._settings.thread if thread is None else thread
        if not name:
            return turn
        question, place = self.threads.place(name, turn.question, self._settings.thread_tokens)
        return replace(turn, question=question, place=place)

    def start(self, turn: Turn, *, listening: bool = False) -> Run:
        """Ask. It goes on in the background, whoever watches it.

        Args:
            listening: it will be followed by someone who confirms function calls (`follow(..., person)`); otherwise
                those that need it are refused.

        Raises:
            ConfigError: no wallet where one is needed, or a key that is malformed.
        """
        llm = self.llm

        async def work(progress: Progress) -> Answer:
            return await self._taken(llm, turn, progress)

        run = Run(turn.question.model, work, listening=listening)
        run.when_done(self.tell)
        return run

    def start_many(self, answers: Answers, turns: Sequence[Turn], concurrency: int) -> Batch:
        """Ask many things, so many at once; what comes of them is in `answers`.

        Raises:
            ConfigError: as `start`.
        """
        llm = self.llm

        async def work(turn: Turn, progress: Progress) -> Answer:
            return await self._taken(llm, turn, progress)

        return Batch(answers, turns, work, concurrency, self.tell)

    async def _taken(self, llm: LLM, turn: Turn, progress: Progress) -> Answer:
        """What came of a turn, which shows itself as its cell did."""
        answer = await take(llm, turn, progress)
        ledger = self.ledger  # the one that has its receipts
        answer._shown = lambda answer: again(answer, self.explorer, ledger.head, turn.format)
        return answer

    def compare(self, turns: Sequence[Turn]) -> Comparison:
        """Ask several models at once, so that their answers can be held against each other.

        Raises:
            ConfigError: as `start`.
        """
        runs, ledger = [self.start(turn) for turn in turns], self.ledger
        return Comparison(runs, ledger, lambda columns: columns_bundle(columns, self.payment_page, ledger.head()))

    @property
    def replayed(self) -> Mapping[str, Receipt]:
        """The receipts of answers that were shown again in this session, by their ids."""
        with self._lock:
            return {} if self._llm is None else self._llm.replays.shown

    def networks(self, names: Collection[str]) -> dict[str, Network]:
        """The networks of these names, as they are set; a devnet only if it is the one in use or one is set."""
        found = named_networks(self._settings, names)
        if DEVNET in names and DEVNET not in found and self._settings.network_name() == DEVNET:
            found[DEVNET] = self.network
        return found

    def devnet(self) -> Mapping[str, Any]:
        """What `og-magics devnet --json` prints, of the devnet in use; it is started if none runs.

        Raises:
            ConfigError: another network is in use.
            DevnetError: it did not start.
        """
        if self.network.name != DEVNET:
            raise ConfigError(f"The network in use is {self.network.name}.", remedy="%og network devnet changes that.")
        return devnet_info(self._settings.devnet)

    def account(self) -> standing.Account:
        """What the wallet holds and may spend. Blocks.

        Raises:
            OGError: no wallet, or the chain cannot be read.
        """
        return standing.account(self)

    def budgets(self) -> tuple[standing.BudgetState, ...]:
        """The notebook's budget and that of 24 hours. Blocks while a devnet starts.

        Raises:
            OGError: no devnet could be started, or the ledger cannot be read.
        """
        return standing.budgets(self)

    def health(self) -> tuple[standing.Part, ...]:
        """Whether everything that a call needs is there. Blocks; a part that fails is told, not raised."""
        return standing.health(self)

    def approve(self, amount: int) -> tuple[Permit2ApprovalResult, str]:
        """Let Permit2 move so much OPG, base units; what came of it, and the transaction's page or hash. Blocks.

        Raises:
            OGError: as `LLM.ensure_opg_approval`.
        """
        llm = self.llm
        result = llm.ensure_opg_approval(to_opg(amount), to_opg(amount))
        self.tell()
        sent = result.tx_hash or ""
        return result, sent and (llm.network.transaction_url(sent) or sent)

    def shown(self, receipt: Receipt, refresh: Refresh) -> None:
        """An answer was shown with this receipt: `refresh` is called, on another thread, when its payment is known."""
        if not receipt.replayed:
            self._shown.add(self.ledger, receipt, refresh)

    def _settled(self) -> None:
        self._shown.refresh_soon()
        self.tell()

    def explorer(self, network: str) -> Callable[[str], str]:
        """From a transaction of the network of this name to the URL of a page that shows it, or ""."""
        if network in (BASE.name, BASE_SEPOLIA.name):
            return self._settings.apply(named(network)).transaction_url
        base = self._settings.explorer if network == DEVNET else ""
        return lambda transaction: f"{base}/tx/{transaction}" if base else ""

    def payment_page(self, network: str, transaction: str) -> str:
        """The URL of a page that shows a transaction of the network of this name, or ""."""
        return self.explorer(network)(transaction)


def named_networks(settings: Settings, names: Collection[str]) -> dict[str, Network]:
    """The networks of these names, as they are set; a devnet only where one is told."""
    found = {name: settings.apply(named(name)) for name in names if name in (BASE.name, BASE_SEPOLIA.name)}
    if DEVNET in names and settings.devnet:
        found[DEVNET] = settings.apply(devnet(devnet_info(settings.devnet)))
    return found


def _asking(settings: Settings, prompt: str) -> Question:
    """The question that these settings make of a prompt; whatever is wrong with them is told here."""
    messages = [{"role": "system", "content": settings.system}] if settings.system else []
    messages.append({"role": "user", "content": prompt})
    return chat_question(
        settings.model,
        messages,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        settlement=settings.settlement,
        stream=settings.stream,
        stop_sequence=None,
        tools=None,
        tool_choice=None,
        response_format=None,
        web_search=settings.web_search,
        origin=origin(),
    )
