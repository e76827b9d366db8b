"""One call from its question to its receipt: which gateway, what payment, what proof, which settlement."""

from __future__ import annotations

from .caller import Caller
from .gateways import Gateways
from .replays import Replays
from .settlement import SettlementWatch

__all__ = ["Caller", "Gateways", "Replays", "SettlementWatch"]
