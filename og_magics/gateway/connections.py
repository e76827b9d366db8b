"""Connections to one server: a client of HTTPX for each request that is on its way, which has one connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

import httpx

IDLE_SECONDS = 2.0
"""Time without a request after which a connection is closed. Common servers close theirs after five, and a request that
crosses that on its way is lost, and may be charged.
"""
ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS)


class Connections:
    """The connections to one server. Used on one event loop.

    HTTPX looks through all connections of a client at each request, and asks the system about each: with 64 of them
    that takes 4 ms, and with one 0.1 ms. So each request that is on its way has a client of its own; the one that was
    used last is taken first, and what is not used for a while is closed.

    Args:
        make: makes a client with limits of `ONE`. most: requests at once; a further one waits for another's end.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient], most: int) -> None:
        self._make = make
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()
        self._lent: set[httpx.AsyncClient] = set()
        self._room = asyncio.Semaphore(most)
        self._timer: asyncio.TimerHandle | None = None
        self._ends: set[asyncio.Task[None]] = set()
        self._idle.append((0.0, make()))  # what is wrong with the settings is said now

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client for one request, or for several that follow each other."""
        async with self._room:
            client = self._idle.pop()[1] if self._idle else self._make()
            self._lent.add(client)
            try:
                yield client
            finally:
                self._take_back(client)

    async def close(self) -> None:
        """Close all connections, also those of requests that are on their way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        clients = [*self._lent, *(client for _, client in self._idle)]
        self._lent.clear()
        self._idle.clear()
        for client in clients:
            await client.aclose()
        await asyncio.gather(*self._ends)

    def _take_back(self, client: httpx.AsyncClient) -> None:
        if client not in self._lent:
            return  # closed meanwhile
        self._lent.remove(client)
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time(), client))
        if self._timer is None:
            self._timer = loop.call_later(IDLE_SECONDS, self._close_unused)

    def _close_unused(self) -> None:
        """Close the clients that were not used for a while, and look again when the next one is due."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._idle:
            left = self._idle[0][0] + IDLE_SECONDS - loop.time()
            if left > 0:
                self._timer = loop.call_later(left, self._close_unused)
                return
            end = loop.create_task(self._idle.popleft()[1].aclose())
            self._ends.add(end)
            end.add_done_callback(self._ends.discard)
