"""The settlement modes as a table: what parsers, panel, footer and manual say of each."""

from __future__ import annotations

from dataclasses import dataclass

from .types import x402SettlementMode


@dataclass(frozen=True, slots=True)
class SettlementMode:
    """One mode.

    Attributes:
        mode: as the gateway knows it.
        label: on a button.
        onchain: what goes on chain besides the payment.
        readers: a clause on who can read the call there.
        purpose: what it is for.
    """

    mode: x402SettlementMode
    label: str
    onchain: str
    readers: str
    purpose: str

    @property
    def about(self) -> str:
        """One sentence on the mode, for a person who chooses."""
        return f"On chain besides the payment: {self.onchain}; {self.readers}. For {self.purpose}."


MODES = {
    one.mode: one
    for one in (
        SettlementMode(
            x402SettlementMode.PRIVATE, "Private",
            "nothing", "nobody can read it", "what must stay with you",
        ),
        SettlementMode(
            x402SettlementMode.BATCH_HASHED, "Batch",
            "one hash that stands for it and other calls together",
            "nobody can read it; whoever holds the call can prove that it was there",
            "everyday work",
        ),
        SettlementMode(
            x402SettlementMode.INDIVIDUAL_FULL, "Individual",
            "the call's hashes, and a public blob with its whole input and output",
            "everyone can read it, for good",
            "results that others shall check",
        ),
    )
}  # fmt: skip
"""All modes, in the order in which they are offered."""
