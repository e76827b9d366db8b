"""A share of many rows on a worker of a cluster: the same run as in one process, into the same place.

A share carries prompts and options, and no key: the worker's wallet, its gateway and its ledger's password come from
the worker's own environment. What it shows of itself, as in a log of the scheduler, is its name and its number of rows.
"""

from __future__ import annotations

import functools
import secrets
import socket
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from .._version import __version__
from ..conversation import (
    NAMES,
    BatchRun,
    FieldColumn,
    Occupied,
    Options,
    PromptRows,
    RowStore,
    SqlStore,
    StoredAnswers,
    StoredRows,
    Throttle,
    columns_of,
    fingerprint_of,
    is_url,
    run_turn,
    sqlite_file,
)
from ..core.environment import state_folder
from ..core.errors import SEE_RECEIPTS, ConfigError, OGError
from ..core.estimate import AtOnce
from ..core.fork import new_lock
from ..core.networks import described
from ..core.options import SETTINGS
from ..core.settings import Settings, limited
from ..core.shared_ledger import shared_at
from .asking import TurnMaker
from .session import Session

DRAIN = 10.0
"""Seconds that answers on their way have to end after an interrupt."""
_APART = 0.5
_OCCUPIED = 60.0
"""Seconds for which a worker waits for another that had the same share, and of which the cluster thinks it is gone."""
_NOTHING = "This worker sent nothing and paid nothing."
_OWN = ("keystore", "devnet", "ledger", "prices")
"""Settings that each worker has of its own, as those that are secrets or URLs."""

EVENT = ("name", "attempt", "answered", "failures", "cost", "waits")
"""Fields of a state that are sent while a share goes on."""
_sessions: list[tuple[Settings, Session]] = []
_making = new_lock()
_paused: set[str] = set()


@dataclass(frozen=True)
class Terms:
    """All that the shares of a run have in common.

    Attributes:
        run: name of the run. version: of og_magics.
        options, settings: of each call, and of the notebook; no secrets.
        ledger: path of the ledger, or its URL without the password. place: by which it is known to be the same one.
        gateway: the origin of the gateway that was given by URL, "" for none.
        out, table: as in `ask_many`. total: of all rows.
        agreed: a person agreed to what all of them may cost, or nobody had to be asked.
    """

    run: str
    version: str
    options: Options = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)
    ledger: str
    place: str
    gateway: str
    out: str = field(repr=False)
    table: str
    total: int
    most: int
    adapts: bool
    patience: float
    max_failures: int | None
    agreed: bool


@dataclass(frozen=True, repr=False)
class Share:
    """Rows that one worker asks.

    Attributes:
        prompts: by row. kind: of rows, in messages. fingerprint: of the first row's request.
    """

    name: str
    terms: Terms
    prompts: Mapping[int, str]
    kind: str
    fingerprint: bytes

    def __repr__(self) -> str:
        return f"<Share {self.name}: {len(self.prompts)} rows>"

    __str__ = __repr__


@dataclass
class ShareState:
    """The progress of a share.

    Attributes:
        attempt: another one where the share was begun anew. answered: rows with answers, in all attempts.
        cost: of this attempt. stopped_by: the error after which it asked nothing more.
        ended: it is over; `paused`, before all its rows were asked.
    """

    name: str
    attempt: str
    answered: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    cost: Decimal = Decimal(0)
    waits: str = ""
    stopped_by: Exception | None = field(default=None, repr=False)
    first_error: Exception | None = field(default=None, repr=False)
    ended: bool = False


class _Rows(PromptRows):
    """The prompts of a share, by their rows in the whole."""

    def __init__(self, share: Share) -> None:
        super().__init__((), kind=share.kind)
        self._held, self._total = share.prompts, share.terms.total

    def __len__(self) -> int:
        return self._total

    def __getitem__(self, at: Any) -> Any:
        return self._held[at]


