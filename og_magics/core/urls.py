"""Addresses: is it this machine's own, and may a link lead there?"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_FOLLOWED = re.compile(r"(https?:|mailto:|tel:|#)", re.I)
_SCHEME = re.compile(r"[\s\x00-\x1f]*[a-z][a-z0-9+.\-]*:", re.I)


def may_open(url: str) -> bool:
    """Return True for a link that a browser only follows: a page, a mail, a telephone, or a place beside this one."""
    return bool(_FOLLOWED.match(url)) or not _SCHEME.match(url)


def is_loopback(url: str) -> bool:
    """Return True for an address of this machine: no proxy leads there."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # no URL
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False
