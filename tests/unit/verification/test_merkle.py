"""The tree of a batch, against the one that the devnet builds, and against every way in which a dump can lie."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from og_magics.devnet.gateway.data import MerkleTree
from og_magics.devnet.gateway.enclave import Proof
from og_magics.verification.merkle import LEAF_TYPES, Leaf, Tree, climb, hash_pair, read_tree

_hash = st.binary(min_size=32, max_size=32)
_proofs = st.lists(
    st.builds(Proof, _hash, _hash, st.integers(0, 2**256 - 1), st.binary(max_size=300), _hash), min_size=1, max_size=40
)


def read(proofs: list[Proof]) -> Tree:
    return read_tree(json.dumps(MerkleTree.of(proofs).dump()).encode())


def leaf(proof: Proof) -> Leaf:
    return Leaf(proof.tee_id, proof.request_hash, proof.output_hash, proof.signature, proof.timestamp)


@given(_proofs)
def test_a_tree_is_read_back_as_it_was_built(proofs: list[Proof]) -> None:
    built, tree = MerkleTree.of(proofs), read(proofs)
    assert (tree.root, tree.nodes) == (built.root, built.nodes)
    assert tree.leaves == tuple(map(leaf, proofs))


@given(_proofs)
def test_every_leaf_climbs_to_the_root_by_the_builders_own_path(proofs: list[Proof]) -> None:
    built, tree = MerkleTree.of(proofs), read(proofs)
    for number, proof in enumerate(proofs):
        path = tree.path(leaf(proof).hash)
        assert climb(leaf(proof).hash, path) == built.root
        if proofs.count(proof) == 1:
            assert path == built.path(number)


@given(_proofs, st.data())
def test_the_path_of_one_leaf_proves_no_other(proofs: list[Proof], data: Any) -> None:
    tree = read(proofs)
    one, other = (leaf(data.draw(st.sampled_from(proofs))).hash for _ in range(2))
    if one != other:
        sibling = tree.path(one)[0] == other
        assert sibling or climb(other, tree.path(one)) != tree.root
        assert climb(keccak(other), tree.path(one)) != tree.root


@given(_hash, _hash, _hash, st.binary(max_size=600), st.integers(0, 2**256 - 1))
def test_a_leaf_is_hashed_as_solidity_encodes_it(a: bytes, b: bytes, c: bytes, signature: bytes, when: int) -> None:
    expected = keccak(keccak(encode(LEAF_TYPES, (a, b, c, signature, when))))
    assert Leaf(a, b, c, signature, when).hash == expected


def test_a_pair_has_one_hash_in_both_orders() -> None:
    assert hash_pair(b"\1" * 32, b"\2" * 32) == hash_pair(b"\2" * 32, b"\1" * 32)


SOME = [Proof(bytes([n]) * 32, bytes([n + 1]) * 32, n, bytes([n]) * 256, b"\7" * 32) for n in range(1, 6)]


@given(st.data())
def test_a_dump_with_any_one_digit_changed_is_no_tree_or_has_another_root(data: Any) -> None:
    dump = MerkleTree.of(SOME).dump()
    root = dump["tree"][0]
    if data.draw(st.booleans()):
        number = data.draw(st.integers(0, len(dump["tree"]) - 1))
        dump["tree"][number] = flipped(dump["tree"][number], data.draw(st.integers(2, 65)))
    else:
        value = dump["values"][data.draw(st.integers(0, 4))]["value"]
        place = data.draw(st.integers(0, 4))
        value[place] = flipped(value[place], -1)
    try:
        tree = read_tree(json.dumps(dump).encode())
    except ValueError:
        return
    assert "0x" + tree.root.hex() != root


def flipped(text: str, place: int) -> str:
    digits = list(text)
    digits[place] = "1" if digits[place] != "1" else "2"
    return "".join(digits)


def without_a_value(dump: Any) -> None:
    dump["values"].pop()


def two_at_one_place(dump: Any) -> None:
    dump["values"][1] = dump["values"][0]


def at_an_inner_place(dump: Any) -> None:
    dump["values"][0]["treeIndex"] = 0


def at_anothers_place(dump: Any) -> None:
    first, second = dump["values"][:2]
    first["treeIndex"], second["treeIndex"] = second["treeIndex"], first["treeIndex"]


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (without_a_value, "9 nodes over 4 leaves"),
        (two_at_one_place, "puts a leaf at the place"),
        (at_an_inner_place, "puts a leaf at the place 0"),
        (at_anothers_place, "do not have the hash that stands there"),
        (lambda dump: dump["values"][0].update(treeIndex=True), "puts a leaf at the place True"),
        (lambda dump: dump["tree"].__setitem__(1, "0x" + "00" * 32), "node 1|node 0"),
        (lambda dump: dump["values"][0]["value"].__setitem__(4, "-1"), "has the time"),
        (lambda dump: dump["values"][0]["value"].__setitem__(3, "zz"), "where a hash or a signature belongs"),
        (lambda dump: dump.update(format="simple-v1"), "no tree of the format"),
        (lambda dump: dump.update(leafEncoding=["bytes32"]), "another encoding"),
        (lambda dump: dump.pop("tree"), "no tree of the format"),
        (lambda dump: dump.update(tree=[], values=[]), "0 nodes over 0 leaves"),
    ],
)
def test_a_dump_that_lies_is_refused_with_the_place(lie: Any, words: str) -> None:
    dump = MerkleTree.of(SOME).dump()
    lie(dump)
    with pytest.raises(ValueError, match=words):
        read_tree(json.dumps(dump).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'["",' * 100_000,
        b'["\\"]' * 100_000,
        b'{"format": "standard-v1"}',
    ],
)
def test_what_is_no_dump_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_tree(content)


def test_a_time_may_be_a_number_a_decimal_or_hex() -> None:
    for when in (3, "3", "0x3"):
        dump = MerkleTree.of(SOME).dump()
        dump["values"][2]["value"][4] = when
        assert read_tree(json.dumps(dump).encode()).leaves[2].timestamp == 3
