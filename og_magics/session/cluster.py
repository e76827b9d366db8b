"""Many prompts on the workers of a Dask cluster: shares of the rows are handed out, and what they tell is added up."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from decimal import Decimal
from typing import Any

from ..conversation import StoredAnswers
from ..core.errors import SEE_RECEIPTS, ConfigError, OGError
from .cluster_share import DRAIN, EVENT, Share, ShareState, Terms, ask_share, pause

_MOST_ROWS = 1_000
"""Of a share."""
_SHARES_EACH = 4
"""Shares that each thread of a worker has, where there are few rows: what a worker that died had is soon done again."""
_AHEAD = 2
"""Shares for each thread that are handed out: no more prompts are on the scheduler at once."""
_APART = 0.2

MakeShare = Callable[[str, "array[int]"], Share]


class ClusterRun:
    """A run on a cluster; it starts when the object is made. It has the methods of a `BatchRun`.

    Args:
        cluster: a client, or its scheduler's address.
        todo: the rows to ask. make: makes the share of some of them.
        before: rows that had answers before.
    """

    def __init__(self, cluster: Any, terms: Terms, todo: array[int], make: MakeShare, result: StoredAnswers) -> None:
        self.stopped_by: Exception | None = None
        self.future: Future[None] = Future()
        self._terms, self._todo, self._make, self._result = terms, todo, make, result
        self._before = result.answered
        self._states: dict[str, ShareState] = {}
        self._costs: dict[str, Decimal] = {}
        self._pausing, self._threads = False, 0
        self._woken = threading.Event()
        self._dask, self._client, self._own = _client_of(cluster)
        self._client.subscribe_topic(terms.run, self._heard)
        threading.Thread(target=self._work, name="og_magics-cluster", daemon=True).start()

    @property
    def waits(self) -> str:
        """Say why a share asks nothing now; "" where that is not so."""
        if not self._threads:
            return "waits for a worker of the cluster"
        return next((state.waits for state in list(self._states.values()) if state.waits and not state.ended), "")

    def wait(self, seconds: float) -> bool:
        """Wait for a change, at most so many seconds, and return True once all shares have ended."""
        self._woken.wait(seconds)
        self._woken.clear()
        return self.future.done()

    def pause(self, seconds: float) -> None:
        """Have the workers ask nothing more, and wait until they have written what was on its way.

        Raises:
            KeyboardInterrupt: again.
        """
        self._pausing = True
        until = time.monotonic() + seconds + DRAIN
        while not self.future.done() and time.monotonic() < until:
            self.wait(0.1)

    def stop(self) -> None:
        """Have the workers ask nothing more, and wait for none."""
        self._pausing = True

    async def stop_async(self) -> None:
        """Do the same as `pause`, from a coroutine."""
        await asyncio.to_thread(self.pause, DRAIN)

    # -- on a thread of its own ----------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._hand_out()
        except BaseException as error:  # noqa: BLE001 - it is raised where the end is waited for
            self.future.set_exception(error)
        else:
            self.future.set_result(None)
        finally:
            self._woken.set()
            with suppress(Exception):
                self._client.unsubscribe_topic(self._terms.run)
                if self._own:
                    self._client.close()

    def _hand_out(self) -> None:
        shares, on_their_way, asked_at = self._shares(), dict[Any, str](), 0.0
        while True:
            self._threads = sum(self._client.nthreads().values())
            while not self._ends and len(on_their_way) < _AHEAD * self._threads:
                share = next(shares, None)
                if share is None:
                    break
                key = f"og_magics-{share.name}"
                on_their_way[self._client.submit(ask_share, share, key=key, pure=False)] = share.name
            if not on_their_way and (self._threads or self._ends):
                return
            if self._ends and time.monotonic() >= asked_at:  # again: a worker may have come meanwhile
                asked_at = time.monotonic() + 1
                self._client.run(pause, self._terms.run, on_error="ignore")
            for future in [one for one in on_their_way if one.done()]:
                self._ended(future, on_their_way.pop(future))
            time.sleep(_APART)

    @property
    def _ends(self) -> bool:
        return self._pausing or self.stopped_by is not None

    def _shares(self) -> Iterator[Share]:
        rows = max(1, min(_MOST_ROWS, -(-len(self._todo) // (self._threads * _SHARES_EACH))))
        for number, begin in enumerate(range(0, len(self._todo), rows)):
            yield self._make(f"{self._terms.run}-{number:06d}", self._todo[begin : begin + rows])

    def _ended(self, future: Any, name: str) -> None:
        try:
            state: ShareState = future.result()
        except Exception as error:  # noqa: BLE001 - Dask's, or what a worker's Python says
            kind = type(error).__name__
            what = "died again and again" if kind == "KilledWorker" else f"could not ask: {kind}"
            self.stopped_by = self.stopped_by or OGError(
                f"Workers that were to ask {name} {what}.", money=SEE_RECEIPTS,
                remedy="Look at their logs; have they the same packages as you? `.resume()` goes on.",
            )  # fmt: skip
            return
        self._note(state)
        if state.stopped_by is not None:
            self.stopped_by = self.stopped_by or state.stopped_by
        self._result.first_error = self._result.first_error or state.first_error

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        said = {name: event[1][name] for name in EVENT}
        known = self._states.get(said["name"])
        if known is None or not known.ended:
            self._note(ShareState(**(said | {"cost": Decimal(said["cost"])})))

    def _note(self, state: ShareState) -> None:
        self._states[state.name] = state
        self._costs[f"{state.name}/{state.attempt}"] = state.cost
        states = list(self._states.values())
        failures = sum((Counter(one.failures) for one in states), Counter[str]())
        result, most = self._result, self._terms.max_failures
        result.answered = self._before + sum(one.answered for one in states)
        result.failures, result.cost = failures, sum(self._costs.values(), Decimal(0))
        if most is not None and failures.total() >= most and self.stopped_by is None:
            self.stopped_by = OGError(
                f"{failures.total()} prompts failed, and max_failures is {most}.", money=SEE_RECEIPTS,
                remedy="Correct what `.frame` names; `.resume()` asks those that have no answer.",
            )  # fmt: skip
        self._woken.set()


def _client_of(cluster: Any) -> tuple[Any, Any, bool]:
    """Return Dask's package, a client, and True where the client was made here.

    Raises:
        ConfigError: there is no such cluster.
    """
    try:
        dask = importlib.import_module("distributed")
    except ImportError:
        raise ConfigError(
            "A cluster needs Dask, which is not installed.", money="Nothing was sent.",
            remedy="Install it with `pip install 'og_magics[cluster]'`.",
        ) from None  # fmt: skip
    if isinstance(cluster, dask.Client):
        if cluster.asynchronous:
            raise ConfigError("cluster is an asynchronous client.", remedy="Give the address of its scheduler.")
        return dask, cluster, False
    if not isinstance(cluster, str):
        raise ConfigError(f"cluster is a {type(cluster).__name__}.", remedy="Give a Client of Dask, or an address.")
    try:
        return dask, dask.Client(cluster, set_as_default=False), True
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"There is no cluster at {cluster}: {type(error).__name__}.", money="Nothing was sent.",
            remedy="Start its scheduler, or correct the address.",
        ) from None  # fmt: skip
