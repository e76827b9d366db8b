"""The contract functions and events that og_magics reads or calls, as standard JSON ABIs beside this file.

erc20, eip3009 and permit2 are the public standards; upto_proxy is x402's; tee_registry is OpenGradient's.
`tee_registry` names the ten fields that every version of the registry has. Newer ones append `ohttpConfig`; ABI data is
found through offsets, so the ten fields read the same from both.
"""

from __future__ import annotations

import json
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
        """Calldata, 0x hex."""
        from eth_abi.abi import encode

        return "0x" + (self.selector + encode(self.inputs, arguments)).hex()

    def decode_arguments(self, calldata: bytes) -> tuple[Any, ...] | None:
        """The arguments in calldata (addresses in lower case), or None when it calls something else."""
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        if calldata[:4] != self.selector:
            return None
        try:
            return decode(self.inputs, calldata[4:])
        except DecodingError:
            return None

    def decode_result(self, data: bytes) -> tuple[Any, ...]:
        """What the function returned (addresses in lower case).

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
    """The ABI of a contract: its functions and events. Read once; do not change it."""
    return tuple(json.loads((resources.files(__name__) / f"{contract}.json").read_text(encoding="utf-8")))


@cache
def function(contract: str, name: str) -> Function:
    """A function of a contract's ABI."""
    from eth_utils.abi import collapse_if_tuple, function_abi_to_4byte_selector

    entry = _entry(contract, "function", name)
    inputs, outputs = (tuple(collapse_if_tuple(part) for part in entry[key]) for key in ("inputs", "outputs"))
    return Function(name, function_abi_to_4byte_selector(entry), inputs, outputs)


@cache
def topic(contract: str, event: str) -> str:
    """The first topic of an event's logs, 0x hex."""
    from eth_utils.abi import event_abi_to_log_topic

    return "0x" + event_abi_to_log_topic(_entry(contract, "event", event)).hex()


def _entry(contract: str, kind: str, name: str) -> Any:
    return next(entry for entry in load(contract) if entry["type"] == kind and entry["name"] == name)
