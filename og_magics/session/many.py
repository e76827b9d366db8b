"""`og.ask_many` and `og.aask_many`: many prompts at once, in memory, or into a folder of Parquet files or a table."""

from __future__ import annotations

import functools
import os
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from ..conversation import (
    MOST,
    NAMES,
    PATIENCE,
    TABLE,
    AnswerStore,
    BatchResult,
    BatchRun,
    FieldColumn,
    Options,
    PromptRows,
    Row,
    RowStore,
    SqlStore,
    StoredAnswers,
    StoredRows,
    Take,
    Throttle,
    columns_of,
    fingerprint_of,
    is_url,
    prompt_rows,
    run_turn,
    url_for_workers,
)
from ..core.amounts import OPG
from ..core.errors import ConfigError
from ..core.estimate import AtOnce, Estimate
from ..core.runtime import runtime
from .asking import TurnMaker, current, of_many, options_from, warn_before
from .many_run import ManyRun
from .person import confirm_estimate

if TYPE_CHECKING:
    import pandas as pd

    Prompts = Collection[str] | pd.DataFrame | Any
    Place = str | os.PathLike[str]

_DRAIN = 10.0
"""Seconds that answers on their way have to end after an interrupt, where they are kept on disk."""


@overload
def ask_many(
    prompts: Prompts,
    concurrency: int | Literal["auto"] = ...,
    *,
    template: str | None = ...,
    out: None = ...,
    max_failures: int | None = ...,
    patience: float = ...,
    progress: bool = ...,
    **options: Any,
) -> BatchResult: ...
@overload
def ask_many(
    prompts: Prompts,
    concurrency: int | Literal["auto"] = ...,
    *,
    template: str | None = ...,
    out: Place,
    table: str | None = ...,
    cluster: Any = ...,
    max_failures: int | None = ...,
    patience: float = ...,
    progress: bool = ...,
    **options: Any,
) -> StoredAnswers: ...
def ask_many(
    prompts: Prompts,
    concurrency: int | Literal["auto"] = 8,
    *,
    template: str | None = None,
    out: Place | None = None,
    table: str | None = None,
    cluster: Any = None,
    max_failures: int | None = None,
    patience: float = PATIENCE,
    progress: bool = True,
    **options: Any,
) -> BatchResult | StoredAnswers:
    """Ask many prompts, `concurrency` at once, and wait for all answers. They share payment sessions; each has its
    receipt.

    A prompt that fails does not end the others: its error stands in its place. One that the gateway refuses since there
    are too many is asked again later, and fewer are on their way meanwhile. While the gateway cannot be reached,
    nothing is asked and nothing fails. When a budget is used up, or the wallet is empty, nothing more is asked, and
    `.errors` says why. Where no prompt at all was answered, the error is raised. Function calls that need a person's
    word are refused: nobody could answer for so many.

    Args:
        prompts: what to ask: texts, or a pandas DataFrame. All are looked at before the first is asked.
        concurrency: how many are on their way at once, 1 to 64, at most; "auto" finds out how many go.
        template: of a DataFrame's rows, with names of columns in braces: "Classify: {text}". Without it, the column
            `prompt` is asked.
        out: folder of Parquet files (`answers.parquet`), or URL of a database as SQLAlchemy has it
            (`sqlite:///answers.db`), into which each answer is written as it comes; none stays in memory. The same call
            again goes on where it was ended: it asks nothing that has an answer there or in the receipts, unless
            `replay="off"` is given.
        table: name of the table in that database; `answers` without it.
        cluster: a `dask.distributed.Client`, or the address of its scheduler: the workers ask, and write into `out`.
        max_failures: after so many failures nothing more is asked.
        patience: seconds for which a gateway that cannot be reached is waited for.
        progress: show how far it is.
        **options: as `ask`.

    Returns:
        As many as there were prompts, in their order; `.done`, `.errors`, `.texts`, `.receipts`, and `.frame`, a
        DataFrame. With `out`, a `StoredAnswers`, whose `.frame` is read from the files. `.resume()` of either asks what
        has no answer yet.

    Raises:
        ConfigError: an option that makes no sense, a prompt that is empty, or an `out` that cannot be written; nothing
            was sent.
        Interrupted: a KeyboardInterrupt. The answers that had come are in its `.partial` and, in IPython, in `_`.
    """
    runtime.assert_off_loop()
    return (
        BatchRequest(
            prompts, concurrency, template, out, max_failures, patience, progress, options_from(options), table, cluster
        )
        .start()
        .wait()
    )


