"""A network on this machine: a chain, a gateway that is paid on it, and a simulated model behind the gateway.

    with Devnet(settle_after=0) as devnet:
        print(devnet.gateway_url, devnet.accounts[0]["private_key"])

From a shell: `og-magics devnet`. Its accounts are publicly known and its money is worth nothing. It needs the
extra `og_magics[devnet]`, and the rest of the package never imports it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .devnet import Devnet

__all__ = ["Devnet"]


def _import_jsonschema() -> None:
    """Import jsonschema without its checker of IRIs, whose import takes a second wherever JupyterLab brings it."""
    slow = "rfc3987_syntax"
    if "jsonschema" in sys.modules or slow in sys.modules:
        return
    sys.modules[slow] = None  # type: ignore[assignment]  # an import of it fails, and jsonschema goes on without
    try:
        import jsonschema  # noqa: F401
    finally:
        del sys.modules[slow]


def __getattr__(name: str) -> Any:
    if name == "Devnet":
        _import_jsonschema()  # nothing in a devnet checks the format of a text
        from .devnet import Devnet

        return Devnet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
