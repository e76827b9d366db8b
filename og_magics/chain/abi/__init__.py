"""The contract functions and events that og_magics reads or calls, as standard JSON ABIs beside this file.

erc20, eip3009 and permit2 are the public standards; upto_proxy and exact_proxy are x402's; tee_registry and
settlement_relay are OpenGradient's.
`tee_registry` names the ten fields that every version of the registry has. Newer ones append `ohttpConfig`; ABI data is
found through offsets, so the ten fields read the same from both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a contract, ready to encode and decode.

    Attributes:
        name: as in the contract.
        selector: first 4 bytes of its calldata.
        inputs, outputs: ABI types, tuples written out: "((address,uint256),uint256)".
    """

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def encode(self, *arguments: Any) -> str:
        """Return the calldata, 0x hex."""
        from eth_abi.abi import encode

        return "0x" + (self.selector + encode(self.inputs, arguments)).hex()

    def decode_arguments(self, calldata: bytes) -> tuple[Any, ...] | None:
        """Return the arguments in calldata (addresses in lower case), or None for another function's."""
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        if calldata[:4] != self.selector:
            return None
        try:
            return decode(self.inputs, calldata[4:])
        except DecodingError:
            return None

    def decode_result(self, data: bytes) -> tuple[Any, ...]:
        """Return the values in a call's result (addresses in lower case).

        Raises:
            ValueError: the data is not of this function.
        """
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            return decode(self.outputs, data)
        except (DecodingError, UnicodeDecodeError, OverflowError) as error:
            raise ValueError(f"{self.name} does not return this: {error}") from None


@cache
def load(contract: str) -> tuple[dict[str, Any], ...]:
    """Return a contract's ABI, its functions and events. It is read once; do not change it."""
    return tuple(json.loads((resources.files(__name__) / f"{contract}.json").read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a contract, ready to decode.

    Attributes:
        name: as in the contract.
        topic: the first topic of its logs, 0x hex.
        indexed, plain: names and ABI types of the values in the topics and in the data, in order. The indexed ones are
            of fixed size: what is longer stands in a topic only as its hash.
    """

    name: str
    topic: str
    indexed: Mapping[str, str]
    plain: Mapping[str, str]

    def decode(self, log: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a log's values by name (addresses in lower case), or None for another event's log.

        Raises:
            ValueError: it has this event's topic and does not decode.
        """
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            first, *topics = log["topics"]
            if first.lower() != self.topic:
                return None
            if len(topics) != len(self.indexed):
                raise ValueError(f"{self.name} has {len(self.indexed)} indexed values, not {len(topics)}")
            values = decode(
                [*self.indexed.values()], b"".join(bytes.fromhex(topic.removeprefix("0x")) for topic in topics)
            )
            values += decode([*self.plain.values()], bytes.fromhex(log["data"].removeprefix("0x")))
        except (DecodingError, OverflowError, AttributeError, TypeError, KeyError) as error:
            raise ValueError(f"this is no log of {self.name}: {error}") from None
        return dict(zip((*self.indexed, *self.plain), values, strict=True))


@cache
def functions(contract: str, name: str) -> tuple[Function, ...]:
    """Return all functions of that name in a contract's ABI: more than one where it is overloaded."""
    from eth_utils.abi import collapse_if_tuple, function_abi_to_4byte_selector

    found = []
    for entry in _entries(contract, "function", name):
        inputs, outputs = (tuple(collapse_if_tuple(part) for part in entry[key]) for key in ("inputs", "outputs"))
        found.append(Function(name, function_abi_to_4byte_selector(entry), inputs, outputs))
    return tuple(found)


def function(contract: str, name: str) -> Function:
    """Return the one function of that name in a contract's ABI."""
    (only,) = functions(contract, name)
    return only


@cache
def event(contract: str, name: str) -> Event:
    """Return an event of a contract's ABI."""
    from eth_utils.abi import event_abi_to_log_topic

    (entry,) = _entries(contract, "event", name)
    indexed, plain = (
        {part["name"]: part["type"] for part in entry["inputs"] if part["indexed"] is wanted}
        for wanted in (True, False)
    )
    return Event(name, "0x" + event_abi_to_log_topic(entry).hex(), indexed, plain)


def topic(contract: str, name: str) -> str:
    """Return the first topic of an event's logs, 0x hex."""
    return event(contract, name).topic


def _entries(contract: str, kind: str, name: str) -> list[Any]:
    return [entry for entry in load(contract) if entry["type"] == kind and entry["name"] == name]
