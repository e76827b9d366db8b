"""What stands on every devnet chain before its first transaction."""

from __future__ import annotations

from dataclasses import dataclass

from . import accounts, addresses, contracts


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """What an account has in the first block.

    Attributes:
        balance: in wei.
        code: runtime code, b"" for a wallet.
    """

    balance: int = 0
    code: bytes = b""


def genesis(chain_id: int) -> dict[str, GenesisAccount]:
    """Address -> account: the contracts at their addresses, and gas for the wallets."""
    wallets = {account.address: GenesisAccount(balance=account.gas) for account in accounts.EVERYONE}
    code = {
        address: GenesisAccount(code=contracts.load(name).runtime)
        for name, address in addresses.by_contract(chain_id).items()
    }
    return wallets | code
