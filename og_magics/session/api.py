"""The functions of `import og_magics as og`: ask, estimate, receipts, verify, settle, models."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..conversation import Answer, BatchResult, Interrupted, Options, Turn, failure_of, follow
from ..core.errors import ConfigError, LedgerError
from ..core.estimate import Estimate
from ..core.fork import new_lock
from ..core.models import TEE_LLM, catalogue, known_model, own_models
from ..core.option import Option
from ..core.options import CALL, known
from ..core.runtime import runtime
from ..core.settings import Settings
from ..display import HEARTBEAT, ProgressBar, progress_bar_for
from ..ledger import FrameCache, Ledger, ledger_of, readable_at
from .open_payments import open_payments
from .person import confirm, confirm_estimate, shell
from .session import Session

if TYPE_CHECKING:
    import pandas as pd

_app: Session | None = None
_app_lock = new_lock()


def current() -> Session:
    """Return the process's session."""
    global _app
    with _app_lock:
        if _app is None:
            _app = Session()
        return _app


_MOST = 64
"""Prompts on their way at once."""


def ask(prompt: str, **options: Any) -> Answer:
    """Ask, and wait for the answer. It works in a script, a cell, a function, and where an event loop runs.

    The prompt is sent as it is: Python has f-strings. An interrupt keeps what had arrived, with its receipt.

    Args:
        prompt: what to ask.
        **options: as the flags of `%%ogchat`, by the names of `og_magics.conversation.Options`: `model`, `provider`,
            `settlement`, `temperature`, `max_tokens`, `system`, `tools`, `schema`, `thread`, `context` ...;
            `max_cost` in OPG. What is left out comes from `%og use`.

    Raises:
        ConfigError: an option that makes no sense, or an empty prompt; nothing was sent.
        PaymentRefused: it could cost more than OG_APPROVE_ABOVE, and nobody agreed.
        OGError: see `og_magics.core.errors`.
    """
    runtime.assert_off_loop()
    app = current()
    run = app.start(_turn(app, prompt, options_from(options)), listening=True, approve=confirm_estimate)
    for _ in follow([run], HEARTBEAT, confirm):
        pass
    return run.result()


async def aask(prompt: str, **options: Any) -> Answer:
    """Ask from a coroutine, as `ask` does, on any event loop; cancelling it keeps what arrived, with its receipt.

    It asks nobody: above OG_APPROVE_ABOVE it is refused.
    """
    app = current()
    return await app.start(_turn(app, prompt, options_from(options))).answer()


def ask_many(prompts: Iterable[str], concurrency: int = 8, *, progress: bool = True, **options: Any) -> BatchResult:
    """Ask many prompts, `concurrency` at once, and wait for all answers. They share payment sessions; each has its
    receipt.

    A prompt that fails does not end the others: its error stands in its place. When a budget is used up, or the wallet
    is empty, nothing more is asked, and `.errors` says why. Where no prompt at all was answered, the error is raised.
    Function calls that need a person's word are refused: nobody could answer for so many.

    Args:
        prompts: what to ask. All are looked at before the first is asked.
        concurrency: how many are on their way at once, 1 to 64.
        progress: show how far it is.
        **options: as `ask`.

    Returns:
        As many as there were prompts, in their order; `.done`, `.errors`, `.texts`, `.receipts`, and `.frame`, a
        DataFrame.

    Raises:
        ConfigError: an option that makes no sense, or a prompt that is empty; nothing was sent.
        Interrupted: a KeyboardInterrupt. The answers that had come are in its `.partial` and, in IPython, in `_`.
    """
    runtime.assert_off_loop()
    many = _Many(prompts, concurrency, options, shown=progress)
    try:
        while not many.batch.wait(HEARTBEAT):
            many.show()
    except KeyboardInterrupt:
        many.batch.stop()
        many.left()
        raise Interrupted(many.answers) from None
    return many.result()


async def aask_many(
    prompts: Iterable[str], concurrency: int = 8, *, progress: bool = True, **options: Any
) -> BatchResult:
    """Ask many from a coroutine, as `ask_many` does. Where it is cancelled, what had come is in `_`, in IPython."""
    many = _Many(prompts, concurrency, options, shown=progress)
    ended = asyncio.wrap_future(many.batch.job.future)
    try:
        while not (await asyncio.wait([ended], timeout=HEARTBEAT))[0]:
            many.show()
    except (asyncio.CancelledError, KeyboardInterrupt):
        many.batch.job.cancel()
        await many.batch.job.wait_closed_async()
        many.left()
        raise
    return many.result()


