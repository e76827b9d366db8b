"""`og-magics serve`, with a heartbeat on each of its loops; at its end it prints how late the latest beat was.

    python -m tests.watched_server serve ...

A beat is late while the loop does other work, or while the system gives its thread no processor. So the processor's time
that the thread took meanwhile is told, too: only that is the server's own doing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from typing import Any

import uvicorn

from og_magics.cli import main
from og_magics.core.runtime import runtime

EVERY = 0.02
MARK = "STALLS "
_stalls: dict[str, tuple[float, float]] = {}


async def beat(loop: str) -> None:
    """Note the longest time between two beats, and the longest that the thread itself worked between two."""
    longest, own = 0.0, 0.0
    while True:
        began, used = time.perf_counter(), time.thread_time()
        await asyncio.sleep(EVERY)
        longest = max(longest, time.perf_counter() - began - EVERY)
        own = max(own, time.thread_time() - used)
        _stalls[loop] = longest, own


class Garbage:
    """The longest time for which the interpreter looked for garbage, when all threads wait."""

    began = 0.0

    def __call__(self, phase: str, _: object) -> None:
        if phase == "start":
            self.began = time.perf_counter()
            return
        took = time.perf_counter() - self.began
        _stalls["garbage"] = max(_stalls.get("garbage", (0.0, 0.0)), (took, took))


class Watched(uvicorn.Server):
    """A server with heartbeats."""

    async def startup(self, *arguments: Any, **more: Any) -> None:
        await super().startup(*arguments, **more)
        gc.callbacks.append(Garbage())
        self.beats = runtime.submit(beat("client")), asyncio.create_task(beat("server"))

    async def shutdown(self, *arguments: Any, **more: Any) -> None:
        await super().shutdown(*arguments, **more)
        print(MARK + json.dumps(_stalls), flush=True)
        for one in self.beats:
            one.cancel()


if __name__ == "__main__":
    uvicorn.Server = Watched  # type: ignore[misc]
    sys.exit(main())
