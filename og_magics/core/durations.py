"""Durations in words."""

from __future__ import annotations


def duration_of(seconds: float) -> str:
    """Return a duration in hours, minutes and seconds, of which the two largest are named."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