class _Many:
    """A batch, and its progress bar."""

    def __init__(self, given: Iterable[str], concurrency: int, options: dict[str, Any], *, shown: bool) -> None:
        if isinstance(given, str):
            raise ConfigError("prompts is a str; pass a list of prompts.", remedy="For one prompt, use og.ask.")
        prompts = list(given)
        if not isinstance(concurrency, int) or not 1 <= concurrency <= _MOST:
            raise ConfigError(f"concurrency must be a whole number from 1 to {_MOST}, got {concurrency!r}.")
        once = _of_many(options_from(options))
        app = current()
        turns = [_turn(app, prompt, once, at) for at, prompt in enumerate(prompts)]
        self._shell = shell()
        self.answers = BatchResult(prompts, app.ledger)
        self.batch = app.start_many(self.answers, turns, concurrency, approve=confirm_estimate)
        self._began = time.monotonic()
        self._bar: ProgressBar | None = progress_bar_for(self._shell, len(prompts)) if shown else None

    def show(self, *, last: bool = False) -> None:
        if self._bar is not None:
            ended, summary = len(self.answers.done) + len(self.answers.errors), self.answers.summary
            if last and ended < len(self.answers):
                why = self.batch.stopped_by
                summary += f", {len(self.answers) - ended} not" + ("" if why is None else f": {why}")
            pace = self.answers.pace(time.monotonic() - self._began, last=last)
            self._bar.show(ended, f"{summary} · {pace}" if pace else summary, last=last)

    def left(self) -> None:
        """Keep an interrupted batch's answers in `_`, in IPython."""
        self.show(last=True)
        if self._shell is not None:
            self._shell.displayhook.update_user_ns(self.answers)

    def result(self) -> BatchResult:
        self.batch.job.future.result()  # what is no prompt's failure
        self.show(last=True)
        failure = failure_of(self.answers)
        if failure is not None:
            raise failure
        return self.answers


def estimate(prompts: str | Iterable[str], **options: Any) -> Estimate:
    """Return what prompts would come to, and send nothing: calls, tokens, and cost in OPG and USD, likely and at most;
    and how many of them are recorded already. No key is needed, and no devnet is started.

    "At most" is what list prices make of a token for each byte that is sent, the longest answers that `max_tokens`
    allows, all rounds of functions, and one repair of an answer with a schema. Likely are four bytes a token, and
    answers as long as this notebook's last ones of the model, or half of `max_tokens` where there are none. What is not
    known is None: the price of a model that is not in the list, and OPG before this notebook's first settled payment.

    Args:
        prompts: one, or several as `ask_many` takes them.
        **options: as `ask`.

    Raises:
        ConfigError: as `ask` and `ask_many`.
    """
    app, asked = current(), options_from(options)
    if isinstance(prompts, str):
        return app.estimate([_built(app, prompts, asked, counted=False)])
    once = _of_many(asked)
    return app.estimate([_built(app, prompt, once, at) for at, prompt in enumerate(prompts)])


def _of_many(asked: Options) -> Options:
    """Return the options of each of many prompts.

    Raises:
        ConfigError: they name a thread.
    """
    if asked.thread:
        raise ConfigError(
            "ask_many asks all prompts at once, so they cannot be turns of one thread.", remedy="Leave thread out."
        )
    return asked.replace(thread="")


def options_from(given: dict[str, Any]) -> Options:
    """Return options by their names, as Python gives them; amounts in OPG.

    Raises:
        ConfigError: no such option, or a value that it cannot have.
    """
    return Options(**{known(name, CALL): _value(CALL[name], value) for name, value in given.items()})


def _value(option: Option, value: Any) -> Any:
    # Tools may be given as functions, names and dicts together; what they are is found out where they are called.
    return value if option.name == "tools" else option.convert(value)


def _turn(app: Session, prompt: str, options: Options, at: int | None = None) -> Turn:
    turn = _built(app, prompt, options, at)
    for notice in filter(None, (app.ledger.note(), app.model_notice(turn.request.model))):
        warnings.warn(notice, stacklevel=3)
    return turn