@overload
async def aask_many(
    prompts: Prompts,
    concurrency: int | Literal["auto"] = ...,
    *,
    template: str | None = ...,
    out: None = ...,
    max_failures: int | None = ...,
    patience: float = ...,
    progress: bool = ...,
    **options: Any,
) -> BatchResult: ...
@overload
async def aask_many(
    prompts: Prompts,
    concurrency: int | Literal["auto"] = ...,
    *,
    template: str | None = ...,
    out: Place,
    table: str | None = ...,
    cluster: Any = ...,
    max_failures: int | None = ...,
    patience: float = ...,
    progress: bool = ...,
    **options: Any,
) -> StoredAnswers: ...
async def aask_many(
    prompts: Prompts,
    concurrency: int | Literal["auto"] = 8,
    *,
    template: str | None = None,
    out: Place | None = None,
    table: str | None = None,
    cluster: Any = None,
    max_failures: int | None = None,
    patience: float = PATIENCE,
    progress: bool = True,
    **options: Any,
) -> BatchResult | StoredAnswers:
    """Ask many from a coroutine, as `ask_many` does. Where it is cancelled, what had come is in `_`, in IPython."""
    asked = BatchRequest(
        prompts, concurrency, template, out, max_failures, patience, progress, options_from(options), table, cluster
    )
    return await asked.start().wait_async()


