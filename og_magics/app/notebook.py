"""One notebook: its settings, wallet, network, ledger and runs meet here and nowhere else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..amounts import to_opg
from ..calls.questions import chat_question
from ..catalogue import DEFAULTS, resolve_model, resolve_provider
from ..conversation import Options, Run, Turn, take
from ..display.later import Refresh, ShownAnswers
from ..errors import ConfigError
from ..launch import devnet_info
from ..ledger import Ledger, open_ledger
from ..llm import LLM
from ..networks import BASE, BASE_SEPOLIA, DEVNET, Network, devnet, named
from ..origin import namespace, origin
from ..receipt import Receipt
from ..runtime import runtime
from ..settings import LIMITS, Settings, ledger_path, limit_all, notebook_path
from ..types import Permit2ApprovalResult, Question, x402SettlementMode
from ..verification import complete_costs, proofs_frame, prove
from . import standing

if TYPE_CHECKING:
    import pandas as pd

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
        return question if options.max_cost is None else replace(question, max_cost=options.max_cost)

    def turn(self, prompt: str, options: Options = Options()) -> Turn:  # noqa: B008 - a frozen value
        """The turn of a prompt.

        Raises:
            ConfigError: an option that makes no sense, or an empty prompt.
        """
        return Turn(self.question(prompt, options))

    def start(self, turn: Turn) -> Run:
        """Ask. It goes on in the background, whoever watches it.

        Raises:
            ConfigError: no wallet where one is needed, or a key that is malformed.
        """
        llm = self.llm
        run = Run(turn.question.model, lambda progress: take(llm, turn, progress))
        run.when_done(self.tell)
        return run

    def verify(
        self, ledger: Ledger, chosen: Collection[str] | None, *, online: bool, expected_pcr: str = ""
    ) -> pd.DataFrame:
        """See `og_magics.verify`."""
        known = ledger.receipts()
        receipts = known if chosen is None else [r for r in known if r.receipt_id in chosen]
        audit = ledger.audit()
        proofs = prove(
            receipts,
            self.networks({r.network for r in receipts}) if online else None,
            audit=audit if chosen is None else audit.only(chosen),
            costs=complete_costs(known),
            expected_pcr=expected_pcr,
        )
        for proof in proofs:
            if proof.verdicts["payment"].ok and proof.verdicts["enclave"].ok and not proof.failed:
                ledger.mark_verified(proof.receipt_id)
        frame = proofs_frame(proofs)
        frame.attrs["problems"] = list(audit.problems)
        return frame

    def networks(self, names: Collection[str]) -> dict[str, Network]:
        """The networks of these names, as they are set; a devnet only if it is the one in use or one is set."""
        found = named_networks(self._settings, names)
        if DEVNET in names and DEVNET not in found and self._settings.network_name() == DEVNET:
            found[DEVNET] = self.network
        return found

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
