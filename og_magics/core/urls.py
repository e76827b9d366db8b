"""Addresses: is it this machine's own?"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


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
