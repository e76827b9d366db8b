"""The devnet's accounts: the development keys that every Ethereum tool ships with.

They come from the mnemonic "test test test test test test test test test test test junk" and are PUBLICLY KNOWN.
Whatever is sent to them on a real network is taken within seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from og_magics.core.amounts import OPG

ETHER = 10**18
"""Wei of one unit of the gas token."""

INITIAL_OPG = 1_000 * OPG
"""OPG that ``chain.prepare`` mints to each payer, in base units."""


@dataclass(frozen=True, slots=True)
class DevAccount:
    """An account whose key everybody knows.

    Attributes:
        address: checksummed.
        private_key: 0x and 64 hex digits. Public: never for real money.
        role: its purpose, in a few words.
        gas: its balance of the gas token when the chain starts, in wei.
    """

    address: str
    private_key: str
    role: str
    gas: int


ACCOUNTS = (
    DevAccount(
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "payer with OPG that has approved Permit2",
        100 * ETHER,
    ),
    DevAccount(
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "payer with OPG that has not approved Permit2 yet",
        100 * ETHER,
    ),
    DevAccount(
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        "poor: no OPG and hardly any gas",
        ETHER // 100,
    ),
)
"""The payers."""

FACILITATOR = DevAccount(
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "facilitator: sends the settlements of payments, and nothing else (it counts its own nonces)",
    1_000 * ETHER,
)

OPERATOR = DevAccount(
    "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "operator: mints OPG, registers enclaves, settles data",
    1_000 * ETHER,
)

PAYEE = DevAccount(
    "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "payee: what the gateway earns arrives here",
    0,
)

EVERYONE = (*ACCOUNTS, FACILITATOR, OPERATOR, PAYEE)
