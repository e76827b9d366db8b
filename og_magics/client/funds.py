"""The wallet's funds, read before anything is signed: a gateway serves no wallet that does not hold the cap."""

from __future__ import annotations

import asyncio

from .. import chain
from ..chain import Balances
from ..core import log
from ..core.amounts import format_opg
from ..core.errors import AllowanceRequired, ChainError, InsufficientBalance, WalletError
from ..core.networks import Network

_LOOK_SECONDS = 5.0
"""Time for which a call waits for the chain's answer. Without one the gateway judges, as it does in any case."""

_NOTHING = "Nothing was signed and nothing was paid."


class Funds:
    """The balance and the allowance of one wallet on one network."""

    def __init__(self, network: Network, address: str) -> None:
        self._network = network
        self._address = address

    async def check(self, cap: int, *, by_permit2: bool) -> None:
        """Refuse a session that the gateway would not open. A chain that cannot be read refuses nothing.

        Args:
            cap: base units that the session may cost.
            by_permit2: it is paid through Permit2, which needs an allowance.

        Raises:
            InsufficientBalance, AllowanceRequired: with what is missing.
        """
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                held = await asyncio.to_thread(self._held)
        except (ChainError, TimeoutError) as error:
            log.step("balance unknown", error=type(error).__name__)
            return
        shortage = self.shortage(held, cap, by_permit2=by_permit2)
        if shortage is not None:
            raise shortage

    async def explain(self, reason: str, cap: int) -> WalletError | None:
        """Return the error for what a gateway gave as its reason to refuse a payment; None where it is another one.

        Gateways call an empty wallet a lack of allowance.
        """
        if not reason.startswith("permit2_"):
            return None
        try:
            held = await asyncio.to_thread(self._held)
        except ChainError:
            return None
        shortage = self.shortage(held, cap, by_permit2=True)
        if shortage is None and "balance" in reason:
            return self._too_little(held, cap)
        if shortage is None and "allowance" in reason:
            return self._not_allowed(held, cap)
        return shortage

    def _held(self) -> Balances:
        """Read what the wallet holds, on the right chain: what it holds on another says nothing."""
        chain.require_chain(self._network)
        return chain.balances(self._network, self._address)

    def shortage(self, held: Balances, cap: int, *, by_permit2: bool) -> WalletError | None:
        """Return what keeps a wallet from a session of this cap, or None."""
        if held.opg < cap:
            return self._too_little(held, cap)
        if by_permit2 and held.allowance < cap:
            return self._not_allowed(held, cap)
        return None

    def _too_little(self, held: Balances, cap: int) -> InsufficientBalance:
        missing = f" {format_opg(cap - held.opg)} OPG are missing." if held.opg < cap else ""
        faucet = self._network.faucet
        return InsufficientBalance(
            f"The wallet {self._address} on {self._network.name} holds {format_opg(held.opg)} OPG, and the gateway "
            f"opens a session only for one that holds {format_opg(cap)} OPG.{missing} It takes only what calls cost.",
            money=_NOTHING,
            remedy=f"Get test tokens at {faucet}" if faucet else "Send OPG to it; %og wallet shows the balance.",
        )

    def _not_allowed(self, held: Balances, cap: int) -> AllowanceRequired:
        missing = f" {format_opg(cap - held.allowance)} OPG are missing." if held.allowance < cap else ""
        enough = max(-(-cap // 10**18), 1)
        return AllowanceRequired(
            f"The wallet {self._address} on {self._network.name} lets the payment contract (Permit2) move "
            f"{format_opg(held.allowance)} OPG, and the gateway opens a session only with {format_opg(cap)} OPG."
            f"{missing} To approve it moves nothing: the contract moves only what you sign for, to whom you sign for.",
            money=_NOTHING,
            remedy=f"Approve once with `%og approve {enough}`, or llm.ensure_opg_approval(min_allowance={enough}); it "
            "is a transaction, and its fee (gas) is small.",
        )
