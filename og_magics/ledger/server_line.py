"""The line of steps that wait for a shared ledger. Whoever is first in it writes all that waits, as one group.

The ledger's one lock, and the way to the server, are had once for a group, however many of a process wait: while one
group is written, the next one gathers.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence

from .server_steps import Step

Outcome = bool | Exception
"""True: it was written. False: it was not, since its row is not as it needs it. Or why it could not be."""
Write = Callable[[Sequence[Step]], Sequence[Outcome]]

_MOST = 64
"""Steps of a group."""


class _Waiting:
    """A step, and who waits for it.

    Attributes:
        outcome: None before it was written, or could not be. leads: it is to write the next group.
        left: nobody waits any more.
    """

    __slots__ = ("leads", "left", "outcome", "step", "woken")

    def __init__(self, step: Step) -> None:
        self.step = step
        self.outcome: Outcome | None = None
        self.leads = self.left = False
        self.woken = threading.Lock()
        self.woken.acquire()


class Line:
    """The line of one ledger in one process; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_led = False

    def write(self, step: Step, write: Write) -> bool:
        """Write a step, with others or alone; return False where it was not, since its row is not as it needs it.

        Args:
            write: writes a group, and returns the outcome of each step.
        """
        own = _Waiting(step)
        try:
            with self._lock:
                self._waiting.append(own)
                own.leads, self._is_led = not self._is_led, True
            if not own.leads:
                own.woken.acquire()
            while own.outcome is None:
                self._write_group(write)
        finally:
            self._leave(own)
        if isinstance(own.outcome, Exception):
            raise own.outcome
        return own.outcome

    def _write_group(self, write: Write) -> None:
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
        try:
            outcomes = write([one.step for one in group])
        except BaseException:  # it is interrupted: the others are written by whoever leads next
            with self._lock:
                self._waiting.extendleft(one for one in reversed(group) if not one.left)
            raise
        for one, outcome in zip(group, outcomes, strict=True):
            one.outcome = outcome
            if not one.leads:
                one.woken.release()

    def _leave(self, own: _Waiting) -> None:
        """Have the next one lead, where this one did."""
        with self._lock:
            own.left = True
            with contextlib.suppress(ValueError):  # it is there only where it was interrupted
                self._waiting.remove(own)
            if not own.leads:
                return
            following = self._waiting[0] if self._waiting else None
            self._is_led = following is not None
            if following is not None:
                following.leads = True
        if following is not None:
            following.woken.release()
