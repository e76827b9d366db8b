"""The JSON-RPC methods of the embedded chain, with the index that makes look-ups cheap.

Covers what web3.py, the official x402 facilitator and the official SDK ask for. Every block, receipt and log is
kept in its JSON form from the moment it is mined, so that reading back costs a dictionary look-up. Not thread
safe, like the chain below: the server calls it from one thread.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_utils.crypto import keccak

from ..core.untrusted_json import read_json
from . import encoding
from .encoding import Json, data, quantity
from .evm import GAS_LIMIT, Evm, Message, Mined, Reverted, TransactionRefused

logger = logging.getLogger(__name__)

PRIORITY_FEE = 10**9
"""Wei per gas offered to clients: the chain takes any."""

_ERROR_STRING = bytes.fromhex("08c379a0")
_ZERO_ADDRESS = bytes(20)


class RpcError(Exception):
    """An answer that is an error.

    Attributes:
        code: JSON-RPC's or the node's; 3 is a revert.
        data: for a revert, its data in hex, so that clients can decode custom errors.
    """

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Rpc:
    """The JSON-RPC methods of one chain."""

    def __init__(self, evm: Evm) -> None:
        self._evm = evm
        self._blocks: list[Json] = []
        self._numbers: dict[str, int] = {}
        self._transactions: dict[str, Json] = {}
        self._receipts: dict[str, Json] = {}
        self._logs: list[list[Json]] = []
        self._index(evm.genesis)
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "og_magics-devnet/py-evm",
            "web3_sha3": lambda value: data(keccak(_bytes(value))),
            "net_version": lambda: str(evm.chain_id),
            "net_listening": lambda: True,
            "eth_chainId": lambda: quantity(evm.chain_id),
            "eth_syncing": lambda: False,
            "eth_accounts": list,
            "eth_blockNumber": lambda: quantity(evm.head),
            "eth_gasPrice": lambda: quantity(evm.base_fee + PRIORITY_FEE),
            "eth_maxPriorityFeePerGas": lambda: quantity(PRIORITY_FEE),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._get_block_by_number,
            "eth_getBlockByHash": self._get_block_by_hash,
            "eth_getBalance": lambda address, block="latest": quantity(
                evm.balance(_address(address), self._state_at(block))
            ),
            "eth_getCode": lambda address, block="latest": data(evm.code(_address(address), self._state_at(block))),
            "eth_getStorageAt": lambda address, slot, block="latest": encoding.word(
                evm.storage(_address(address), _integer(slot), self._state_at(block))
            ),
            "eth_getTransactionCount": lambda address, block="latest": quantity(
                evm.nonce(_address(address), self._state_at(block))
            ),
            "eth_call": lambda call, block="latest", overrides=None: data(
                evm.call(_message(call, overrides), self._state_at(block))
            ),
            "eth_estimateGas": lambda call, block="latest", overrides=None: quantity(
                evm.estimate_gas(_message(call, overrides), self._state_at(block))
            ),
            "eth_sendRawTransaction": self._send_raw_transaction,
            "eth_getTransactionByHash": self._get_transaction,
            "eth_getTransactionReceipt": lambda value: self._receipts.get(str(value).lower()),
            "eth_getLogs": self._get_logs,
            "evm_mine": self._mine_empty,
        }

    def answer(self, body: bytes) -> bytes:
        """Answer a request or a batch of them; b"" when there is nothing to answer."""
        try:
            request = read_json(body)
        except ValueError:
            return _encode(_failure(None, RpcError(-32700, "parse error")))
        if not isinstance(request, list):
            reply = self._answer_one(request)
            return _encode(reply) if reply else b""
        if not request:
            return _encode(_failure(None, RpcError(-32600, "empty batch")))
        replies = [reply for item in request if (reply := self._answer_one(item))]
        return _encode(replies) if replies else b""

    def _answer_one(self, request: Any) -> Json | None:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _failure(None, RpcError(-32600, "invalid request"))
        identity = request.get("id")
        try:
            result = self._invoke(request["method"], request.get("params") or [])
        except RpcError as error:
            reply = _failure(identity, error)
        except Reverted as error:
            reply = _failure(identity, _revert(error))
        except TransactionRefused as error:
            reply = _failure(identity, RpcError(-32000, str(error)))
        except Exception as error:  # the client must have an answer, and the others their chain
            logger.exception("%s failed", request["method"])
            reply = _failure(identity, RpcError(-32603, f"internal error: {error!r}"))
        else:
            reply = {"jsonrpc": "2.0", "id": identity, "result": result}
        return reply if "id" in request else None

    def _invoke(self, name: str, params: Any) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise RpcError(-32601, f"the method {name} does not exist or is not available")
        if not isinstance(params, list):
            raise RpcError(-32602, "params must be a list")
        try:
            return method(*params)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            logger.debug("%s%r", name, params, exc_info=True)
            raise RpcError(-32602, f"invalid params: {error}") from error

    # -- the index ---------------------------------------------------------------------------

    def _index(self, mined: Mined) -> None:
        block = encoding.block(mined)
        self._numbers[block["hash"]] = len(self._blocks)
        self._blocks.append(block)
        self._logs.append([])
        if mined.transaction is None:
            return
        receipt = encoding.receipt(mined)
        self._transactions[receipt["transactionHash"]] = encoding.transaction(mined.transaction, mined.header)
        self._receipts[receipt["transactionHash"]] = receipt
        self._logs[-1] = receipt["logs"]

    def _number(self, block: Any) -> int:
        """Resolve a block parameter; ``pending`` is the newest block, as nothing is ever pending."""
        if isinstance(block, dict):  # EIP-1898
            if "blockHash" not in block:
                return self._number(block["blockNumber"])
            number = self._numbers.get(str(block["blockHash"]).lower())
            if number is None:
                raise RpcError(-32000, "header not found")
            return number
        if block in {"latest", "pending", "safe", "finalized"}:
            return self._evm.head
        return 0 if block == "earliest" else _integer(block)

    def _state_at(self, block: Any) -> int | None:
        if block in ("latest", "pending"):
            return None
        number = self._number(block)
        if number > self._evm.head:
            raise RpcError(-32000, "header not found")
        return number

    # -- methods that need more than a line --------------------------------------------------

    def _get_block_by_number(self, block: Any, full: bool = False) -> Json | None:
        number = self._number(block)
        return self._with_transactions(self._blocks[number], full) if number < len(self._blocks) else None

    def _get_block_by_hash(self, value: str, full: bool = False) -> Json | None:
        number = self._numbers.get(value.lower())
        return None if number is None else self._with_transactions(self._blocks[number], full)

    def _with_transactions(self, block: Json, full: bool) -> Json:
        if not full:
            return block
        return {**block, "transactions": [self._transactions[value] for value in block["transactions"]]}

    def _get_transaction(self, value: str) -> Json | None:
        found = self._transactions.get(value.lower())
        if found is not None:
            return found
        waiting = (one for one in self._evm.waiting() if data(one.hash) == value.lower())
        return next((encoding.transaction(one, None) for one in waiting), None)

    def _send_raw_transaction(self, raw: str) -> str:
        transaction = self._evm.decode(_bytes(raw))
        identity = data(transaction.hash)
        if identity in self._transactions:
            raise RpcError(-32000, "already known")
        for mined in self._evm.submit(transaction):
            self._index(mined)
        return identity

    def _mine_empty(self, *_: Any) -> str:
        self._index(self._evm.mine_empty())
        return "0x0"

    def _fee_history(self, count: Any, newest: Any, percentiles: list[float] | None = None) -> Json:
        last = self._number(newest)
        first = max(0, last - _integer(count) + 1)
        blocks = self._blocks[first : last + 1]
        rewards = [[quantity(PRIORITY_FEE)] * len(percentiles or [])] * len(blocks)
        fees = [block["baseFeePerGas"] for block in blocks]
        following = self._blocks[last + 1]["baseFeePerGas"] if last < self._evm.head else quantity(self._evm.base_fee)
        history: Json = {
            "oldestBlock": quantity(first),
            "baseFeePerGas": [*fees, following],
            "gasUsedRatio": [int(block["gasUsed"], 16) / GAS_LIMIT for block in blocks],
        }
        return {**history, "reward": rewards} if percentiles else history

    def _get_logs(self, query: Json) -> list[Json]:
        if "blockHash" in query:
            first = last = self._number({"blockHash": query["blockHash"]})
        else:
            first = self._number(query.get("fromBlock") or "latest")
            last = self._number(query.get("toBlock") or "latest")
        addresses = _choices(query.get("address"))
        topics = [_choices(choice) for choice in query.get("topics") or []]
        return list(_matching(self._logs[first : last + 1], addresses, topics))


def _matching(
    blocks: list[list[Json]], addresses: frozenset[str] | None, topics: list[frozenset[str] | None]
) -> Iterator[Json]:
    for logs in blocks:
        for log in logs:
            if addresses is not None and log["address"] not in addresses:
                continue
            if len(topics) <= len(log["topics"]) and all(
                wanted is None or topic in wanted for wanted, topic in zip(topics, log["topics"], strict=False)
            ):
                yield log


def _choices(value: Any) -> frozenset[str] | None:
    """Read a filter's field: nothing, one value or several. None matches all."""
    if value is None or value == []:
        return None
    return frozenset(str(item).lower() for item in (value if isinstance(value, list) else [value]))