def terms_of(app: Session, options: Options, **more: Any) -> Terms:
    """Return the terms of a run, as the one who asks has them.

    Raises:
        ConfigError: an option that means something in this notebook alone.
    """
    for name in ("tools", "schema"):
        value = getattr(options, name) or (app.settings.tools if name == "tools" else None)
        if isinstance(value, str) and value not in ("", "none"):
            raise ConfigError(
                f"{name} is the name {value[:60]!r}, which workers do not know.",
                remedy=f"Give {'the functions themselves' if name == 'tools' else 'the class itself'}.",
            )
    if options.context is not None or options.images is not None:
        raise ConfigError("context and images are of this notebook alone.", remedy="Leave them out.")
    settings = limited(app.settings)
    own = {name: getattr(settings, name) for name, one in SETTINGS.items() if one.call}
    chosen = {name: value for name, value in options.settings().items() if value is not None}
    model = app.choose_model(options.model, options.provider)
    every = options.replace(**(own | chosen | {"model": model, "provider": None, "thread": ""}))
    kept = {
        name: getattr(settings, name)
        for name, one in SETTINGS.items()
        if not (one.call or one.private_url or one.type.startswith("Secret") or name in _OWN)
    }
    kept["network"] = settings.network_name()
    shared = shared_at(app.ledger.path)
    return Terms(
        run=secrets.token_hex(4), version=__version__, options=every, settings=kept,
        ledger=str(app.ledger.path) if shared is None else shared.shown, place=_place(app),
        gateway=str(settings.gateway_url), **more,
    )  # fmt: skip


def _place(app: Session) -> str:
    """Return that by which a ledger is known: two that are the same hold the same budgets."""
    path = app.ledger.path
    if shared_at(path) is not None:
        return f"{path.parent.name}/{path.name}"
    return f"{socket.gethostname()}:{path.resolve()}, with the wallets of {state_folder()}"


def pause(run: str) -> None:
    """Have the shares of a run on this worker ask nothing more."""
    _paused.add(run)


def ask_share(share: Share) -> ShareState:
    """Ask the rows of a share that have no answer yet, on a worker. It never raises: logs would have it."""
    state = ShareState(share.name, secrets.token_hex(4))
    try:
        _ask(share, state)
    except Exception as error:  # noqa: BLE001 - it is raised where the run was asked for
        state.stopped_by = error
    state.stopped_by, state.first_error = _portable(state.stopped_by), _portable(state.first_error)
    state.ended = True
    return state


def _ask(share: Share, state: ShareState) -> None:
    terms = share.terms
    app = _session_of(terms)
    rows = _Rows(share)
    maker = TurnMaker(app, rows, terms.options)
    first = next(iter(share.prompts))
    turn = maker.plain(first)
    if fingerprint_of(turn.request) != share.fingerprint:
        raise ConfigError(
            "A worker would ask something else than you: its settings or its version are others.", money=_NOTHING,
            remedy="Look at the OG_ variables of its environment.",
        )  # fmt: skip
    columns = columns_of(turn.schema, NAMES)
    store = _opened(share, columns)
    try:
        todo = array("q", (at for at in share.prompts if store.fingerprint(at) is None))
        found = len(share.prompts) - len(todo)
        at_once = AtOnce(terms.most, terms.adapts)
        agreed = _yes if terms.agreed else None
        maker.spending = app.spending(map(maker.turn, todo), agreed, at_once) if todo else None
        llm = app.llm
        store.begin()
    except BaseException:
        store.close()
        raise
    result = StoredAnswers(store, terms.total, lambda _: {}, _never)
    before = result.answered
    stored = StoredRows(result, store, todo, maker.turn, rows.__getitem__, app.ledger, columns)
    throttle = Throttle(terms.most, adapts=terms.adapts, patience=terms.patience)
    taking = stored.taking(functools.partial(run_turn, llm))
    run = BatchRun(iter(stored), taking, throttle, app.notify, max_failures=terms.max_failures)

    def look() -> None:
        state.answered, state.failures = found + result.answered - before, dict(result.failures)
        state.cost, state.waits = result.cost, run.waits

    tell, next_look = teller(terms.run), 0.0
    try:
        while not run.wait(_APART):
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _APART
                look()
                tell(state)
            if terms.run in _paused:
                run.pause(DRAIN)
    finally:
        if not run.future.done():
            run.stop()
        stored.finish()
        look()
    state.waits = ""
    state.stopped_by, state.first_error = run.stopped_by, result.first_error
    if not run.future.cancelled():
        run.future.result()


