"""The functions of `import og_magics as og`: ask, estimate, receipts, verify, settle, models."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..conversation import Answer, follow, prompt_rows
from ..core.errors import ConfigError, LedgerError
from ..core.estimate import Estimate
from ..core.models import TEE_LLM, catalogue, known_model, own_models
from ..core.receipt_filter import Moment, Names, receipt_filter
from ..core.runtime import runtime
from ..core.settings import Settings
from ..core.shared_ledger import is_server
from ..display import HEARTBEAT
from ..ledger import FrameCache, Ledger, chosen_frame, ledger_of, readable_at
from .asking import TurnMaker, built, current, of_many, options_from, turn_of
from .many import aask_many, ask_many, at_once_of
from .open_payments import open_payments
from .person import confirm, confirm_estimate

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "aask", "aask_many", "ask", "ask_many", "current", "estimate", "models", "options_from", "receipts", "settle",
    "verify",
]  # fmt: skip


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
    run = app.start(turn_of(app, prompt, options_from(options)), listening=True, approve=confirm_estimate)
    for _ in follow([run], HEARTBEAT, confirm):
        pass
    return run.result()


async def aask(prompt: str, **options: Any) -> Answer:
    """Ask from a coroutine, as `ask` does, on any event loop; cancelling it keeps what arrived, with its receipt.

    It asks nobody: above OG_APPROVE_ABOVE it is refused.
    """
    app = current()
    return await app.start(turn_of(app, prompt, options_from(options))).answer()


def estimate(
    prompts: str | Iterable[str] | pd.DataFrame,
    *,
    template: str | None = None,
    concurrency: int | Literal["auto"] = 8,
    **options: Any,
) -> Estimate:
    """Return what prompts would come to, and send nothing: calls, tokens, and cost in OPG and USD, likely and at most;
    the time; and how many of them are recorded already. No key is needed, and no devnet is started.

    "At most" is what list prices make of a token for each byte that is sent, the longest answers that `max_tokens`
    allows, all rounds of functions, and one repair of an answer with a schema. Likely are four bytes a token, and
    answers as long as this notebook's last ones of the model, or half of `max_tokens` where there are none. What is not
    known is None: the price of a model that is not in the list, OPG before this notebook's first settled payment, and
    the time before its first answer of the model.

    Args:
        prompts: one, or several as `ask_many` takes them. template: of a DataFrame's rows, as there. concurrency: how
            many would be on their way at once.
        **options: as `ask`.

    Raises:
        ConfigError: as `ask` and `ask_many`.
    """
    app, asked = current(), options_from(options)
    if isinstance(prompts, str):
        return app.estimate([built(app, prompts, asked, counted=False)])
    rows = prompt_rows(prompts, template)
    return app.estimate(map(TurnMaker(app, rows, of_many(asked)).turn, range(len(rows))), at_once_of(concurrency))


def receipts(
    notebook: str | Path | None = None,
    *,
    model: Names = None,
    provider: Names = None,
    from_notebook: Names = None,
    since: Moment = None,
    until: Moment = None,
    status: Names = None,
) -> pd.DataFrame:
    """Return the receipts of this notebook, or of another one that is not running, oldest first; all, or those chosen.

    Shape: (calls, columns), with the columns and dtypes of `og_magics.core.receipt_columns`: `time` is
    datetime64[us, UTC], amounts are exact Decimal in OPG or USD (dtype object, None when unknown), tokens are Int64,
    seconds float64, `replayed` bool, all else str or None. The DataFrame is the caller's own. With a choice the others
    are not read, so of a large ledger it is the quicker the fewer they are.

    Args:
        notebook: path of the other notebook, or of a ledger; or the URL of a shared ledger.
        model, provider, status: a value of that column, or several; models and providers also by the names by which
            they are asked, as "gpt-5" and "xai". from_notebook: the same of the column `notebook`, for a ledger that
            several share.
        since, until: the first time that is in, and the first that is not: a date, a datetime, or a text such as
            "2026-04-01"; UTC where it names no zone.

    Raises:
        LedgerError: the other notebook has no ledger, or it cannot be read.
        ConfigError: a time that is none, a status that there is not, or what is no path.
    """
    choice = receipt_filter(
        model=model, provider=provider, from_notebook=from_notebook, since=since, until=until, status=status
    )
    if notebook is None:
        return current().records.chosen(choice) if choice else current().records.frame()
    with _ledger_of(notebook) as ledger:
        return chosen_frame(ledger, choice) if choice else FrameCache(ledger).current()


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
    which is named by the path of its notebook or of its ledger, or by the URL of a shared one.

    One row a receipt; columns `receipt_id`, then `enclave`, `attestation`, `registry`, `payment`, `data` and `ledger`,
    each True, False or None (could not be asked, or is not there yet), then `reason`. What is wrong with the ledger as
    a whole is in `.attrs["problems"]`. Receipts of which all six hold become "verified".

    Args:
        receipts: which ones.
        online: ask the chains; otherwise only what the ledger itself proves.
        expected_pcr: measurement of the enclave's code that must be registered, "" for any.

    Raises:
        LedgerError: the ledger cannot be read.
        ConfigError: neither rows of receipts nor a path; or receipts that this notebook does not have, of which no
            proof was checked.
    """
    if isinstance(receipts, (str, PathLike)):
        with _ledger_of(receipts) as ledger:
            return current().records.verify(ledger, None, online=online, expected_pcr=expected_pcr)
    chosen = None if receipts is None else _ids(receipts)
    app = current()
    proofs = app.records.verify(app.ledger, chosen, online=online, expected_pcr=expected_pcr)
    if unknown := (chosen or set()) - set(proofs["receipt_id"]):
        raise ConfigError(
            f"{len(unknown)} of {len(chosen or ())} receipts are not this notebook's, so nothing is said of them.",
            remedy="Give the path of their notebook: og.verify(PATH).",
        )
    return proofs


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


def _ids(rows: Any) -> set[str]:
    """Return the ids of receipts that are given as rows of their DataFrame.

    Raises:
        ConfigError: they are not. A row by itself would be taken apart, and "nothing is wrong" be said of nothing.
    """
    import pandas as pd

    if isinstance(rows, pd.DataFrame) and "receipt_id" in rows:
        return set(rows["receipt_id"])
    kind = "a DataFrame without receipt_id" if isinstance(rows, pd.DataFrame) else f"a {type(rows).__name__}"
    raise ConfigError(
        f"og.verify was given {kind}, so nothing was checked.",
        remedy="Give rows of og.receipts(), such as og.receipts().tail(1), or the path of a notebook.",
    )


def _ledger_of(named: str | PathLike[str]) -> Ledger:
    """Open the ledger of a notebook; or a ledger itself, which is named by its file, or on a server by its URL."""
    if not isinstance(named, (str, PathLike)):
        raise ConfigError(
            f"A notebook is named by its path, and not by a {type(named).__name__}.",
            remedy="Give the path of the notebook.",
        )
    if is_server(named):
        return Ledger(named)
    path = Path(named).expanduser().absolute()
    if path.suffix != ".db":
        path = ledger_of(Settings(), path)
    if not readable_at(path).is_file():
        raise LedgerError(f"{named} has no receipts: there is no {path}.", remedy="Has it been run here?")
    return Ledger(path)
