"""The share of the client's loop that each call of a server has: many that come together begin a few at a time, and the
more answers are on their way, the rarer each of them is read.

To begin (a connection, TLS, a receipt, perhaps a payment) takes a processor much longer than a token does. A loop that
begins two hundred calls before it looks at anything else holds up all answers that are on their way. To read a token
alone takes it nearly as long as to read three together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

_TOGETHER, _BETWEEN = 3, 0.015
"""Calls that begin together, and seconds to the next ones, at least: a loop that is busy comes back to them later."""


class Turns:
    """The turns of one server's calls. Used on one event loop.

    Args:
        pause: returns seconds to let more of an answer gather after it was waited for.
    """

    def __init__(self, pause: Callable[[], float]) -> None:
        self._turn, self._pause = asyncio.Semaphore(_TOGETHER), pause

    async def before(self, work: Awaitable[T]) -> T:
        """Begin work when its turn comes, and return what it returns."""
        try:
            await self._come()
        except BaseException:
            if asyncio.iscoroutine(work):
                work.close()  # it never begins
            raise
        return await work

    async def before_all_of(self, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Iterate over a source from its turn on; closing this closes it."""
        loop, waited = asyncio.get_running_loop(), False

        def wait() -> None:
            nonlocal waited
            waited = True

        async with aclosing(source):
            await self._come()
            while True:
                waited, went_round = False, loop.call_soon(wait)
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
                finally:
                    went_round.cancel()
                yield item
                if waited and (seconds := self._pause()) > 0:
                    await asyncio.sleep(seconds)

    async def _come(self) -> None:
        await self._turn.acquire()
        asyncio.get_running_loop().call_later(_BETWEEN, self._turn.release)
