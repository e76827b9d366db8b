"""Block numbers around a moment, found with a handful of requests."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from ..core.errors import ChainError
from . import rpc

TOLERANCE = 32
"""Blocks; `around` is not more exact than this."""

_MOST_TRIES = 200
"""Rounds of one search. Halving alone finds a block among 2**63 in 63."""

_SECONDS_PER_BLOCK = 2.0
"""Of Base. Only a first guess: what is read corrects it."""


class Timeline:
    """A chain's block times, learned as they are asked for. Made anew for each search: a local chain may restart."""

    def __init__(self, node: rpc.Node) -> None:
        """Read the newest block.

        Raises:
            ChainError: the node cannot be reached or answers with an error.
        """
        self._node = node
        self._times: dict[int, int] = {}
        self.head = self._learn("latest")[0]

    @property
    def head_time(self) -> int:
        """The time of the newest block, unix seconds."""
        return self._times[self.head]

    def around(self, moment: int) -> tuple[int, int]:
        """Return the last block known to be at or before a moment, and the first known to be after it.

        They are at most `TOLERANCE` blocks apart. Both are the newest block when all are older than the moment, and
        both are block 0 when none is.

        Args:
            moment: unix seconds, of the chain's clock.

        Raises:
            ChainError: the chain cannot be read.
        """
        return self.arounds([moment])[0]

    def arounds(self, moments: Sequence[int], tolerance: int = TOLERANCE) -> list[tuple[int, int]]:
        """Return `around` for many moments, in about as many requests as the hardest of them takes alone.

        Args:
            tolerance: blocks; moments that are closer to each other than this may cost nothing more.

        Raises:
            ChainError: the chain cannot be read.
        """
        for tries in range(_MOST_TRIES):
            brackets = self._brackets(moments)
            wanted: list[int] = []
            for moment, (low, high) in dict(zip(moments, brackets, strict=True)).items():
                if high is None or high == 0 or (low is not None and high - low <= tolerance):
                    continue
                guess = self._guess(low, high, moment, tries)
                least, most = (0 if low is None else low), high - 1
                wanted += [max(least, min(most, guess + offset)) for offset in (-tolerance // 2, tolerance // 2)]
            if not wanted:
                return [
                    (self.head if high is None else low or 0, self.head if high is None else high)
                    for low, high in brackets
                ]
            self._learn(*wanted)
        raise self._nonsense("names blocks between which no moment can be found")

    def _brackets(self, moments: Sequence[int]) -> list[tuple[int | None, int | None]]:
        """Return, for each moment, the last known block at or before it and the first after it, None without one."""
        numbers = sorted(self._times)
        times = [self._times[number] for number in numbers]
        brackets: list[tuple[int | None, int | None]] = []
        for moment in moments:
            place = bisect_right(times, moment)
            brackets.append((numbers[place - 1] if place else None, numbers[place] if place < len(numbers) else None))
        return brackets

    def _guess(self, low: int | None, high: int, moment: int, tries: int) -> int:
        """Estimate the moment's block. Straight-line and halving take turns, so that no shape of time is slow."""
        ahead = self._times[high] - moment
        if low is None:
            return high - int(ahead / _SECONDS_PER_BLOCK * 4**tries)
        if tries % 2:
            return (low + high) // 2
        return high - ahead * (high - low) // (self._times[high] - self._times[low])

    def _learn(self, *numbers: int | str) -> list[int]:
        """Read blocks (numbers, or "latest") and return their numbers."""
        calls: list[rpc.Call] = [
            ("eth_getBlockByNumber", [hex(number) if isinstance(number, int) else number, False])
            for number in dict.fromkeys(numbers)
            if number not in self._times
        ]
        learned = []
        for block in self._node.ask(calls, wide=True):
            with rpc.guard(self._node.url, setting=self._node.setting):
                number = rpc.quantity(block["number"])
                self._times[number] = rpc.quantity(block["timestamp"])
            learned.append(number)
        asked = [call[1][0] for call in calls]
        if any(name not in ("latest", hex(number)) for name, number in zip(asked, learned, strict=True)):
            raise self._nonsense("answers with another block than the one it was asked for")
        if any(self._times[low] > self._times[high] for low, high in pairwise(sorted(self._times))):
            raise self._nonsense("gives an earlier time to a later block")
        return learned

    def _nonsense(self, what: str) -> ChainError:
        return ChainError(
            f"The blockchain node at {self._node.host} {what}.",
            money=rpc.READ_ONLY,
            remedy=f"Name another node with {self._node.setting}.",
        )
