"""One call from its request to its receipt: gateway, payment, proof, settlement, replay."""

from __future__ import annotations

from .call import CallRunner
from .gateway_pool import GatewayPool
from .open_payments import wait_for_payments
from .replay import Replays
from .settlement_watcher import SettlementWatcher

__all__ = ["CallRunner", "GatewayPool", "Replays", "SettlementWatcher", "wait_for_payments"]
