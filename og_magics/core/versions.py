"""Versions of what is saved: "major.minor". A reader reads every minor of its own major, older and newer.

A minor version only adds: fields, columns and tables that may be missing, and that a reader which does not know them
keeps as they are. What cannot be read in that way is another major version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packaging.version import Version

_LONGEST = 40


def parse_version(value: Any) -> Version:
    """Read a version as files hold it: "1.2", or a bare 1 as the first files did, which is 1.0.

    Raises:
        ValueError: no version.
    """
    from packaging.version import InvalidVersion, Version

    text = str(value) if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**6 else value
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError(f"its version is missing, or is none: {_shown(value)}")
    try:
        return Version(text)
    except InvalidVersion:
        raise ValueError(f"its version is none: {_shown(value)}") from None


def require_readable(value: Any, known: str, what: str) -> None:
    """Accept every minor version of the known major.

    Raises:
        ValueError: no version, or another major one; the message has both versions and the remedy.
    """
    found, ours = parse_version(value), parse_version(known)
    if found.major == ours.major:
        return
    remedy = (
        "upgrade with `pip install -U og_magics`"
        if found > ours
        else f"open it with an og_magics that reads version {found.major}"
    )
    raise ValueError(f"{what} version {found} cannot be read by this og_magics, which reads {ours.major}.x: {remedy}")


def is_readable(value: Any, known: str) -> bool:
    """Return True for a minor version of the known major, False for anything else."""
    try:
        require_readable(value, known, "")
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    text = ascii(value) if isinstance(value, (str, float, type(None), bool)) else f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
