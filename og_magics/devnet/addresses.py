"""Addresses of the devnet's contracts: those that real clients have built in."""

from __future__ import annotations

from og_magics.core.networks import BASE, BASE_SEPOLIA, EXACT_PROXY, PERMIT2, UPTO_PROXY, Network

__all__ = ["EXACT_PROXY", "PERMIT2", "SETTLEMENT_RELAY", "UPTO_PROXY", "by_contract", "opg_token", "tee_registry"]

SETTLEMENT_RELAY = "0x5e771e5E771e5E771e5E771e5e771E5E771E5E77"
"""Ours: no client has it built in."""


def opg_token(chain_id: int) -> str:
    """Return OPG's address on the network that a chain imitates: base-sepolia's for 84532, else base's."""
    return _imitated(chain_id).opg_token


def tee_registry(chain_id: int) -> str:
    """Return the enclave registry's address on the network that a chain imitates."""
    return _imitated(chain_id).registry_address


def by_contract(chain_id: int) -> dict[str, str]:
    """Return the address of each contract, by name (``contracts.NAMES``)."""
    return {
        "Permit2": PERMIT2,
        "UptoPermit2Proxy": UPTO_PROXY,
        "ExactPermit2Proxy": EXACT_PROXY,
        "OPG": opg_token(chain_id),
        "SettlementRelay": SETTLEMENT_RELAY,
        "TEERegistry": tee_registry(chain_id),
    }


def _imitated(chain_id: int) -> Network:
    return BASE_SEPOLIA if chain_id == BASE_SEPOLIA.chain_id else BASE
