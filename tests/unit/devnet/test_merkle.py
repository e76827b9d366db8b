"""The batch's Merkle tree, checked by an independent walk from leaf to root."""

from __future__ import annotations

import json

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from og_magics.devnet.gateway.data import MerkleTree
from og_magics.devnet.gateway.enclave import Proof

_hash = st.binary(min_size=32, max_size=32)
_proofs = st.lists(
    st.builds(Proof, _hash, _hash, st.integers(0, 2**63), st.binary(max_size=300), _hash), min_size=1, max_size=40
)


def leaf(proof: Proof) -> bytes:
    values = (proof.tee_id, proof.request_hash, proof.output_hash, proof.signature, proof.timestamp)
    return keccak(keccak(encode(("bytes32", "bytes32", "bytes32", "bytes", "uint256"), values)))


@given(_proofs)
def test_every_leaf_leads_to_the_root(proofs: list[Proof]) -> None:
    tree = MerkleTree.of(proofs)
    for i, proof in enumerate(proofs):
        node = leaf(proof)
        for sibling in tree.path(i):
            node = keccak(b"".join(sorted((node, sibling))))
        assert node == tree.root


@given(_proofs)
def test_another_leaf_does_not_lead_to_the_root(proofs: list[Proof]) -> None:
    tree = MerkleTree.of(proofs)
    stranger = Proof(b"\1" * 32, b"\2" * 32, 1, b"forged", b"\3" * 32)
    node = leaf(stranger)
    for sibling in tree.path(0):
        node = keccak(b"".join(sorted((node, sibling))))
    assert node != tree.root


@given(_proofs)
def test_the_dump_holds_the_whole_tree_and_the_values_in_order(proofs: list[Proof]) -> None:
    dump = json.loads(json.dumps(MerkleTree.of(proofs).dump()))
    nodes = [bytes.fromhex(node[2:]) for node in dump["tree"]]
    assert (dump["format"], len(nodes)) == ("standard-v1", 2 * len(proofs) - 1)
    for proof, entry in zip(proofs, dump["values"], strict=True):
        tee_id, request, output, signature, timestamp = entry["value"]
        given_back = Proof(
            bytes.fromhex(request[2:]),
            bytes.fromhex(output[2:]),
            int(timestamp),
            bytes.fromhex(signature[2:]),
            bytes.fromhex(tee_id[2:]),
        )
        assert given_back == proof
        assert nodes[entry["treeIndex"]] == leaf(proof)
    for i in range(len(proofs) - 1):
        assert nodes[i] == keccak(b"".join(sorted((nodes[2 * i + 1], nodes[2 * i + 2]))))


@given(_proofs, st.randoms())
def test_the_root_does_not_depend_on_the_order_of_the_answers(proofs: list[Proof], random: object) -> None:
    shuffled = list(proofs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random
    assert MerkleTree.of(shuffled).root == MerkleTree.of(proofs).root
