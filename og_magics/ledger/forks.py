"""Forks of this process: each waits for the ledgers that are in use, which are closed for it."""

from __future__ import annotations

import weakref
from typing import Protocol

from ..core.fork import around_fork, new_lock


class Forked(Protocol):
    """A ledger's file; see `LedgerFile`."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def renew(self) -> object: ...


files: weakref.WeakSet[Forked] = weakref.WeakSet()
"""All that are in use in this process."""

_one_fork = new_lock()
_forking: list[Forked] = []


def _let_go() -> None:
    _one_fork.acquire()  # another thread may be forking too
    _forking[:] = list(files)
    for file in _forking:
        file.before_fork()


def _go_on() -> None:
    for file in _forking:
        file.after_fork_in_parent()
    _forking.clear()
    _one_fork.release()


def _renew() -> object:
    """In a forked child: have it open its files itself."""
    _forking.clear()
    return [file.renew() for file in list(files)]


around_fork(_let_go, _go_on, _renew)
