"""Payment by x402: a wallet that signs, a policy that says what may be signed, sessions that make one signature last.

The official `x402` package builds and encodes payments; here is what stands before it (the policy), around it (the
journal) and after it (the sessions).
"""

from __future__ import annotations

from .handshake import PaymentAuth, Payments
from .policy import Budget, Policy
from .wallet import Wallet, load_wallet

__all__ = ["Budget", "PaymentAuth", "Payments", "Policy", "Wallet", "load_wallet"]
