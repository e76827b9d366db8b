"""A devnet in a process of its own that settles on demand, so that a test can wait for the last payment.

Run with its options as JSON in the first argument. Prints its description; then, for each line it reads, settles all
that is owed and prints "settled". Ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from og_magics.devnet import Devnet

_QUIET = 0.4
"""Seconds without a session after which no request of a client that is gone is still on its way."""


class Drained(Devnet):
    """A devnet whose sessions can be settled now."""

    def gateway(self, *rooms: Any) -> Any:
        made = super().gateway(*rooms)
        self._loop, self._settler = asyncio.get_running_loop(), made[1]
        return made

    def drain(self) -> None:
        """Settle every session, those included that begin meanwhile."""
        asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result()

    async def _drain(self) -> None:
        while True:
            await self._settler.close()
            await asyncio.sleep(_QUIET)
            if not self._settler._sessions:
                return


def main() -> None:
    with Drained(**json.loads(sys.argv[1])) as devnet:
        print(json.dumps(devnet.info), flush=True)
        for _ in sys.stdin:
            devnet.drain()
            print("settled", flush=True)


if __name__ == "__main__":
    main()
