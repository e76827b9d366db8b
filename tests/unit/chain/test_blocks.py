"""A moment's blocks are found in a handful of requests, whatever the shape of a chain's time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from og_magics.chain import rpc
from og_magics.chain.blocks import TOLERANCE, Timeline
from og_magics.core.errors import ChainError


def serve(node: Any, head: int, time_of: Callable[[int], int]) -> None:
    def block(number: str, _full: bool) -> dict[str, str]:
        n = head if number == "latest" else int(number, 16)
        return {"number": hex(n), "timestamp": hex(time_of(n))}

    node.methods["eth_getBlockByNumber"] = block


SHAPES: dict[str, Callable[[int], int]] = {
    "two seconds, as on Base": lambda n: 1_686_789_347 + 2 * n,
    "one second": lambda n: 1_700_000_000 + n,
    "twelve seconds": lambda n: 1_700_000_000 + 12 * n,
    "a burst after a long rest": lambda n: 1_700_000_000 + n if n < 500_000 else 1_790_000_000 + n // 50,
    "a genesis at 0": lambda n: n and 1_700_000_000 + n,
    "faster and faster": lambda n: 1_700_000_000 + int(n**0.5 * 1_000),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", [0.0, 0.3, 0.9, 0.9999])
def test_a_moment_is_bracketed_closely(node: Any, shape: str, where: float) -> None:
    head, time_of = 30_000_000, SHAPES[shape]
    serve(node, head, time_of)
    moment = time_of(int(head * where))
    low, high = Timeline(rpc.Node(node.url)).around(moment)
    assert time_of(low) <= moment < time_of(high)
    assert high - low <= TOLERANCE
    assert len(node.requests) <= 30


@pytest.mark.parametrize("ago", [90, 3_600, 86_400])
def test_on_base_a_recent_moment_costs_three_requests(node: Any, ago: int) -> None:
    serve(node, 30_000_000, SHAPES["two seconds, as on Base"])
    Timeline(rpc.Node(node.url)).around(1_686_789_347 + 60_000_000 - ago)
    assert len(node.requests) <= 3


def test_a_moment_after_the_newest_block_is_the_newest_block(node: Any) -> None:
    serve(node, 100, lambda n: 1_000 + n)
    assert Timeline(rpc.Node(node.url)).around(5_000) == (100, 100)


def test_a_moment_before_the_chain_is_its_first_block(node: Any) -> None:
    serve(node, 100, lambda n: 1_000 + n)
    assert Timeline(rpc.Node(node.url)).around(10) == (0, 0)


def test_a_chain_of_one_block_is_searched(node: Any) -> None:
    serve(node, 0, lambda n: 1_000)
    timeline = Timeline(rpc.Node(node.url))
    assert (timeline.around(999), timeline.around(1_000)) == ((0, 0), (0, 0))


@pytest.mark.parametrize("shape", SHAPES)
def test_many_moments_cost_about_as_many_requests_as_one(node: Any, shape: str) -> None:
    head, time_of = 30_000_000, SHAPES[shape]
    serve(node, head, time_of)
    moments = [time_of(head // 100 * n) for n in range(1, 100)]
    brackets = Timeline(rpc.Node(node.url)).arounds([*moments, time_of(head), 5])
    for moment, (low, high) in zip(moments, brackets, strict=False):
        assert time_of(low) <= moment < time_of(high)
        assert high - low <= TOLERANCE
    assert brackets[-2:] == [(head, head), (0, 0) if time_of(0) > 5 else brackets[-1]]
    assert len(node.requests) <= 40


LIARS: dict[str, Callable[[int], Any]] = {
    "time that runs backwards": lambda n: {"number": hex(n), "timestamp": hex(10**9 - n)},
    "another block": lambda n: {"number": hex(n // 2), "timestamp": hex(n)},
    "a negative number": lambda n: {"number": "-0x5", "timestamp": hex(n)},
    "a negative time": lambda n: {"number": hex(n), "timestamp": "-0x5"},
    "no block": lambda n: None,
    "a chain that is too high": lambda n: {"number": hex(2**200), "timestamp": hex(n)},
    "a number": lambda n: 5,
}


@pytest.mark.parametrize("liar", LIARS)
def test_a_node_whose_blocks_make_no_sense_is_an_error_and_no_endless_search(node: Any, liar: str) -> None:
    node.methods["eth_getBlockByNumber"] = lambda number, _full: LIARS[liar](
        10**6 if number == "latest" else int(number, 16)
    )
    with pytest.raises(ChainError):
        Timeline(rpc.Node(node.url)).around(5_000)
    assert len(node.requests) < 500
