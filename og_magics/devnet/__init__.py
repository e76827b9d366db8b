"""A network on this machine: a chain, a gateway that is paid on it, and a simulated model behind the gateway.

    with Devnet(settle_after=0) as devnet:
        print(devnet.gateway_url, devnet.accounts[0]["private_key"])

From a shell: `og-magics devnet`. Its accounts are publicly known and its money is worth nothing. It needs the
extra `og_magics[devnet]`, and the rest of the package never imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .devnet import Devnet

__all__ = ["Devnet"]


def __getattr__(name: str) -> Any:
    if name == "Devnet":
        from .devnet import Devnet

        return Devnet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
