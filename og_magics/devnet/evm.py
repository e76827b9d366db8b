"""A chain in this process, on py-evm: one block per transaction, wall time, one chain id.

py-evm is used at its documented surface (a ``MiningChain`` with a VM and a genesis) and nowhere else in the
project. It is not thread safe: callers serialize. Nothing here knows of JSON-RPC.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]  # it has no types
from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.consensus.applier import ConsensusApplier
from eth.consensus.noproof import NoProofConsensus
from eth.constants import POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE, ZERO_ADDRESS
from eth.db.atomic import AtomicDB
from eth.exceptions import Revert
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_utils.address import to_canonical_address
from eth_utils.exceptions import ValidationError

from .genesis import GenesisAccount

GAS_LIMIT = 30_000_000
_SET_CODE_TYPE = 4


class TransactionRefused(Exception):
    """A transaction that cannot be mined, and never will be as it is."""


class Reverted(Exception):
    """A call that failed inside the EVM.

    Attributes:
        data: the contract's revert data, b"" without any.
        reverted: True after REVERT; False when it ran out of gas or hit a bad instruction.
    """

    def __init__(self, message: str, data: bytes, *, reverted: bool) -> None:
        super().__init__(message)
        self.data = data
        self.reverted = reverted


@dataclass(frozen=True, slots=True)
class Message:
    """A call that is not signed.

    Attributes:
        sender, to: canonical addresses; ``to`` is b"" for a creation.
        data: calldata.
        value: in wei.
        gas: a limit, or None for the block's.
    """

    sender: bytes
    to: bytes
    data: bytes = b""
    value: int = 0
    gas: int | None = None


@dataclass(frozen=True, slots=True)
class Mined:
    """One mined block.

    Attributes:
        header: py-evm's.
        transaction, receipt: of its only transaction; None in an empty block.
        succeeded: False when the transaction failed in the EVM and only burned gas.
        created: the address of a contract that the transaction made, else None.
        size: of the block, in bytes.
    """

    header: Any
    transaction: SignedTransactionAPI | None
    receipt: ReceiptAPI | None
    succeeded: bool
    created: bytes | None
    size: int


class Evm:
    """A chain with its mempool.

    Args:
        chain_id: the result of CHAINID, and the only id that a replay-protected transaction may carry.
        genesis: address -> account.
    """

    def __init__(self, chain_id: int, genesis: Mapping[str, GenesisAccount]) -> None:
        self.chain_id = chain_id
        self._waiting: dict[bytes, dict[int, SignedTransactionAPI]] = {}
        # Any: py-evm's annotations do not cover what a mining chain adds.
        self._chain: Any = _chain_class(chain_id).from_genesis(AtomicDB(), _genesis_header(), _genesis_state(genesis))
        block = self._chain.get_canonical_block_by_number(0)
        self.genesis = Mined(block.header, None, None, True, None, _size(block))

    @property
    def head(self) -> int:
        """Number of the newest block."""
        return int(self._chain.get_canonical_head().block_number)

    @property
    def base_fee(self) -> int:
        """Of the next block, in wei per gas."""
        return int(self._chain.header.base_fee_per_gas)

    def decode(self, raw: bytes) -> SignedTransactionAPI:
        """Decode a signed transaction.

        Raises:
            TransactionRefused: unreadable, badly signed, or signed for another chain.
        """
        try:
            transaction: SignedTransactionAPI = self._chain.get_vm().get_transaction_builder().decode(raw)
            _ = transaction.sender
        except Exception as error:  # rlp, eth_keys and py-evm each raise their own, with no common base
            raise TransactionRefused(f"invalid transaction: {error}") from error
        signed_for = transaction.chain_id
        if signed_for is not None and signed_for != self.chain_id:
            raise TransactionRefused(f"invalid chain id: have {signed_for}, want {self.chain_id}")
        return transaction

    def submit(self, transaction: SignedTransactionAPI) -> Iterator[Mined]:
        """Mine a transaction, and those of its sender that waited for it; a future nonce waits.

        Raises:
            TransactionRefused: a used nonce, no gas money, a gas limit or fee that is impossible.
        """
        sender = transaction.sender
        expected = self.nonce(sender)
        if transaction.nonce < expected:
            raise TransactionRefused(f"nonce too low: next nonce {expected}, tx nonce {transaction.nonce}")
        if transaction.nonce > expected:
            self._waiting.setdefault(sender, {})[transaction.nonce] = transaction
            return
        yield self._mine(transaction)
        waiting = self._waiting.get(sender, {})
        while (following := waiting.pop(self.nonce(sender), None)) is not None:
            try:
                yield self._mine(following)
            except TransactionRefused:  # its sender has the hash already: a node drops it silently too
                break
        if not waiting:
            self._waiting.pop(sender, None)

    def waiting(self) -> Iterator[SignedTransactionAPI]:
        """Return the transactions with a future nonce."""
        for by_nonce in self._waiting.values():
            yield from by_nonce.values()

    def mine_empty(self) -> Mined:
        """Mine a block without transactions."""
        return self._mine(None)

    def call(self, message: Message, block: int | None = None) -> bytes:
        """Run a call at a block's end, or now, with the clock's time, for None. Return its output.

        Raises:
            Reverted: it failed.
            TransactionRefused: it cannot even start (value without balance, gas below the minimum).
        """
        return bytes(self._execute(message, block, message.gas or GAS_LIMIT).output)

    def estimate_gas(self, message: Message, block: int | None = None) -> int:
        """Return a gas limit with which a call succeeds: seldom more than a tenth above the least.

        Raises:
            Reverted: it fails with any.
            TransactionRefused: it cannot even start.
        """
        limit = message.gas or GAS_LIMIT
        computation = self._execute(message, block, limit)
        # What was used before refunds, and the 64th that each inner call keeps back.
        estimate = (limit - computation.get_gas_remaining()) * 64 // 63 + 2_300
        while estimate < limit:
            try:
                self._execute(message, block, estimate)
            except (Reverted, TransactionRefused):
                estimate *= 2
            else:
                return int(estimate)
        return limit

    def nonce(self, address: bytes, block: int | None = None) -> int:
        """Return an account's next nonce."""
        return int(self._state(block).get_nonce(address))

    def balance(self, address: bytes, block: int | None = None) -> int:
        """Return an account's balance in wei."""
        return int(self._state(block).get_balance(address))

    def code(self, address: bytes, block: int | None = None) -> bytes:
        """Return an account's runtime code, b"" for a wallet."""
        return bytes(self._state(block).get_code(address))

    def storage(self, address: bytes, slot: int, block: int | None = None) -> int:
        """Return one storage slot."""
        return int(self._state(block).get_storage(address, slot))

    def _state(self, block: int | None) -> Any:
        return self._chain.get_vm(self._header(block)).state

    def _header(self, block: int | None) -> Any:
        """Return the header in which to read or call: free of gas prices, so that a wallet without gas can call."""
        if block is None:
            return self._chain.header.copy(base_fee_per_gas=0, timestamp=self._now())
        return self._chain.get_canonical_block_header_by_number(block).copy(base_fee_per_gas=0, gas_used=0)

    def _now(self) -> int:
        # Never before the parent; equal to it is allowed, else a busy chain runs ahead of the clock and
        # expires the deadlines of authorizations.
        return max(int(time.time()), int(self._chain.get_canonical_head().timestamp))

    def _execute(self, message: Message, block: int | None, gas: int) -> ComputationAPI:
        vm = self._chain.get_vm(self._header(block))
        unsigned = vm.create_unsigned_transaction(
            nonce=vm.state.get_nonce(message.sender),
            gas_price=0,
            gas=gas,
            to=message.to,
            value=message.value,
            data=message.data,
        )
        try:
            computation: ComputationAPI = vm.state.apply_transaction(SpoofTransaction(unsigned, from_=message.sender))
        except ValidationError as error:
            raise TransactionRefused(str(error)) from error
        if computation.is_error:
            reverted = isinstance(computation.error, Revert)
            data = bytes(computation.output) if reverted else b""
            raise Reverted("execution reverted" if reverted else str(computation.error), data, reverted=reverted)
        return computation

    def _mine(self, transaction: SignedTransactionAPI | None) -> Mined:
        if transaction is not None and transaction.type_id not in {None, 0, 1, 2, _SET_CODE_TYPE}:
            raise TransactionRefused("blob transactions are not supported")
        if transaction is not None and transaction.gas > GAS_LIMIT:
            raise TransactionRefused("exceeds block gas limit")
        self._chain.set_header_timestamp(self._now())
        try:
            result, receipts, computations = self._chain.mine_all([transaction] if transaction else [])
        except ValidationError as error:
            raise TransactionRefused(str(error)) from error
        block = result.imported_block
        if transaction is None:
            return Mined(block.header, None, None, True, None, _size(block))
        succeeded = not computations[0].is_error
        created = bytes(computations[0].msg.storage_address) if succeeded and transaction.to == b"" else None
        return Mined(block.header, transaction, receipts[0], succeeded, created, _size(block))


