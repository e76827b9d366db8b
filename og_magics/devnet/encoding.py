"""Blocks, transactions and receipts of py-evm in JSON-RPC form.

They are taken as ``Any``: py-evm's annotations leave out what single kinds of transactions carry.
"""

from __future__ import annotations

from typing import Any

from .evm import Mined

Json = dict[str, Any]


def quantity(number: int) -> str:
    """Encode a number as JSON-RPC writes it."""
    return hex(number)


def data(value: bytes) -> str:
    """Encode bytes as JSON-RPC writes them."""
    return "0x" + value.hex()


def word(value: int) -> str:
    """Encode a number as 32 bytes."""
    return data(value.to_bytes(32, "big"))


def block(mined: Mined) -> Json:
    """Encode a block, its transactions as hashes."""
    header = mined.header
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "nonce": data(header.nonce),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": data(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": data(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "size": quantity(mined.size),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "withdrawals": [],
        "withdrawalsRoot": data(header.withdrawals_root),
        "transactions": [data(mined.transaction.hash)] if mined.transaction else [],
        "uncles": [],
    }


def transaction(signed: Any, header: Any | None) -> Json:
    """Encode a transaction; without a header it still waits for its nonce."""
    kind = _type(signed)
    fields: Json = {
        "type": quantity(kind),
        "hash": data(signed.hash),
        "nonce": quantity(signed.nonce),
        "blockHash": data(header.hash) if header else None,
        "blockNumber": quantity(header.block_number) if header else None,
        "blockTimestamp": quantity(header.timestamp) if header else None,
        "transactionIndex": "0x0" if header else None,
        "from": data(signed.sender),
        "to": data(signed.to) if signed.to else None,
        "value": quantity(signed.value),
        "gas": quantity(signed.gas),
        "gasPrice": quantity(_gas_price(signed, header)),
        "input": data(signed.data),
        "r": quantity(signed.r),
        "s": quantity(signed.s),
    }
    if signed.chain_id is not None:
        fields["chainId"] = quantity(signed.chain_id)
    if kind == 0:
        fields["v"] = quantity(signed.v)
        return fields
    fields["v"] = fields["yParity"] = quantity(signed.y_parity)
    fields["accessList"] = [
        {"address": data(address), "storageKeys": [word(slot) for slot in slots]}
        for address, slots in signed.access_list
    ]
    if kind >= 2:
        fields["maxFeePerGas"] = quantity(signed.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = quantity(signed.max_priority_fee_per_gas)
    return fields


def receipt(mined: Mined) -> Json:
    """Encode the receipt of a block's only transaction, with its logs."""
    signed, found, header = mined.transaction, mined.receipt, mined.header
    if signed is None or found is None:
        raise ValueError("an empty block has no receipt")
    place = {
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "blockTimestamp": quantity(header.timestamp),
        "transactionHash": data(signed.hash),
        "transactionIndex": "0x0",
    }
    return {
        **place,
        "type": quantity(_type(signed)),
        "status": quantity(int(mined.succeeded)),
        "from": data(signed.sender),
        "to": data(signed.to) if signed.to else None,
        "contractAddress": data(mined.created) if mined.created else None,
        "gasUsed": quantity(found.gas_used),
        "cumulativeGasUsed": quantity(found.gas_used),
        "effectiveGasPrice": quantity(_gas_price(signed, header)),
        "logsBloom": data(found.bloom.to_bytes(256, "big")),
        "logs": [
            {
                **place,
                "address": data(log.address),
                "topics": [word(topic) for topic in log.topics],
                "data": data(log.data),
                "logIndex": quantity(index),
                "removed": False,
            }
            for index, log in enumerate(found.logs)
        ],
    }


def _type(signed: Any) -> int:
    return int(signed.type_id or 0)


def _gas_price(signed: Any, header: Any | None) -> int:
    """Return the price of a unit of gas; before mining, the most that it may be."""
    if _type(signed) < 2:
        return int(signed.gas_price)
    most = int(signed.max_fee_per_gas)
    return min(most, header.base_fee_per_gas + signed.max_priority_fee_per_gas) if header else most