def _session_of(terms: Terms) -> Session:
    """Return this worker's session for a run.

    Raises:
        ConfigError: it is not set up as the run needs it.
    """
    if terms.version != __version__:
        raise ConfigError(
            f"A worker has og_magics {__version__}, and you have {terms.version}.",
            money=_NOTHING,
            remedy="Install the same version for both.",
        )
    settings = Settings.from_env()
    settings = settings.replace(**dict(terms.settings), ledger=settings.ledger or terms.ledger)
    _check(settings, terms)
    with _making:
        app = next((app for its, app in _sessions if its == settings), None) or Session(settings)
        if (place := _place(app)) != terms.place:
            raise ConfigError(
                f"A worker keeps its receipts elsewhere, so budgets would not hold: {place}, not {terms.place}.",
                money=_NOTHING,
                remedy="On several machines, set OG_LEDGER=postgresql://... for you and for the workers.",
            )
        _sessions[:] = [*[one for one in _sessions if one[1] is not app], (settings, app)]
    return app


def _check(settings: Settings, terms: Terms) -> None:
    if str(settings.gateway_url) != terms.gateway:
        raise ConfigError(
            "A worker has another OG_GATEWAY_URL than you.", money=_NOTHING, remedy="Set the same for both."
        )
    if described(settings.network_name()).local and not settings.devnet:
        raise ConfigError(
            "A worker does not know the practice network.", money=_NOTHING,
            remedy="Write what `og-magics devnet --json` prints into a file, and name it in OG_DEVNET, here and there.",
        )  # fmt: skip


def _opened(share: Share, columns: Sequence[FieldColumn]) -> RowStore | SqlStore:
    """Open the place of a share's answers, once no other worker writes this share."""
    terms, until = share.terms, time.monotonic() + _OCCUPIED
    place = sqlite_file(terms.out) if is_url(terms.out) else Path(terms.out)
    if place is not None and not place.exists():
        raise ConfigError(
            f"A worker does not see {place}.", money=_NOTHING,
            remedy="Name a place that all workers share, or a database on a server.",
        )  # fmt: skip
    while True:
        try:
            if not is_url(terms.out):
                return RowStore(terms.out, columns, share.name).open()
            rows = min(share.prompts), max(share.prompts)
            return SqlStore(terms.out, columns, terms.table, share.name, rows).open()
        except Occupied:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def teller(run: str) -> Callable[[ShareState], None]:
    """Return what tells the one who asks how far a share is."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # outside a cluster
        return lambda _: None
    return lambda state: worker.log_event(run, _as_event(state))


def _as_event(state: ShareState) -> dict[str, Any]:
    """Return the counts of a share: no text of a prompt, an answer or an error goes to the scheduler."""
    return {name: getattr(state, name) for name in EVENT} | {"cost": str(state.cost)}


def _portable(error: Exception | None) -> OGError | None:
    """Return an error as another process can read it: without an answer or a connection that it holds."""
    if error is None:
        return None
    if not isinstance(error, OGError):
        return OGError(
            f"A worker failed: {type(error).__name__}: {error}",
            money=SEE_RECEIPTS,
            remedy="Look at the worker's log; the same call again goes on.",
        )
    made = type(error).__new__(type(error), *error.args)
    plain = (str, int, float, bool, type(None))
    vars(made).update({name: value for name, value in vars(error).items() if isinstance(value, plain)})
    return made


def _yes(*_: object) -> bool:
    return True


def _never() -> StoredAnswers:
    raise ConfigError("A share is not resumed.", remedy="Call og.ask_many again: it goes on.")
