"""The genesis: contracts at their addresses, and gas in the wallets."""

from __future__ import annotations

from dataclasses import dataclass

from . import accounts, addresses, contracts


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """An account's state in the first block.

    Attributes:
        balance: in wei.
        code: runtime code, b"" for a wallet.
    """

    balance: int = 0
    code: bytes = b""


def genesis(chain_id: int) -> dict[str, GenesisAccount]:
    """Return the accounts of the first block by address: the contracts, and gas for the wallets."""
    wallets = {account.address: GenesisAccount(balance=account.gas) for account in accounts.EVERYONE}
    code = {
        address: GenesisAccount(code=contracts.load(name).runtime)
        for name, address in addresses.by_contract(chain_id).items()
    }
    return wallets | code
