"""The guard against a question that is paid twice, when something above the model repeats what failed."""

from __future__ import annotations

import threading
import time

from ..core.errors import ConfigError, GatewayError, OGError, PaymentRefused, PaymentRejected
from ..core.receipt import Receipt

SECONDS = 120.0
"""Time for which a failed question is not asked again by itself. LangChain's and LangGraph's retries wait for less."""


class Repetitions:
    """Remembers the questions that failed after they may have been paid. Safe to use from any thread.

    What failed with nothing to pay for may be asked again at once: a new call is then the first that costs anything.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[str, tuple[float, str]] = {}

    def note(self, question: str, error: OGError, receipt: Receipt | None) -> None:
        """Note that a question failed. `question` is its fingerprint; `receipt` is None where none was opened."""
        if receipt is not None and may_be_charged(error, receipt):
            with self._lock:
                self._failed[question] = (time.monotonic(), receipt.receipt_id)

    def check(self, question: str) -> None:
        """Refuse a question that has just failed after it may have been paid.

        Raises:
            PaymentRefused: it has; nothing was sent.
        """
        now = time.monotonic()
        with self._lock:
            self._failed = {key: one for key, one in self._failed.items() if now - one[0] < SECONDS}
            found = self._failed.get(question)
        if found is not None:
            raise PaymentRefused(
                f"The same question failed {now - found[0]:.0f} seconds ago, after it may have been paid: its receipt "
                f"is {found[1]}.",
                money="Nothing was sent for this repetition, and nothing more was signed.",
                remedy="pay_again=True asks it again, which is another call with its own price.",
            )


def may_be_charged(error: OGError, receipt: Receipt) -> bool:
    """Return True where a call that failed may have been paid: it was signed, and nobody says that nothing was served.

    A gateway that answers with an error status has served nothing.
    """
    if receipt.authorization_hash is None or isinstance(error, ConfigError | PaymentRefused | PaymentRejected):
        return False
    return not (isinstance(error, GatewayError) and error.status is not None)