def _built(app: Session, prompt: str, options: Options, at: int | None = None, *, counted: bool = True) -> Turn:
    which = "The prompt" if at is None else f"Prompt {at}"
    if not isinstance(prompt, str):
        raise ConfigError(f"{which} must be a str, got {type(prompt).__name__}.", remedy="Write it with an f-string.")
    if not prompt.strip():
        raise ConfigError(f"{which} is empty.", remedy="Nothing was sent.")
    return app.build_turn(prompt, options, counted=counted)


def receipts(notebook: str | Path | None = None) -> pd.DataFrame:
    """Return the receipts of this notebook, or of another one that is not running, oldest first.

    Shape: (calls, columns), with the columns and dtypes of `og_magics.core.receipt_columns`: `time` is
    datetime64[us, UTC], amounts are exact Decimal in OPG or USD (dtype object, None when unknown), tokens are Int64,
    seconds float64, `replayed` bool, all else str or None. The DataFrame is the caller's own.

    Raises:
        LedgerError: the other notebook has no ledger, or it cannot be read.
    """
    if notebook is None:
        return current().records.frame()
    with _ledger_of(notebook) as ledger:
        return FrameCache(ledger).current()


def settle(timeout: float = 120.0) -> int:
    """Wait until every payment is found on chain or has expired; return how many are still open.

    It looks for all that was signed in this notebook, by whichever wallet and on whichever network, and for what every
    `og.LLM` of this process has signed. A payment counts once, however many LLMs there are.

    Raises:
        ChainError: the RPC could not be read.
    """
    return len(open_payments(current(), timeout))


def verify(
    receipts: pd.DataFrame | str | Path | None = None, online: bool = True, *, expected_pcr: str = ""
) -> pd.DataFrame:
    """Check the proofs of receipts: all of this notebook, some of them (rows of `og.receipts()`), or another's,
    which is named by the path of its notebook or of its ledger.

    One row a receipt; columns `receipt_id`, then `enclave`, `registry`, `payment`, `data` and `ledger`, each True,
    False or None (could not be asked, or is not there yet), then `reason`. What is wrong with the ledger as a whole is
    in `.attrs["problems"]`. Receipts whose payment and enclave hold become "verified".

    Args:
        receipts: which ones.
        online: ask the chains; otherwise only what the ledger itself proves.
        expected_pcr: measurement of the enclave's code that must be registered, "" for any.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    app = current()
    if isinstance(receipts, (str, Path)):
        with _ledger_of(receipts) as ledger:
            return app.records.verify(ledger, None, online=online, expected_pcr=expected_pcr)
    chosen = None if receipts is None else set(receipts["receipt_id"])
    return app.records.verify(app.ledger, chosen, online=online, expected_pcr=expected_pcr)


def models() -> pd.DataFrame:
    """Return the models of the catalogue: `model`, `provider`, `name` (in `TEE_LLM`, "" where it has none), USD per
    million tokens, USD flat for an image or a search, and what became of a model that is retired (`note`), which says
    also where a price is your own (OG_PRICES).
    """
    import pandas as pd

    rows, prices = [], current().prices
    members = {known.id: member.name for member in TEE_LLM if (known := known_model(member.value))}
    for listed in (*catalogue().models.values(), *own_models(prices)):
        model = known_model(listed.id, prices) or listed
        price = model.price
        tokens = (None, None) if price is None or price.flat else (price.input, price.output)
        flat = None if price is None else price.image or price.call or None
        note = " ".join(filter(None, (model.note, "your price" if model.own else "")))
        rows.append((model.id, model.provider, members.get(model.id, ""), *tokens, flat, note))
    return pd.DataFrame(rows, columns=["model", "provider", "name", "usd_input", "usd_output", "usd_flat", "note"])


def _ledger_of(named: str | Path) -> Ledger:
    """Open the ledger of a notebook; or a ledger itself, which is named by its file."""
    path = Path(named).expanduser().absolute()
    if path.suffix != ".db":
        path = ledger_of(Settings(), path)
    if not readable_at(path).is_file():
        raise LedgerError(f"{named} has no receipts: there is no {path}.", remedy="Has it been run here?")
    return Ledger(path)
