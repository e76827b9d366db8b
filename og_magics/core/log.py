"""The log: one line for each step of a call, with ids and times.

A line names what happened (request, attestation, challenge, authorization, first token, end, settlement) and the ids by
which the ledger and the chain know it. Never a key, a payment session's id, a prompt or an answer. The last lines are
kept in memory for `%og log`; they go to `logging.getLogger("og_magics")` too, which shows them where its level is
DEBUG: `OG_LOG=debug` or `%og log debug` set that up.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

from .errors import ConfigError

LEVELS = ("debug", "info", "warning", "off")

_Step = tuple[float, str, str, float | None, Mapping[str, object]]
"""When, what, of which call, how long after its start, and the facts; written as a line when somebody reads it."""

_logger = logging.getLogger("og_magics")
_recent: deque[_Step] = deque(maxlen=1_000)
_handler: logging.Handler | None = None


def step(name: str, call: str = "", since: float | None = None, **facts: object) -> None:
    """Write one step of a call down.

    Args:
        name: of the step, "authorization".
        call: the receipt's id; "" where the step belongs to no single call.
        since: `time.perf_counter()` at the call's start.
        facts: ids, counts, states. No text that a model, a user or a server wrote.
    """
    done: _Step = time.time(), name, call, None if since is None else time.perf_counter() - since, facts
    _recent.append(done)
    if _logger.isEnabledFor(logging.DEBUG):
        _logger.debug("%s", _line(done))


def recent(lines: int = 50) -> list[str]:
    """Return the last steps of this process, oldest first."""
    steps = list(_recent)[-lines:]
    return [f"{datetime.fromtimestamp(step[0], UTC):%H:%M:%S.%f}"[:-3] + f"Z {_line(step)}" for step in steps]


def _line(done: _Step) -> str:
    _, name, call, took, facts = done
    parts = [f"{name:<13}", call, *(f"{key}={value}" for key, value in facts.items() if value not in (None, ""))]
    if took is not None:
        parts.append(f"+{took:.3f}s")
    return " ".join(part for part in parts if part)


def show(level: str) -> None:
    """Show log lines of at least this level on standard error; "off" ends that.

    Raises:
        ConfigError: no such level.
    """
    global _handler
    word = level.strip().lower()
    if word not in LEVELS:
        raise ConfigError(f"There is no log level {level!r}.", remedy=f"Choose one of {', '.join(LEVELS)}.")
    if _handler is not None:
        _logger.removeHandler(_handler)
        _handler = None
    if word == "off":
        _logger.setLevel(logging.NOTSET)
        return
    _handler = logging.StreamHandler()
    _handler.setFormatter(logging.Formatter("%(asctime)s og_magics %(message)s"))
    _logger.addHandler(_handler)
    _logger.setLevel(word.upper())


def configure(env: Mapping[str, str] | None = None) -> None:
    """Show what `OG_LOG` asks for; nothing where it is not set. Called when the first LLM is made.

    Raises:
        ConfigError: OG_LOG is no level.
    """
    level = (os.environ if env is None else env).get("OG_LOG", "")
    if level and _handler is None:
        show(level)
