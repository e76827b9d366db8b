"""One notebook: its settings, wallet, network, ledger and runs meet here and nowhere else."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..client.devnet_process import devnet_info
from ..client.llm import LLM
from ..conversation import (
    Comparison,
    Options,
    Run,
    Threads,
    Turn,
    checked_name,
    content_with_images,
    context_of,
    run_turn,
    with_tools_and_schema,
)
from ..core import allowance
from ..core.amounts import to_opg
from ..core.cell_context import cell_history, execution, namespace
from ..core.errors import ConfigError, LedgerError
from ..core.estimate import ONE, AtOnce, Estimate
from ..core.fork import new_rlock
from ..core.models import known_model, notice, prices_of
from ..core.networks import Network, described
from ..core.options import BODY, LIMITS, SETTINGS, known
from ..core.receipt import Receipt
from ..core.recording import RecordingSource
from ..core.runtime import runtime
from ..core.settings import Settings, limit_all, limited, notebook_path
from ..core.spending import Spending
from ..core.types import ChatRequest, Permit2ApprovalResult
from ..display.answer_repr import answer_repr
from ..display.columns import columns_bundle
from ..display.refresh import DisplayTracker, Refresh
from ..ledger import Ledger, notebook_ledger, open_ledger
from ..notebook.recordings import NotebookRecordings
from . import health as standing
from .approval import Approver, approved, estimate_of, spending_of
from .carried_attestations import CarriedAttestations
from .networks import configured_networks
from .receipts_view import ReceiptsView
from .request import chosen_model, refuse_keys, request_of

Watcher = Callable[[], None]
"""Called when something about a notebook changed, on whatever thread changed it; it must not block."""


class Session:
    """One notebook: its settings, its LLM, its receipts. All methods may be called from any thread."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._lock = new_rlock()
        self._settings = settings or Settings.from_env()
        self.prices = prices_of(self._settings.prices)
        """The user's own, in place of the catalogue's."""
        self._network_noted = False
        self._llm: LLM | None = None
        self._ledger: Ledger | None = None
        self._shown = DisplayTracker()
        self.threads = Threads(lambda: self.ledger)
        """The notebook's conversations."""
        self.records = ReceiptsView(
            lambda: self.ledger,
            lambda: self.replayed,
            self.networks,
            self._replayed_documents,
            lambda: self._settings.pcr,
        )
        """The notebook's receipts."""
        self.carried = CarriedAttestations(lambda: self.ledger, self._replayed_documents)
        self._watchers: list[Watcher] = []
        self._noticed: set[str] = set()

    def watch(self, changed: Watcher) -> Watcher:
        """Call `changed` whenever settings or receipts change; the returned function ends that."""
        with self._lock:
            self._watchers.append(changed)

        def forget() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._watchers.remove(changed)

        return forget

    def notify(self) -> None:
        """Call all watchers: something about the notebook changed."""
        with self._lock:
            watchers = list(self._watchers)
        for changed in watchers:
            with contextlib.suppress(Exception):  # who watches must not break what it watches
                changed()

    @property
    def settings(self) -> Settings:
        """The current settings."""
        return self._settings

    def update_settings(self, **changes: Any) -> Settings:
        """Change settings, for all that is asked from now on.

        Raises:
            ConfigError: a value that makes no sense, or more than the environment allows; nothing is changed.
        """
        with self._lock:
            allowance.check(changes)
            changed = self._settings.replace(**changes)
            changed.network_name()
            if changed.thread:
                changed = changed.replace(thread=checked_name(changed.thread))
            for name, value in changes.items():
                if not SETTINGS[known(name, SETTINGS)].unit:
                    SETTINGS[name].convert(value)
            request_of(changed, "Would this be refused?")
            wiring = any(
                one.reconnects and getattr(changed, name) != getattr(self._settings, name)
                for name, one in SETTINGS.items()
            )
            self._settings = changed
            limit_all({name: changes.get(name) for name in LIMITS})
            if wiring:
                llm, self._llm, self._ledger = self._llm, None, None
                if llm is not None:
                    runtime.submit(llm.close())
            elif self._llm is not None:
                self._llm.settings = changed
        self.notify()
        return changed

    def notes(self) -> list[str]:
        """Return, once each, what to know before the next question: a key that is not used, since no network is named;
        and a ledger that is not where it was, or cannot be there.
        """
        with self._lock:
            shown, self._network_noted = self._network_noted, True
        return [note for note in ("" if shown else self._settings.unused_key_note(), self.ledger.note()) if note]

    def head(self) -> tuple[int, str] | None:
        """Return the ledger's head, None where it cannot be read: an answer is shown all the same."""
        with contextlib.suppress(LedgerError):
            return self.ledger.head()
        return None

    def late_note(self) -> str:
        """Return, once, what became of an answer's receipt where the ledger could not be written; else ""."""
        with contextlib.suppress(LedgerError):
            return self.ledger.note()
        return ""

    def choose_model(self, model: str | None, provider: str | None) -> str:
        """Return the model that flags and settings amount to; see `chosen_model`."""
        return chosen_model(self._settings, model, provider)

    def model_notice(self, model: str) -> str:
        """Return what to know before this model is paid for, the first time that it is asked; else "".

        Of a model that is not in the catalogue nothing is said where its price costs nobody anything: on a devnet, and
        where a server is given by URL, which may take no payment.
        """
        said, settings = notice(model, self.prices), self._settings
        free = settings.gateway_url or described(settings.network_name()).local
        if model in self._noticed or (free and known_model(model, self.prices) is None):
            return ""
        self._noticed.add(model)
        return said

    @property
    def llm(self) -> LLM:
        """The LLM of these settings.

        Raises:
            ConfigError: no wallet where one is needed, or a key that is malformed.
        """
        with self._lock:
            if self._llm is None:
                self._llm = LLM(settings=self._settings, journal=self.ledger)
                self._llm.on_settled = self.refresh_shown
                for source in self._other_recordings():
                    self._llm.replays.add(source)
            return self._llm

    def _other_recordings(self) -> Iterator[RecordingSource]:
        """Yield the sources of recorded answers besides the ledger."""
        own = self.ledger.notebook
        if own is not None and own.parent is not None:  # of a copy, what its original was answered
            yield open_ledger(own.parent).recordings
        yield NotebookRecordings(lambda: [self.notebook] if self.notebook else [])

    @property
    def ledger(self) -> Ledger:
        """The notebook's receipts."""
        with self._lock:
            if self._ledger is None:
                self._ledger = notebook_ledger(self._settings)
            return self._ledger

    @property
    def notebook(self) -> Path | None:
        """The notebook's file, where its front end tells it."""
        return notebook_path(namespace())

    @property
    def network(self) -> Network:
        """The network in use; a devnet that is needed is started."""
        return self.llm.network

    def build_request(self, prompt: str, options: Options = Options()) -> ChatRequest:  # noqa: B008 - a value that nobody changes
        """Return the request of a prompt.

        Raises:
            ConfigError: an option that makes no sense, or an empty prompt.
        """
        if not prompt.strip():
            raise ConfigError("The prompt is empty.", remedy="Write it below the %%ogchat line, or after %ogchat.")
        model = self.choose_model(options.model, options.provider)
        settings = self._settings.replace(**(options.settings() | {"model": model}))
        drawn = {key: getattr(options, one.name) for key, one in BODY.items() if one.name not in SETTINGS}
        return replace(
            request_of(settings, content_with_images(prompt, options.images, namespace()), drawn),
            max_cost=options.max_cost,
            execution=execution(),
            replay=settings.replay,
            pace=settings.pace,
            replay_from=settings.replay_from,
            prices=self.prices,
        )

    def build_turn(self, prompt: str, options: Options = Options(), *, counted: bool = True) -> Turn:  # noqa: B008 - a value that nobody changes
        """Return the turn of a prompt.

        Args:
            counted: it will be asked, and is the next turn of its cell in its thread.

        Raises:
            ConfigError: an option that makes no sense, an empty prompt, or one with a private key in it.
        """
        if options.tools is None and self._settings.tools:
            options = options.replace(tools=self._settings.tools)
        if options.web_search is None:
            options = options.replace(web_search=self._settings.web_search)
        refuse_keys(prompt, self._settings)
        turn = Turn(self.build_request(prompt, options))
        if options.context is not None:
            context = context_of(options.context, cell_history())
            refuse_keys(context.text, self._settings)
            turn = replace(turn, request=context.before(turn.request), context=context)
        turn = with_tools_and_schema(self._in_thread(turn, options.thread, counted=counted), options, namespace())
        format, head = turn.format, self.head
        return replace(turn, repr=lambda answer: answer_repr(answer, self.explorer, head, self.carried, format))

    def _in_thread(self, turn: Turn, thread: str | None, *, counted: bool) -> Turn:
        """Return the turn with the earlier ones of its thread before it; unchanged without a thread."""
        name = self._settings.thread if thread is None else thread
        if not name:
            return turn
        request, place = self.threads.place(name, turn.request, self._settings.thread_tokens, counted=counted)
        return replace(turn, request=request, place=place)

    def estimate(self, turns: Iterable[Turn], at_once: AtOnce = ONE) -> Estimate:
        """Return what turns would come to: calls, tokens, cost, time. Nothing is sent or started; no key is needed."""
        return estimate_of(turns, limited(self._settings), self.ledger, self._other_recordings(), at_once)

    def _approved(self, turns: Sequence[Turn], approve: Approver | None) -> Sequence[Turn]:
        """Return the turns with what they may come to, after a question where that is much; see `approved`."""
        limit = self._approval_limit()
        return turns if limit is None else approved(turns, limit, self.estimate(turns, AtOnce(len(turns))), approve)

    def _approval_limit(self) -> int | None:
        limit = limited(self._settings).approve_above
        return None if limit is None or (self._settings.gateway_url and not self.llm.paid) else limit

    def start(self, turn: Turn, *, listening: bool = False, approve: Approver | None = None) -> Run:
        """Start a turn. It goes on in the background, whoever watches it.

        Args:
            approve: asks a person before a turn that could cost much; without it, such a turn is refused.
            listening: it will be followed by someone who confirms function calls (`follow(..., person)`); otherwise
                those that need it are refused.

        Raises:
            ConfigError: no wallet where one is needed, or a key that is malformed.
            PaymentRefused: it could cost more than OG_APPROVE_ABOVE, and nobody agreed.
        """
        return self._start(self._approved([turn], approve)[0], listening=listening)

    def _start(self, turn: Turn, *, listening: bool = False) -> Run:
        run = Run(turn.request.model, functools.partial(run_turn, self.llm, turn), listening=listening)
        run.when_done(self.notify)
        return run

    def spending(self, turns: Iterable[Turn], approve: Approver | None, at_once: AtOnce) -> Spending | None:
        """Return the sum that many turns may come to, after one question for all where that is much; None: no limit.

        Raises:
            PaymentRefused: as `start`.
        """
        limit = self._approval_limit()
        return None if limit is None else spending_of(limit, self.estimate(turns, at_once), approve)

    def compare(self, turns: Sequence[Turn], *, approve: Approver | None = None) -> Comparison:
        """Ask several models at once, to compare their answers.

        Raises:
            ConfigError, PaymentRefused: as `start`; there is one question for all of them.
        """
        runs, ledger = [self._start(turn) for turn in self._approved(turns, approve)], self.ledger
        carried, page = self.carried, self.payment_page
        return Comparison(
            runs, ledger, lambda all: columns_bundle(all, page, self.head(), carried(one.receipt for one in all))
        )

    @property
    def replayed(self) -> Mapping[str, Receipt]:
        """The receipts of answers that were shown again in this session, by their ids."""
        with self._lock:
            return {} if self._llm is None else self._llm.replays.replayed_receipts

    def _replayed_documents(self, hashes: Collection[str]) -> Mapping[str, bytes]:
        return {} if self._llm is None or not hashes else self._llm.replays.attestations(hashes)

    def networks(self, names: Collection[str]) -> dict[str, Network]:
        """Return the networks of these names, as they are set; a devnet only if it is in use or one is set."""
        found = configured_networks(self._settings, names)
        own = self._settings.network_name()
        if own in names and own not in found and described(own).local:
            found[own] = self.network
        return found

    def devnet(self) -> Mapping[str, Any]:
        """Return what `og-magics devnet --json` prints, of the devnet in use; one is started if none runs.

        Raises:
            ConfigError: another network is in use.
            DevnetError: it did not start.
        """
        if not self.network.local:
            raise ConfigError(f"The network in use is {self.network.name}.", remedy="%og network devnet changes that.")
        return devnet_info(self._settings.devnet)

    def account(self) -> standing.WalletStatus:
        """Return what the wallet holds and may spend. Blocks.

        Raises:
            OGError: no wallet, or the chain cannot be read.
        """
        return standing.wallet_status(self.llm, self._settings, self.ledger)

    def budgets(self) -> tuple[standing.BudgetState, ...]:
        """Return the notebook's budget, and its wallet's of 24 hours and in all. Blocks while a devnet starts.

        Raises:
            OGError: no devnet could be started, or a file cannot be read.
        """
        llm = self.llm
        return standing.budgets(self.network, llm.wallet.address if llm.paid else "", self._settings, self.ledger)

    def health(self) -> tuple[standing.HealthCheck, ...]:
        """Check everything that a call needs. Blocks; a failure is a result, and not raised."""
        return standing.health_checks(self.llm, self.ledger)

    def approve(self, amount: int) -> tuple[Permit2ApprovalResult, str]:
        """Let Permit2 move this much OPG, in base units; return the result, and the transaction's page or hash. Blocks.

        Raises:
            OGError: as `LLM.ensure_opg_approval`.
        """
        llm = self.llm
        result = llm.ensure_opg_approval(to_opg(amount), to_opg(amount))
        self.notify()
        sent = result.tx_hash or ""
        return result, sent and (llm.network.transaction_url(sent) or sent)

    def track_display(self, receipts: Sequence[Receipt], refresh: Refresh) -> None:
        """Call `refresh`, on another thread, when payments of the receipts that were shown are known."""
        self._shown.add(self.ledger, [receipt for receipt in receipts if not receipt.replayed], refresh)

    def refresh_shown(self) -> None:
        """Show anew what depends on payments: some are known now. From any thread."""
        self._shown.refresh_soon()
        self.notify()

    def explorer(self, network: str) -> Callable[[str], str]:
        """Return a function from a transaction of this network to the URL of a page that shows it, or ""."""
        return self._settings.apply(described(network)).transaction_url

    def payment_page(self, network: str, transaction: str) -> str:
        """Return the URL of a page that shows a transaction of this network, or ""."""
        return self.explorer(network)(transaction)
