"""Gateways over HTTP: pinned TLS, server-sent events, failures as errors that say what to do."""

from __future__ import annotations

from .client import GatewayClient
from .plain import PlainEndpoint
from .tls import pinned_context

__all__ = ["GatewayClient", "PlainEndpoint", "pinned_context"]
