"""The gateway over HTTP: pinned TLS, server-sent events, and its failures as errors that say what to do."""

from __future__ import annotations

from .client import GatewayClient
from .tls import pinned_context

__all__ = ["GatewayClient", "pinned_context"]