class _TrustingVM(PragueVM):
    @classmethod
    def validate_header(cls, header: BlockHeaderAPI, parent_header: BlockHeaderAPI) -> None:
        """Accept every header: they are our own, and two blocks in one second are wanted (see ``Evm._now``)."""


def _chain_class(chain: int) -> Any:
    class EmbeddedChain(MiningChain):
        chain_id = chain
        vm_configuration = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((0, _TrustingVM),))

        def create_header_from_parent(self, parent_header: BlockHeaderAPI, **fields: Any) -> BlockHeaderAPI:
            # Without this the gas limit drifts with each block.
            return super().create_header_from_parent(parent_header, **{**fields, "gas_limit": parent_header.gas_limit})

    return EmbeddedChain


def _genesis_header() -> dict[str, Any]:
    return {
        "coinbase": ZERO_ADDRESS,
        "difficulty": POST_MERGE_DIFFICULTY,
        "extra_data": b"",
        "gas_limit": GAS_LIMIT,
        "mix_hash": POST_MERGE_MIX_HASH,
        "nonce": POST_MERGE_NONCE,
        "timestamp": int(time.time()),
    }


def _genesis_state(accounts: Mapping[str, GenesisAccount]) -> dict[bytes, dict[str, Any]]:
    return {
        to_canonical_address(address): {
            "balance": account.balance,
            "nonce": 1 if account.code else 0,
            "code": account.code,
            "storage": {},
        }
        for address, account in accounts.items()
    }


def _size(block: Any) -> int:
    return len(rlp.encode(block))
