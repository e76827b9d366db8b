"""Used nonces: in Permit2's bitmap, or in the token's own record where nobody spends for the payer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.networks import PERMIT2
from ..core.receipt import Authorization
from . import abi, rpc

Key = tuple[Any, ...]


class NonceCalls:
    """The calls that say which authorizations are used, one for all in the same word of the bitmap.

    Attributes:
        calls: to be made on one node.
    """

    def __init__(self, authorizations: Sequence[Authorization], block: str = "latest") -> None:
        """Prepare the calls, on a block (a number in 0x hex, or "latest")."""
        self._authorizations = authorizations
        bitmap, state = abi.function("permit2", "nonceBitmap"), abi.function("eip3009", "authorizationState")
        self._asked: dict[Key, tuple[str, abi.Function]] = {}
        self.calls: list[rpc.Call] = []
        for one in authorizations:
            key = _key(one)
            if key in self._asked:
                continue
            by_permit2 = key[0] == PERMIT2
            address, function = (PERMIT2, bitmap) if by_permit2 else (one.token, state)
            argument = one.nonce >> 8 if by_permit2 else one.nonce.to_bytes(32)
            self._asked[key] = address, function
            self.calls.append(rpc.view(address, function, one.payer, argument, block=block))

    def used(self, node: rpc.Node, results: Sequence[Any]) -> set[str]:
        """Return the hashes of the authorizations that are used, of the results of `calls`.

        Raises:
            ChainError: an answer is none of that contract.
        """
        answers = {
            key: node.decode(address, function, result)[0]
            for (key, (address, function)), result in zip(self._asked.items(), results, strict=True)
        }
        return {one.hash for one in self._authorizations if _is_used(one, answers[_key(one)])}


def _key(authorization: Authorization) -> Key:
    if authorization.spender or authorization.scheme == "upto":
        return PERMIT2, authorization.payer, authorization.nonce >> 8
    return authorization.token, authorization.payer, authorization.nonce


def _is_used(authorization: Authorization, answer: Any) -> bool:
    return answer is True or (answer is not False and bool(answer >> (authorization.nonce & 0xFF) & 1))
