"""Processes that fork, as multiprocessing and joblib may: what a child has from its parent, and what it must not use.

A child has the memory of its parent, but none of its threads; sockets and files are the parent's as well.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

_of_the_parent: list[Any] = []
"""Loops, connections and files that a forked child has from its parent: it neither uses nor closes them."""
_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def after_fork(renew: Callable[[], object]) -> None:
    """In each child that this process forks, call `renew` and leave what it returns to the parent."""
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=lambda: _of_the_parent.append(renew()))


def around_fork(before: Callable[[], None], in_parent: Callable[[], None], renew: Callable[[], object]) -> None:
    """Call `before` when this process forks, `in_parent` and `renew` after it, the latter as `after_fork` does."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=in_parent)
    after_fork(renew)


def new_lock() -> threading.Lock:
    """Return a lock that is free in a forked child, whichever thread held it, since that is not there."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def new_rlock() -> threading.RLock:
    """Return a lock as `new_lock` does, that its holder may take again."""
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def _free_locks() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()


after_fork(_free_locks)
