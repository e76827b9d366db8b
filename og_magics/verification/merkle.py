"""A batch's Merkle tree: OpenZeppelin's StandardMerkleTree, read from its dump and recomputed from leaves to root.

The dump is a claim by whoever uploaded it. Nothing in it is used before every node of it has been recomputed, so a tree
that was read is a tree, and only its root is left to be held against the chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core.untrusted_json import read_json
from .hashing import hash_bytes, keccak

FORMAT = "standard-v1"
LEAF_TYPES = ["bytes32", "bytes32", "bytes32", "bytes", "uint256"]

_WORD = 32


@dataclass(frozen=True)
class Leaf:
    """One answer in a batch: the enclave, hashes of request and answer, the signature and the time.

    `tee_id`, `request_hash` and `output_hash` have 32 bytes; `timestamp` is in unix seconds.
    """

    tee_id: bytes
    request_hash: bytes
    output_hash: bytes
    signature: bytes
    timestamp: int

    @cached_property
    def hash(self) -> bytes:
        """Return the leaf hash, hashed twice so that it cannot be taken for an inner node."""
        padding = -len(self.signature) % _WORD
        encoded = (
            self.tee_id
            + self.request_hash
            + self.output_hash
            + _word(5 * _WORD)  # where the signature starts
            + _word(self.timestamp)
            + _word(len(self.signature))
            + self.signature
            + bytes(padding)
        )
        return keccak(keccak(encoded))


@dataclass(frozen=True, slots=True)
class Tree:
    """A Merkle tree whose nodes were all recomputed.

    Attributes:
        nodes: as an array, the root first; the children of node i are 2i + 1 and 2i + 2.
        leaves: in the batch's own order.
        places: where each leaf's hash stands in `nodes`.
    """

    nodes: tuple[bytes, ...]
    leaves: tuple[Leaf, ...]
    places: Mapping[bytes, int]

    @property
    def root(self) -> bytes:
        return self.nodes[0]

    def path(self, leaf: bytes) -> list[bytes]:
        """Return the siblings from a leaf (its hash) up to the root.

        Raises:
            KeyError: it is not in the tree.
        """
        at, siblings = self.places[leaf], []
        while at > 0:
            siblings.append(self.nodes[at + 1 if at % 2 else at - 1])
            at = (at - 1) // 2
        return siblings


def hash_pair(a: bytes, b: bytes) -> bytes:
    """Return the node above two others, in either order."""
    return keccak(min(a, b) + max(a, b))


def climb(leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root of a leaf (its hash) and its siblings."""
    node = leaf
    for sibling in path:
        node = hash_pair(node, sibling)
    return node


def read_tree(content: bytes) -> Tree:
    """Read the tree of a dump.

    Raises:
        ValueError: it is no dump of such a tree, or it contradicts itself; says where.
    """
    try:
        dump = read_json(content)
        if not isinstance(dump, dict) or dump.get("format") != FORMAT:
            raise ValueError(f"it is no tree of the format {FORMAT}")
        if dump.get("leafEncoding") != LEAF_TYPES:
            raise ValueError("its leaves have another encoding")
        nodes = tuple(_bytes(node, _WORD) for node in dump["tree"])
        entries = [(_leaf(entry["value"]), entry["treeIndex"]) for entry in dump["values"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no tree of the format {FORMAT} ({type(error).__name__})") from None
    if not entries or len(nodes) != 2 * len(entries) - 1:
        raise ValueError(f"it has {len(nodes)} nodes over {len(entries)} leaves")
    inner = len(entries) - 1
    for place in range(inner - 1, -1, -1):
        if nodes[place] != hash_pair(nodes[2 * place + 1], nodes[2 * place + 2]):
            raise ValueError(f"its node {place} is not the hash of the two below it")
    places: dict[bytes, int] = {}
    taken: set[int] = set()
    for leaf, place in entries:
        if type(place) is not int or not inner <= place < len(nodes) or place in taken:
            raise ValueError(f"it puts a leaf at the place {place!r}")
        taken.add(place)
        if nodes[place] != leaf.hash:
            raise ValueError(f"the values of its leaf {place} do not have the hash that stands there")
        places[nodes[place]] = place
    return Tree(nodes, tuple(leaf for leaf, _ in entries), places)


def _leaf(value: Sequence[Any]) -> Leaf:
    tee_id, request_hash, output_hash, signature, timestamp = value
    when = int(timestamp, 0) if isinstance(timestamp, str) else timestamp
    if type(when) is not int or not 0 <= when < 2 ** (8 * _WORD):
        raise ValueError(f"one of its leaves has the time {str(timestamp)[:40]!r}")
    return Leaf(
        tee_id=_bytes(tee_id, _WORD),
        request_hash=_bytes(request_hash, _WORD),
        output_hash=_bytes(output_hash, _WORD),
        signature=_bytes(signature),
        timestamp=when,
    )


def _bytes(text: str, length: int | None = None) -> bytes:
    if length == _WORD and (found := hash_bytes(text)) is not None:
        return found
    if length is not None or not text.startswith("0x"):
        raise ValueError(f"it holds {str(text)[:40]!r} where a hash or a signature belongs")
    return bytes.fromhex(text[2:])


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD, "big")
