"""The process that asks for a user: is it still there? A server that was killed leaves reservations, which say it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")


def this_process() -> str:
    """Return the name of this process, which no other one has had or will have; "" where the system does not say."""
    return _named(os.getpid()) or ""


def has_ended(process: str) -> bool:
    """Return True for a process, by its name, that ran where this one runs and does not any more. Of one that runs
    elsewhere (another machine, another container, before a restart of the machine) nothing is known: False.
    """
    place, _, known = process.rpartition(" ")
    pid = known.partition(":")[0]
    if not place or place != _place() or not (pid.isascii() and pid.isdigit()):
        return False
    return _named(int(pid)) != process


def _named(pid: int) -> str | None:
    """Return the name of a process that runs; None where there is none."""
    place = _place()
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if place and fields[0] not in ("Z", "X"):  # dead, and not reaped yet
            return f"{place} {pid}:{fields[19]}"
    return None


def _place() -> str:
    """Return what tells processes of this boot and of these numbers from others; "" where the system does not say."""
    with contextlib.suppress(OSError):
        return f"{_BOOT.read_text().strip()} {os.readlink(_PIDS)}"
    return ""
