"""The operator's transactions, one at a time: each is mined before the next is signed, so no nonce is left out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from web3 import Web3

from . import chain
from .accounts import OPERATOR

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.contract.contract import ContractFunction


class Operator:
    """The operator's account. Blocking; safe from any thread."""

    address = OPERATOR.address

    def __init__(self, web3: Web3) -> None:
        self._web3 = web3
        self._lock = threading.Lock()

    def contract(self, name: str) -> Contract:
        """Return one of the devnet's contracts, at its address."""
        return chain.contract(self._web3, name)

    def send(self, call: ContractFunction) -> str:
        """Send a call and wait until it is mined. Return the transaction's hash, with 0x.

        Raises:
            DevnetError: it was mined and failed, or was not mined in time.
        """
        with self._lock:
            receipt = chain.transact(self._web3, OPERATOR, call)
        return str(receipt["transactionHash"].to_0x_hex())

    def send_gas(self, address: str, wei: int) -> None:
        """Give gas to an address and wait until it has it."""
        eth = self._web3.eth
        with self._lock:
            transaction = {
                "to": Web3.to_checksum_address(address),
                "value": wei,
                "gas": 21_000,
                "gasPrice": eth.gas_price,
                "chainId": eth.chain_id,
                "nonce": eth.get_transaction_count(Web3.to_checksum_address(OPERATOR.address), "pending"),
            }
            signed = eth.account.sign_transaction(transaction, OPERATOR.private_key)
            eth.wait_for_transaction_receipt(
                eth.send_raw_transaction(signed.raw_transaction), timeout=60, poll_latency=0.02
            )