@dataclass(frozen=True)
class BatchRequest:
    """Prompts, and how they are to be asked. `start()` may be called again.

    Attributes:
        all: as the arguments of `ask_many`.
    """

    prompts: Any = field(repr=False)
    concurrency: int | str
    template: str | None
    out: Any = field(repr=False)
    max_failures: int | None
    patience: float
    progress: bool
    options: Options
    table: str | None = None
    cluster: Any = field(default=None, repr=False)

    def start(self) -> ManyRun[BatchResult] | ManyRun[StoredAnswers]:
        """Look at everything, and start.

        Raises:
            ConfigError, PaymentRefused: nothing was sent.
        """
        at_once_of(self.concurrency)
        if self.max_failures is not None and (not isinstance(self.max_failures, int) or self.max_failures < 1):
            raise ConfigError(f"max_failures must be a whole number of 1 or more, got {self.max_failures!r}.")
        if not isinstance(self.patience, (int, float)) or not self.patience >= 0:
            raise ConfigError(f"patience must be a number of seconds, got {self.patience!r}.")
        place: object = self.out
        if place is not None and not isinstance(place, (str, os.PathLike)):
            raise ConfigError(
                f"out is a {type(place).__name__}.", remedy="Give the path of a folder, or the URL of a database."
            )
        if self.table is not None and not (isinstance(self.table, str) and is_url(self.out)):
            raise ConfigError("table names a table of a database.", remedy='Give its URL: out="sqlite:///answers.db".')
        if self.cluster is not None and self.out is None:
            raise ConfigError("The answers of a cluster need a place.", remedy="Name it with out=.")
        if self.cluster is not None and is_url(self.out):
            url_for_workers(self.out)
        rows = prompt_rows(self.prompts, self.template)
        return self._in_memory(rows) if self.out is None else self._stored(rows)

    def estimate(self) -> Estimate:
        """Return what it would come to; nothing is sent.

        Raises:
            ConfigError: as `start`.
        """
        rows = prompt_rows(self.prompts, self.template)
        maker = TurnMaker(current(), rows, of_many(self.options))
        return current().estimate(map(maker.turn, range(len(rows))), at_once_of(self.concurrency))

    def _in_memory(self, rows: PromptRows) -> ManyRun[BatchResult]:
        prompts = list(rows)
        maker = TurnMaker(current(), rows, of_many(self.options))
        schema = maker.plain(0).schema if prompts else None
        return self._go_on(BatchResult(prompts, current().ledger, schema), rows)

    def _go_on(self, result: BatchResult, rows: PromptRows) -> ManyRun[BatchResult]:
        """Ask what has no answer yet."""
        maker = TurnMaker(current(), rows, of_many(self.options))
        todo = [at for at, slot in enumerate(result.texts) if slot is None]
        self._look_at(maker, todo)
        asked = result.asked_with(maker.turn, lambda: self._go_on(result, rows).wait())
        return ManyRun(result, self._run(asked, functools.partial(run_turn, current().llm)), shown=self.progress)

    def _stored(self, rows: PromptRows) -> ManyRun[StoredAnswers]:
        """Ask what has no answer there yet."""
        app, options = current(), of_many(self.options)
        if options.replay is None and app.settings.replay == "off":
            options = options.replace(replay="auto")  # an answer that is in the receipts is not paid twice
        maker = TurnMaker(app, rows, options)
        columns = columns_of(maker.plain(0).schema if len(rows) else None, NAMES)
        store = self._store(columns).open()
        try:
            todo = array("q", self._without_answer(maker, store))
            self._look_at(maker, todo)
            llm = None if self.cluster is not None else app.llm
            store.begin()
        except BaseException:
            store.close()
            raise
        result = StoredAnswers(store, len(rows), _settled_costs, lambda: self._stored(rows).wait())
        if llm is None:
            return self._on_cluster(maker, options, store, todo, result)
        stored = StoredRows(result, store, todo, maker.turn, rows.__getitem__, app.ledger, columns)
        run = self._run(iter(stored), stored.taking(functools.partial(run_turn, llm)))
        return ManyRun(result, run, shown=self.progress, closing=stored.finish, drain=_DRAIN)

    def _on_cluster(
        self, maker: TurnMaker, options: Options, store: AnswerStore, todo: array[int], result: StoredAnswers
    ) -> ManyRun[StoredAnswers]:
        from .cluster import ClusterRun
        from .cluster_share import DRAIN, Share, terms_of

        def share(name: str, rows: array[int]) -> Share:
            prompts = {at: maker.rows[at] for at in rows}
            return Share(name, terms, prompts, maker.rows.kind, fingerprint_of(maker.plain(rows[0]).request))

        try:
            terms = terms_of(
                current(), options, out=str(store.path or url_for_workers(self.out)), table=self.table or TABLE,
                total=len(maker.rows), most=MOST if isinstance(self.concurrency, str) else self.concurrency,
                adapts=self.concurrency == "auto", patience=self.patience, max_failures=self.max_failures,
                agreed=maker.spending is not None,
            )  # fmt: skip
            run = ClusterRun(self.cluster, terms, todo, share, result)
        except BaseException:
            store.close()
            raise
        return ManyRun(result, run, shown=self.progress, closing=store.finish, drain=DRAIN)

    def _store(self, columns: Sequence[FieldColumn]) -> AnswerStore:
        return SqlStore(self.out, columns, self.table or TABLE) if is_url(self.out) else RowStore(self.out, columns)

    def _without_answer(self, maker: TurnMaker, store: AnswerStore) -> Iterator[int]:
        """Yield the rows that have no answer there.

        Raises:
            ConfigError: it holds answers to other prompts.
        """
        for at in range(len(maker.rows)):
            held = store.fingerprint(at)
            if held is None:
                yield at
            elif held != fingerprint_of(maker.plain(at).request):
                raise ConfigError(
                    f"{store.name} holds the answer to another request than that of {maker.rows.name(at)}: the "
                    "prompts, the model, the schema or a parameter are not what they were.",
                    money="Nothing was sent and nothing was paid.",
                    remedy="Name another place for these answers; what is in the receipts is not asked again.",
                )

    def _look_at(self, maker: TurnMaker, todo: Sequence[int]) -> None:
        """Look at all that will be asked, and ask a person where it may cost much."""
        app = current()
        for number, at in enumerate(todo):
            turn = maker.turn(at)
            if not number:
                warn_before(app, turn)
        if todo:
            maker.spending = app.spending(map(maker.turn, todo), confirm_estimate, at_once_of(self.concurrency))

    def _run(self, rows: Iterator[Row], take: Take) -> BatchRun:
        adapts = self.concurrency == "auto"
        most = MOST if isinstance(self.concurrency, str) else self.concurrency
        throttle = Throttle(most, adapts=adapts, patience=self.patience)
        return BatchRun(rows, take, throttle, current().notify, max_failures=self.max_failures)


def at_once_of(concurrency: Any) -> AtOnce:
    """Return how many calls a `concurrency` has on their way at once.

    Raises:
        ConfigError: it is none.
    """
    if concurrency == "auto":
        return AtOnce(MOST, adapts=True)
    if not isinstance(concurrency, int) or not 1 <= concurrency <= MOST:
        raise ConfigError(f'concurrency must be "auto" or a whole number from 1 to {MOST}, got {concurrency!r}.')
    return AtOnce(concurrency)


def _settled_costs(turns: Collection[str]) -> Mapping[str, int]:
    """Return what turns cost, in base units, where all their calls are settled."""
    frame = current().records.frame()
    calls = frame.loc[frame["turn"].isin(turns), ["turn", "cost_opg"]]
    open_ones = set(calls.loc[calls["cost_opg"].isna(), "turn"])
    settled = calls[~calls["turn"].isin(open_ones)]
    return {str(turn): int(sum(costs) * OPG) for turn, costs in settled.groupby("turn")["cost_opg"]}