def _message(call: Json, overrides: Any) -> Message:
    if overrides:
        raise RpcError(-32602, "state overrides are not supported by the embedded chain")
    gas = call.get("gas")
    return Message(
        sender=_address(call["from"]) if call.get("from") else _ZERO_ADDRESS,
        to=_address(call["to"]) if call.get("to") else b"",
        data=_bytes(call.get("input") or call.get("data") or "0x"),
        value=_integer(call.get("value") or 0),
        gas=None if gas is None else min(_integer(gas), GAS_LIMIT),
    )


def _integer(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _address(value: str) -> bytes:
    address = _bytes(value)
    if len(address) != 20:
        raise RpcError(-32602, f"invalid address: {value}")
    return address


def _revert(error: Reverted) -> RpcError:
    if not error.reverted:
        return RpcError(-32000, str(error))
    message = "execution reverted"
    if error.data.startswith(_ERROR_STRING):
        (reason,) = abi_decode(["string"], error.data[4:], strict=False)
        message = f"{message}: {reason}"
    return RpcError(3, message, data(error.data))


def _failure(identity: Any, error: RpcError) -> Json:
    detail: Json = {"code": error.code, "message": str(error)}
    if error.data is not None:
        detail["data"] = error.data
    return {"jsonrpc": "2.0", "id": identity, "error": detail}


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
